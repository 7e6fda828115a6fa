"""Whose pixel is whose where several people stand in one picture: everybody else is kept out in `body` mode.

A pixel belongs to the person whose skeleton is nearest, counted in that person's own size.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..pose.body_size import body_size, known, middle

_BONES = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (2, 8), (8, 9), (9, 10), (5, 11), (11, 12), (12, 13), (2, 5),
    (8, 11), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17),
)  # fmt: skip

# Territories are worked out at this size and enlarged: their borders run through the air between people.
_WORKING_SIDE = 256


def own_territory(joints: Tensor, others: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels that are nearer to one person than to any other.

    Args:
        joints: COCO-18 of the person (18, 2), pixels of `size`; missing ones (0, 0).
        others: the same of everybody else (P, 18, 2); P may be 0.
        size: (height, width).

    Returns:
        (height, width) bool; all True without others.
    """
    shrink = min(1.0, _WORKING_SIDE / max(size))
    small = (max(round(size[0] * shrink), 1), max(round(size[1] * shrink), 1))
    own = _distance(joints, small, shrink)
    rest = [found for body in others if (found := _distance(body, small, shrink)) is not None]
    if own is None or not rest:
        return torch.ones(size, dtype=torch.bool)
    mine = own <= torch.stack(rest).amin(0)
    return F.interpolate(mine[None, None].float(), size, mode="nearest-exact")[0, 0].bool()


def _distance(joints: Tensor, size: tuple[int, int], shrink: float) -> Tensor | None:
    """(height, width) distance to a skeleton in body sizes; None for a body without any bone."""
    body = body_size(joints)
    bones = [(joints[a], joints[b]) for a, b in _BONES if known(joints, a, b)]
    top, bottom = middle(joints, (2, 5)), middle(joints, (8, 11))
    if top is not None and bottom is not None:
        bones.append((top, bottom))
    if body is None or not bones:
        return None
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    pixels = torch.stack([columns, rows], -1).float()
    nearest = torch.full(size, torch.inf)
    for start, end in bones:
        start, along = start.float() * shrink, (end - start).float() * shrink
        share = ((pixels - start) @ along / along.square().sum().clamp_min(1e-6)).clamp(0, 1)
        nearest = torch.minimum(nearest, (pixels - start - share[..., None] * along).norm(dim=-1))
    return nearest / (body * shrink)
