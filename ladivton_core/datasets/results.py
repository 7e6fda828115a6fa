"""Where results go and how they are written: `<folder>/<order>/<category>/<person's file name>`, as the paper's are.

Published §0.5. Evaluation compares the pictures in such a folder with the data set's, file by file.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from torch import Tensor

from ..disk.names import fault_of_name, same_everywhere
from ..disk.pictures import endings
from ..disk.writing import whole_files

if TYPE_CHECKING:
    from PIL.Image import Image

SUFFIXES = {"jpg": ".jpg", "png": ".png"}
"""File endings by format."""

JPEG_QUALITY = 95
"""The published code's (§0.5)."""


def result_path(folder: Path, order: str, category: str, name: str, kind: str = "jpg") -> Path:
    """Where the result of a person goes.

    Args:
        folder: of the results.
        order, category: two folders below it.
        name: the person's file name in the data set.
        kind: `jpg` or `png`; takes the place of the name's ending.

    Raises:
        ValueError: an unknown kind, or a name that is no plain file name on every system, or too long.
    """
    if kind not in SUFFIXES:
        raise ValueError(f"the format is {kind!r}; expected one of {', '.join(SUFFIXES)}")
    stem, ending = os.path.splitext(name)
    if ending.lower() not in endings():
        stem = name
    for part in (order, category, name, stem + SUFFIXES[kind]):
        if fault := fault_of_name(part):
            raise ValueError(f"{part!r} cannot be the name of a file: {fault}.")
    return folder / order / category / (stem + SUFFIXES[kind])


def to_picture(pixels: Tensor) -> Image:
    """(3, H, W) in [0, 1] to an 8-bit picture, rounded as diffusers' pipelines do."""
    from PIL import Image

    levels = (pixels.detach().float().clamp(0, 1) * 255).round().byte().movedim(0, -1)
    return Image.fromarray(levels.cpu().numpy().astype(np.uint8))


def write_pictures(pictures: Sequence[Image], paths: Sequence[Path], overwrite: bool = False) -> None:
    """Write a batch of pictures, each whole or not at all: none gets its name before all are written.

    Args:
        pictures: what to write, with the colour profile that they carry; JPEG files get the published quality.
        paths: where, one a picture; folders are made.
        overwrite: replace files that are there.

    Raises:
        ValueError: not one path a picture, or one path twice: also where only letter case or the spelling of accents
            differ, which Windows and macOS take for one file.
        FileExistsError: a file is there and may not be replaced; nothing was written.
    """
    different = len({same_everywhere(str(path)) for path in paths})
    if len(pictures) != len(paths) or different != len(paths):
        raise ValueError(
            f"{len(pictures)} pictures for {different} different files; expected one file name a picture "
            "(letter case and the spelling of accents make no difference on Windows and macOS)"
        )
    there = [path for path in paths if os.path.lexists(path)]
    if there and not overwrite:
        raise FileExistsError(f"{there[0]} is there already; allow overwriting, or choose another folder")
    with whole_files() as files:
        for picture, path in zip(pictures, paths, strict=True):
            file, profile = files.open(path), picture.info.get("icc_profile")
            if path.suffix == SUFFIXES["png"]:
                picture.save(file, "PNG", icc_profile=profile)
            else:
                picture.save(file, "JPEG", quality=JPEG_QUALITY, icc_profile=profile)
