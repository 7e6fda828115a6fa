"""Signed-distance shapes for the synthetic world: batched, anti-aliased, in pixels.

Every shape is negative inside. Points `x`, `y` and every parameter broadcast against (B, H, W); pixel
centres lie at integer coordinates, x to the right, y down. Read `synthetic_people.py` next.
"""

from __future__ import annotations

import torch
from torch import Tensor


def pixel_grid(size: tuple[int, int], device=None) -> tuple[Tensor, Tensor]:
    """Pixel coordinates of a (height, width) canvas: x and y, each (1, H, W) float32."""
    height, width = size
    y, x = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=device),
        torch.arange(width, dtype=torch.float32, device=device),
        indexing="ij",
    )
    return x[None], y[None]


def coverage(distance: Tensor) -> Tensor:
    """How much of each pixel a shape covers, in [0, 1]: a one-pixel ramp around distance 0."""
    return (0.5 - distance).clamp(0, 1)


def ellipse(x: Tensor, y: Tensor, cx, cy, rx, ry) -> Tensor:
    """Approximate distance to an axis-aligned ellipse; exact on its outline."""
    nx, ny = (x - cx) / rx, (y - cy) / ry
    radius = (nx * nx + ny * ny).sqrt()
    gradient = ((nx / rx) ** 2 + (ny / ry) ** 2).sqrt().clamp_min(1e-6)
    return (radius - 1) * radius / gradient.clamp_min(1e-6) / radius.clamp_min(1e-3)


def along_segment(x: Tensor, y: Tensor, x0, y0, x1, y1) -> tuple[Tensor, Tensor, Tensor]:
    """Frame of a segment: position along it (0 at the first end, 1 at the second, not clamped), signed
    distance across it (positive to the left of its direction on screen), and its length in pixels."""
    dx, dy = x1 - x0, y1 - y0
    length = (dx * dx + dy * dy).sqrt().clamp_min(1e-6)
    px, py = x - x0, y - y0
    return (px * dx + py * dy) / length**2, (px * dy - py * dx) / length, length


def tapered_capsule(x: Tensor, y: Tensor, x0, y0, x1, y1, r0, r1) -> Tensor:
    """Distance to a capsule whose radius runs linearly from `r0` to `r1`."""
    t, _, _ = along_segment(x, y, x0, y0, x1, y1)
    t = t.clamp(0, 1)
    px, py = x - (x0 + t * (x1 - x0)), y - (y0 + t * (y1 - y0))
    return (px * px + py * py).sqrt() - (r0 + t * (r1 - r0))


def smooth_union(a: Tensor, b: Tensor, radius: float) -> Tensor:
    """Union of two shapes with the joint rounded over `radius` pixels."""
    blend = (0.5 + 0.5 * (b - a) / radius).clamp(0, 1)
    return b + (a - b) * blend - radius * blend * (1 - blend)


def smoothstep(low: float, high: float, value: Tensor) -> Tensor:
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = ((value - low) / (high - low)).clamp(0, 1)
    return t * t * (3 - 2 * t)


def soft_noise(values: Tensor, size: tuple[int, int]) -> Tensor:
    """Smooth noise (B, H, W) in about [-1, 1] from a coarse grid of values (B, h, w)."""
    return torch.nn.functional.interpolate(values[:, None], size=size, mode="bicubic", align_corners=True)[:, 0]


def over(picture: Tensor, colour: Tensor, alpha: Tensor) -> Tensor:
    """Paint `colour` (B, 3, H, W) or (B, 3, 1, 1) over `picture` (B, 3, H, W) with `alpha` (B, H, W)."""
    return picture + (colour - picture) * alpha[:, None]
