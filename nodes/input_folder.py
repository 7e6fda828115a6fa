"""What a list of files may offer: names in ComfyUI's input folder, looked at without ever raising.

ComfyUI asks for these lists when it describes the nodes: whatever lies in somebody's folder must not take the list of
nodes down with it. `files.py` holds the nodes.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Sequence
from pathlib import Path

from .listing import can_be_chosen

log = logging.getLogger(__name__)

LOOKED_INTO = 2000
"""How many files of a list are opened at most, 26 bytes each, to see what they are."""

_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_GREY, _PALETTE = 0, 3


def names(folder: Path, *endings: str) -> list[str]:
    """Sorted names of a folder's files with some endings (lower case, with dot); none where it cannot be read.

    Left out: what is no file (folders, dangling links, pipes), and names that are not text, which no browser could
    send back.
    """
    try:
        entries = os.listdir(folder)
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("LaDI-VTON cannot list %s: %s", folder, error)
        return []
    return sorted(
        name
        for name in entries
        if name.lower().endswith(endings) and can_be_chosen(name) and os.path.isfile(os.path.join(folder, name))
    )


def label_pictures(files: Sequence[Path]) -> set[Path]:
    """Those PNG files that can be label maps: grey or palette pictures, told from their header."""
    return {file for file in files[:LOOKED_INTO] if _can_be_labels(str(file))}


def _can_be_labels(path: str) -> bool:
    try:
        state = os.stat(path)
    except OSError:
        return False
    return _is_grey_or_palette(path, state.st_size, state.st_mtime_ns)


@functools.lru_cache(maxsize=2 * LOOKED_INTO)
def _is_grey_or_palette(path: str, size: int, modified: int) -> bool:
    """Whether a PNG header says so; read once a version of a file."""
    try:
        with open(path, "rb") as file:
            header = file.read(26)
    except OSError as error:
        log.debug("LaDI-VTON cannot look into %s: %s", path, error)
        return False
    if len(header) < 26 or not header.startswith(_PNG):
        return False
    return header[25] in (_GREY, _PALETTE)  # after width, height and bit depth
