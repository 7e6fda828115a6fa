"""How far a stage is and when it ends: after its steps, after its minutes, or after whichever comes first."""

from __future__ import annotations

import time

from .config import TrainingSettings

_FINE = 100_000  # of so many parts the way consists where a clock measures it


class Pace:
    """The way of a stage.

    Without `minutes` everything is a function of the step, so that runs can be repeated and resumed to the bit.

    Args:
        settings: of the stage.
        rows: training samples, for `epochs`.
        first: steps made already.
        seconds: spent already.
    """

    def __init__(self, settings: TrainingSettings, rows: int, first: int = 0, seconds: float = 0.0):
        self.settings, self.first = settings, first
        self.steps = settings.total_steps(rows)
        self.limit = 60 * settings.minutes
        self._started = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Spent so far, over all calls."""
        return time.monotonic() - self._started

    def over(self, step: int) -> bool:
        """Whether nothing is left to do after `step` steps. One step at least is made, however little time there is."""
        return bool(self.steps and step >= self.steps) or bool(self.limit and step and self.seconds >= self.limit)

    def share(self, step: int) -> float:
        """Share of the way made after `step` steps, in [0, 1]."""
        shares = [step / self.steps] if self.steps else []
        if self.limit:
            shares.append(self.seconds / self.limit)
        return min(1.0, max(shares))

    def rate_factor(self, step: int) -> float:
        """What the learning rate is multiplied by at a step."""
        if not self.limit:
            return self.settings.rate_factor(step, self.steps)
        return self.settings.rate_factor(self.share(step) * _FINE, _FINE)
