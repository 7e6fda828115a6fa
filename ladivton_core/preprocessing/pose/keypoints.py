"""Reading body joints: VITON-HD's and Dress Code's files, and what ComfyUI's pose nodes hand around.

Published §1.2, 1.3. All end as COCO-18 joints (18, 2), float64, (x, y) in pixels of the asked-for size, with
(0, 0) for a missing joint; what is not a finite number is missing. `dialects.py` knows the orders of points,
`modes.py` which scores count; `pose_map.py` draws the joints, `agnostic.py` follows the arms with them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..modes import PUBLISHED, Mode
from .dialects import (
    BODY25_TO_COCO18,
    COCO18,
    HAND,
    HAND_KEYS,
    JOINTS,
    POINTS,
    coco18,
    coco18_from_body25,
    finite_joints,
    hands_of,
    point_list,
)

__all__ = [
    "BODY25_TO_COCO18", "CHOSEN", "COCO18", "DRESSCODE_FRAME", "JOINTS", "VITONHD_FRAME", "coco18_from_body25",
    "finite_joints", "keypoints_from_dresscode", "keypoints_from_openpose", "keypoints_from_people", "largest_person",
    "people_in_frame", "people_in_frames", "person_points", "pose_document",
]  # fmt: skip

VITONHD_FRAME = (1024, 768)
DRESSCODE_FRAME = (512, 384)
"""(height, width) in which the data sets' files count pixels."""

# 0-1 coordinates may leave the picture by a little; a pose that lies within 2 pixels of a corner is no pose.
_LARGEST_RELATIVE = 2.0

_BODY_KEYS = ("pose_keypoints_2d", "pose_keypoints", "keypoints", "pose_landmarks", "landmarks")
"""Where a person's body points stand: OpenPose today and before 1.2, COCO and MMPose, MediaPipe."""

SCORES = "pose_scores"
"""What a detector said of each joint, where `pose_keypoints_2d` had to forget it (see `Load Keypoints`)."""

CHOSEN = "chosen_person"
"""Index in `people` of the person somebody has chosen before (Fit Person): then `person` is not asked again."""


def keypoints_from_openpose(
    document: Mapping[str, Any], size: tuple[int, int], frame: tuple[int, int] = VITONHD_FRAME
) -> Tensor:
    """Joints of the first person in a VITON-HD `*_keypoints.json`.

    Args:
        document: the parsed JSON: `people[0].pose_keypoints_2d` holds 25 times (x, y, confidence).
        size: (height, width) of the pictures the joints are wanted for.
        frame: (height, width) the file counts in.

    Returns:
        (18, 2) float64. The confidence is not looked at, as in the reference (published §1.2).

    Raises:
        ValueError: the document is no OpenPose document, or shows nobody (Q28).
    """
    people = document.get("people") if isinstance(document, Mapping) else None
    if not isinstance(people, Sequence):
        raise ValueError("this is no OpenPose document: it has no list `people`; expected a VITON-HD *_keypoints.json")
    if not people:
        raise ValueError("the OpenPose document has an empty list `people`: nobody was found; leave this picture out")
    if not isinstance(people[0], Mapping):
        raise ValueError("people[0] of the OpenPose document is no person; expected an object with `pose_keypoints_2d`")
    where = "people[0].pose_keypoints_2d"
    return coco18(point_list(people[0].get("pose_keypoints_2d"), where), where)[:, :2] * _scale(size, frame)


def keypoints_from_dresscode(
    document: Mapping[str, Any], size: tuple[float, float], frame: tuple[int, int] = DRESSCODE_FRAME
) -> Tensor:
    """Joints of a Dress Code `keypoints/*_2.json`.

    Args:
        document: the parsed JSON: `keypoints` holds 18 times (x, y, ...), in COCO-18 order.
        size: (height, width) of the pictures the joints are wanted for.
        frame: (height, width) the file counts in.

    Returns:
        (18, 2) float64. Missing joints stay what the file says, (0, 0) or (-1, -1) times the scale (published §12).

    Raises:
        ValueError: the document is no Dress Code document.
    """
    rows = document.get("keypoints") if isinstance(document, Mapping) else None
    try:
        points = torch.tensor([_place(row) for row in rows], dtype=torch.float64)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ValueError(
            "this is no Dress Code keypoint document: expected a list `keypoints` of 18 rows that start with x and y"
        ) from error
    if points.shape != (JOINTS, 2):
        raise ValueError(
            f"`keypoints` has {len(points)} rows; expected {JOINTS} in COCO-18 order (Dress Code *_2.json)"
        )
    return finite_joints(points) * _scale(size, frame)


