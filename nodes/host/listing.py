"""What a list of files offers and where a choice lies: ComfyUI's input folder, then the pack's own examples.

ComfyUI asks for every schema when it imports the pack and at each press of R. What lies on the disk, an unreadable
folder, a link in a circle, a name that is no text or beyond the locale, is then logged and left out: a person can act
on a shorter list, not on missing nodes. `model_files.py` lists models.

Examples lie in the pack. ComfyUI's page shows a chosen picture from its own folders only, and Nodes 2.0 asks for a
list's thumbnails by name alone, without a subfolder. So a copy of each example picture goes into ComfyUI's temp folder
when it starts, and the list names it as ComfyUI does what is there: `person [example].png [temp]`, which the page shows
as `person.png [example]` (`web/js/examples.js`). A node that runs reads the pack's file: without the copies nothing but
pictures on the page is missing.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import folder_paths

from ...ladivton_core.disk import pictures
from ...ladivton_core.disk.names import is_hidden, is_text
from ...ladivton_core.disk.writing import whole_files

log = logging.getLogger(__name__)

SAMPLES = Path(__file__).parents[2] / "samples"
EXAMPLE = " [example]"
"""Marks the pack's own files in a list, so that the shipped workflow runs before anything is uploaded."""
BEFORE = "[example] "
"""How they were marked up to 0.2; files that say so keep loading."""
SHOWN = " [temp]"
"""ComfyUI's mark for a file of its temp folder."""

LOOKED_INTO = 2000
"""How many files of a list are opened at most, 26 bytes each, to see what they are."""
_PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
_GREY, _PALETTE = 0, 3


class Listed(list):
    """The entries of a list that changes with what lies on the disk.

    Attributes:
        find: gives where a choice lies; its ValueError says what is wrong with one that lies nowhere.
    """

    find: Callable[[str], Any]

    @classmethod
    def by(cls, find: Callable[[str], Any], offer: Callable[..., Sequence[str]], *given: str) -> Listed:
        """The list of what `offer(*given)` gives; whatever it raises is logged and leaves the list empty.

        No `__init__`: ComfyUI makes another one of the entries alone, for its page.
        """
        try:
            made = cls(offer(*given))
        except Exception:
            made = cls()
            log.exception("LaDI-VTON cannot list the files for %s; the list stays empty.", ", ".join(given) or "a node")
        made.find = find
        return made

    def fault(self, choice: Any) -> str | None:
        """What is wrong with a choice, in the list or not; None when it can be had."""
        if not isinstance(choice, str):
            return f"{choice!r} is no name of a file."
        try:
            self.find(choice)
        except ValueError as error:
            return str(error)
        return None


def can_be_chosen(name: str) -> bool:
    """Whether a list may offer a name: not what the system keeps there, nor bytes that are no text on this system."""
    if any(map(is_hidden, re.split(r"[/\\]", name))):
        return False
    if is_text(name):
        return True
    _say_once(name)
    return False


@functools.cache
def _say_once(name: str) -> None:
    """Lists are made at every press of R, by each node, and ComfyUI's go round circles of links forty times."""
    log.warning("LaDI-VTON does not offer %a: its name is no text here. Rename it.", name)


def input_files(*endings: str, labels_first: bool = False) -> Listed:
    """The input folder's files with these endings (lower case, with dot), then the examples.

    Args:
        labels_first: those PNG files first that can be label pictures.
    """

    def offer(*endings: str) -> list[str]:
        inputs = Path(folder_paths.get_input_directory())
        listing = [(inputs / name, name) for name in _names(inputs, *endings)]
        listing += [(SAMPLES / name, example(name)) for name in _names(SAMPLES, *endings)]
        if labels_first:
            able = {path for path, _ in listing[:LOOKED_INTO] if _can_be_labels(str(path))}
            listing.sort(key=lambda entry: entry[0] not in able)
        return [shown for _, shown in listing]

    return Listed.by(find_input, offer, *endings)


