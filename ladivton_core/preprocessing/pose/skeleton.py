"""The joints drawn as OpenPose draws them: what ControlNets and other try-on models take for a pose."""

from __future__ import annotations

import colorsys
from typing import TYPE_CHECKING

from torch import Tensor

from .dialects import JOINTS

if TYPE_CHECKING:
    from PIL.Image import Image

LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of COCO-18 joints that are joined, in the order of OpenPose's colours."""


def skeleton(joints: Tensor, size: tuple[int, int]) -> Image:
    """A Pillow picture of one body on black.

    Args:
        joints: (18, 2), (x, y) in pixels of `size`; missing ones (0, 0).
        size: (height, width).
    """
    from PIL import Image, ImageDraw

    colours = [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(joint / JOINTS, 1, 1)) for joint in range(JOINTS)
    ]
    canvas = Image.new("RGB", (size[1], size[0]))
    draw, thick = ImageDraw.Draw(canvas), max(2, round(4 * size[0] / 512))
    points = [tuple(point) if max(point) > 0 else None for point in joints.tolist()]
    for (first, last), colour in zip(LIMBS, colours, strict=False):
        if points[first] and points[last]:
            draw.line([points[first], points[last]], tuple(round(0.6 * part) for part in colour), 2 * thick)
    for point, colour in zip(points, colours, strict=True):
        if point:
            x, y = point
            draw.ellipse((x - thick, y - thick, x + thick, y + thick), colour)
    return canvas
