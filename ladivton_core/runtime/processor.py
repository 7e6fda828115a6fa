"""What the processor of this machine does best: which number format, how many threads.

bfloat16 is several times float32's speed where the processor multiplies it in hardware, and up to 160 times slower
where it does not, so the choice is measured once a process. `pipeline.py` asks in its fast mode.
"""

from __future__ import annotations

import logging
import math
import os
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import torch
from torch import nn

log = logging.getLogger(__name__)

SPEEDS = ("exact", "fast")
"""`exact` computes as the paper's code does; `fast` does the same sums in the order the machine is fastest at."""
WORTH = 1.5
"""bfloat16 is taken where its slowest operation has at least this many times float32's speed: it loses accuracy."""
TRIES = 6
"""Of each format, in turn; the fastest counts, for whoever else uses the machine only ever makes one slower."""
FINE = 1e-4
"""Seconds a clock must tell apart to time one operation."""
CHANNELS, SIDE = 64, 32
"""Of the operations: enough for the kernels of real layers, about a millisecond in float32."""


@lru_cache(maxsize=1)
def fastest_dtype() -> torch.dtype:
    """bfloat16 where this processor's convolutions and matrix products gain from it, else float32; measured once."""
    gains = bfloat16_gains()
    best = torch.bfloat16 if min(gains.values()) >= WORTH else torch.float32
    found = ", ".join(f"{name} {gain:.2f}" for name, gain in gains.items())
    log.info("on this processor bfloat16 has, times float32's speed: %s; %s is taken", found, best)
    return best


def bfloat16_gains() -> dict[str, float]:
    """How many times float32's speed bfloat16 has, by operation; on one thread, in its own time where that is told."""
    clock = time.thread_time if time.get_clock_info("thread_time").resolution < FINE else time.perf_counter
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            return {
                name: _gain({dtype: work(dtype) for dtype in (torch.float32, torch.bfloat16)}, clock)
                for name, work in (("convolution", _convolution), ("matrix product", _matrix_product))
            }
    finally:
        torch.set_num_threads(threads)


def _gain(ways: dict[torch.dtype, Callable[[], object]], clock: Callable[[], float]) -> float:
    best = dict.fromkeys(ways, math.inf)
    for attempt in range(TRIES + 1):
        for dtype, way in ways.items():
            started = clock()
            way()
            if attempt:  # the first call prepares
                best[dtype] = min(best[dtype], clock() - started)
    return max(best[torch.float32], 1e-9) / max(best[torch.bfloat16], 1e-9)


def _convolution(dtype: torch.dtype):
    layer = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1, dtype=dtype).to(memory_format=torch.channels_last)
    picture = torch.ones(1, CHANNELS, SIDE, SIDE, dtype=dtype).contiguous(memory_format=torch.channels_last)
    return lambda: layer(picture)


def _matrix_product(dtype: torch.dtype):
    layer = torch.nn.Linear(4 * CHANNELS, 4 * CHANNELS, dtype=dtype)
    rows = torch.ones(SIDE * SIDE, 4 * CHANNELS, dtype=dtype)
    return lambda: layer(rows)


def layout(device: torch.device, dtype: torch.dtype) -> torch.memory_format:
    """How pictures and convolutions lie in memory for the fast kernels.

    Channels last, but not for float32 on a processor: there a guided step of the published size took 1.2 times as long.
    """
    plain = device.type == "cpu" and dtype == torch.float32
    return torch.contiguous_format if plain else torch.channels_last


def usable_cores() -> int:
    """Cores this process may use: its affinity, and the quota of its container (cgroup 1 and 2) rounded up."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota()
    return max(1, min(cores, math.ceil(quota)) if quota else cores)


def _quota(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """Processors a container may use on average; None without a limit."""
    try:
        if (file := root / "cpu.max").is_file():
            limit, period = file.read_text().split()
        else:
            limit, period = ((root / "cpu" / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
        return float(limit) / float(period) if float(limit) > 0 else None
    except (OSError, ValueError):  # not Linux, or "max"
        return None


def checked_speed(speed: str) -> str:
    """The speed, when it is one of `SPEEDS`.

    Raises:
        ValueError: it is not.
    """
    if speed not in SPEEDS:
        raise ValueError(f"speed is one of {', '.join(SPEEDS)}; got {speed!r}.")
    return speed


def chosen_dtype(dtype: torch.dtype | None, device: torch.device | str | None, speed: str) -> torch.dtype:
    """The weights' format; left open it is float32, and in fast mode on a CPU what was measured to be fastest."""
    if dtype is not None:
        return dtype
    on_cpu = device is None or torch.device(device).type == "cpu"
    return fastest_dtype() if checked_speed(speed) == "fast" and on_cpu else torch.float32


def lay_out(*modules: nn.Module | None) -> None:
    """Lay the weights of convolutions out as the fast kernels read them, in place."""
    for module in modules:
        if module is not None:
            weight = next(module.parameters())
            module.to(memory_format=layout(weight.device, weight.dtype))
