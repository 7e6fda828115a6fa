"""ComfyUI's own network as CUDA graphs, which Try-On Speed hangs into sampling. `../sampling.py` has the node.

A guided step of Stable Diffusion's UNet launches thousands of kernels, most of them shorter than their launch; a graph
launches them as one. Graphs live for one run: weights are patched, moved and unloaded between runs, never within one,
and the memory that they hold is free for the decoder afterwards. What no graph can hold runs as before, with the reason
in the log.
"""

from __future__ import annotations

import logging
from typing import Any

from comfy.patcher_extension import WrappersMP, get_all_wrappers
from torch import Tensor

from ...ladivton_core.denoising.fast_unet import Function, recorder

log = logging.getLogger(__name__)

KEY = "LadiVTON_cuda_graphs"


def record_steps(model, on: bool):
    """The MODEL whose network runs as CUDA graphs, or no longer does; changes the clone it is given."""
    for kind in (WrappersMP.SAMPLER_SAMPLE, WrappersMP.DIFFUSION_MODEL):
        model.remove_wrappers_with_key(kind, KEY)
    if not on:
        return model
    runs: list[RunGraphs] = []

    def run(executor, guider, *args, **kwargs):
        runs.append(RunGraphs(guider.inner_model, "torch_compile_kwargs" in guider.model_options))
        try:
            return executor(guider, *args, **kwargs)
        finally:
            runs.pop()

    def step(executor, *args, **kwargs):
        return runs[-1](executor, *args, **kwargs) if runs else executor(*args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, run)
    model.add_wrapper_with_key(WrappersMP.DIFFUSION_MODEL, KEY, step)
    return model


class RunGraphs:
    """The graphs of one run: one for each shape of the network's inputs.

    Args:
        model: ComfyUI's model around the network.
        compiled: by Torch Compile, which brings graphs of its own.
    """

    def __init__(self, model, compiled: bool) -> None:
        self._model = model
        self._recorded: dict[tuple, Function] = {}
        self._given_up = "Torch Compile works on this MODEL" if compiled else ""
        self._said: set[str] = set()

    def __call__(
        self, executor, x: Tensor, timesteps=None, context=None, y=None, control=None, transformer_options=None, **more
    ) -> Tensor:
        """What the network makes of its inputs; `executor` computes it."""
        options = transformer_options or {}

        def plain(x: Tensor, timesteps: Tensor, context: Tensor) -> Tensor:
            return executor(x, timesteps, context, y, control, options, **more)

        inputs = (x, timesteps, context)
        obstacle = self._given_up or self._find_obstacle(inputs, (y, control, *more.values()), options)
        if not obstacle:
            key = tuple((given.shape, given.dtype) for given in inputs)
            try:
                if key not in self._recorded:
                    if any(weight.device != x.device for weight in self._model.diffusion_model.parameters()):
                        raise RuntimeError("a part of the weights waits in main memory")
                    self._recorded[key] = recorder(x.device)(plain, inputs)
                return self._recorded[key](*inputs)
            except (RuntimeError, AssertionError, NotImplementedError) as error:
                obstacle = self._given_up = str(error).partition("\n")[0] or type(error).__name__
        if obstacle not in self._said:
            self._said.add(obstacle)
            log.warning("Try-On Speed: steps run without a CUDA graph, as before: %s.", obstacle)
        return plain(*inputs)

    def _find_obstacle(self, inputs: tuple, others: tuple, options: dict[str, Any]) -> str:
        """Why these inputs cannot be a graph's: it would freeze what Python decides anew in each step."""
        device = inputs[0].device
        if recorder(device) is None:
            return f"the model runs on {device.type}, and they need CUDA"
        if any(other is not None for other in others) or not all(isinstance(given, Tensor) for given in inputs):
            return "a ControlNet or other input beside latent, step and prompt"
        patcher = getattr(self._model, "current_patcher", None)
        if any(options.get(name) for name in ("patches", "patches_replace")) or getattr(patcher, "current_hooks", None):
            return "another patch works on the network"
        if len(get_all_wrappers(WrappersMP.DIFFUSION_MODEL, options)) > 1:
            return "another pack is wrapped around the network"
        return ""
