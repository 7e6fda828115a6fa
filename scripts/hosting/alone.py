"""One process at a time: the test processes find missing parts at the same moment, and only one may install them."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from .places import HOST


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process is in here, of those that install into this folder; a killed one holds nothing."""
    HOST.mkdir(parents=True, exist_ok=True)
    with (HOST / "lock").open("a+b") as file:
        if os.name != "nt":
            import fcntl

            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f"[host] waiting for another process that installs into {HOST}", file=sys.stderr, flush=True)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield
            return
        import msvcrt

        while True:
            try:
                msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
                break
            except OSError:
                time.sleep(0.5)
        try:
            yield
        finally:
            msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
