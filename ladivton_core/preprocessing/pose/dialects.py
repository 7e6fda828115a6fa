"""Lists of body points as detectors write them, brought to COCO-18, and hands beside them: who knows their orders.

A list may be flat or have a row a point, hold (x, y), (x, y, score) or BlazePose's (x, y, z, visibility), and may
name its values. What is not a finite number is missing. `keypoints.py` reads whole documents.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

COCO18 = (
    "nose", "neck", "right_shoulder", "right_elbow", "right_wrist", "left_shoulder", "left_elbow", "left_wrist",
    "right_hip", "right_knee", "right_ankle", "left_hip", "left_knee", "left_ankle", "right_eye", "left_eye",
    "right_ear", "left_ear",
)  # fmt: skip
"""Joint names in the order of the pose map's channels. Right and left are the person's own."""

JOINTS = len(COCO18)
NECK, RIGHT_SHOULDER, LEFT_SHOULDER = 1, 2, 5

BODY25_TO_COCO18 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Which BODY_25 point each COCO-18 joint is: the mid hip (8) and the feet (19-24) fall away."""

COCO17_TO_COCO18 = (0, None, 6, 8, 10, 5, 7, 9, 12, 14, 16, 11, 13, 15, 2, 1, 4, 3)
"""Which of COCO's 17 annotated points each joint is; None, the neck, lies between the shoulders."""

BLAZEPOSE33_TO_COCO18 = (0, None, 12, 14, 16, 11, 13, 15, 24, 26, 28, 23, 25, 27, 5, 2, 8, 7)
"""Which of BlazePose's 33 landmarks each joint is."""

ORDERS: dict[int, tuple[int | None, ...]] = {
    17: COCO17_TO_COCO18,
    18: tuple(range(JOINTS)),
    25: BODY25_TO_COCO18,
    33: BLAZEPOSE33_TO_COCO18,
    133: COCO17_TO_COCO18,
}
"""Order of the joints by the number of points in a list."""

KNOWN_LISTS = "18 (COCO), 17 (COCO's annotations), 25 (BODY_25), 33 (BlazePose) or 133 (COCO-WholeBody) points"

_SCORES = ("score", "confidence", "visibility", "presence")


def coco18_from_body25(points: Tensor) -> Tensor:
    """Pick the COCO-18 joints (..., 18, C) out of BODY_25 points (..., 25, C).

    Raises:
        ValueError: there are not 25 points.
    """
    if points.ndim < 2 or points.shape[-2] != 25:
        raise ValueError(
            f"points have the shape {tuple(points.shape)}; expected (..., 25, C) in OpenPose's BODY_25 order"
        )
    return points[..., list(BODY25_TO_COCO18), :]


def coco18(points: Tensor, where: str = "points") -> Tensor:
    """Points of any known order as COCO-18 joints.

    Args:
        points: (N, 3) as (x, y, score), N a key of `ORDERS`.
        where: what the points are called in the message.

    Returns:
        (18, 3). Where a list has no neck it is the middle of both shoulders, as sure as the less sure of them.

    Raises:
        ValueError: another number of points.
    """
    if len(points) not in ORDERS:
        raise ValueError(f"{where} has {len(points)} points; expected {KNOWN_LISTS}")
    order = ORDERS[len(points)]
    joints = points[[0 if index is None else index for index in order]]
    if order[NECK] is None:
        pair = joints[[RIGHT_SHOULDER, LEFT_SHOULDER]]
        known = bool((pair[:, 2] > 0).all())
        joints[NECK] = torch.cat([pair[:, :2].mean(0), pair[:, 2:].amin(0)]) if known else 0.0
    return joints


def point_list(values: Any, where: str, scores: Any = None) -> Tensor:
    """A detector's list of points as (N, 3) float64 (x, y, score), in its own order.

    Args:
        values: flat numbers, rows, or mappings with `x` and `y`; see the top of this file.
        where: what the list is called in messages.
        scores: scores in a list of their own, or None.

    Returns:
        Points that hold anything but finite numbers, null included, are (0, 0, 0). Without scores every other is 1.

    Raises:
        ValueError: no list of points, or numbers that do not make up whole points.
    """
    if isinstance(values, Mapping) or not isinstance(values, Sequence) or isinstance(values, str):
        raise ValueError(f"{where} is not a list of numbers; expected x, y, score for {KNOWN_LISTS}")
    if values and all(isinstance(value, Mapping) for value in values):
        rows = [_named(value, where) for value in values]
    elif values and all(isinstance(value, Sequence) and not isinstance(value, str) for value in values):
        rows = [[_number(number, where) for number in value] for value in values]
    else:
        rows = _split([_number(value, where) for value in values], where)
    if any(len(row) < 2 for row in rows):
        raise ValueError(f"{where} has a point without x and y; expected x, y, score for {KNOWN_LISTS}")
    points = torch.tensor([_triple(row) for row in rows], dtype=torch.float64).view(-1, 3)
    if scores is not None:
        given = torch.tensor([_number(value, where) for value in scores], dtype=torch.float64)
        if len(given) != len(points):
            raise ValueError(f"{where} has {len(points)} points and {len(given)} scores; expected one score a point")
        points[:, 2] = given
    return torch.where(points.isfinite().all(1, keepdim=True), points, 0.0)


def finite_joints(points: Tensor) -> Tensor:
    """Joints (..., 2) with those that are not finite numbers turned into missing ones, (0, 0)."""
    return torch.where(points.isfinite().all(-1, keepdim=True), points, torch.zeros_like(points))


def _named(point: Mapping[str, Any], where: str) -> list[float]:
    score = next((point[name] for name in _SCORES if name in point), 1.0)
    return [_number(value, where) for value in (point.get("x"), point.get("y"), score)]


def _split(numbers: list[float], where: str) -> list[list[float]]:
    """Flat numbers in rows of 3, 2 or 4, whichever makes a list of known length."""
    for width in (3, 2, 4):
        if len(numbers) % width == 0 and len(numbers) // width in ORDERS:
            return [numbers[start : start + width] for start in range(0, len(numbers), width)]
    count = f"{len(numbers) // 3} points" if len(numbers) % 3 == 0 else f"{len(numbers)} numbers"
    raise ValueError(f"{where} has {count}; expected x, y, score for {KNOWN_LISTS}")


def _triple(row: list[float]) -> list[float]:
    """(x, y, score) of a row; four values are BlazePose's (x, y, z, visibility)."""
    return [row[0], row[1], row[3] if len(row) == 4 else row[2] if len(row) == 3 else 1.0]


def _number(value: Any, where: str) -> float:
    if value is None:  # JSON has no NaN: detectors write null
        return math.nan
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} is not a list of numbers; expected x, y, score for {KNOWN_LISTS}") from error


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
