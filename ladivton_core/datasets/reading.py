"""Reading a data set's files: pictures, label pictures, joints and pair lists.

Published §1.1 to 1.3. `vitonhd.py` and `dresscode.py` say where files lie, `sample.py` builds samples out of what is
read here, `verification.py` checks them all.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from ..disk import documents, pictures
from ..disk.looking import file_there, spelled_otherwise
from ..disk.names import is_plain_name
from ..preprocessing.label_pictures import in_label_order, require_known
from ..preprocessing.labels import LabelSet
from ..preprocessing.pictures import eight_bits, on_white

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = [
    "LABEL_MODES", "check_choice", "examine_pairs", "is_plain_name", "label_tensor", "mask_tensor", "naming",
    "open_labels", "open_picture", "picture_tensor", "read_columns", "read_json", "read_pairs", "require_lists",
]  # fmt: skip

LABEL_MODES = ("P", "L", "1", "I", "I;16")
"""Pillow's modes of pictures whose values are numbers, not colours."""


@dataclass(frozen=True)
class SampleFiles:
    """Files of one sample.

    Attributes:
        person: photo of the person.
        parse: label picture of the person.
        keypoints: JSON with the person's joints.
        garment: shop photo.
        garment_mask: white where the garment is; None where the data set has none. VITON-HD's is not needed to read
            a sample.
        category: which garment is exchanged.
    """

    person: Path
    parse: Path
    keypoints: Path
    garment: Path
    garment_mask: Path | None
    category: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        files = (self.person, self.parse, self.keypoints, self.garment, self.garment_mask)
        return tuple(file for file in files if file is not None)


@dataclass(frozen=True)
class PairList:
    """A text file that says who wears what.

    Attributes:
        path: the file.
        split: `train` or `test`.
        order: `paired` or `unpaired`.
        category: of all its pairs.
    """

    path: Path
    split: str
    order: str
    category: str


def picture_tensor(picture: Image, size: tuple[int, int]) -> Tensor:
    """Stretch a picture to (height, width) with Pillow's bicubic; (3, H, W) float32 in [-1, 1]; published §1.1.

    Transparency, which the data sets as released have none of, is laid over white first.
    """
    from PIL import Image

    pixels = np.asarray(on_white(picture).resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return (torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float() / 255 - 0.5) / 0.5


def mask_tensor(picture: Image, size: tuple[int, int]) -> Tensor:
    """Stretch a mask to (height, width) as the picture it belongs to; (1, H, W) float32 in [0, 1]."""
    from PIL import Image

    pixels = np.asarray(picture.convert("L").resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels.copy())[None].float() / 255


def label_tensor(picture: Image, size: tuple[int, int]) -> Tensor:
    """Stretch a label picture to (height, width) by nearest neighbour; (H, W) int64. Source: published §1.1.

    Raises:
        ValueError: the picture is coloured, so its values are not labels.
    """
    from PIL import Image

    _check_labels(picture)
    labels = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))
    return torch.from_numpy(labels.astype(np.int64))


def open_picture(path: Path) -> Image:
    """Open a picture of the data set; 16-bit grey comes with 8.

    Raises:
        FileNotFoundError: it is not there; the message says what the layout expects.
        ValueError: it is no picture, is cut off, larger than `pictures.MAX_PIXELS`, or has values that are no numbers.
    """
    return eight_bits(_opened(path), str(path))


def _opened(path: Path) -> Image:
    _check_file(path)
    return pictures.open_picture(path, advice="Unpack or download it again")


def open_labels(path: Path, labels: LabelSet, *, unknown: bool = False) -> Image:
    """Open a label picture of the data set; one whose palette an image program has renumbered comes in label order.

    Args:
        labels: vocabulary of the data set.
        unknown: take numbers that it has not as well.

    Raises:
        FileNotFoundError, ValueError: as `open_picture`, it is coloured, or see `in_label_order` and `require_known`.
    """
    picture = _opened(path)
    with naming(path):
        _check_labels(picture)
        ordered = in_label_order(picture, labels)
    if not unknown:
        require_known(np.asarray(ordered), labels, f"{path}: the parse map")
    return ordered


