"""How far a run is: a bar at a terminal, a line now and then in a log; pictures a second and the time left."""

from __future__ import annotations

import logging
import sys
import time

log = logging.getLogger(__name__)

EVERY = 30.0
"""Seconds between lines where there is no terminal."""


class Progress:
    """Counts outcomes.

    Args:
        total: pictures to make.
        show: False counts without a word.
    """

    def __init__(self, total: int, show: bool = True) -> None:
        from tqdm import tqdm

        self.total, self.done, self.errors = total, 0, 0
        self.show = show and total > 0
        self.start = self._said = time.monotonic()
        terminal = self.show and sys.stderr.isatty()
        self._bar = tqdm(total=total, unit="picture", smoothing=0.05, disable=not terminal)
        self._lines = self.show and not terminal

    def add(self, failed: bool) -> None:
        """One more outcome."""
        self.done += 1
        self.errors += failed
        self._bar.update(1)
        if self.errors:
            self._bar.set_postfix(errors=self.errors, refresh=False)
        now = time.monotonic()
        if self._lines and now - self._said > EVERY:
            self._said = now
            log.info("%s", self.line())

    @property
    def seconds(self) -> float:
        """Since the start."""
        return time.monotonic() - self.start

    def line(self) -> str:
        """Where it stands, in words."""
        seconds = max(self.seconds, 1e-3)
        left = (self.total - self.done) * seconds / max(self.done, 1)
        text = f"{self.done} of {self.total} pictures, {self.done / seconds:.2f} a second, {in_words(left)} left"
        return text + (f", {self.errors} errors" if self.errors else "")

    def close(self) -> None:
        """Take the bar down."""
        self._bar.close()


def in_words(seconds: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h, 12 days."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"