def keypoints_from_people(
    frames: Mapping[str, Any] | Sequence[Mapping[str, Any] | None],
    size: tuple[int, int],
    person: int = 0,
    mode: Mode = PUBLISHED,
) -> Tensor:
    """Joints from ComfyUI's POSE_KEYPOINT in any of its dialects.

    Args:
        frames: one document a picture (or a single document), see `people_in_frame`; None shows nobody.
        size: (height, width) of the pictures the joints are wanted for.
        person: index of the person; -1 takes the one whose joints span the largest box. A document that says
            who was chosen (`CHOSEN`) decides itself.
        mode: `published` takes every joint with a score above 0, `body` only those that are sure enough.

    Returns:
        (B, 18, 2) float64. Missing joints, and all joints of a picture without a person, are (0, 0).

    Raises:
        ValueError: a document cannot be read, or has people but not the one asked for; names the picture.
    """
    found = people_in_frames(frames, size, person, mode)
    nobody = torch.zeros(JOINTS, 2, dtype=torch.float64)
    return torch.stack([people[0, :, :2] if len(people) else nobody for people in found])


def people_in_frames(
    frames: Mapping[str, Any] | Sequence[Mapping[str, Any] | None],
    size: tuple[int, int],
    person: int = 0,
    mode: Mode = PUBLISHED,
    hands: bool = False,
) -> list[Tensor]:
    """Everybody in every picture, the chosen person first; arguments and errors as in `keypoints_from_people`.

    Args:
        hands: read the hands too (`dialects.hands_of`): their points follow the joints.

    Returns:
        (P, 18, 3) float64 a picture, or (P, 60, 3) with hands, (x, y, score) in pixels of `size`; missing points are
        zeros, P may be 0.
    """
    if isinstance(frames, Mapping):
        frames = [frames]
    if not isinstance(frames, Sequence) or isinstance(frames, str) or not frames:
        raise ValueError(
            f"the pose keypoints are {type(frames).__name__} without pictures; expected a POSE_KEYPOINT: a list with "
            "one OpenPose document a picture"
        )
    found = []
    for index, frame in enumerate(frames):
        people = people_in_frame(frame, size, index, own_scores=mode.smallest_score > 0, hands=hands)
        smallest = torch.full((people.shape[1],), mode.smallest_score, dtype=torch.float64)
        smallest[JOINTS:] = mode.smallest_hand_score
        people = torch.where((people[..., 2] > smallest)[..., None], people, 0.0)
        before = None if frame is None else frame.get(CHOSEN)
        wanted = before if isinstance(before, int) and before >= 0 else person
        chosen = chosen_person(people[:, :JOINTS], wanted, index)
        if chosen:
            people = people[[chosen, *(other for other in range(len(people)) if other != chosen)]]
        found.append(people)
    return found


def people_in_frame(
    frame: Mapping[str, Any] | None, size: tuple[int, int], index: int = 0, own_scores: bool = True,
    hands: bool = False,
) -> Tensor:  # fmt: skip
    """Everybody in one picture.

    Args:
        frame: an OpenPose document: `people[i]` with its points under one of `_BODY_KEYS`, in any order of
            `dialects.ORDERS`, and `canvas_width`, `canvas_height`. Coordinates run from 0 to 1
            (comfyui_controlnet_aux) or count pixels of the canvas (ComfyUI's SDPose, OpenPose); without a canvas
            they count pixels of `size`. People that are null, or have a face or hands only, are nobody.
        size: (height, width) of the picture the joints are wanted for.
        index: number of the picture, for messages.
        own_scores: look at the scores a file had beside its confidences (`SCORES`).
        hands: read the hands too.

    Returns:
        (P, 18, 3) float64, or (P, 60, 3) with hands, (x, y, score) in pixels of `size`; missing points are zeros.
        P may be 0.

    Raises:
        ValueError: the document cannot be read.
    """
    people = [] if frame is None else frame.get("people") if isinstance(frame, Mapping) else None
    if not isinstance(people, Sequence) or isinstance(people, str):
        raise ValueError(
            f"picture {index} of the pose keypoints has no list `people`; connect a pose detector's POSE_KEYPOINT"
        )
    found = (person_points(person, f"picture {index}", own_scores, hands) for person in people)
    bodies = [body for body in found if body is not None]
    if not bodies:
        return torch.zeros(0, POINTS if hands else JOINTS, 3, dtype=torch.float64)
    joints = torch.stack(bodies)
    known = joints[:, :JOINTS][joints[:, :JOINTS, 2] > 0][:, :2].abs()
    if len(known) and known.max(1).values.median() <= _LARGEST_RELATIVE:
        frame_size = (1.0, 1.0)
    else:
        frame_size = (_side(frame, "canvas_height") or size[0], _side(frame, "canvas_width") or size[1])
    # wherever a joint without a score is: a data set's (-1, -1) is not (0, 0) to the arms' stroke (Q8)
    joints = torch.where(joints[..., 2:] > 0, joints, 0.0)
    joints[..., :2] *= _scale(size, frame_size)
    return joints


