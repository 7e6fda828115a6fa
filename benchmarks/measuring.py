"""Seconds and resident memory of a piece of work."""

from __future__ import annotations

import threading
import time
from types import TracebackType

import psutil

MIB = 2**20
_EVERY = 0.005  # seconds between two looks


def resident() -> int:
    """Bytes this process has in memory."""
    return psutil.Process().memory_info().rss


class Measured:
    """`with Measured() as m: ...`, then `m.seconds`, and bytes: `m.before`, `m.after`, `m.peak` resident at once.

    Pages of mapped files count while they are in memory.
    """

    seconds = 0.0
    before = after = peak = 0

    def __enter__(self) -> Measured:
        self._stop = threading.Event()
        self.before = self.peak = resident()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        self._started = time.perf_counter()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.seconds = time.perf_counter() - self._started
        self._stop.set()
        self._watcher.join()
        self.after = resident()
        self.peak = max(self.peak, self.after)

    def _watch(self) -> None:
        while not self._stop.wait(_EVERY):
            self.peak = max(self.peak, resident())
