"""Checks of one person's and one garment's files, for `verification.py`.

A disagreement inside a sample is broken: the parse map must lie over the person, the mask over the garment. A size
other than the released one is only unusual: toy sets and smaller copies are read all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..disk.looking import spelled_otherwise
from ..preprocessing import LabelSet, keypoints_from_dresscode, keypoints_from_openpose
from ..preprocessing.label_pictures import require_known
from ..preprocessing.masks.arms import LEFT_SHOULDER, RIGHT_SHOULDER
from ..preprocessing.pose.keypoints import DRESSCODE_FRAME, VITONHD_FRAME
from .reading import SampleFiles, open_labels, open_picture, read_json

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

PICTURE_SIZES = ((768, 1024),)
"""(width, height) of both data sets' pictures as released."""
PARSE_SIZES = ((768, 1024), (384, 512))
"""The same of parse maps; Dress Code's are half as large."""
SAME_PROPORTIONS = 0.01
"""Relative difference of width to height under which a parse map still lies over its person."""
_LARGEST = float(np.finfo(np.float32).max)
"""Above it the reader's tensor holds infinity."""
OUTSIDE = 1.25
"""Joints this many times outside the frame are counted in another one; a body cut by the border stays within."""


@dataclass(frozen=True)
class Finding:
    """One thing that is not as expected.

    Attributes:
        kind: what sort of thing, e.g. `missing file`.
        broken: whether a sample cannot be read, or not rightly; otherwise it is only unusual.
        path: the file it is about.
        message: what was found and what was expected.
    """

    kind: str
    broken: bool
    path: Path
    message: str


def check_person(files: SampleFiles, labels: LabelSet, dataset: str) -> list[Finding]:
    """Photo, parse map and joints of a person.

    Args:
        labels: vocabulary of the parse map.
        dataset: name in `DATASETS`, which says how joints are written.
    """
    findings: list[Finding] = []
    person = _opened(files.person, open_picture, findings)
    parse = _opened(files.parse, lambda path: open_labels(path, labels, unknown=True), findings)
    if person is not None:
        _check_size(files.person, person, PICTURE_SIZES, findings)
    if parse is not None:
        _check_size(files.parse, parse, PARSE_SIZES, findings)
        try:
            require_known(np.asarray(parse), labels)
        except ValueError as error:
            findings.append(Finding("wrong labels", True, files.parse, str(error)))
    if person is not None and parse is not None and not _same_proportions(person, parse):
        message = f"{_size(parse)}, the person {_size(person)} (width x height): not the same proportions"
        findings.append(Finding("wrong size", True, files.parse, message))
    _check_joints(files.keypoints, dataset, findings)
    return findings


def check_garment(files: SampleFiles) -> list[Finding]:
    """Photo of a garment, and its mask where there is one."""
    findings: list[Finding] = []
    garment = _opened(files.garment, open_picture, findings)
    if garment is not None:
        _check_size(files.garment, garment, PICTURE_SIZES, findings)
    if files.garment_mask is None:
        return findings
    mask = _opened(files.garment_mask, open_picture, findings)
    if mask is None:
        return findings
    if garment is not None and garment.size != mask.size:
        message = f"{_size(mask)}, the garment {_size(garment)} (width x height): they must be equal"
        findings.append(Finding("wrong size", True, files.garment_mask, message))
    if not np.asarray(mask.convert("L")).any():
        findings.append(Finding("empty mask", True, files.garment_mask, "black all over: nothing of the garment stays"))
    return findings


def _opened(path: Path, opened, findings: list[Finding]) -> Image | None:
    """The picture, or None and a finding."""
    try:
        return opened(path)
    except FileNotFoundError:
        findings.append(Finding("missing file", True, path, f"a pair list names it{spelled_otherwise(path)}"))
    except (ValueError, OSError) as error:
        findings.append(Finding("unreadable file", True, path, _without(path, error)))
    return None


def _check_joints(path: Path, dataset: str, findings: list[Finding]) -> None:
    try:
        document = read_json(path)
    except FileNotFoundError:
        near = spelled_otherwise(path)
        findings.append(Finding("missing file", True, path, f"a pair list names the person{near}"))
        return
    except (ValueError, OSError) as error:
        findings.append(Finding("unreadable file", True, path, _without(path, error)))
        return
    if dataset == "vitonhd" and isinstance(document, dict) and document.get("people") == []:
        findings.append(Finding("empty keypoints", True, path, "`people` is empty: nobody was found"))
        return
    frame = VITONHD_FRAME if dataset == "vitonhd" else DRESSCODE_FRAME
    read = keypoints_from_openpose if dataset == "vitonhd" else keypoints_from_dresscode
    if unknown := _not_numbers(document, dataset):
        message = (
            f"{unknown} coordinates are no numbers (NaN, infinite or beyond float32): these joints count as missing"
        )
        findings.append(Finding("joints that are no numbers", True, path, message))
    try:
        joints = read(document, frame)
    except ValueError as error:
        findings.append(Finding("wrong keypoints", True, path, str(error)))
        return
    findings += _unusual_joints(path, joints, frame)


def _not_numbers(document: Any, dataset: str) -> int:
    """How many coordinates of the person's joints are NaN or infinite, or too large, before anything is made of them.

    A null says that nobody found the joint.
    """
    try:
        if dataset == "vitonhd":
            values = document["people"][0]["pose_keypoints_2d"]
            values = [value for place, value in enumerate(values) if place % 3 < 2]
        else:
            values = [value for row in document["keypoints"] if row is not None for value in row[:2]]
        return sum(not abs(float(value)) <= _LARGEST for value in values if value is not None)
    except (TypeError, ValueError, LookupError, OverflowError):  # another kind of document: the reader says which
        return 0


def _unusual_joints(path: Path, joints: Tensor, frame: tuple[int, int]) -> list[Finding]:
    known = (joints > 1).any(-1)  # the published code's test, in the file's own pixels
    if not known.any():
        return [Finding("empty keypoints", True, path, "every joint is missing: nobody was found")]
    findings = []
    if not known[RIGHT_SHOULDER] or not known[LEFT_SHOULDER]:
        message = "a shoulder is missing: the published mask draws the arms' stroke through the picture's corner (Q8)"
        findings.append(Finding("missing joints", False, path, message))
    x, y = joints.amax(0).tolist()
    if x > OUTSIDE * frame[1] or y > OUTSIDE * frame[0]:
        message = f"joints reach ({x:.5g}, {y:.5g}); they count in a frame of {frame[1]} x {frame[0]}"
        findings.append(Finding("joints outside", False, path, message))
    return findings


def _check_size(path: Path, picture: Image, usual: tuple[tuple[int, int], ...], findings: list[Finding]) -> None:
    if picture.size not in usual:
        expected = " or ".join(f"{width} x {height}" for width, height in usual)
        findings.append(Finding("unusual size", False, path, f"{_size(picture)}; as released {expected}"))


def _same_proportions(first: Image, second: Image) -> bool:
    (width, height), (other_width, other_height) = first.size, second.size
    return abs(width * other_height - other_width * height) <= SAME_PROPORTIONS * width * other_height


def _size(picture: Image) -> str:
    return f"{picture.width} x {picture.height}"


def _without(path: Path, error: Exception) -> str:
    """A reader's message without the path it starts with."""
    return str(error).removeprefix(str(path)).removeprefix(": ").strip()
