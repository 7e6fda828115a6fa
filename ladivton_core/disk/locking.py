"""One command at a time in a folder: a lock that the system lets go of when its holder ends, however that happens."""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import platform
from collections.abc import Iterator
from pathlib import Path

log = logging.getLogger(__name__)

_HELD = (errno.EACCES, errno.EAGAIN, errno.EWOULDBLOCK, errno.EDEADLK)
_FAR = 1 << 30  # Windows locks bytes: one far behind the words, which others may then read


class Locked(OSError):
    """Another process has the lock; the message says which, as far as it is known."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """While the block lasts nobody else gets past here with this path, in this process or another.

    Where the disk knows no locks (some network disks) everybody does, which the log says.

    Raises:
        Locked: somebody is in there.
        OSError: the folder cannot be written.
    """
    while True:
        with path.open("a+b") as file:
            try:
                _lock(file.fileno())
            except OSError as error:
                if error.errno in _HELD:
                    file.seek(0)
                    holder = file.read(200).decode("utf-8", "replace").strip() or "another process"
                    raise Locked(error.errno, holder) from None
                log.warning("%s cannot be locked (%s): run one command at a time there", path.parent, error.strerror)
                yield
                return
            # between opening and locking, the last holder may have taken the file away
            if os.name == "nt" or (path.exists() and os.path.samestat(os.fstat(file.fileno()), os.stat(path))):
                file.truncate(0)
                file.write(f"process {os.getpid()} on {platform.node()}".encode("utf-8", "backslashreplace"))
                file.flush()
                try:
                    yield
                finally:
                    if os.name != "nt":  # there an open file stays, and does no harm
                        path.unlink(missing_ok=True)
                return


def _lock(file: int) -> None:
    if os.name == "nt":
        import msvcrt

        os.lseek(file, _FAR, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
