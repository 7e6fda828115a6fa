"""Seconds and resident memory of a piece of work."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType

import psutil
from torch import Tensor

MIB = 2**20
_EVERY = 0.005  # seconds between two looks


def resident() -> int:
    """Bytes this process has in memory."""
    return psutil.Process().memory_info().rss


def anonymous() -> int:
    """Bytes this process has in memory, without pages of mapped files, which the system can drop."""
    memory = psutil.Process().memory_info()
    return memory.rss - getattr(memory, "shared", 0)


def mapped(tensors: Iterable[Tensor]) -> int:
    """Bytes of tensors that lie in mapped files: no memory of the process's own, and yet in use."""
    if not (maps := Path("/proc/self/maps")).is_file():
        return 0
    lines = (line.split(maxsplit=5) for line in maps.read_text().splitlines())
    files = [
        tuple(int(end, 16) for end in words[0].split("-")) for words in lines if len(words) > 5 and words[4] != "0"
    ]
    return sum(t.nbytes for t in tensors if any(start <= t.data_ptr() < end for start, end in files))


class Measured:
    """`with Measured() as m: ...`, then `m.seconds`, and bytes: `m.before`, `m.after`, `m.peak` resident at once.

    `count` tells the bytes; with `resident`, pages of mapped files count while they are in memory.
    """

    seconds = 0.0
    before = after = peak = 0

    def __init__(self, count: Callable[[], int] = resident) -> None:
        self.count = count

    def __enter__(self) -> Measured:
        self._stop = threading.Event()
        self.before = self.peak = self.count()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._started
        self._stop.set()
        self._watcher.join()
        self.after = self.count()
        self.peak = max(self.peak, self.after)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY):
            self.peak = max(self.peak, self.count())
