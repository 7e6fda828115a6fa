"""Signed-distance shapes for the drawn world, in drawing units.

Every shape is negative inside. `x` and `y` are the drawing coordinates (H, W) of the pixels, x to the
right, y down; parameters are numbers. Read `body.py` next.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def pixel_grid(size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Pixel coordinates of a (height, width) canvas: x and y, each (H, W) float32; centres are integers."""
    y, x = torch.meshgrid(
        torch.arange(size[0], dtype=torch.float32), torch.arange(size[1], dtype=torch.float32), indexing="ij"
    )
    return x, y


def ellipse(x: Tensor, y: Tensor, cx: float, cy: float, rx: float, ry: float) -> Tensor:
    """Approximate distance to an axis-aligned ellipse; exact on its outline."""
    nx, ny = (x - cx) / rx, (y - cy) / ry
    radius = (nx * nx + ny * ny).sqrt()
    gradient = ((nx / rx) ** 2 + (ny / ry) ** 2).sqrt().clamp_min(1e-6)
    return (radius - 1) * radius / gradient / radius.clamp_min(1e-3)


def along_segment(x: Tensor, y: Tensor, x0: float, y0: float, x1: float, y1: float) -> tuple[Tensor, Tensor]:
    """Frame of a segment: position along it (0 at the first end, 1 at the second, not clamped) and signed
    distance across it (positive to the left of its direction on screen)."""
    dx, dy = x1 - x0, y1 - y0
    length = max(math.hypot(dx, dy), 1e-6)
    px, py = x - x0, y - y0
    return (px * dx + py * dy) / length**2, (px * dy - py * dx) / length


def tapered_capsule(x: Tensor, y: Tensor, x0: float, y0: float, x1: float, y1: float, r0: float, r1: float) -> Tensor:
    """Distance to a capsule whose radius runs linearly from `r0` to `r1`."""
    t = along_segment(x, y, x0, y0, x1, y1)[0].clamp(0, 1)
    return torch.hypot(x - (x0 + t * (x1 - x0)), y - (y0 + t * (y1 - y0))) - (r0 + t * (r1 - r0))


def smooth_union(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """Union of two shapes with the joint rounded over `radius` units."""
    blend = (0.5 + 0.5 * (b - a) / radius).clamp(0, 1)
    return b + (a - b) * blend - radius * blend * (1 - blend)


def smoothstep(low: float, high: float, value: Tensor) -> Tensor:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def soft_noise(values: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Smooth noise (H, W) in about [-1, 1] from a coarse grid of values (h, w)."""
    grid = torch.tensor(values, dtype=torch.float32)[None, None]
    return torch.nn.functional.interpolate(grid, size=size, mode="bicubic", align_corners=True)[0, 0]


def over(picture: Tensor, colour: Tensor, alpha: Tensor) -> Tensor:
    """Paint `colour` (3, H, W) or (3, 1, 1) over `picture` (3, H, W) with `alpha` (H, W)."""
    return picture + (colour - picture) * alpha
