"""On a processor, freed memory is kept for the next tensor while a picture is made.

The C library of most Linux systems hands a large block back to the system as soon as it is freed. The next layer's
result then lies on new pages, which the system clears one after the other: of the exact mode's time at 512x384 that was
more than a third (docs/performance.md). No number changes. `speed.on_the_processor` and the nodes use it.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

MIB = 2**20
MOST_FREE = 512 * MIB
"""Freed bytes at the end of the heap that are kept; what is beyond goes back at once."""
LARGEST = 64 * MIB
"""Of the blocks that are kept. Larger ones leave holes: with 128 MiB the published models took .7 GB more."""
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # M_... of malloc.h
_KEPT = {_MMAP_THRESHOLD: LARGEST, _TRIM_THRESHOLD: MOST_FREE}
_USUAL = {_MMAP_THRESHOLD: 32 * MIB, _TRIM_THRESHOLD: 64 * MIB}  # where glibc's own adjustment ends
_WORTH = 64 * MIB
"""Growth of the process from which on it is tidied up afterwards, which takes some hundredths of a second."""
_OWN = ("MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_MAX_", "GLIBC_TUNABLES", "LD_PRELOAD")
_SIZE = Path("/proc/self/statm")

_lock = Lock()
_inside = 0
_before = 0  # bytes of the process when the outermost use began


def ask_for_large_pages() -> None:
    """For a command, before its first tensor: torch takes pages of 2 MiB for large ones where the system has them."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


@contextmanager
def freed_memory_kept() -> Iterator[None]:
    """Inside, freed blocks stay with the process; at the end of the outermost use they go back to the system.

    For the whole process, whatever thread asks. Nothing is done outside glibc, or where the environment has settings of
    its own for it.
    """
    global _inside, _before
    library = _glibc()
    if library is None:
        yield
        return
    with _lock:
        _inside += 1
        if _inside == 1:
            _before = _resident()
            _set(library, _KEPT)
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _set(library, _USUAL)
                if _resident() - _before > _WORTH:
                    library.malloc_trim(0)


@lru_cache(maxsize=1)
def _glibc() -> Any:
    """The C library, where it is glibc, left to its own settings, and the process's size can be read."""
    if sys.platform != "linux" or any(os.environ.get(name) for name in _OWN) or not _SIZE.is_file():
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "gnu_get_libc_version") else None


def _set(library: Any, values: dict[int, int]) -> None:
    for what, value in values.items():
        if not library.mallopt(what, value):  # glibc before 2.35 takes nothing larger
            library.mallopt(what, _USUAL[what])


def _resident() -> int:
    """Bytes this process has in memory."""
    return int(_SIZE.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
