"""The edge of a mask: grown, shrunk, softened. Below the stages, which all have masks."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def grow_mask(mask: Tensor, pixels: int) -> Tensor:
    """Grow a mask by a square of 2 * pixels + 1, or shrink it; nothing comes in from outside the picture.

    Args:
        mask: (B, 1, H, W).
        pixels: radius of the square; negative shrinks.

    Returns:
        (B, 1, H, W); the mask itself for 0.
    """
    if pixels < 0:
        return -grow_mask(-mask, -pixels)
    if pixels == 0:
        return mask
    # A square is a row, then a column.
    mask = F.max_pool2d(mask, (1, 2 * pixels + 1), stride=1, padding=(0, pixels))
    return F.max_pool2d(mask, (2 * pixels + 1, 1), stride=1, padding=(pixels, 0))


def soften_mask(mask: Tensor, grow: int = 0, feather: int = 0) -> Tensor:
    """Enlarge a mask by `grow` pixels, then blur its edge over `feather` pixels to either side.

    Args:
        mask: (B, 1, H, W) in [0, 1].
        grow: see `grow_mask`.
        feather: radius of the blur in pixels (two box filters, so a smooth ramp).

    Returns:
        (B, 1, H, W) in [0, 1].

    Raises:
        ValueError: `feather` is negative.
    """
    if feather < 0:
        raise ValueError(f"feather is a radius in pixels and cannot be negative; got {feather}.")
    mask = grow_mask(mask, grow)
    for radius in (feather // 2, feather - feather // 2):
        if radius:
            padded = F.pad(mask, (radius,) * 4, mode="replicate")
            mask = F.avg_pool2d(padded, 2 * radius + 1, stride=1)
    return mask
