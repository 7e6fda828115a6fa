"""The two ways a pipeline computes, and what only the fast one does around the UNet.

`denoising/fast_unet.py` holds the UNet's part, `processor.py` what is measured; docs/performance.md has the figures.
"""

from __future__ import annotations

import functools
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ..warping.warper import GarmentWarper, WarpResult
from .freed_memory import freed_memory_kept
from .processor import fastest_dtype, fitting_threads, layout

SPEEDS = ("exact", "fast")
"""`exact` computes as the paper's code does; `fast` does the same sums in the order the machine is fastest at."""


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


def fast_warp(
    warper: GarmentWarper, garment: Tensor, agnostic: Tensor, pose_map: Tensor, dtype: torch.dtype
) -> WarpResult:
    """`warper` with its refinement in `dtype`; the spline stays in float32, since half precision bends it visibly."""
    coarse, grid, control_points = warper.coarse_warp(garment, agnostic, pose_map)
    channels = torch.cat([agnostic, pose_map, coarse], dim=1)
    channels = channels.contiguous(memory_format=layout(channels.device, dtype))
    with torch.autocast(channels.device.type, dtype, enabled=dtype in (torch.float16, torch.bfloat16)):
        refined = warper.refinement(channels)
    return WarpResult(refined.float().clamp(-1, 1), coarse, grid, control_points)


def on_the_processor(method: Any) -> Any:
    """Of a pipeline: on a CPU, run a method with freed memory kept, and in fast mode on no more threads than cores."""

    @functools.wraps(method)
    def run(self, *args, **kwargs):
        if self.device.type != "cpu":
            return method(self, *args, **kwargs)
        with freed_memory_kept(), nullcontext() if self.speed == "exact" else fitting_threads():
            return method(self, *args, **kwargs)

    return run
