"""Face, neck and hands of a person by themselves: what masks are asked to leave alone, or to take along.

Drawn from the joints as the body's mask draws them (`body_drawing.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ..labels import Category
from ..modes import BODY
from ..people.chosen import Keypoints, chosen_points
from ..pose.dialects import finite_joints
from ..pose.keypoints import people_in_frames
from .body_drawing import SHAPES, Size, body_frame, hands, head, neck_above

Part = Literal["head", "neck", "hands"]


def parts_of_bodies(points: Tensor, size: Size, names: Sequence[Part], category: Category = "upper_body") -> Tensor:
    """Where parts of a body are.

    Args:
        points: joints (B, 18, 2), or with hands behind them (B, 60, 2), (x, y) in pixels of `size`; missing ones
            (0, 0).
        size: (height, width).
        names: which parts; the neck ends at the shoulders, the head takes the hair beside the neck along.
        category: whose shapes of head and hands are taken.

    Returns:
        (B, 1, height, width) float32 in {0, 1}; empty for a picture without a body. On the device of `points`.
    """
    drawn = []
    for joints in finite_joints(points.detach().cpu().double()):
        frame, found = body_frame(joints), np.zeros(size, bool)
        if frame is not None:
            shape = SHAPES[category]
            found |= head(frame, shape, size) if "head" in names else found
            found |= neck_above(frame, 0.0, size) & ~head(frame, shape, size) if "neck" in names else found
            found |= hands(frame, shape, size) if "hands" in names else found
        drawn.append(found)
    return torch.from_numpy(np.stack(drawn))[:, None].float().to(points.device)


def face_and_hands(keypoints: Keypoints, size: Size) -> Tensor:
    """Where head and hands of the first person are (B, 1, height, width); see `parts_of_bodies`.

    Args:
        keypoints: a document a picture, in pixels of `size`.

    Raises:
        ValueError: as `people_in_frames`.
    """
    points = chosen_points(people_in_frames(keypoints, size, 0, BODY, hands=True))
    return parts_of_bodies(points, size, ("head", "hands"))
