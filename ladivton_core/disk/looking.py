"""Whether a file is there, asked without surprises.

`Path.is_file` raises for a closed folder or a name no disk takes, and in newer Pythons calls both "not there". Here
what is not there is told from what cannot be told.
"""

from __future__ import annotations

import errno
import functools
import os
import stat
from pathlib import Path
from typing import IO

from .names import BEYOND_LOCALE, same_everywhere

_ADVICE = {
    errno.ENAMETOOLONG: "no disk takes so long a name",
    errno.ELOOP: "its links lead in a circle",
    errno.EACCES: "allow reading its folder",
    errno.EPERM: "allow reading its folder",
}


def file_there(path: Path) -> bool:
    """Whether a path is a file, or a link that leads to one.

    Raises:
        ValueError: it cannot be told: a closed folder, a name that is too long, links in a circle, a failing disk. The
            message names the path and the way out.
    """
    return stat.S_ISREG(_mode(path))


def folder_there(path: Path) -> bool:
    """Whether a path is a folder, or a link that leads to one; raises as `file_there`."""
    return stat.S_ISDIR(_mode(path))


def require_file(path: Path, called: str = "") -> None:
    """Before a file from anywhere is opened: a pipe among the files would keep its reader waiting for ever.

    Raises:
        FileNotFoundError: there is nothing.
        ValueError: something else is there, or it cannot be told; the message calls it `called`, or by its path.
    """
    mode, called = _mode(path), called or str(path)
    if not mode:
        raise FileNotFoundError(f"there is no file {called}{spelled_otherwise(path)}")
    if stat.S_ISDIR(mode):
        raise ValueError(f"{called} is a folder")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{called} is no file but a pipe, a socket or a device")


def spelled_otherwise(path: Path) -> str:
    """For the message about a missing file: what lies in its folder and would be it on Windows or macOS; or nothing."""
    try:
        found = _spellings(str(path.parent), path.parent.stat().st_mtime_ns).get(same_everywhere(path.name))
    except (OSError, ValueError):
        return ""
    if found in (None, path.name):
        return ""
    return (
        f"; there is {found}, which is another name here by its letter case or the spelling of its accents: rename it, "
        "or write it as it is"
    )


@functools.lru_cache(16)
def _spellings(folder: str, changed: int) -> dict[str, str]:
    return {same_everywhere(name): name for name in os.listdir(folder)}


def open_file(path: Path, called: str = "") -> IO[bytes]:
    """A file opened to be read, in binary.

    Raises:
        FileNotFoundError, ValueError: see `require_file`; or it may not be read.
    """
    require_file(path, called)
    try:
        return path.open("rb")
    except OSError as error:
        raise ValueError(f"{called or path} cannot be read ({error.strerror}); allow reading it") from error


def _mode(path: Path) -> int:
    try:
        return os.stat(path).st_mode
    except (FileNotFoundError, NotADirectoryError):
        return 0
    except OSError as error:
        advice = _ADVICE.get(error.errno, "look at the disk it lies on")
        raise ValueError(f"{path} cannot be reached ({error.strerror}); {advice}") from error
    except UnicodeEncodeError as error:  # nor do logs take it
        raise ValueError(f"{str(path)!a} cannot be read: {BEYOND_LOCALE}") from error
    except ValueError as error:  # a zero byte in the name
        raise ValueError(f"{str(path)!a} cannot be the name of a file ({error})") from error
