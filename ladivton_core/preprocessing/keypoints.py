"""Reading body joints: VITON-HD's and Dress Code's files, and what ComfyUI's pose nodes hand around.

SPEC 1.2, 1.3. All end as COCO-18 joints (18, 2), float64, (x, y) in pixels of the asked-for size, with
(0, 0) for a missing joint. `pose_map.py` draws them, `agnostic.py` follows the arms with them.
"""

from __future__ import annotations

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

BODY25_TO_COCO18 = (0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18)
"""Which BODY_25 point each COCO-18 joint is: the mid hip (8) and the feet (19-24) fall away."""

VITONHD_FRAME = (1024, 768)
DRESSCODE_FRAME = (512, 384)
"""(height, width) in which the data sets' files count pixels."""

# 0-1 coordinates may leave the picture by a little; a whole pose within 2 pixels of a corner is no pose.
_LARGEST_RELATIVE = 2.0


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


def keypoints_from_openpose(
    document: Mapping[str, Any], size: tuple[int, int], frame: tuple[int, int] = VITONHD_FRAME
) -> Tensor:
    """Joints of the first person in a VITON-HD `*_keypoints.json`.

    Args:
        document: the parsed JSON: `people[0].pose_keypoints_2d` holds 25 times (x, y, confidence).
        size: (height, width) of the pictures the joints are wanted for.
        frame: (height, width) the file counts in.

    Returns:
        (18, 2) float64. The confidence is not looked at, as in the reference (SPEC 1.2).

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
    points = _triples(people[0].get("pose_keypoints_2d"), "people[0].pose_keypoints_2d")
    return _coco18(points, "people[0].pose_keypoints_2d")[:, :2] * _scale(size, frame)


def keypoints_from_dresscode(
    document: Mapping[str, Any], size: tuple[float, float], frame: tuple[int, int] = DRESSCODE_FRAME
) -> Tensor:
    """Joints of a Dress Code `keypoints/*_2.json`.

    Args:
        document: the parsed JSON: `keypoints` holds 18 times (x, y, ...), in COCO-18 order.
        size: (height, width) of the pictures the joints are wanted for.
        frame: (height, width) the file counts in.

    Returns:
        (18, 2) float64. Missing joints stay what the file says, (0, 0) or (-1, -1) times the scale (SPEC 12).

    Raises:
        ValueError: the document is no Dress Code document.
    """
    rows = document.get("keypoints") if isinstance(document, Mapping) else None
    try:
        points = torch.tensor([[float(row[0]), float(row[1])] for row in rows], dtype=torch.float64)
    except (TypeError, ValueError, LookupError, OverflowError) as error:
        raise ValueError(
            "this is no Dress Code keypoint document: expected a list `keypoints` of 18 rows that start with x and y"
        ) from error
    if points.shape != (JOINTS, 2):
        raise ValueError(
            f"`keypoints` has {len(points)} rows; expected {JOINTS} in COCO-18 order (Dress Code *_2.json)"
        )
    return points * _scale(size, frame)


def keypoints_from_people(
    frames: Mapping[str, Any] | Sequence[Mapping[str, Any]], size: tuple[int, int], person: int = 0
) -> Tensor:
    """Joints from ComfyUI's POSE_KEYPOINT in any of its dialects.

    Args:
        frames: one document a picture (or a single document): `people[i].pose_keypoints_2d` with 18 (COCO) or
            25 (BODY_25) times (x, y, confidence), and `canvas_width`, `canvas_height`. Coordinates run from 0 to 1
            (comfyui_controlnet_aux) or count pixels of the canvas (ComfyUI's SDPose, OpenPose); without a canvas
            they count pixels of `size`.
        size: (height, width) of the pictures the joints are wanted for.
        person: index of the person; -1 takes the one whose joints span the largest box.

    Returns:
        (B, 18, 2) float64. Joints with confidence 0, and all joints of a picture without a person, are (0, 0).

    Raises:
        ValueError: a document cannot be read, or has people but not the one asked for.
    """
    if isinstance(frames, Mapping):
        frames = [frames]
    if not isinstance(frames, Sequence) or isinstance(frames, str) or not frames:
        raise ValueError(
            f"the pose keypoints are {type(frames).__name__} without pictures; expected a POSE_KEYPOINT: a list with "
            "one OpenPose document a picture"
        )
    return torch.stack([_frame_joints(frame, index, size, person) for index, frame in enumerate(frames)])


def _frame_joints(frame: Mapping[str, Any], index: int, size: tuple[int, int], person: int) -> Tensor:
    people = frame.get("people") if isinstance(frame, Mapping) else None
    if not isinstance(people, Sequence):
        raise ValueError(
            f"picture {index} of the pose keypoints has no list `people`; connect a pose detector's POSE_KEYPOINT"
        )
    where = f"picture {index}, pose_keypoints_2d"
    # A detector that saw only hands leaves the body out (None or an empty list): that is nobody.
    bodies = [_coco18(_triples(p["pose_keypoints_2d"], where), where) for p in people if p.get("pose_keypoints_2d")]
    if not bodies:
        return torch.zeros(JOINTS, 2, dtype=torch.float64)
    bodies_tensor = torch.stack(bodies)  # (people, 18, 3)
    known = bodies_tensor[..., 2] > 0  # wherever it is: a data set's (-1, -1) is not (0, 0) to the arms' stroke (Q8)
    points = torch.where(known[..., None], bodies_tensor[..., :2], 0.0)
    if person == -1:
        person = int(torch.stack([_spread(p[k]) for p, k in zip(points, known, strict=True)]).argmax())
    if not 0 <= person < len(points):
        raise ValueError(
            f"picture {index} shows {len(points)} people; person {person} is not among 0 to {len(points) - 1}"
        )
    if points.abs().max() <= _LARGEST_RELATIVE:
        frame_size = (1, 1)
    else:
        frame_size = (int(frame.get("canvas_height") or size[0]), int(frame.get("canvas_width") or size[1]))
    return points[person] * _scale(size, frame_size)


def _spread(points: Tensor) -> Tensor:
    """Area of the box around points (N, 2); 0 for none."""
    if len(points) == 0:
        return torch.zeros((), dtype=torch.float64)
    return (points.amax(0) - points.amin(0)).prod()


def _triples(values: Any, where: str) -> Tensor:
    """(N, 3) float64 from OpenPose's flat list."""
    try:
        flat = torch.tensor([float(value) for value in values], dtype=torch.float64)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{where} is not a list of numbers; expected x, y, confidence for 18 or 25 points") from error
    if len(flat) % 3:
        raise ValueError(f"{where} has {len(flat)} numbers; expected x, y, confidence for 18 or 25 points")
    return flat.view(-1, 3)


def _coco18(points: Tensor, where: str) -> Tensor:
    if len(points) == 25:
        return coco18_from_body25(points)
    if len(points) == JOINTS:
        return points
    raise ValueError(f"{where} has {len(points)} points; expected 18 (COCO) or 25 (BODY_25)")


def _scale(size: tuple[float, float], frame: tuple[int, int]) -> Tensor:
    """Factors (x, y) that carry pixels of `frame` (height, width) to `size` (height, width)."""
    return torch.tensor([size[1] / frame[1], size[0] / frame[0]], dtype=torch.float64)
