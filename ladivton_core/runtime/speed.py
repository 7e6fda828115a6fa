"""The two ways a pipeline computes, and what only the fast one does around the UNet.

`denoising/fast_unet.py` holds the UNet's part, `processor.py` what is measured; docs/performance.md has the figures.
"""

from __future__ import annotations

import torch
from torch import nn

from .processor import fastest_dtype, layout

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
