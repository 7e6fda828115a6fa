"""What travels on LaDI-VTON's wires beside ComfyUI's own types; the pack's one import of `comfy_api`.

ComfyUI's MODEL, VAE, CLIP, CLIP_VISION, IMAGE, MASK, LATENT and CONDITIONING are used wherever they say enough;
the types here exist for the rest. `tensors.py` converts between ComfyUI's layout and the core's.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any

from comfy_api.latest import ComfyExtension, io, ui
from torch import Tensor, nn

from ..ladivton_core.preprocessing.labels import LabelSet

__all__ = [
    "CATEGORY", "BoundingBox", "Choice", "ComfyExtension", "Emasc", "EncodedPersonType", "FitRecord",
    "InversionAdapter", "ParseMap", "ParseMapType", "PoseKeypoint", "PoseMap", "PseudoWords", "SkipFeatures",
    "SkipFeaturesType", "TorchPart", "Warper", "check_choices", "io", "search_aliases", "ui",
]  # fmt: skip

CATEGORY = "LaDI-VTON"
"""Root of the pack's entries in ComfyUI's Add Node menu."""

Warper = io.Custom("LADI_WARPER")
InversionAdapter = io.Custom("LADI_INVERSION_ADAPTER")
Emasc = io.Custom("LADI_EMASC")
PoseMap = io.Custom("LADI_POSE_MAP")
"""Tensor (B, 18, H, W) in [0, 1]."""
PseudoWords = io.Custom("LADI_PSEUDO_WORDS")
"""Tensor (B, 16, width of the text encoder)."""
ParseMapType = io.Custom("LADI_PARSE_MAP")
SkipFeaturesType = io.Custom("LADI_SKIP_FEATURES")
EncodedPersonType = io.Custom("LADI_ENCODED_PERSON")
Choice = io.Custom("COMBO,STRING")
"""A text that other nodes' combo boxes take by wire as well as their text fields."""
FitRecord = io.Custom("LADI_FIT")
"""A tuple of `ladivton_core.preprocessing.framing.fitting.Fit`: one for every picture, or one a picture."""
BoundingBox = io.Custom("BOUNDING_BOX")
"""A list with one {"x", "y", "width", "height"} in pixels a picture."""
PoseKeypoint = io.Custom("POSE_KEYPOINT")
"""Community type: a list with one OpenPose dictionary a frame (comfyui_controlnet_aux, ComfyUI's SDPose)."""


def search_aliases(*words: str) -> dict[str, list[str]]:
    """For `io.Schema`: further words by which the node search finds a node.

    ComfyUI 0.3.75 does not know them and searches ids and display names only: there the words people look for stand
    in the display names.
    """
    known = any(field.name == "search_aliases" for field in fields(io.Schema))
    return {"search_aliases": list(words)} if known else {}


def check_choices(node: type[io.ComfyNode], **chosen: str | None) -> bool | str:
    """For `validate_inputs`: ComfyUI 0.3.75 checks the combo boxes of older nodes, but not those of V3 nodes.

    Args:
        node: node class with a combo box for every name.
        chosen: value by input; None (a wire, not known yet) passes.

    Returns:
        True, or a message that names the input and what can be chosen.
    """
    options = {box.id: box.options for box in node.define_schema().inputs if isinstance(box, io.Combo.Input)}
    for name, value in chosen.items():
        if value is not None and value not in options[name]:
            return f"'{name}' cannot be {value!r}; choose one of {', '.join(map(str, options[name]))}."
    return True


@dataclass(frozen=True)
class ParseMap:
    """Which garment or body part every pixel shows.

    Attributes:
        labels: (B, H, W) int64, ids of `label_set`.
        label_set: vocabulary of the ids.
    """

    labels: Tensor
    label_set: LabelSet


@dataclass(frozen=True)
class SkipFeatures:
    """Taps of the VAE encoder on the masked person, and the mask that cuts them.

    Attributes:
        features: f1...f5, (B, C_i, h_i, w_i), on ComfyUI's offload device; f1 and f2 are one tensor (Q12).
        mask: inpaint mask (B, 1, H, W) in {0, 1}, 1 = repaint.
    """

    features: tuple[Tensor, ...]
    mask: Tensor


class TorchPart:
    """One of LaDI-VTON's own networks under ComfyUI's memory management.

    Args:
        module: network in float32, on the offload device.
        source: where it came from, for messages.
        settings: what a consumer must know of it beside the weights, e.g. `num_words`.
    """

    def __init__(self, module: nn.Module, source: str, **settings: Any) -> None:
        import comfy.model_management as memory

        from .whole_patcher import WholePatcher

        self.source, self.settings = source, settings
        # ModelPatcher writes attributes of its own on the model it manages: it gets a shell, named for ComfyUI's log.
        self._shell = type(type(module).__name__, (nn.Module,), {})()
        self._shell.network = module.eval().requires_grad_(False)
        self.patcher = WholePatcher(
            self._shell, load_device=memory.get_torch_device(), offload_device=memory.unet_offload_device()
        )

    @property
    def module(self) -> nn.Module:
        """The network, wherever it is at the moment."""
        return self._shell.network

    @property
    def device(self):
        """Where the network runs once loaded."""
        return self.patcher.load_device

    @contextmanager
    def loaded(self, memory_required: float = 0) -> Iterator[nn.Module]:
        """While inside, the network is on `device`, whole: ComfyUI makes room as for its own models."""
        import comfy.model_management as memory

        memory.load_models_gpu([self.patcher], memory_required=memory_required, force_full_load=True)
        with self.in_use():
            yield self.module

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """On leaving, the network goes where ComfyUI keeps weights: with `--novram` off the device at once.

        In every other memory state ComfyUI leaves models there until it needs the room.
        """
        import comfy.model_management as memory

        try:
            yield
        finally:
            if memory.vram_state == memory.VRAMState.NO_VRAM:
                self.patcher.detach()
