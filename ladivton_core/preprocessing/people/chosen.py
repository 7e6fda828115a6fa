"""Who in a photo is meant: the chosen person of every picture, first among all that its keypoints show, and whose pixel
is whose. In `body` mode everybody else is kept out: a pixel belongs to the person whose skeleton is nearest, counted in
that person's own size.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..masks.regions import Say
from ..modes import PUBLISHED, Mode
from ..pose.agreement import outside_picture
from ..pose.body_size import body_size, known, middle
from ..pose.dialects import POINTS
from ..pose.keypoints import JOINTS, people_in_frames

Keypoints = Sequence[dict[str, Any] | None]
"""ComfyUI's POSE_KEYPOINT: one OpenPose document a picture, in any dialect of `pose/dialects.py`."""
Nobody = Literal["stop", "pass"]
NOBODY: tuple[Nobody, ...] = ("stop", "pass")
"""What a picture without a person does: end the run in words, or go on as it is."""


def people_in(
    keypoints: Keypoints, size: tuple[int, int], person: int = 0, mode: Mode = PUBLISHED, nobody: Nobody = "stop"
) -> list[Tensor]:
    """Everybody in every picture, the chosen person first.

    Args:
        keypoints: one document a picture.
        size: (height, width) of the pictures.
        person: who is meant, counted from 0; -1 takes the largest.
        mode: how joints are read.
        nobody: `pass` lets pictures without a person go on, unless all are.

    Returns:
        Joints and hands (P, 60, 3) float64 a picture, (x, y, score) in pixels of `size`; P may be 0.

    Raises:
        ValueError: a picture shows nobody, or not the person asked for; or keypoints that cannot be read.
    """
    found = people_in_frames(keypoints, size, person, mode, hands=True)
    empty = [picture for picture, people in enumerate(found) if not (people[:1, :JOINTS, 2] > 0).any()]
    if empty and (nobody != "pass" or len(empty) == len(found)):
        raise ValueError(
            f"Picture {listed(empty)} of 'keypoints' shows nobody. "
            "Take a photo in which the person is seen from head to hips, "
            "or check the pose detector's output before this node. "
            "To let such frames of a video pass unchanged, set 'nobody' to 'pass'."
        )
    return found


def chosen_joints(people: Sequence[Tensor]) -> Tensor:
    """Joints (B, 18, 2) of the chosen person of every picture (P, 60, 3); zeros where there is nobody."""
    return chosen_points(people)[:, :JOINTS]


def chosen_points(people: Sequence[Tensor]) -> Tensor:
    """The same with hands behind the joints (B, 60, 2)."""
    return torch.stack([body[0, :, :2] if len(body) else torch.zeros(POINTS, 2).double() for body in people])


def own_pixels(people: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Where the chosen person of every picture (P, 18, 3) is nearer than anybody else: (B, 1, H, W) bool."""
    own = [
        own_territory(body[0, :, :2], body[1:, :, :2], size) if len(body) > 1 else torch.ones(size, dtype=torch.bool)
        for body in people
    ]
    return torch.stack(own)[:, None]


def say_if_outside(joints: Tensor, size: tuple[int, int], say: Say) -> None:
    """Say when joints (B, 18, 2) do not fit a picture of `size` (height, width)."""
    if found := outside_picture(joints, size):
        say(
            f"{found} They are of another picture, or count the pixels of another size: "
            "see 'coordinates' of Load Keypoints."
        )


def listed(pictures: Sequence[int]) -> str:
    return ", ".join(map(str, pictures))


_BONES = (
    (1, 2), (2, 3), (3, 4), (1, 5), (5, 6), (6, 7), (2, 8), (8, 9), (9, 10), (5, 11), (11, 12), (12, 13), (2, 5),
    (8, 11), (1, 0), (0, 14), (0, 15), (14, 16), (15, 17),
)  # fmt: skip

# Territories are worked out at this size and enlarged: their borders run through the air between people.
_WORKING_SIDE = 256


def own_territory(joints: Tensor, others: Tensor, size: tuple[int, int]) -> Tensor:
    """Pixels that are nearer to one person than to any other.

    Args:
        joints: COCO-18 of the person (18, 2), pixels of `size`; missing ones (0, 0).
        others: the same of everybody else (P, 18, 2); P may be 0.
        size: (height, width).

    Returns:
        (height, width) bool; all True without others.
    """
    shrink = min(1.0, _WORKING_SIDE / max(size))
    small = (max(round(size[0] * shrink), 1), max(round(size[1] * shrink), 1))
    own = _distance(joints, small, shrink)
    rest = [found for body in others if (found := _distance(body, small, shrink)) is not None]
    if own is None or not rest:
        return torch.ones(size, dtype=torch.bool)
    mine = own <= torch.stack(rest).amin(0)
    return F.interpolate(mine[None, None].float(), size, mode="nearest-exact")[0, 0].bool()


def _distance(joints: Tensor, size: tuple[int, int], shrink: float) -> Tensor | None:
    """(height, width) distance to a skeleton in body sizes; None for a body without any bone."""
    body = body_size(joints)
    bones = [(joints[a], joints[b]) for a, b in _BONES if known(joints, a, b)]
    top, bottom = middle(joints, (2, 5)), middle(joints, (8, 11))
    if top is not None and bottom is not None:
        bones.append((top, bottom))
    if body is None or not bones:
        return None
    rows, columns = torch.meshgrid(torch.arange(size[0]), torch.arange(size[1]), indexing="ij")
    pixels = torch.stack([columns, rows], -1).float()
    nearest = torch.full(size, torch.inf)
    for start, end in bones:
        start, along = start.float() * shrink, (end - start).float() * shrink
        share = ((pixels - start) @ along / along.square().sum().clamp_min(1e-6)).clamp(0, 1)
        nearest = torch.minimum(nearest, (pixels - start - share[..., None] * along).norm(dim=-1))
    return nearest / (body * shrink)
