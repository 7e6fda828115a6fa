"""The ground a shop garment lies on: whether it is plain, and a plain one turned white.

VITON-HD's garments lie on white; a grey or beige ground would be warped onto the person with them. `garment.py` does
the same with a mask.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ...mask_edges import grow_mask
from ..flood import reached
from ..labels import Category

Ground = Literal["white", "plain", "busy"]

WHITE = 0.97
"""Ground this bright in every channel passes as white."""
PLAIN_SHARE = 0.75
"""A ground is plain when this share of the border fits one smooth colour: a garment may touch the edge somewhere."""
_TOLERANCE = 0.05
_SOFT = 0.05
_EXACT, _RINGING = 0.006, 1
"""What a ground of one colour differs by, and pixels of the working size over which JPEG rings beside an edge."""
_CLOTH = 0.965
"""Brightest that cloth is on a ground that was turned white: below `WHITE`, so that both can be told apart."""
# Ground is looked for at this size and its edge sharpened at the picture's own.
_WORKING_SIDE = 384
_FILLED = (0.02, 0.98)
"""A garment covers some, not all, of its picture; outside these shares one was mistaken for the other."""


@dataclass(frozen=True)
class Backdrop:
    """What lies around a garment.

    Attributes:
        kind: `white`, `plain` (one smooth colour, a gradient included) or `busy`.
        colour: smooth colour of the ground (3, H, W); meaningless for a busy one.
        share: how much of the border fits it.
        noise: by how much that differs from the smooth colour, a standard deviation.
    """

    kind: Ground
    colour: Tensor
    share: float
    noise: float = 0.0


def backdrop_of(garment: Tensor) -> Backdrop:
    """Look at the border of one picture (3, H, W) in [0, 1]."""
    height, width = garment.shape[-2:]
    band = max(round(0.02 * min(height, width)), 1)
    rows, columns = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    ring = torch.zeros(height, width, dtype=torch.bool)
    ring[:band] = ring[-band:] = True
    ring[:, :band] = ring[:, -band:] = True
    terms = torch.stack([torch.ones_like(rows), rows, columns, rows * columns, rows**2, columns**2], -1)
    on_ring, seen = terms[ring].double(), garment[:, ring].double().T
    near = ((seen - seen.median(0).values).abs().amax(-1) < 0.25) if height * width > 64 else torch.ones(len(seen)) > 0
    fit = torch.zeros(terms.shape[-1], 3, dtype=torch.float64)
    for _ in range(3):  # what does not fit, a sleeve at the edge, is left out of the next fit
        if near.sum() < 32:
            break
        fit = torch.linalg.lstsq(on_ring[near], seen[near], driver="gelsd").solution
        near = (on_ring @ fit - seen).abs().amax(-1) < _TOLERANCE
    share = float(near.float().mean())
    colour = (terms.double() @ fit).movedim(-1, 0).float().clamp(0, 1)
    if share < PLAIN_SHARE:
        return Backdrop("busy", colour, share)
    noise = float((on_ring[near] @ fit - seen[near]).std())
    return Backdrop("white" if float(seen[near].mean(0).min()) >= WHITE else "plain", colour, share, noise)


def ground_to_white(garment: Tensor) -> Tensor | None:
    """One garment (3, H, W) in [0, 1] with the plain ground that reaches the border turned white.

    Returns:
        The picture; a white ground passes unchanged. None for a busy ground, or where garment and ground cannot be
        told apart. Cloth is no brighter than `_CLOTH` in it.
    """
    ground = backdrop_of(garment)
    if ground.kind == "white":
        return garment
    if ground.kind == "busy":
        return None
    off = garment - ground.colour
    distance, smooth = off.abs().amax(0), F.avg_pool2d(off[None], 5, 1, 2, count_include_pad=False)[0].abs().amax(0)
    shrink = min(1.0, _WORKING_SIDE / max(garment.shape[-2:]))

    def joined(open_: Tensor) -> Tensor:
        small = open_[None, None].float()
        small = F.interpolate(small, scale_factor=shrink, mode="area") if shrink < 1 else small
        return torch.from_numpy(reached(small[0, 0].numpy() > 0.5)).float()

    ground_reached = joined(distance < _TOLERANCE + _SOFT)
    # White cloth on a light ground is not far from it. On a ground of nearly one colour less is enough to tell, where
    # it is wider than what an edge rings.
    exact = joined(smooth < min(_TOLERANCE, _EXACT + 6 * ground.noise))
    cloth = (ground_reached - exact)[None, None]
    ground_reached -= grow_mask(grow_mask(cloth, -_RINGING), _RINGING)[0, 0]
    covered = 1 - float(ground_reached.mean())
    if not _FILLED[0] <= covered <= _FILLED[1]:
        return None
    near = F.interpolate(ground_reached[None, None], garment.shape[-2:], mode="nearest-exact")
    near = F.max_pool2d(near, 5, stride=1, padding=2)[0, 0]
    # between the two tolerances cloth and ground mix, as they do along an anti-aliased edge
    alpha = 1 - near * (1 - ((distance - _TOLERANCE) / _SOFT).clamp(0, 1))
    cloth = (garment - ground.colour * (1 - alpha)) / alpha.clamp_min(0.1)
    white = torch.where(alpha >= 1, garment, 1 - alpha * (1 - cloth.clamp(0, 1)))
    return white.minimum(1 - alpha * (1 - _CLOTH))


def looks_inverted(mask: Tensor) -> bool:
    """Whether a garment mask (H, W) in [0, 1] is white all around its border and black inside: the wrong way round."""
    border = torch.cat([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return bool((border >= 0.5).float().mean() > 0.98 and (mask < 0.5).float().mean() > 0.05)


@dataclass(frozen=True)
class Centring:
    """How a garment's box comes into the middle of a picture; every box is (top, bottom, left, right) in pixels.

    Attributes:
        box: what is cut out of the garment's picture.
        target: where it lies in the new one.
    """

    box: tuple[int, int, int, int]
    target: tuple[int, int, int, int]

    @classmethod
    def plan(cls, garment: Tensor, size: tuple[int, int], fill: float = 0.9) -> Centring:
        """See `centred_on_white`."""
        height, width = garment.shape[-2:]
        cloth = (garment < WHITE - 0.02).any(0)
        rows, columns = cloth.any(1).nonzero().flatten(), cloth.any(0).nonzero().flatten()
        box = (0, height, 0, width)
        if len(rows):
            box = (int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1)
        tall, wide = box[1] - box[0], box[3] - box[2]
        scale = fill * min(size[0] / tall, size[1] / wide)
        tall, wide = (min(max(round(n * scale), 1), most) for n, most in zip((tall, wide), size, strict=True))
        row, column = (size[0] - tall) // 2, (size[1] - wide) // 2
        return cls(box, (row, row + tall, column, column + wide))

    def place(self, points: Tensor) -> Tensor:
        """Where points (..., 2), (x, y) in pixels of the garment's picture, lie in the new one; pixels' middles."""
        return _moved(points, self.box, self.target)

    def source(self, points: Tensor) -> Tensor:
        """Where points of the new picture come from; see `place`."""
        return _moved(points, self.target, self.box)


def _moved(points: Tensor, start: tuple[int, int, int, int], end: tuple[int, int, int, int]) -> Tensor:
    (top, bottom, left, right), (row, row_end, column, column_end) = start, end
    scale = points.new_tensor([(column_end - column) / (right - left), (row_end - row) / (bottom - top)])
    return (points + 0.5 - points.new_tensor([left, top])) * scale + points.new_tensor([column, row]) - 0.5


CENTRED: tuple[Category, ...] = ("lower_body", "dresses")
"""Garments that the embedded spline hangs better when they are centred: tops hang as well whole (docs/photos.md)."""


def centred_on_white(garment: Tensor, size: tuple[int, int], fill: float = 0.9, times: int = 1) -> Tensor:
    """One garment on white (3, H, W) in [0, 1], its box in the middle and as large as in the data sets' pictures.

    Args:
        garment: on white; a picture that shows nothing but white is only fitted.
        size: (height, width) of the result.
        fill: share of the tighter side that the box takes.
        times: so many times as large a picture, in which everything lies where it does at `size`.

    Returns:
        (3, times * height, times * width) in [0, 1], proportions kept.
    """
    plan = Centring.plan(garment, size, fill)
    (top, bottom, left, right), (row, row_end, column, column_end) = plan.box, (times * n for n in plan.target)
    cut, target = garment[None, :, top:bottom, left:right], (row_end - row, column_end - column)
    result = torch.ones(3, times * size[0], times * size[1], dtype=garment.dtype)
    cut = F.interpolate(cut, target, mode="bicubic", antialias=True, align_corners=False)[0]
    result[:, row:row_end, column:column_end] = cut.clamp(0, 1)
    return result
