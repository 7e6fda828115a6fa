"""Patterns of the drawn cloth, in surface coordinates: the flat and the worn garment carry the same texture.

Read `scene.py` next.
"""

from __future__ import annotations

import torch
from torch import Tensor

from .cuts import Piece
from .signed_distance import smoothstep

PATTERNS = ("solid", "stripes", "bars", "checks", "dots", "gradient", "print", "blocks")
"""Pattern classes: `stripes` run across, `bars` down; `blocks` has a part of the second colour."""


def pattern_amount(garment: dict, piece: Piece, softness: float) -> Tensor:
    """How much of the second colour each pixel has (H, W), in [0, 1].

    Args:
        softness: half width of the edges between the colours, in units of the cloth.
    """
    name = PATTERNS[int(garment["pattern"])]
    period, duty, phase = garment["period"], garment["duty"], garment["phase"]

    def edge(distance: Tensor) -> Tensor:
        return smoothstep(softness, -softness, distance)

    def lines(t: Tensor) -> Tensor:
        return edge((((t / period + phase) % 1) - 0.5).abs() * period - duty * period / 2)

    if name == "stripes":
        return lines(piece.b)
    if name == "bars":
        return lines(piece.a)
    if name == "checks":
        return (lines(piece.a) + lines(piece.b)) / 2
    if name == "dots":
        row = torch.floor(piece.b / period)
        a, b = ((piece.a / period + 0.5 * (row % 2)) % 1 - 0.5) * period, (piece.b / period - row - 0.5) * period
        return edge(torch.hypot(a, b) - 0.29 * period)
    if name == "gradient":
        return smoothstep(*piece.span, piece.b)
    if name == "print" and piece.emblem is not None:
        return edge(_emblem(garment, *piece.emblem))
    if name == "blocks":
        return edge(piece.panel)
    return torch.zeros_like(piece.distance)


def _emblem(garment: dict, x: Tensor, y: Tensor) -> Tensor:
    """Distance to the printed shape around (0, 0)."""
    r = garment["print_size"]
    radius = torch.hypot(x, y)
    if garment["print_shape"] == 0:
        return radius - r
    if garment["print_shape"] == 1:
        return (radius - r).abs() - r * 0.3 + 2
    if garment["print_shape"] == 2:
        return torch.maximum(x.abs(), y.abs()) - r * 0.85
    return radius - r * (0.78 + 0.36 * torch.cos(5 * torch.atan2(x, -y)))
