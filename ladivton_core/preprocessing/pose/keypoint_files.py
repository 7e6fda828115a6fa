"""Keypoint files as POSE_KEYPOINT: which JSON documents there are, and what their scores mean.

The data sets' own code takes every joint that has a place, whatever its score (published §1.2): such a joint gets the
confidence 1, and the file's score goes on beside it for whoever asks (`keypoints.SCORES`). `keypoints.py` reads the
result.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from .dialects import HAND_KEYS, JOINTS
from .keypoints import DRESSCODE_FRAME, SCORES, person_points

_PEOPLE = ("people", "instances", "annotations", "instance_info")
_OF_ONE = ("keypoints", "pose_keypoints_2d", "pose_keypoints", "pose_landmarks", "landmarks")


def pose_frames(document: Any, name: str, frame: tuple[int, int] | None = None) -> list[dict[str, Any]]:
    """Frames of POSE_KEYPOINT in a parsed JSON file.

    Args:
        document: an OpenPose, MMPose or COCO document (a list of people), a Dress Code document (18 rows under
            `keypoints`), one person's points, or a list of any of these, one a picture; null shows nobody.
        name: the file, for messages.
        frame: (height, width) in whose pixels it counts, where it does not say so itself.

    Returns:
        One document a picture. Of several pictures some may show nobody.

    Raises:
        ValueError: none of these, numbers that are none, or nobody in any picture.
    """
    several = isinstance(document, list)
    documents = document if several else [document]
    frames = []
    for index, item in enumerate(documents):
        try:
            frames.append(_frame(item, frame))
        except (ValueError, TypeError, LookupError, AttributeError, OverflowError) as error:
            where = f"{name}, picture {index}," if several else name
            raise ValueError(
                f"{where} is no keypoint file: {error}. "
                "Choose an OpenPose (a list 'people') or Dress Code (a list 'keypoints') file, run the pose detector "
                "again, or connect one instead."
            ) from error
    if not any(item["people"] for item in frames):
        raise ValueError(
            f"{name} shows nobody: its list 'people' is empty. "
            "Take a picture in which the person is seen from head to hips, and run the pose detector again."
        )
    return frames


def _frame(document: Any, frame: tuple[int, int] | None) -> dict[str, Any]:
    if document is None:
        return {"people": []}
    if not isinstance(document, Mapping):
        raise ValueError(f"it holds {type(document).__name__} where a picture's joints were expected")
    key = next((key for key in _PEOPLE if isinstance(document.get(key), list)), None)
    if _is_dresscode(rows := document.get("keypoints")):
        people: list[Any] = [{"keypoints": [[None, None] if row is None else [row[0], row[1]] for row in rows]}]
        frame = DRESSCODE_FRAME
    elif key is not None:
        people = document[key]
        height, width = document.get("canvas_height"), document.get("canvas_width")
        frame = (height, width) if height and width else frame
    elif any(document.get(key) for key in _OF_ONE):
        people = [document]
    else:
        raise ValueError("it is neither an OpenPose file nor a Dress Code file: it has no list 'people' or 'keypoints'")
    bodies = [body for person in people if (body := person_points(person, "it", hands=True)) is not None]
    result: dict[str, Any] = {"people": [_person(body) for body in bodies]}
    return result if frame is None else result | {"canvas_height": frame[0], "canvas_width": frame[1]}


def _person(body: torch.Tensor) -> dict[str, list[float]]:
    """One entry of `people` from joints and hands (60, 3)."""
    body, hands = body[:JOINTS], body[JOINTS:].view(2, -1)
    placed = (body[:, :2] > 0).any(1)
    told = torch.cat([body[:, :2], torch.where(placed, 1.0, body[:, 2])[:, None]], 1)
    found = {key: hand.tolist() for key, hand in zip(HAND_KEYS, hands, strict=True) if hand.any()}
    return {"pose_keypoints_2d": told.flatten().tolist(), SCORES: body[:, 2].tolist()} | found


def _is_dresscode(rows: Any) -> bool:
    """18 rows that start with x and y: what follows is no score there. A null is a joint that nobody found."""
    return (
        isinstance(rows, Sequence)
        and len(rows) == JOINTS
        and any(row is not None for row in rows)
        and all(row is None or isinstance(row, Sequence) and not isinstance(row, str) and len(row) != 3 for row in rows)
    )
