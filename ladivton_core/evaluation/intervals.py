"""How sure a figure is: bootstrap intervals, paired differences, and whether a difference is more than chance.

A figure is a function of pictures' numbers, so that means of pictures, distances of sets and scores are all treated
alike: people are drawn again with replacement, the same ones for every system (Efron 1979); for a difference every
person's two pictures are exchanged between the systems at random (Fisher's permutation test, which assumes nothing of
how the values lie). Everything is drawn from a seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95
"""Of every interval."""
SIGNIFICANT = 0.05
"""A difference with a smaller p, corrected for the number of pairs, is called one."""

Score = Callable[[np.ndarray], np.ndarray]
"""Figures (R,) of pictures by their numbers (R, N): each row is one set of pictures, some of them several times."""


@dataclass(frozen=True)
class Estimate:
    """A figure of so many `people`, and where it would lie with others: `low` to `high` in `LEVEL` of all cases."""

    value: float
    low: float
    high: float
    people: int


@dataclass(frozen=True)
class Difference(Estimate):
    """First system less second, over the people that both have.

    Attributes:
        p: how often chance alone parts the systems as far; of the permutation test.
        significant: whether it is below `SIGNIFICANT` after Holm's correction (`mark_significant`).
    """

    p: float
    significant: bool = False


def estimate(score: Score, pictures: np.ndarray, resamples: int, seed: int) -> Estimate:
    """A figure of pictures (N,) with its interval.

    The spread of the resampled figures is laid around the figure itself: distances of sets grow by drawing a picture
    twice, which says nothing of the people.
    """
    draws = np.random.default_rng(seed).integers(0, len(pictures), (resamples, len(pictures)))
    return Estimate(*_around(float(score(pictures[None])[0]), score(pictures[draws])), len(pictures))


def difference(score: Score, first: np.ndarray, second: np.ndarray, resamples: int, seed: int) -> Difference:
    """A figure of one system's pictures (N,) less that of another's of the same people in the same order."""
    generator = np.random.default_rng(seed)
    draws = generator.integers(0, len(first), (resamples, len(first)))
    value = float(score(first[None])[0] - score(second[None])[0])
    spread = score(first[draws]) - score(second[draws])
    swapped = generator.random((resamples, len(first))) < 0.5
    by_chance = score(np.where(swapped, second, first)) - score(np.where(swapped, first, second))
    as_far = np.abs(by_chance) >= abs(value) - 1e-9 * (1 + np.abs(by_chance))  # rounding alone parts no systems
    return Difference(*_around(value, spread), len(first), p=float((1 + as_far.sum()) / (1 + resamples)))


def mark_significant(ps: Sequence[float]) -> list[bool]:
    """Which of several tests of one figure stand, by Holm's rule: the chance of one false among all is kept."""
    marks, standing = [False] * len(ps), True
    for place, index in enumerate(sorted(range(len(ps)), key=lambda index: ps[index])):
        standing = standing and ps[index] * (len(ps) - place) < SIGNIFICANT
        marks[index] = standing
    return marks


def _around(value: float, resampled: np.ndarray) -> tuple[float, float, float]:
    """The figure, and the two ends of its interval."""
    low, high = np.quantile(resampled - resampled.mean(), ((1 - LEVEL) / 2, (1 + LEVEL) / 2))
    return value, value + float(low), value + float(high)
