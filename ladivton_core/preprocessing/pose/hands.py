"""Hands beside the joints: OpenPose's lists of 21 points, and the six of them that BlazePose's 33 landmarks hold.

A sleeve ends where a hand begins, and a hand in front of a garment stays: masks for people's own photos draw it by
these points. The pose map knows the 18 joints alone. `dialects.py` has the orders of the joints, `keypoints.py` reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .dialects import JOINTS, point_list

HAND_KEYS = ("hand_right_keypoints_2d", "hand_left_keypoints_2d")
"""Where a document has a person's own right and left hand."""

HAND = 21
"""Points of a hand: the wrist, then four of every finger from the thumb to the little one, each from its root."""
KNUCKLES, TIPS = (5, 9, 13, 17), (8, 12, 16, 20)
"""Roots and ends of the four fingers."""

POINTS = JOINTS + 2 * HAND
"""Body points: the joints, the right hand, the left hand."""

_BLAZEPOSE33 = ({3: 22, 5: 20, 17: 18}, {3: 21, 5: 19, 17: 17})
"""Which of BlazePose's landmarks a point of the right and left hand is."""


_WHOLE_BODY = 133
"""COCO-WholeBody's points end with the left hand, then the right."""


def blazepose_hands(points: Tensor) -> Tensor:
    """Both hands (2, 21, 3) as (x, y, score) in BlazePose's landmarks (33, 3); points it does not have are zeros."""
    hands = torch.zeros(2, HAND, 3, dtype=points.dtype)
    for hand, order in zip(hands, _BLAZEPOSE33, strict=True):
        hand[list(order)] = points[list(order.values())]
    return hands


def hands_of(person: Mapping[str, Any], where: str, body: Tensor | None = None) -> Tensor:
    """Both hands of an entry of `people`.

    Args:
        person: the entry; a list that is not there, or not of 21 points, tells nothing of its hand.
        where: the entry, for messages.
        body: the entry's body points in their own order: BlazePose's know something of hands.

    Returns:
        (2, 21, 3) float64, right and left, as the entry counts; unknown points are zeros.

    Raises:
        ValueError: a list holds something else than numbers.
    """
    hands = torch.zeros(2, HAND, 3, dtype=torch.float64)
    if body is not None and len(body) == 33:
        hands = blazepose_hands(body)
    elif body is not None and len(body) == _WHOLE_BODY:
        hands = torch.stack([body[-HAND:], body[-2 * HAND : -HAND]])
    for hand, key in zip(hands, HAND_KEYS, strict=True):
        values = person.get(key)
        if isinstance(values, Sequence) and len(values) == 3 * HAND:
            values = [values[start : start + 3] for start in range(0, len(values), 3)]
        if isinstance(values, Sequence) and len(values) == HAND:
            hand.copy_(point_list(values, f"{where}, {key}"))
    return hands
