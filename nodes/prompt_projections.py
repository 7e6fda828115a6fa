"""Cross-attention keys and values of a prompt, computed once a run in place of once a step.

They depend on the prompt and on two weights only. What is kept is found by the prompt's values, never by who it came
from: another prompt, another order or number of conditionings, another batch finds nothing and is computed. A run
starts with nothing kept, so that a LoRA is always seen. `speed.py` is the node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from comfy.patcher_extension import WrappersMP
from torch import Tensor, nn

KEY = "LadiVTON_prompt_projections"
KEPT = 4
"""Prompts a run keeps: both sides together, the positive alone outside a guidance interval, and each alone where memory
is short. A batch of one at full size takes 8 MB each in float16."""


def with_projections_kept(model, kept: bool):
    """The MODEL whose runs keep the prompt's keys and values, or no longer do; changes the clone it is given.

    Raises:
        ValueError: its network has no cross-attention as Stable Diffusion's.
    """
    for kind in (WrappersMP.SAMPLER_SAMPLE, WrappersMP.APPLY_MODEL):
        model.remove_wrappers_with_key(kind, KEY)
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
            options = next((each for each in (*args, *kwargs.values()) if _is_options(each)), {})
            patcher = getattr(executor.class_obj, "current_patcher", None)
            runs[-1].begin(known=not _changes_attention(options) and getattr(patcher, "current_hooks", None) is None)
        return executor(*args, **kwargs)

    model.add_wrapper_with_key(WrappersMP.SAMPLER_SAMPLE, KEY, run)
    model.add_wrapper_with_key(WrappersMP.APPLY_MODEL, KEY, step)
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
        """While inside, the layers answer from what is kept; afterwards they are as they were."""
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


def _is_options(argument: object) -> bool:
    """Whether an argument of the model is ComfyUI's `transformer_options`."""
    return isinstance(argument, dict) and "cond_or_uncond" in argument


def _changes_attention(options: dict) -> bool:
    """Whether another patch is handed the prompt, or keys and values, of the cross-attention."""
    patches, replaced = options.get("patches", {}), options.get("patches_replace", {})
    return bool(patches.get("attn2_patch") or replaced.get("attn2"))
