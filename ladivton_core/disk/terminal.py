"""Commands at a terminal: what they print, log records with everything escaped that a terminal would obey, and how they
end.

Names of files, tensors and people come from anywhere; a file called `\\x1b[2J.jpg` must not clear the screen, and half
of a surrogate pair must not end a report that is nearly finished.
"""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
from collections.abc import Iterator
from typing import IO

from .names import printable


class PlainText(logging.Formatter):
    """A formatter whose lines hold no orders to a terminal."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter`, then escaped."""
        return printable(super().format(record))


def to_terminal(stream: IO[str] | None = None, form: str = "%(message)s") -> None:
    """Show log records of INFO and above, unless the caller has set logging up already.

    Args:
        stream: standard error when None.
        form: of a line, as `logging` takes it.
    """
    stream = stream or sys.stderr
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows the rest of the line
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainText(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@contextlib.contextmanager
def unwinding_on_terminate() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, so that no unfinished file stays behind; where signals can be caught."""
    try:
        before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
