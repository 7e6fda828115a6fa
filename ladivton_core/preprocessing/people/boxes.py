"""BOUNDING_BOX of ComfyUI's nodes: where detectors say that somebody or something is.

ComfyUI's own detectors give a list of boxes a picture, a list of lists (SDPose, SAM 3, RT-DETR, Crop by BBoxes), its
primitive one box; some packs give a box a picture.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Box = tuple[float, float, float, float]
"""Left, top, right, bottom in pixels; right and bottom excluded."""


def boxes_in(boxes: Any, pictures: int) -> list[list[Box]]:
    """Boxes of every picture.

    Args:
        boxes: {"x", "y", "width", "height"} in pixels: one box for all pictures, a box a picture, several boxes of one
            picture, or a list of boxes a picture, whose last one serves the pictures that are left.
        pictures: how many there are.

    Returns:
        A list of boxes a picture, without empty ones.

    Raises:
        ValueError: these are no boxes, or a list that belongs to other pictures.
    """
    if isinstance(boxes, Mapping):
        return [_read([boxes])] * pictures
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise ValueError(f"the boxes are {type(boxes).__name__}; expected a BOUNDING_BOX: x, y, width and height")
    flat = [item is None or isinstance(item, Mapping) for item in boxes]
    if not boxes or not any(flat):
        frames = [_read(frame) for frame in boxes] or [[]]
        return [frames[min(place, len(frames) - 1)] for place in range(pictures)]
    if not all(flat):
        raise ValueError("the boxes are a list of boxes and of lists; expected a list of boxes a picture")
    if pictures == 1:
        return [_read(boxes)]
    if len(boxes) not in (1, pictures):
        raise ValueError(f"there are {len(boxes)} boxes for {pictures} pictures; expected a list of boxes a picture")
    return [_read([box]) for box in (boxes if len(boxes) > 1 else [*boxes] * pictures)]


def _read(boxes: Any) -> list[Box]:
    if not isinstance(boxes, Sequence) or isinstance(boxes, str):
        raise ValueError(f"the boxes of a picture are {type(boxes).__name__}; expected a list")
    found = []
    for box in boxes:
        if box is None:
            continue
        try:
            left, top, width, height = (float(box[side]) for side in ("x", "y", "width", "height"))
        except (TypeError, ValueError, LookupError, OverflowError) as error:
            raise ValueError(f"{box!r:.80} is no box; expected x, y, width and height in pixels") from error
        if not all(map(math.isfinite, (left, top, width, height))):
            raise ValueError(f"the box {box!r:.80} holds values that are no numbers")
        if width > 0 and height > 0:
            found.append((left, top, left + width, top + height))
    return found
