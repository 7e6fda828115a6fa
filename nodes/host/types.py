"""What travels on LaDI-VTON's wires beside ComfyUI's own types; the pack's one import of `comfy_api`.

ComfyUI's MODEL, VAE, CLIP, CLIP_VISION, IMAGE, MASK, LATENT and CONDITIONING are used wherever they say enough;
the types here exist for the rest. `../tensors.py` converts between ComfyUI's layout and the core's.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from typing import Any, TypeVar

from comfy.utils import ProgressBar
from comfy_api.latest import ComfyExtension, io, ui
from torch import Tensor, nn

from ...ladivton_core.denoising.noise import item_noise
from ...ladivton_core.preprocessing.labels import LabelSet

__all__ = [
    "CATEGORY", "LARGEST_SEED", "BoundingBox", "Choice", "ComfyExtension", "Emasc", "EncodedPerson", "FitRecord",
    "InversionAdapter", "ItemNoise", "ParseMap", "ParseMapType", "PoseKeypoint", "PoseMap", "PseudoWords",
    "ProgressBar", "SkipFeatures", "SkipFeaturesType", "Spline", "TorchPart", "Warper", "advanced", "io", "item_seeds",
    "one_by_one", "search_aliases", "ui",
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
EncodedPerson = io.Custom("LADI_ENCODED_PERSON")
"""A `ladivton_core.encodings.PersonEncoding`."""
Choice = io.Custom("COMBO,STRING")
"""A text that other nodes' combo boxes take by wire as well as their text fields."""
FitRecord = io.Custom("LADI_FIT")
"""A tuple of `ladivton_core.preprocessing.framing.fitting.Fit`: one for every picture, or one a picture."""
Spline = io.Custom("LADI_SPLINE")
"""Tensor (B, H, W, 2): where in the garment's picture every pixel of the fitted one looks, as `WarpResult.grid`."""
BoundingBox = io.Custom("BOUNDING_BOX")
"""A list a picture of {"x", "y", "width", "height"} in pixels, as ComfyUI's own detectors give and take."""
PoseKeypoint = io.Custom("POSE_KEYPOINT")
"""Community type: a list with one OpenPose dictionary a frame (comfyui_controlnet_aux, ComfyUI's SDPose)."""

LARGEST_SEED = 2**64 - 1
Item = TypeVar("Item")


def search_aliases(*words: str) -> dict[str, list[str]]:
    """For `io.Schema`: further words by which the node search finds a node.

    ComfyUI 0.3.75 does not know them and searches ids and display names only: there the words people look for stand
    in the display names.
    """
    known = any(field.name == "search_aliases" for field in fields(io.Schema))
    return {"search_aliases": list(words)} if known else {}


def advanced() -> dict[str, bool]:
    """For a widget's input: newer pages fold it away until somebody asks for it. ComfyUI 0.3.75 does not know it."""
    known = "advanced" in inspect.signature(io.Int.Input.__init__).parameters
    return {"advanced": True} if known else {}


def one_by_one(items: Sequence[Item], progress: ProgressBar | None = None) -> Iterator[Item]:
    """Items of a batch, each after a look at whether the run was interrupted.

    Args:
        progress: goes on with each item; the node's own bar where it has nothing else to do.
    """
    import comfy.model_management as memory

    progress = progress or ProgressBar(len(items))
    for item in items:
        memory.throw_exception_if_processing_interrupted()
        yield item
        progress.update(1)


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
        garment: warped, (B, 3, H, W) in [0, 1], and where its cloth lies in the mask (B, 1, H, W) in {0, 1}, if the
            decoder is to lay it into its picture.
    """

    features: tuple[Tensor, ...]
    mask: Tensor
    garment: tuple[Tensor, Tensor, Tensor | None] | None = None


def item_seeds(seed: int, items: int, index: list[int] | None = None) -> list[int]:
    """Seed of every item of a batch: item i is what a run of its own with `seed + i` would give.

    Args:
        seed: of item 0.
        items: batch size.
        index: original positions, when a batch was cut up before (`batch_index` of a LATENT).

    Raises:
        ValueError: `index` does not name one position an item.
    """
    if index is not None and len(index) != items:
        raise ValueError(
            f"'latent' was cut down to the items {list(index)} of its batch, 'positive' and 'negative' hold {items}. "
            "Take the same items out of person, mask, pose_map and warped_garment before 'Try-On Conditioning'."
        )
    positions = range(items) if index is None else index
    return [(seed + position) % (LARGEST_SEED + 1) for position in positions]


class ItemNoise:
    """ComfyUI's NOISE with the paper's draws: the second one of each item's own generator (Q6).

    Args:
        seed: of item 0.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed

    def generate_noise(self, latent: dict) -> Tensor:
        """First noise (B, 4, h, w) of a LATENT, float32 on the CPU; `batch_index` picks the draws of a cut batch."""
        samples = latent["samples"]
        seeds = item_seeds(self.seed, samples.shape[0], latent.get("batch_index"))
        return item_noise(seeds, tuple(samples.shape[1:])).latents


class TorchPart:
    """One of LaDI-VTON's own networks under ComfyUI's memory management.

    Args:
        module: network in float32, on the offload device.
        source: where it came from, for messages.
        settings: what a consumer must know of it beside the weights, e.g. `num_words`.
    """

    def __init__(self, module: nn.Module, source: str, **settings: Any) -> None:
        import comfy.model_management as memory

        from .native import WholePatcher

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
