"""What Try-On Speed hangs into ComfyUI's own sampling, so that every sampler knows it. `../sampling.py` has the node.

Guidance in a part of the noise schedule only, after Kynkäänniemi et al. (arXiv 2404.07724): outside the interval the
model runs on the positive conditioning alone, as with a guidance of 1.

Cross-attention keys and values of a prompt, computed once a run in place of once a step: they depend on the prompt and
on two weights only. What is kept is found by the prompt's values, never by who it came from: another prompt, another
order or number of conditionings, another batch finds nothing and is computed. A run starts with nothing kept, so that a
LoRA is always seen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

INTERVAL = "LadiVTON_guidance_interval"
PROJECTIONS = "LadiVTON_prompt_projections"
KEPT = 4
"""Prompts a run keeps: both sides together, the positive alone outside a guidance interval, and each alone where memory
is short. A batch of one at full size takes 8 MB each in float16."""


def guide_between(model, start: float, end: float):
    """The MODEL, guided between two shares of the noise schedule, 0 the noisiest; changes the clone it is given.

    A second call replaces the first. Samplers with more than a positive and a negative side are left as they are.
    """

    def predict(executor, model, conds, x_in, timestep, model_options):
        """ComfyUI's function for both predictions, which outside the interval makes one and gives it for both."""
        sampling, sigma = model.model_sampling, float(timestep.max())
        # Both ends belong to it, as with ComfyUI's own timestep ranges.
        guided = sampling.percent_to_sigma(end) <= sigma <= sampling.percent_to_sigma(start)
        if guided or len(conds) != 2 or conds[1] is None:
            return executor(model, conds, x_in, timestep, model_options)
        (prediction,) = executor(model, conds[:1], x_in, timestep, model_options)
        return [prediction, prediction.clone()]  # apart, should a patch write into one of them

    model.remove_wrappers_with_key(WrappersMP.CALC_COND_BATCH, INTERVAL)
    if (start, end) != (0.0, 1.0):
        model.add_wrapper_with_key(WrappersMP.CALC_COND_BATCH, INTERVAL, predict)
    return model


def keep_projections(model, kept: bool):
    """The MODEL whose runs keep the prompt's keys and values, or no longer do; changes the clone it is given.

    Raises:
        ValueError: its network has no cross-attention as Stable Diffusion's.
    """
    for kind in (WrappersMP.SAMPLER_SAMPLE, WrappersMP.APPLY_MODEL):
        model.remove_wrappers_with_key(kind, PROJECTIONS)
    if not kept:
        return model
    if not projections(model.model.diffusion_model):
        raise ValueError(
            f"'cache_prompt' needs a network with Stable Diffusion's cross-attention, "
            f"and this MODEL is a {type(model.model).__name__}. Switch it off, or connect the try-on MODEL."
        )
    runs: list[PromptProjections] = []

    def run(executor, guider, *args, **kwargs):
        if "torch_compile_kwargs" in guider.model_options:  # compiled with the rest of the network
            return executor(guider, *args, **kwargs)
        with PromptProjections(guider.inner_model.diffusion_model).installed() as kept:
            runs.append(kept)
            try:
                return executor(guider, *args, **kwargs)
            finally:
                runs.pop()

    def step(executor, *args, **kwargs):
        if runs:
            given = (*args, *kwargs.values())
            # ComfyUI's `transformer_options`, and in them whoever is handed the prompt, or its keys and values
            options = next((each for each in given if isinstance(each, dict) and "cond_or_uncond" in each), {})
            patched = options.get("patches", {}).get("attn2_patch") or options.get("patches_replace", {}).get("attn2")
            patcher = getattr(executor.class_obj, "current_patcher", None)
            runs[-1].begin(known=not patched and getattr(patcher, "current_hooks", None) is None)
        return executor(*args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, PROJECTIONS, run)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, PROJECTIONS, step)
    return model


def projections(network: nn.Module) -> dict[str, nn.Module]:
    """The layers that make keys and values of the prompt, by name."""
    endings = (".attn2.to_k", ".attn2.to_v")
    return {name: layer for name, layer in network.named_modules() if name.endswith(endings)}


class PromptProjections:
    """What the cross-attention of a network made of the prompts of one run."""

    def __init__(self, network: nn.Module) -> None:
        self._layers = projections(network)
        self._made: list[tuple[Tensor, dict[str, Tensor]]] = []
        self._known = True
        self._prompt: Tensor | None = None  # of the step that runs
        self._of_prompt: dict[str, Tensor] = {}

    @contextmanager
    def installed(self) -> Iterator[PromptProjections]:
        """While inside, the layers answer from what is kept; afterwards they are as they were.

        A layer's `forward` is exchanged: torch's public hooks run before or after it, none in its place, and ComfyUI's
        object patches leave one behind when they are taken off. `tests/nodes/test_speed.py` counts what is computed.
        """
        before = {name: layer.__dict__.get("forward") for name, layer in self._layers.items()}
        try:
            for name, layer in self._layers.items():
                layer.forward = self._keeping(name, layer.forward)
            yield self
        finally:
            for name, layer in self._layers.items():
                if before[name] is None:
                    layer.__dict__.pop("forward", None)
                else:
                    layer.forward = before[name]

    def begin(self, known: bool) -> None:
        """A call of the network starts.

        Args:
            known: False computes everything: another patch may change prompt or weights from layer to layer.
        """
        self._known, self._prompt, self._of_prompt = known, None, {}

    def _keeping(self, name: str, compute: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def forward(prompt: Tensor, *args, **kwargs) -> Tensor:
            if not self._known or torch.compiler.is_compiling():
                return compute(prompt, *args, **kwargs)
            if self._prompt is None:
                self._recognise(prompt)
            if prompt is not self._prompt:
                return compute(prompt, *args, **kwargs)
            if name not in self._of_prompt:
                self._of_prompt[name] = compute(prompt, *args, **kwargs)
            return self._of_prompt[name]

        return forward

    def _recognise(self, prompt: Tensor) -> None:
        """Find what was made of an equal prompt; once a call, so that a GPU waits for one comparison only."""
        self._prompt = prompt
        for seen, made in self._made:
            if (seen.shape, seen.dtype, seen.device) == (prompt.shape, prompt.dtype, prompt.device) and torch.equal(
                seen, prompt
            ):
                self._of_prompt = made
                return
        self._of_prompt = {}
        self._made = [*self._made[-KEPT + 1 :], (prompt.clone(), self._of_prompt)]