def person_points(person: Any, where: str, own_scores: bool = True, hands: bool = False) -> Tensor | None:
    """Joints (18, 3) of one entry of `people`, or joints and hands (60, 3), as it counts; None when it shows no body.

    Raises:
        ValueError: the entry cannot be read.
    """
    if person is None:
        return None
    if not isinstance(person, Mapping):
        raise ValueError(f"{where}: an entry of `people` is {type(person).__name__}; expected an object with points")
    key = next((key for key in _BODY_KEYS if person.get(key)), None)
    if key is None:
        return None
    scores = (person.get(SCORES) if own_scores else None) if key == _BODY_KEYS[0] else person.get("keypoint_scores")
    entry, where = where, f"{where}, {key}"
    points = point_list(person[key], where, scores if key == "keypoints" else None)
    joints = coco18(points, where)
    if scores is not None and len(scores) == JOINTS and key == _BODY_KEYS[0]:
        joints[:, 2] = torch.where(joints[:, 2] > 0, point_scores(scores, where), 0.0)
    return torch.cat([joints, *hands_of(person, entry, points)]) if hands else joints


def chosen_person(people: Tensor, person: int, index: int = 0) -> int | None:
    """Which of the people (P, 18, 3) is meant; None where there are none.

    Args:
        person: index, or -1 for the one whose joints span the largest box.

    Raises:
        ValueError: there are people, but not this one.
    """
    if len(people) == 0:
        return None
    if person == -1:
        return largest_person(people)
    if not 0 <= person < len(people):
        raise ValueError(
            f"picture {index} shows {len(people)} people; person {person} is not among 0 to {len(people) - 1}"
        )
    return person


def largest_person(people: Tensor) -> int:
    """Index of the person (P, 18, 3) whose known joints span the largest box; the first of equals."""
    placed = [body[body[:, 2] > 0, :2] for body in people]
    spread = [float((points.amax(0) - points.amin(0)).prod()) if len(points) else 0.0 for points in placed]
    return spread.index(max(spread))


def _place(row: Sequence[Any] | None) -> list[float]:
    """x and y of a row; a null in their place, or in the row's, is a joint that nobody found."""
    return [math.nan if row is None or row[axis] is None else float(row[axis]) for axis in (0, 1)]


def pose_document(people: Tensor, size: tuple[int, int], chosen: int | None = None) -> dict[str, Any]:
    """One frame of POSE_KEYPOINT.

    Args:
        people: (P, 18, 3), or (P, 60, 3) with hands, as (x, y, score) in pixels of a picture of `size` (height, width).
        chosen: index of the person that every node behind is to take, whatever number it is given.
    """
    keys, parts = ("pose_keypoints_2d", *HAND_KEYS), (JOINTS, HAND, HAND)
    bodies = [body.flatten(1).split(parts[: 1 if len(body) == JOINTS else 3]) for body in people]
    return ({} if chosen is None else {CHOSEN: chosen}) | {
        "people": [
            {key: part.double().flatten().tolist() for key, part in zip(keys, body, strict=False)} for body in bodies
        ],
        "canvas_height": size[0],
        "canvas_width": size[1],
    }


def point_scores(scores: Any, where: str) -> Tensor:
    """Scores (N,) float64; what is not a finite number is 0."""
    return point_list([[0.0, 0.0, score] for score in scores], where)[:, 2]


def _side(frame: Mapping[str, Any], name: str) -> int:
    """A side of the canvas; 0 where the document does not say it."""
    value = frame.get(name)
    return int(value) if isinstance(value, (int, float)) and 0 < value < 1e9 else 0


def _scale(size: tuple[float, float], frame: tuple[float, float]) -> Tensor:
    """Factors (x, y) that carry pixels of `frame` (height, width) to `size` (height, width)."""
    return torch.tensor([size[1] / frame[1], size[0] / frame[0]], dtype=torch.float64)
