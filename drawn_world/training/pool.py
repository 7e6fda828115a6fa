"""Pairs in a device's memory, as bytes; more are taken in while they are rendered.

A training stage takes its batches from here by index: nothing is read, decoded or moved between two steps. `whole`
keeps everything at full size, `small` what the matcher and the vision tower look at.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ladivton_core.inversion.pixels import resize
from ladivton_core.presets import Preset

from .pairs import PAIRS, Fields, Pairs

log = logging.getLogger(__name__)
_LOOK = 0.25  # seconds between two looks for further rows


def unpacked(masks: Tensor) -> Tensor:
    """Masks (..., H, W / 8) of a bit a pixel as bytes (..., 1, H, W) of 0 and 1."""
    bits = torch.tensor([128, 64, 32, 16, 8, 4, 2, 1], dtype=torch.uint8, device=masks.device)
    return (masks[..., None] & bits).ne(0).byte().flatten(-2).unsqueeze(-3)


def whole(pairs: Fields) -> Fields:
    """Everything, at full size."""
    return pairs | {"masks": unpacked(pairs["masks"])}


def small(pairs: Fields, preset: Preset) -> Fields:
    """`garments`, `worn` and `agnostic` (2, 3, h, w) at the matcher's size, `clip` at the tower's, and the numbers.

    Pictures are shrunk as inference shrinks them, masked people after masking.
    """
    size, side = preset.warp_size, preset.vision.image_size

    def shrunk(pictures: Tensor) -> Tensor:
        made = F.interpolate(
            pictures.flatten(0, 1), size=size, mode="bilinear", align_corners=False, antialias=True
        ).unflatten(0, pictures.shape[:2])
        return made.clamp(0, 255).round().byte()

    mask = unpacked(pairs["masks"]).float()
    garments = pairs["garments"].float()
    found = {name: pairs[name] for name in ("keypoints", "category", "patterns", "numbers") if name in pairs}
    # the hole is mid-grey, 0 in [-1, 1]
    found["agnostic"] = shrunk(pairs["persons"].float() * (1 - mask) + 127.5 * mask)
    found["garments"], found["worn"] = shrunk(garments), shrunk(pairs["worn"].float())
    levels = resize(garments.flatten(0, 1) / 127.5 - 1, side) * 255
    found["clip"] = levels.floor().byte().unflatten(0, garments.shape[:2])
    return found


class Pool:
    """Rows of pairs, in order, on a device.

    Args:
        pairs: where they are read.
        device: where they are kept.
        kept: what is kept of them: `whole`, or `small` for a preset.
        count: rows at most.
        memory: bytes they may take; None is no limit.

    Raises:
        FileNotFoundError: there is none yet.
    """

    def __init__(
        self,
        pairs: Pairs,
        device: torch.device | str,
        kept: Callable[[Fields], Fields] = whole,
        count: int = PAIRS,
        memory: float | None = None,
    ):
        self.pairs, self.device, self.kept, self.memory = pairs, torch.device(device), kept, memory
        self.capacity, self.rows, self._looked = count, 0, 0.0
        self._fields: Fields = {}
        self.refresh()
        if not self.rows:
            raise FileNotFoundError("there are no pairs: run the stage `world` first.")

    def __len__(self) -> int:
        return self.rows

    def __getitem__(self, name: str) -> Tensor:
        """A field's buffer; only its first `len(self)` rows are filled."""
        return self._fields[name]

    @torch.no_grad()
    def refresh(self) -> None:
        """Take in the rows that have come since the last look."""
        if self.rows >= self.capacity or time.monotonic() - self._looked < _LOOK:
            return
        while read := self.pairs.read(self.rows, min(self.rows + PAIRS, self.capacity)):
            fields = self.kept({name: value.to(self.device) for name, value in read.items()})
            if not self._fields:
                self._allocate(fields)
            count = min(len(next(iter(fields.values()))), self.capacity - self.rows)
            for name, value in fields.items():
                self._fields[name][self.rows : self.rows + count].copy_(value[:count])
            self.rows += count
        self._looked = time.monotonic()

    def _allocate(self, fields: Fields) -> None:
        row = sum(value[0].numel() * value.element_size() for value in fields.values())
        if self.memory is not None and self.memory < self.capacity * row:
            log.info("memory holds %d of %d pairs", int(self.memory // row), self.capacity)
            self.capacity = max(1, int(self.memory // row))
        self._fields = {
            name: torch.empty((self.capacity, *value.shape[1:]), dtype=value.dtype, device=self.device)
            for name, value in fields.items()
        }

    def pictures(self, name: str, pair: Tensor, which: Tensor) -> Tensor:
        """Pictures (B, 3, H, W) in [-1, 1] of some pairs (B,), each in one of its two garments (B,)."""
        return self[name][pair, which].float() / 127.5 - 1

    def masks(self, pair: Tensor, which: Tensor) -> Tensor:
        """Inpaint masks (B, 1, H, W) in {0, 1}."""
        return self["masks"][pair, which].float()


def device_memory(device: torch.device | str) -> float:
    """Bytes a device has; for a CPU the machine's."""
    import psutil  # accelerate brings it

    device = torch.device(device)
    if device.type == "cuda":
        return float(torch.cuda.get_device_properties(device).total_memory)
    if device.type == "mps":
        return float(torch.mps.recommended_max_memory())
    return float(psutil.virtual_memory().total)