def _names(folder: Path, *endings: str) -> list[str]:
    """Sorted names of a folder's files with some endings; none where it cannot be read.

    Left out: what is no file (folders, dangling links, pipes), hidden files, and names that are not text, which no
    browser could send back.
    """
    try:
        entries = os.listdir(folder)
    except (OSError, ValueError) as error:
        if not isinstance(error, FileNotFoundError):
            log.warning("LaDI-VTON cannot list %a: %a", str(folder), str(error))
        return []
    return sorted(
        name
        for name in entries
        if name.lower().endswith(endings) and can_be_chosen(name) and os.path.isfile(os.path.join(folder, name))
    )


def _can_be_labels(path: str) -> bool:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
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
    # The colour type comes after width, height and bit depth.
    return len(header) == 26 and header.startswith(_PNG) and header[25] in (_GREY, _PALETTE)


def example(name: str) -> str:
    """How a list calls an example: the name first, since lists are narrow."""
    stem, ending = os.path.splitext(name)
    return f"{stem}{EXAMPLE}{ending}{SHOWN}" if ending in pictures.endings() else name + EXAMPLE


def example_name(choice: str) -> str | None:
    """The example that a choice names, as today or as before; None for everything else."""
    if choice.startswith(BEFORE):
        return choice.removeprefix(BEFORE)
    if choice.endswith(EXAMPLE):
        return choice.removesuffix(EXAMPLE)
    stem, ending = os.path.splitext(choice.removesuffix(SHOWN))
    return stem.removesuffix(EXAMPLE) + ending if choice.endswith(SHOWN) and stem.endswith(EXAMPLE) else None


def is_example(choice: str) -> bool:
    """Whether a chosen file is one of the pack's examples, be it a copy that somebody uploaded."""
    if example_name(choice) is not None:
        return True
    try:
        path = find_input(choice)
        size = path.stat().st_size
        same = [file for file in SAMPLES.iterdir() if file.is_file() and file.stat().st_size == size]
        return any(file.read_bytes() == path.read_bytes() for file in same)
    except (OSError, ValueError):  # no file of this list: another node's
        return False


def find_input(choice: str) -> Path:
    """Where a chosen file lies.

    Raises:
        ValueError: none is chosen, it is not there, or it lies outside ComfyUI's folders.
    """
    if choice == "":
        raise ValueError("No file is chosen. Copy one into ComfyUI's input folder and press R to refresh the list.")
    if (name := example_name(choice)) is not None:
        folder = SAMPLES
    else:
        name, base = folder_paths.annotated_filepath(choice)
        folder = Path(base or folder_paths.get_input_directory())
    path = folder / name.strip()
    try:
        found = path.resolve().is_relative_to(folder.resolve()) and path.is_file()
    except (OSError, ValueError, RuntimeError):  # no rights, a name no disk has, links in a circle
        found = False
    if not found:
        raise ValueError(
            f"There is no file {choice!r} in {folder}. "
            "Upload it (POST /upload/image), or copy it there, and press R to refresh the list."
        )
    return path


def digest_of(choice: str, *options: object) -> str:
    """For `fingerprint_inputs`: another one when the file's content or the options change."""
    digest = hashlib.sha256()
    with find_input(choice).open("rb") as content:
        while block := content.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() + repr(options)


def show_examples() -> None:
    """Lay the example pictures where ComfyUI's page looks for them; it empties that folder when it starts and ends."""
    folder = Path(folder_paths.get_temp_directory())
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with whole_files() as writer:
            for name in _names(SAMPLES, *pictures.endings()):
                writer.open(folder / example(name).removesuffix(SHOWN)).write((SAMPLES / name).read_bytes())
    except (OSError, ValueError) as error:
        log.warning(
            "The page will not show LaDI-VTON's example pictures; its nodes read them all the same: %a", str(error)
        )
