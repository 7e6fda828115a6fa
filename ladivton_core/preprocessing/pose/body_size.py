"""How large a body is in the picture, from its joints: what strokes, growth and dots follow in `body` mode.

The published widths are pixels that fit the data sets' framings. Here they are the same share of the body: equal
on a body as large as the data sets', smaller on a smaller one, and the same at every picture size.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from ..labels import LabelSet

Framing = Literal["half", "full", "legs"]

REFERENCE: dict[Framing, float] = {"half": 111.0, "full": 77.0, "legs": 119.0}
"""Size of a body in pixels at 384 x 512, between drawn people's and photographed ones': framed from the head to hips or
knees (VITON-HD), from head to shoes (Dress Code's dresses), and from the chest to the shoes (its trousers and skirts).
"""

# A torso seen from the side has narrow shoulders and its whole length.
TORSO = 0.62

_SHOULDERS, _HIPS, _KNEES, _ANKLES = (2, 5), (8, 11), (9, 12), (10, 13)
_HEAD = (0, 14, 15, 16, 17)
# Length of a limb in body sizes, for bodies whose shoulders are not seen.
_LIMBS = (((8, 9), 1.4), ((11, 12), 1.4), ((9, 10), 1.35), ((12, 13), 1.35), ((2, 3), 0.85), ((5, 6), 0.85),
          ((3, 4), 0.78), ((6, 7), 0.78), ((8, 11), 0.6), ((0, 1), 0.55), ((14, 15), 0.18))  # fmt: skip


def known(joints: Tensor, *indices: int) -> bool:
    """Whether these joints (18, 2) were all found: one with both coordinates at most 1 was not (published §1.5.1)."""
    return bool((joints[list(indices)] > 1).any(-1).all())


def middle(joints: Tensor, pair: tuple[int, int]) -> Tensor | None:
    """Point (2,) between two joints, or the one of them that is known; None without either."""
    found = [joints[index] for index in pair if known(joints, index)]
    return torch.stack(found).mean(0) if found else None


def body_size(joints: Tensor) -> float | None:
    """The larger of shoulder width and 0.62 torso lengths, in the joints' pixels.

    Args:
        joints: COCO-18 (18, 2); missing ones (0, 0).

    Returns:
        Pixels; where no torso is seen the longest limb decides. None with fewer than two joints that make a limb.
    """
    found = []
    if known(joints, *_SHOULDERS):
        found.append(_length(joints, *_SHOULDERS))
    top, bottom = middle(joints, _SHOULDERS), middle(joints, _HIPS)
    if top is not None and bottom is not None:
        found.append(TORSO * float((top - bottom).norm()))
    if not found:
        found = [_length(joints, *ends) / share for ends, share in _LIMBS if known(joints, *ends)]
    size = max(found, default=0.0)
    return size if size > 0 else None


def framing_of(joints: Tensor, size: tuple[int, int]) -> Framing:
    """How a person is framed in a picture of `size` (height, width): `full` with head or shoulders and ankles,
    `legs` with ankles alone, else `half`."""

    def seen(*indices: int) -> bool:
        return any(
            known(joints, index) and 0 <= joints[index, 0] < size[1] and 0 <= joints[index, 1] < size[0]
            for index in indices
        )

    if not seen(*_ANKLES):
        return "half"
    return "full" if seen(*_HEAD, *_SHOULDERS) else "legs"


def share_of_reference(joints: Tensor, size: tuple[int, int]) -> float:
    """Size of the body relative to the data sets' at 384 x 512; 1 where it cannot be told."""
    body = body_size(joints)
    return 1.0 if body is None else body / REFERENCE[framing_of(joints, size)]


def relative_stroke(joints: Tensor, size: tuple[int, int], labels: LabelSet) -> int:
    """Width in pixels of the arms' stroke in `body` mode: the published one of `labels` on a body of reference size.

    VITON-HD shows half bodies only: its wide stroke is for them. Dress Code's belongs to each of its framings.
    """
    body = body_size(joints)
    if body is None:
        return labels.stroke_width(size[0])
    reference = REFERENCE["half" if labels.stroke_scales else framing_of(joints, size)]
    return max(round(labels.stroke_at_512 * body / reference), 1)


def _length(joints: Tensor, first: int, second: int) -> float:
    return float((joints[first] - joints[second]).norm())
