"""A patcher for networks that ComfyUI cannot take apart.

ComfyUI loads a model in pieces where memory is short, and casts what it left behind weight by weight; only layers of
its own can do that (`comfy.ops`, told by `comfy_cast_weights`). LaDI-VTON's own networks are plain torch. In the state
of `--novram` ComfyUI asks for pieces whatever `force_full_load` says, so the answer is given here. `types.TorchPart`
uses it. Imported only when a model is loaded.
"""

from __future__ import annotations

from comfy.model_patcher import ModelPatcher

ALL = 1e32
"""ComfyUI's own number for "no limit" (`LoadedModel.model_load`)."""


class WholePatcher(ModelPatcher):
    """ComfyUI's patcher that brings a model to the device whole, or takes it away whole."""

    def partially_load(self, device_to, extra_memory=0, force_patch_weights=False):
        """Load everything, whatever part was asked for."""
        return super().partially_load(device_to, ALL, force_patch_weights=force_patch_weights)

    def partially_unload(self, device_to, memory_to_free=0, force_patch_weights=False):
        """Free nothing, which makes ComfyUI take the whole model away (`LoadedModel.model_unload`)."""
        return 0
