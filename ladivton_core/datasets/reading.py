"""Reading a data set's files: pictures, label pictures, joints and pair lists.

SPEC 1.1. `sample.py` builds samples out of what is read here.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from PIL.Image import Image


def picture_tensor(picture: Image, size: tuple[int, int]) -> Tensor:
    """Stretch a picture to (height, width) with Pillow's bicubic; (3, H, W) float32 in [-1, 1]. Source: SPEC 1.1."""
    from PIL import Image

    pixels = np.asarray(picture.convert("RGB").resize((size[1], size[0]), Image.Resampling.BICUBIC))
    return (torch.from_numpy(pixels.copy()).permute(2, 0, 1).contiguous().float() / 255 - 0.5) / 0.5


def label_tensor(picture: Image, size: tuple[int, int]) -> Tensor:
    """Stretch a label picture to (height, width) by nearest neighbour; (H, W) int64. Source: SPEC 1.1.

    Raises:
        ValueError: the picture is coloured, so its values are not labels.
    """
    from PIL import Image

    if picture.mode not in ("P", "L", "1", "I", "I;16"):
        raise ValueError(
            f"the parse map is a {picture.mode} picture; expected a palette or grey PNG whose values are label ids "
            "(the coloured copies some data sets ship are for looking at)"
        )
    labels = np.asarray(picture.resize((size[1], size[0]), Image.Resampling.NEAREST))
    return torch.from_numpy(labels.astype(np.int64))


def open_picture(path: Path) -> Image:
    """Open a file of the data set.

    Raises:
        FileNotFoundError: it is not there; the message says what the layout expects.
    """
    from PIL import Image

    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the data set's pair list names it. Unpack the data set completely")
    picture = Image.open(path)
    picture.load()
    return picture


def read_json(path: Path) -> Any:
    """Read a JSON file of the data set.

    Raises:
        FileNotFoundError: it is not there.
        ValueError: it is no JSON.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; the data set's pair list names it. Unpack the data set completely")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is no valid JSON ({error}); expected the joints of one picture") from error


def read_pairs(path: Path) -> list[tuple[str, str]]:
    """Pairs (person, garment) of file names, one a line.

    Raises:
        FileNotFoundError: the list is not there.
        ValueError: a line does not hold two names.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; choose the folder that holds it as the data set's root")
    pairs = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        names = line.split()
        if not names:
            continue
        if len(names) != 2:
            raise ValueError(
                f"{path}, line {number}: {line!r} holds {len(names)} names; expected a person and a garment"
            )
        pairs.append((names[0], names[1]))
    return pairs


def check_choice(what: str, value: str, choices: Sequence[str]) -> None:
    """Refuse an unknown option.

    Raises:
        ValueError: `value` is not among `choices`.
    """
    if value not in choices:
        raise ValueError(f"the {what} is {value!r}; expected one of {', '.join(choices)}")