def read_json(path: Path) -> Any:
    """Read a JSON file of the data set.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no JSON.
    """
    _check_file(path)
    return documents.read_json(path, expected="the joints of one picture; unpack or download it again")


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Pairs (person, garment) of file names, one a line.

    Raises:
        FileNotFoundError: the list is not there.
        ValueError: a line does not hold two plain file names.
    """
    pairs, faults = examine_pairs(path)
    if faults:
        raise ValueError(f"{path}, {faults[0]}")
    if not pairs:
        raise ValueError(f"{path} is empty; expected a person and a garment on each line. Unpack it again")
    return pairs


def examine_pairs(path: Path) -> tuple[list[tuple[str, str]], list[str]]:
    """The same, with a message for each line that is wrong instead of an error for the first.

    Raises:
        FileNotFoundError: the list is not there.
        ValueError: it is no text.
    """
    pairs, faults = [], []
    for number, line in enumerate(_lines(path), 1):
        names = _columns(line)
        if not names:
            continue
        if len(names) != 2:
            faults.append(
                f"line {number}: {line!r} holds {len(names)} names; expected a person and a garment "
                "with a blank between them, or a tab where names hold blanks"
            )
        elif not all(map(is_plain_name, names)):
            # A list may come from anywhere: it must not lead out of the data set.
            faults.append(
                f"line {number}: {line!r} holds a folder, a quotation mark or another letter that no file name has on "
                "every system; expected the plain names of two files"
            )
        else:
            pairs.append((names[0], names[1]))
    return pairs, faults


def require_lists(lists: Sequence[PairList], asked: Sequence[PairList]) -> None:
    """Raise a FileNotFoundError when a pair list that is asked for is missing; it says which could be asked for.

    Args:
        lists: all that the layout knows.
        asked: those that are wanted.
    """
    missing = [pairs for pairs in asked if not file_there(pairs.path)]
    if not missing:
        return
    wanted = asked[0]
    there = [pairs for pairs in lists if file_there(pairs.path)]
    alike = [pairs.category for pairs in there if (pairs.split, pairs.order) == (wanted.split, wanted.order)]
    others = sorted({f"{pairs.split} {pairs.order} ({pairs.category})" for pairs in there})
    if alike:
        way_out = f"choose the category {' or '.join(alike)}, which is there, or unpack the others too"
    elif others:
        way_out = f"choose another split or order: there is {', '.join(others)}"
    else:
        way_out = "choose the folder that holds it as the data set's root"
    names = ", ".join(str(pairs.path) for pairs in missing)
    raise FileNotFoundError(f"{names} {'is' if len(missing) == 1 else 'are'} missing; {way_out}")


def read_columns(path: Path) -> list[list[str]]:
    """Names on every line of a list that holds any, however many they are.

    Raises:
        FileNotFoundError, ValueError: as `examine_pairs`.
    """
    return [names for names in map(_columns, _lines(path)) if names]


def _lines(path: Path) -> list[str]:
    if not file_there(path):
        raise FileNotFoundError(f"{path} is missing; choose the folder that holds it as the data set's root")
    return documents.read_text(path, expected="a person and a garment on every line").splitlines()


def _columns(line: str) -> list[str]:
    """Names on a line: between tabs, between blanks, or, where names hold blanks, after a picture's ending."""
    if "\t" in line.strip():
        return [name.strip() for name in line.split("\t") if name.strip()]
    names = line.split()
    if len(names) > 2:
        ended = "|".join(f"(?<={re.escape(ending)})" for ending in pictures.endings())
        after_endings = re.split(rf"(?:{ended})\s+", line.strip(), flags=re.IGNORECASE)
        return after_endings if len(after_endings) == 2 else names
    return names


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Put the file's path before the message of a ValueError that its content causes."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def check_choice(what: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an unknown option.

    Raises:
        ValueError: `value` is not among `choices`.
    """
    if value not in choices:
        raise ValueError(f"the {what} is {value!r}; expected one of {', '.join(choices)}")


def _check_file(path: Path) -> None:
    if not file_there(path):
        near = spelled_otherwise(path) or ". Unpack the data set completely"
        raise FileNotFoundError(f"{path} is missing; the data set's pair list names it{near}")


def _check_labels(picture: Image) -> None:
    if picture.mode not in LABEL_MODES:
        raise ValueError(
            f"the parse map is a {picture.mode} picture; expected a palette or grey PNG whose values are label ids "
            "(the coloured copies some data sets ship are for looking at)"
        )
