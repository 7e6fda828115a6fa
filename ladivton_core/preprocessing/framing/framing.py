"""Which part of a photo the models should see: the data sets' framing around one person, whatever the photo shows.

VITON-HD shows upper bodies from head to hips or knees; Dress Code shows trousers and skirts from the chest to the
shoes, dresses from head to shoes. `fitting.py` carries pictures, joints and results into such a window and back.
Frames of a video are framed together, so that the window does not tremble with the joints.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..labels import Category
from ..pose.body_size import TORSO, body_size, middle
from .fitting import Fit


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


_SHOULDERS, _HIPS = (2, 5), (8, 11)

WINDOWS: dict[Category, Window] = {
    "upper_body": Window(4.7, _SHOULDERS, 0.29),
    "lower_body": Window(4.4, _HIPS, 0.27),
    "dresses": Window(7.2, _SHOULDERS, 0.205),
}
"""Framings of the data sets' pictures, by the category they hold."""

# A window that sticks out of the photo is rather a little smaller than bordered.
_SMALLEST_SHARE = 0.75

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
        A `Fit`; its window stays inside the photo as far as it can. None when the joints do not tell where the
        person is or how large.
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
    places = [_place(points, category, source, size[1] / size[0]) for points in joints]
    known = {picture: place for picture, place in enumerate(places) if place is not None}
    if known and steady == "smooth":
        places = _smoothed(known, len(places))
    elif known and steady == "one window":
        places = [_around(list(known.values()), size[1] / size[0])] * len(places)
    return [None if place is None else _fit(place, source, size) for place in places]


def _place(joints: Tensor, category: Category, source: tuple[int, int], ratio: float) -> Place | None:
    """Where one person's window lies."""
    window, body = WINDOWS[category], body_size(joints)
    anchor = middle(joints, window.joints)
    if body is None or anchor is None:
        other = middle(joints, _HIPS if window.joints == _SHOULDERS else _SHOULDERS)
        if body is None or other is None:
            return None
        # straight up or down a torso, where only the other end of it was found
        anchor = other + torch.tensor([0.0, body / TORSO * (-1 if window.joints == _SHOULDERS else 1)]).to(other)
    height = window.height * body
    height = max(height * _SMALLEST_SHARE, min(height, min(source[0], source[1] / ratio)))
    centre = middle(joints, _SHOULDERS) if category == "upper_body" else None
    across = float((anchor if centre is None else centre)[0])
    return across, float(anchor[1]) + (0.5 - window.level) * height, height


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
