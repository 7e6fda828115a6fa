"""Which part of a photo the models should see: the data sets' framing around one person, whatever the photo shows.

VITON-HD shows upper bodies from head to hips or knees; Dress Code shows trousers and skirts from the chest to the
shoes, dresses from head to shoes. `fitting.py` carries pictures, joints and results into such a window and back.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .body import TORSO, body_size, middle
from .fitting import Fit
from .labels import Category


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
    window, body = WINDOWS[category], body_size(joints)
    anchor = middle(joints, window.joints)
    if body is None or anchor is None:
        other = middle(joints, _HIPS if window.joints == _SHOULDERS else _SHOULDERS)
        if body is None or other is None:
            return None
        # straight up or down a torso, where only the other end of it was found
        anchor = other + torch.tensor([0.0, body / TORSO * (-1 if window.joints == _SHOULDERS else 1)]).to(other)
    height = window.height * body
    ratio = size[1] / size[0]
    fits = min(source[0], source[1] / ratio)
    height = max(height * _SMALLEST_SHARE, min(height, fits))
    width = height * ratio
    centre = middle(joints, _SHOULDERS) if category == "upper_body" else None
    across = float((anchor if centre is None else centre)[0])
    top, left = float(anchor[1]) - window.level * height, across - width / 2
    return Fit.window(source, size, _inside(top, height, source[0]), _inside(left, width, source[1]), height)


def _inside(start: float, length: float, limit: int) -> float:
    """A start moved so that start ... start + length lies within 0 ... limit, or around it when it is longer."""
    if length >= limit:
        return min(max(start, limit - length), 0.0)
    return min(max(start, 0.0), limit - length)
