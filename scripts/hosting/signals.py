"""Turn a polite kill into an ordinary exit, so that `with ComfyServer(...)` shuts its server down."""

from __future__ import annotations

import signal
import sys


def exit_on_terminate() -> None:
    """From now on SIGTERM (a CI time-out, `kill`) unwinds the stack as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
