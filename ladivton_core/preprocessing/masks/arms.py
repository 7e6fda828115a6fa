"""The stroke along both arms, from wrist to wrist through the shoulders: what a new sleeve may cover.

Paper section 3.1, published §1.5.1. `agnostic.py` adds it to the region that is repainted.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

MissingJoints = Literal["published", "skip"]

RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST = 2, 3, 4
LEFT_SHOULDER, LEFT_ELBOW, LEFT_WRIST = 5, 6, 7
_WRIST_TO_WRIST = (LEFT_WRIST, LEFT_ELBOW, LEFT_SHOULDER, RIGHT_SHOULDER, RIGHT_ELBOW, RIGHT_WRIST)


_FAR = 30_000


def is_missing(joint: np.ndarray) -> bool:
    """Whether a joint (x, y) in pixels was not found: both coordinates at most 1 (published §1.5.1), or no numbers."""
    return bool((joint <= 1.0).all() or not np.isfinite(joint).all())


def known_shoulders(joints: np.ndarray, sample: int) -> list[int]:
    """The shoulders that were found.

    Raises:
        ValueError: neither was; there is nothing to hang a sleeve on.
    """
    known = [joint for joint in (RIGHT_SHOULDER, LEFT_SHOULDER) if not is_missing(joints[joint])]
    if not known:
        raise ValueError(
            f"neither the right nor the left shoulder is known in picture {sample} of the batch: the keypoints show no "
            "person there. Use a photo with one clearly visible person, or check the pose detector's result"
        )
    return known


def arm_stroke(joints: np.ndarray, size: tuple[int, int], width: int, missing_joints: MissingJoints) -> np.ndarray:
    """Draw the stroke.

    Args:
        joints: COCO-18 (18, 2) as (x, y) in pixels.
        size: (height, width) of the picture.
        width: width of the stroke in pixels.
        missing_joints: `published` or `skip`, as in `agnostic_mask`.

    Returns:
        (height, width) bool.

    Source: published §1.5.1; Q8 for the published treatment of missing joints.
    """
    from PIL import Image, ImageDraw

    canvas = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    joints = np.where(np.isfinite(joints).all(1, keepdims=True), joints, 0.0)
    if missing_joints == "published":
        # The published code casts to 16 unsigned bits: -1 becomes 65535, a streak out of the picture (Q8).
        flat = [int(value) % 65536 for joint in _published_path(joints) for value in joints[joint]]
    else:
        path = [joint for joint in _WRIST_TO_WRIST if not is_missing(joints[joint])]
        # the frame ends the stroke; what lies absurdly far beyond it only has to stay a number Pillow takes
        flat = [int(np.clip(value, -_FAR, _FAR)) for joint in path for value in joints[joint]]
    if len(flat) == 2:  # a single joint makes no line: a dot as wide as the stroke
        x, y, radius = flat[0], flat[1], width / 2
        draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=255)
    else:
        draw.line(flat, fill=255, width=width, joint="curve")
    return np.asarray(canvas) > 0


def _published_path(joints: np.ndarray) -> tuple[int, ...]:
    """Which joints the published stroke visits; the right side is looked at first (published §1.5.1)."""
    if is_missing(joints[RIGHT_WRIST]):
        if is_missing(joints[RIGHT_ELBOW]):
            return _WRIST_TO_WRIST[:4]
        return _WRIST_TO_WRIST[:5]
    if is_missing(joints[LEFT_WRIST]):
        if is_missing(joints[LEFT_ELBOW]):
            return _WRIST_TO_WRIST[2:]
        return _WRIST_TO_WRIST[1:]
    return _WRIST_TO_WRIST
