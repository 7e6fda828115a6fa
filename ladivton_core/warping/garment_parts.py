"""GarmentParts: which part of a garment lying flat every pixel is, and the skeleton that its wearer's limbs follow.

Beyond the paper, for photographs: the embedded warper's file holds one, and `skeleton.py` dresses a person by it. It
learned on rendered garments (`drawn_world/training/garment_parts.py`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

PARTS = ("ground", "front", "inside", "sleeve_right", "sleeve_left", "leg_right", "leg_left")
"""Labels by number; `inside` is the back's, seen above a neckline or below a hem."""
ALONG = 4
"""Points along each sleeve and trouser leg, from where the limb begins to where the cloth ends."""
TUBES = PARTS[3:]
POINTS = ("chest", "shoulder_right", "shoulder_left", "belly", *(f"{tube}_{i}" for tube in TUBES for i in range(ALONG)))
"""Chest and belly lie in the middle, .35 and 2 units below the line between the shoulders' ends; the shoulders' joints
.8 units beside the chest. A unit is half of that line, about 20 cm."""


class PartsFound(NamedTuple):
    """What `GarmentParts` finds.

    Attributes:
        labels: (B, len(PARTS), height, width), logarithms of the odds.
        points: (B, len(POINTS), 2) as (x, y) in [0, 1] of the picture; of parts that are not there anything.
        unit: (B,), a unit in heights of the picture.
    """

    labels: Tensor
    points: Tensor
    unit: Tensor


def _convolved(inputs: int, outputs: int, first: nn.Conv2d) -> nn.Sequential:
    second = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
    norms = nn.BatchNorm2d(outputs), nn.BatchNorm2d(outputs)
    return nn.Sequential(first, norms[0], nn.SiLU(), second, norms[1], nn.SiLU())


class GarmentParts(nn.Module):
    """A small U-Net; runs at `SIZE`, with its first features at half of it.

    Args:
        widths: of its levels.
    """

    SIZE = (192, 144)

    def __init__(self, widths: tuple[int, ...] = (16, 32, 64, 96, 128)) -> None:
        super().__init__()
        first, pairs = widths[0], list(zip(widths, widths[1:], strict=False))
        stem = _convolved(3, first, nn.Conv2d(3, first, 5, 2, 2, bias=False))
        down = (_convolved(a, b, nn.Conv2d(a, b, 3, 2, 1, bias=False)) for a, b in pairs)
        self.down = nn.ModuleList([stem, *down])
        self.up = nn.ModuleList([_convolved(a + b, a, nn.Conv2d(a + b, a, 3, 1, 1, bias=False)) for a, b in pairs])
        self.parts = nn.Sequential(nn.Conv2d(first, 4 * len(PARTS), 1), nn.PixelShuffle(2))
        self.points = nn.Conv2d(first, len(POINTS), 1)
        self.unit = nn.Linear(widths[-1], 1)

    def maps(self, garment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What training compares: labels as in `PartsFound`, maps of the points (B, len(POINTS), height / 2, width / 2)
        and the logarithm of the unit."""
        x = F.interpolate(garment, self.SIZE, mode="bilinear", align_corners=False, antialias=True)
        features = []
        for down in self.down:
            features.append(x := down(x))
        unit = self.unit(x.mean((2, 3)))[:, 0]
        for up, beside in zip(reversed(self.up), reversed(features[:-1]), strict=True):
            x = F.interpolate(x, beside.shape[-2:], mode="bilinear", align_corners=False)
            x = up(torch.cat([x, beside], 1))
        return self.parts(x), self.points(x), unit

    def forward(self, garment: Tensor) -> PartsFound:
        """Look at garments (B, 3, H, W) in [-1, 1], on white, filling most of the picture."""
        labels, maps, unit = self.maps(garment)
        return PartsFound(labels, centres(maps), unit.exp())


def centres(heat: Tensor) -> Tensor:
    """Where maps (B, N, h, w) are brightest, as means (B, N, 2) in [0, 1] of width and height."""
    height, width = heat.shape[-2:]
    share = heat.flatten(2).softmax(-1).view_as(heat)
    x, y = ((torch.arange(n, device=heat.device) + 0.5) / n for n in (width, height))
    return torch.stack([(share.sum(2) * x).sum(-1), (share.sum(3) * y).sum(-1)], -1)
