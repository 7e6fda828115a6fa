"""Several ways to do one thing, timed in turn, so that whatever slows the machine down slows all of them.

Ratios are taken within a round and their median is the figure. Under load from others seconds mean little and ratios
still something; processor seconds, on one thread, mean more.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Times:
    """Seconds of one way, a value a round: on the clock, and of the processor (all threads)."""

    clock: tuple[float, ...]
    processor: tuple[float, ...]

    @property
    def median(self) -> float:
        """Seconds on the clock."""
        return statistics.median(self.clock)


def ratio(of: Times, to: Times, *, processor: bool = False) -> float:
    """Median of the rounds' ratios."""
    pairs = zip(of.processor, to.processor, strict=True) if processor else zip(of.clock, to.clock, strict=True)
    return statistics.median(a / max(b, 1e-9) for a, b in pairs)


def in_turn(ways: Mapping[str, Callable[[], object]], rounds: int, device: torch.device) -> dict[str, Times]:
    """Every way once to warm up, then all of them in turn; every other round backwards."""
    with torch.inference_mode():
        for way in ways.values():
            way()
        found: dict[str, list[tuple[float, float]]] = {name: [] for name in ways}
        for round_ in range(rounds):
            names = list(ways) if round_ % 2 == 0 else list(ways)[::-1]
            for name in names:
                found[name].append(once(ways[name], device))
    return {name: Times(*map(tuple, zip(*times, strict=True))) for name, times in found.items()}


def once(way: Callable[[], object], device: torch.device) -> tuple[float, float]:
    """Seconds of one call: clock, processor."""
    _wait(device)
    clock, processor = time.perf_counter(), time.process_time()
    way()
    _wait(device)
    return time.perf_counter() - clock, time.process_time() - processor


def seconds_of(way: Callable[[], object], device: torch.device, tries: int = 5) -> float:
    """Fastest of a few calls after one to warm up: for peaks, which others on the machine can only lower."""
    with torch.inference_mode():
        way()
        return min(once(way, device)[0] for _ in range(tries))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
