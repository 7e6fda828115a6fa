"""Which part of a photo the models should see: the data sets' framing around one person, whatever the photo shows.

VITON-HD shows upper bodies from head to hips or knees; Dress Code shows trousers and skirts from the chest to the
shoes, dresses from head to shoes. `fitting.py` carries pictures, joints and results into such a window and back.
Whoever lies or stands on their head is turned upright by quarter turns. Frames of a video are framed together, so that
the window does not tremble with the joints.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..labels import Category
from ..pose.body_size import TORSO, body_size, known, middle
from .fitting import Fit, turned_points


@dataclass(frozen=True)
class Window:
    """A framing in terms of the body.

    Attributes:
        height: of the window in body sizes (`body.body_size`).
        joints: the pair whose middle the window hangs on: shoulders or hips.
        level: how far down the window that middle lies, from 0 to 1.
    """

    height: float
    joints: tuple[int, int]
    level: float


_SHOULDERS, _HIPS, _FEET = (2, 5), (8, 11), ((10, 13), (9, 12))

LEANING = 60.0
"""Degrees by which a body may lean in the photo and still stands."""

WINDOWS: dict[Category, Window] = {
    "upper_body": Window(4.7, _SHOULDERS, 0.29),
    "lower_body": Window(4.4, _HIPS, 0.27),
    "dresses": Window(7.2, _SHOULDERS, 0.205),
}
"""Framings of the data sets' pictures, by the category they hold."""

# A window that sticks out of the photo is rather smaller than bordered, down to this share, and as long as head and
# garment are in it: so many body sizes above the first of these joints, below the last, and beside them.
_SMALLEST_SHARE = 0.55
_ABOVE, _BELOW, _BESIDE = 0.5, 0.45, 0.2
_HEAD = (0, 14, 15, 16, 17)
_ENDS: dict[Category, tuple[tuple[int, ...], tuple[int, ...]]] = {
    "upper_body": (_SHOULDERS, _HIPS),
    "lower_body": (_HIPS, (9, 10, 12, 13)),
    "dresses": (_SHOULDERS, (9, 10, 12, 13)),
}
_ARMS = (3, 4, 6, 7)

Steady = Literal["each picture", "smooth", "one window"]
STEADY: tuple[Steady, ...] = ("each picture", "smooth", "one window")
"""How frames of a video are framed: each by itself; by windows that follow the person smoothly; all by one window."""

# Pictures over which a smooth window forgets: a fifth to a third of a second of video on either side.
_SMOOTH = 6.0

Place = tuple[float, float, float]
"""A window in the photo: the middle's x and y, and its height, in pixels."""


def framed(joints: Tensor, category: Category, source: tuple[int, int], size: tuple[int, int]) -> Fit | None:
    """Plan a fit that shows the person as the data sets do.

    Args:
        joints: COCO-18 (18, 2), (x, y) in pixels of the photo; missing ones (0, 0).
        category: whose framing, see `WINDOWS`.
        source, size: (height, width) of the photo and of the fitted picture.

    Returns:
        A `Fit`; its window stays inside the photo as far as it can, and is turned upright with it where the person is
        not. None when the joints do not tell where the person is or how large.
    """
    return framed_together(joints[None], category, source, size)[0]


def framed_together(
    joints: Tensor, category: Category, source: tuple[int, int], size: tuple[int, int], steady: Steady = STEADY[0]
) -> list[Fit | None]:
    """Plan a fit for every picture of a batch.

    Args:
        joints: COCO-18 (B, 18, 2) of one person a picture, as for `framed`.
        category, source, size: as for `framed`.
        steady: see `STEADY`. With `smooth` and `one window` pictures whose joints tell nothing are framed as their
            neighbours say.

    Returns:
        A fit a picture; None where the joints do not tell where the person is.

    Raises:
        ValueError: an unknown category or way of framing.
    """
    if category not in WINDOWS or steady not in STEADY:
        raise ValueError(
            f"framing {category!r}, {steady!r}; expected one of {', '.join(WINDOWS)} and one of {', '.join(STEADY)}"
        )
    turns = [None if down is None else quarter_turns(down) for down in map(downwards, joints)]
    if steady != STEADY[0] and (told := [turn for turn in turns if turn is not None]):
        turns = [max(told, key=told.count)] * len(turns)  # one way up for all of a video
    turns = [turn or 0 for turn in turns]
    sources = [source[::-1] if turn % 2 else source for turn in turns]
    places = [
        _place(turned_points(points, source, turn) * (points > 0).any(-1, keepdim=True), category, upright, size)
        for points, turn, upright in zip(joints, turns, sources, strict=True)
    ]
    there = {picture: place for picture, place in enumerate(places) if place is not None}
    if there and steady == "smooth":
        places = _smoothed(there, len(places))
    elif there and steady == "one window":
        places = [_around(list(there.values()), size[1] / size[0])] * len(places)
    return [
        None if place is None else _fit(place, upright, size).after_turns(source, turn)
        for place, turn, upright in zip(places, turns, sources, strict=True)
    ]


