"""Who is meant: POSE_KEYPOINT as joints of one person a picture, and the widgets in which nodes ask for it.

`person.py`, `fitting.py`, `photo.py` and `checking.py` share it; `ladivton_core/preprocessing/pose/keypoints.py` reads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.preprocessing.modes import MODES, PUBLISHED, Mode
from ..ladivton_core.preprocessing.people.territory import own_territory
from ..ladivton_core.preprocessing.pose.agreement import outside_picture
from ..ladivton_core.preprocessing.pose.keypoints import JOINTS, people_in_frames
from .notes import Notes
from .types import io

MODE_TOOLTIP = (
    "'published': joints and pixel sizes exactly as in the paper's code, for its data sets. "
    "'body': for photos of your own: doubtful joints and other people are left out, "
    "and sizes in pixels follow the body."
)
NOBODY = ["stop", "pass"]
"""What a frame without a person does."""


def people_of(
    keypoints: list, size: tuple[int, int], person_index: int, mode: Mode = PUBLISHED, nobody: str = "stop"
) -> list[Tensor]:
    """Everybody in every picture, the chosen person first: (P, 18, 3) each, in pixels of `size` (height, width).

    Raises:
        ValueError: a picture shows nobody, unless `nobody` is `pass`.
    """
    found = people_in_frames(keypoints, size, person_index, mode)
    empty = [picture for picture, people in enumerate(found) if not len(people) or not (people[0, :, 2] > 0).any()]
    if empty and (nobody != "pass" or len(empty) == len(found)):
        raise ValueError(
            f"Picture {', '.join(map(str, empty))} of 'keypoints' shows nobody. "
            "Take a photo in which the person is seen from head to hips, "
            "or check the pose detector's output before this node. "
            "To let such frames of a video pass unchanged, set 'nobody' to 'pass'."
        )
    return found


def first_joints(people: list[Tensor]) -> Tensor:
    """Joints (B, 18, 2) of the chosen person of every picture; zeros where there is nobody."""
    return torch.stack([body[0, :, :2] if len(body) else torch.zeros(JOINTS, 2).double() for body in people])


def joints_of(
    keypoints: list, size: tuple[int, int], person_index: int, mode: Mode = PUBLISHED, nobody: str = "stop"
) -> Tensor:
    """COCO-18 joints (B, 18, 2) of one person a picture; arguments and errors as in `people_of`."""
    return first_joints(people_of(keypoints, size, person_index, mode, nobody))


def own_pixels(people: list[Tensor], size: tuple[int, int]) -> Tensor:
    """Where the chosen person of every picture is nearer than anybody else: (B, 1, H, W) bool."""
    own = [
        own_territory(body[0, :, :2], body[1:, :, :2], size) if len(body) > 1 else torch.ones(size, dtype=torch.bool)
        for body in people
    ]
    return torch.stack(own)[:, None]


def mode_input() -> io.Combo.Input:
    """The widget that tells people's own photos from the paper's data sets."""
    return io.Combo.Input("mode", options=list(MODES), default="published", optional=True, tooltip=MODE_TOOLTIP)


def nobody_input() -> io.Combo.Input:
    """The widget for frames of a video in which nobody is found."""
    return io.Combo.Input(
        "nobody", options=NOBODY, default="stop", optional=True,
        tooltip="A frame in which nobody is found: 'stop' names it, 'pass' leaves it as it is.",
    )  # fmt: skip


def warn_of_joints_outside(notes: Notes, joints: Tensor | None, size: tuple[int, int]) -> None:
    """Note when joints (B, 18, 2) do not fit a picture of `size` (height, width)."""
    found = None if joints is None else outside_picture(joints, size)
    if found:
        notes.warn(
            f"{found} They are of another picture, or count the pixels of another size: "
            "see 'coordinates' of Load Keypoints."
        )


def person_index_input() -> io.Int.Input:
    """The widget that picks one of several people."""
    return io.Int.Input(
        "person_index", default=0, min=-1, max=99,
        tooltip="Which person of the keypoints, counted from 0; -1 takes the largest. "
            "Use the same number in every node.",
    )  # fmt: skip
