"""Files that are whole or not there: the project's one writer.

A file is written under a short hidden name in its own folder, flushed to the disk, and then gets its name, all at once.
When something goes wrong the hidden file is taken away and what was there before is untouched. What a killed run left
lies hidden for a day and goes with the next `clean` of the folder.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from .names import MAX_NAME

_PART = re.compile(r"\.[0-9a-f]{8}\.part")
FORGOTTEN = 24 * 3600
"""Seconds after which an unfinished file is a killed run's; until then somebody may be writing it."""
_ADVICE = {
    getattr(errno, "EDQUOT", errno.ENOSPC): "make room in your share of the disk and try again",
    errno.ENOSPC: "make room on the disk and try again",
    errno.EFBIG: "this disk or this process may hold no file so large; choose another folder",
    errno.ENAMETOOLONG: "choose a folder with a shorter path",
    errno.EACCES: "allow writing into its folder, or choose another",
    errno.EPERM: "allow writing into its folder, or choose another",
    errno.EROFS: "choose a folder on a disk that may be written",
    errno.ENOTDIR: "a file has the name of one of its folders; choose another folder",
    errno.EEXIST: "a file has the name of one of its folders; choose another folder",
    errno.EISDIR: "a folder has that name; choose another",
    errno.ELOOP: "its links lead in a circle; choose another folder",
}


class Files:
    """Files that get their names together, after all have been written; see `whole_files`."""

    def __init__(self) -> None:
        self._pending: list[tuple[IO[bytes], Path, Path]] = []

    def open(self, path: Path) -> IO[bytes]:
        """A binary file to write, which will be `path`; missing folders are made.

        Raises:
            OSError: the folder cannot be written; the message names `path`.
        """
        with _naming(path):
            final = Path(os.path.realpath(path)) if path.is_symlink() else path
            final.parent.mkdir(parents=True, exist_ok=True)
            part = final.with_name(f".{uuid.uuid4().hex[:8]}.part")
            file = part.open("xb")
        self._pending.append((file, part, path))
        return file

    def finish(self) -> None:
        """Everything to the disk, then every name."""
        for file, part, path in self._pending:
            with _naming(path):
                file.flush()
                os.fsync(file.fileno())  # the name must not be there before the content, whatever happens
                file.close()
                final = Path(os.path.realpath(path)) if path.is_symlink() else path
                with contextlib.suppress(FileNotFoundError):
                    shutil.copymode(final, part)
        for _, part, path in self._pending:
            with _naming(path):
                os.replace(part, Path(os.path.realpath(path)) if path.is_symlink() else path)

    def clean_up(self) -> None:
        """Take away what has no name yet."""
        for file, part, _ in self._pending:
            with contextlib.suppress(OSError):
                file.close()
            with contextlib.suppress(OSError):
                part.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_files() -> Iterator[Files]:
    """Several files, none of which gets its name before all are written.

    Raises:
        OSError: the disk is full or the folder closed; the message names the file, and nothing is left behind.
    """
    files = Files()
    try:
        yield files
        files.finish()
    finally:
        files.clean_up()


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[IO[bytes]]:
    """One binary file to write, which is `path` when the block ends well and nothing otherwise."""
    with whole_files() as files:
        file = files.open(path)
        with _naming(path, body=True):
            yield file


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file, whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_text(path: Path, content: str) -> None:
    """Write a text in UTF-8; what UTF-8 cannot hold (half of a surrogate pair in a name) is escaped."""
    write_bytes(path, content.encode("utf-8", "backslashreplace"))


def write_json(content: Any, path: Path) -> None:
    """Write a JSON file, ending in a line break."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def write_picture(picture: Any, path: Path, **options: Any) -> None:
    """Write a Pillow picture in the format of the name's ending; `options` are Pillow's."""
    from PIL import Image

    Image.init()
    kind = Image.EXTENSION.get(path.suffix.lower())
    if kind is None:
        raise ValueError(f"{path}: no picture format has the ending {path.suffix!r}; take .png or .jpg")
    with whole_file(path) as file:
        picture.save(file, kind, **options)


def clean(folder: Path) -> int:
    """Take away what killed runs left in a folder more than a day ago; how many files."""
    removed = 0
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):  # Windows does not delete what another process has open
                old = time.time() - entry.stat(follow_symlinks=False).st_mtime > FORGOTTEN
                if old and _PART.fullmatch(entry.name):
                    os.unlink(entry.path)
                    removed += 1
    return removed


@contextlib.contextmanager
def _naming(path: Path, body: bool = False) -> Iterator[None]:
    """Say of an OSError which file could not be written, why, and what to do; its kind stays what it was.

    Args:
        body: the caller's work is inside, in which other files may fail as well: those errors name their own.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None or "could not be written" in str(error) or (body and error.filename is not None):
            raise
        if error.errno == errno.ENAMETOOLONG and len(os.fsencode(path.name)) > MAX_NAME:
            raise OSError(error.errno, f"{path.name!r} is too long for a name; choose a shorter one") from error
        advice = _ADVICE.get(error.errno, "nothing was changed")
        raise OSError(error.errno, f"{path} could not be written: {os.strerror(error.errno)}; {advice}") from error