def downwards(joints: Tensor) -> Tensor | None:
    """Which way (2,) a body (18, 2) stands in the photo: along trunk and legs together, so that who bends over or sits
    stands; None where the trunk is not known."""
    top, bottom = middle(joints, _SHOULDERS), middle(joints, _HIPS)
    if top is None or bottom is None:
        return None
    feet = next((found for pair in _FEET if (found := middle(joints, pair)) is not None), bottom)
    return feet - top


def quarter_turns(down: Tensor) -> int:
    """By how many quarter turns to the left, 0 to 3, a photo in which `down` (2,) points to the feet is upright."""
    degrees = math.degrees(math.atan2(float(down[0]), float(down[1])))  # 90 where the feet are on the right
    return 0 if abs(degrees) <= LEANING else round(-degrees / 90) % 4


def _place(joints: Tensor, category: Category, source: tuple[int, int], size: tuple[int, int]) -> Place | None:
    """Where one person's window lies in the upright photo."""
    ratio = size[1] / size[0]
    window, body = WINDOWS[category], body_size(joints)
    anchor = middle(joints, window.joints)
    if body is None or anchor is None:
        other = middle(joints, _HIPS if window.joints == _SHOULDERS else _SHOULDERS)
        if body is None or other is None:
            return None
        # straight up or down a torso, where only the other end of it was found
        anchor = other + torch.tensor([0.0, body / TORSO * (-1 if window.joints == _SHOULDERS else 1)]).to(other)
    full = window.height * body
    centre = middle(joints, _SHOULDERS) if category == "upper_body" else None
    x, limit = float((anchor if centre is None else centre)[0]), min(source[0], source[1] / ratio)
    if limit >= full:
        return x, float(anchor[1]) + (0.5 - window.level) * full, full
    left, top, right, bottom = _garment(joints, category, source, body)
    height = min(full, max(limit, bottom - top, (right - left) / ratio, _SMALLEST_SHARE * full))
    y = float(anchor[1]) + (0.5 - window.level) * height
    return x, min(max(y, bottom - height / 2), top + height / 2), height


def _garment(
    joints: Tensor, category: Category, source: tuple[int, int], body: float
) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of what the photo shows of the head and of where a garment may lie, in pixels."""
    above, below = _ENDS[category]

    def values(indices: Sequence[int], axis: int) -> list[float]:
        return [float(joints[index, axis]) for index in indices if known(joints, index)]

    tops, bottoms = values(above + (() if category == "lower_body" else _HEAD), 1), values(below, 1)
    sides = values((*above, *below, *(() if category == "lower_body" else _ARMS)), 0) or [0.0, float(source[1])]
    top = min(tops) - _ABOVE * body if tops else 0.0
    bottom = max(bottoms) + _BELOW * body if bottoms else source[0]
    left, right = min(sides) - _BESIDE * body, max(sides) + _BESIDE * body
    return max(left, 0.0), max(top, 0.0), min(right, source[1]), min(bottom, source[0])


def _fit(place: Place, source: tuple[int, int], size: tuple[int, int]) -> Fit:
    """The fit of a window, moved into the photo as far as it can."""
    x, y, height = place
    width = height * size[1] / size[0]
    top, left = _inside(y - height / 2, height, source[0]), _inside(x - width / 2, width, source[1])
    return Fit.window(source, size, top, left, height)


def _smoothed(known: dict[int, Place], count: int) -> list[Place]:
    """Windows of all pictures on lines through those of their neighbours, weighted by how near these are."""
    times, values = np.array(list(known), float), np.array(list(known.values()))
    values[:, 2] = np.log(values[:, 2])  # zooming is multiplying
    weights = [np.exp(-0.5 * ((times - picture) / _SMOOTH) ** 2) for picture in range(count)]
    result = []
    for picture, weight in enumerate(weights):
        if weight.max() < 1e-9:  # far from anybody: as the nearest
            weight = (np.abs(times - picture) == np.abs(times - picture).min()).astype(float)
        mean = np.average(times, weights=weight)
        spread = np.average((times - mean) ** 2, weights=weight)
        level = np.average(values, axis=0, weights=weight)
        slope = np.average((times - mean)[:, None] * values, axis=0, weights=weight) / max(spread, 1e-9)
        inside = min(max(picture, times[0]), times[-1])  # before the first and after the last it stands still
        x, y, height = level + slope * (inside - mean if spread > 1e-9 else 0.0)
        result.append((float(x), float(y), float(np.exp(height))))
    return result


def _around(places: Sequence[Place], ratio: float) -> Place:
    """The smallest window that holds all of these."""
    x, y, height = np.array(places).T
    left, right = (x - height * ratio / 2).min(), (x + height * ratio / 2).max()
    top, bottom = (y - height / 2).min(), (y + height / 2).max()
    return float(left + right) / 2, float(top + bottom) / 2, float(max(bottom - top, (right - left) / ratio))


def _inside(start: float, length: float, limit: int) -> float:
    """A start moved so that start ... start + length lies within 0 ... limit, or around it when it is longer."""
    if length >= limit:
        return min(max(start, limit - length), 0.0)
    return min(max(start, 0.0), limit - length)
