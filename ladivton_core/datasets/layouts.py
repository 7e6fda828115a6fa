"""The data sets by name: opening one, and telling which one a folder holds.

`vitonhd.py` and `dresscode.py` know their layouts; the commands and ComfyUI's nodes choose between them here.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

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
    try:
        return _recognised(root)
    except OSError as error:  # lost+found, another user's folder, a broken disk
        log.info("%s is not looked into: %s", root, error.strerror)
        return None


def _recognised(root: Path) -> str | None:
    # Dress Code's categories also have a train_pairs.txt, but no folder `train`.
    if any((root / f"{split}_pairs.txt").is_file() and (root / split).is_dir() for split in ("test", "train")):
        return "vitonhd"
    if any(pairs.path.is_file() for pairs in DressCode.pair_lists(root)):
        return "dresscode"
    return None


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
    except OSError:  # not there, or not ours to read
        return found
    for name in names:
        inside = Path(folder) / name
        try:
            here = recognise(inside)
        except OSError:  # may be listed, not entered
            continue
        if here:
            found[name] = inside
        elif depth > 1:
            found |= {f"{name}/{below}": path for below, path in find(inside, depth - 1).items()}
    return found


def _is_visible_folder(entry: os.DirEntry) -> bool:
    try:
        # A name that is no text (bytes of another encoding) cannot be chosen in a browser.
        return entry.is_dir() and not entry.name.startswith(".") and entry.name.isprintable()
    except OSError:  # a link in a circle, an unreachable disk
        return False
