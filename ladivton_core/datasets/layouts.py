"""The data sets by name: opening one, and telling which one a folder holds.

`vitonhd.py` and `dresscode.py` know their layouts; the commands and ComfyUI's nodes choose between them here.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from pathlib import Path

from ..disk.looking import file_there, folder_there
from ..disk.names import is_hidden, is_text
from .dresscode import ALL_CATEGORIES, DressCode
from .reading import check_choice
from .sample import SIZE, Order, Split
from .vitonhd import VitonHD

log = logging.getLogger(__name__)

DATASETS: dict[str, type[VitonHD] | type[DressCode]] = {"vitonhd": VitonHD, "dresscode": DressCode}
"""Class by the name the commands take."""


def open_dataset(
    name: str,
    root: str | Path,
    split: Split = "test",
    order: Order = "paired",
    category: str = "all",
    size: tuple[int, int] = SIZE,
) -> VitonHD | DressCode:
    """Open a data set by its name.

    Args:
        name: one of `DATASETS`.
        root, split, order, size: see the classes.
        category: `all` or one of Dress Code's; VITON-HD has one only and takes any, as the published code does.

    Raises:
        ValueError, FileNotFoundError: an unknown choice, or see the classes.
    """
    check_choice("data set", name, tuple(DATASETS))
    check_choice("category", category, ("all", *ALL_CATEGORIES))
    if DATASETS[name] is VitonHD:
        return VitonHD(root, split, order, size)
    return DressCode(root, split, order, ALL_CATEGORIES if category == "all" else (category,), size)


def recognise(root: str | Path) -> str | None:
    """Which of `DATASETS` a folder holds, told from its pair lists; None for neither."""
    root = Path(root)
    # Dress Code's categories also have a train_pairs.txt, but no folder `train`.
    for split in ("test", "train"):
        if _is_there(file_there, root / f"{split}_pairs.txt") and _is_there(folder_there, root / split):
            return "vitonhd"
    if any(_is_there(file_there, pairs.path) for pairs in DressCode.pair_lists(root)):
        return "dresscode"
    return None


def _is_there(kind: Callable[[Path], bool], path: Path) -> bool:
    try:
        return kind(path)
    except ValueError as error:  # lost+found, another user's folder, a broken disk: what else is there still counts
        log.info("%s", error)
        return False


def find(folder: str | Path, depth: int = 2) -> dict[str, Path]:
    """Data sets in a folder and the folders in it, by their path below it.

    Args:
        folder: where to look; nothing is found in one that is not there.
        depth: levels of folders to go down. A data set is not searched for others.
    """
    found: dict[str, Path] = {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if _is_visible_folder(entry))
    except (OSError, ValueError):  # not there, not ours to read, or a name beyond the locale
        return found
    for name in names:
        inside = Path(folder) / name
        if recognise(inside):
            found[name] = inside
        elif depth > 1:
            found |= {f"{name}/{below}": path for below, path in find(inside, depth - 1).items()}
    return found


def _is_visible_folder(entry: os.DirEntry) -> bool:
    try:
        if not entry.is_dir() or is_hidden(entry.name):
            return False
    except OSError:  # a link in a circle, an unreachable disk
        return False
    if not is_text(entry.name):
        log.warning("The folder %a is not looked into: its name is no text here. Rename it.", entry.name)
        return False
    return True
