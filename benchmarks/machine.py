"""What this machine can do at most: matrix products, convolutions, memory. The measure of everything else."""

from __future__ import annotations

import platform
from collections.abc import Callable
from pathlib import Path

import torch
from paired import seconds_of

SIDE = 2048
"""Of the square matrices."""
PICTURE = (2, 320, 64, 48)
"""Of the convolution: a guided step's first level at 512 x 384."""
BYTES = 1 << 28
SLOWEST = 0.25
"""A format that took more seconds for a small convolution is not measured at full size."""


def name(device: torch.device) -> str:
    """The chip, in words that tell one kind of machine from another."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    words = Path("/proc/cpuinfo")
    facts = dict(line.split(":", 1) for line in words.read_text().splitlines() if ":" in line) if words.exists() else {}
    facts = {key.strip(): value.strip() for key, value in facts.items()}
    model = facts.get("model name") or platform.processor() or platform.machine()
    family = f" family {facts['cpu family']} model {facts['model']}" if "cpu family" in facts else ""
    return f"{model}{family}, {torch.get_num_threads()} threads"


def peaks(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Operations a second of a large matrix product and of a convolution, bytes a second of a copy."""
    small = _convolution(device, dtype, (1, 64, 32, 32))
    slow = seconds_of(small[0], device, tries=1) > SLOWEST
    found = {}
    for what, (work, operations) in {
        "matrix product": _matrix_product(device, dtype, 256 if slow else SIDE),
        "convolution": small if slow else _convolution(device, dtype, PICTURE),
    }.items():
        found[what] = operations / seconds_of(work, device)
    source = torch.zeros(BYTES // 4, device=device)
    target = torch.empty_like(source)
    found["bandwidth"] = 2 * BYTES / seconds_of(lambda: target.copy_(source), device)
    return found


def _matrix_product(device: torch.device, dtype: torch.dtype, side: int) -> tuple[Callable, float]:
    a, b = (torch.ones(side, side, device=device, dtype=dtype) for _ in range(2))
    return lambda: a @ b, 2.0 * side**3


def _convolution(device: torch.device, dtype: torch.dtype, shape: tuple[int, int, int, int]) -> tuple[Callable, float]:
    batch, channels, height, width = shape
    layout = {"memory_format": torch.channels_last}
    layer = torch.nn.Conv2d(channels, channels, 3, padding=1, device=device, dtype=dtype).to(**layout)
    picture = torch.ones(shape, device=device, dtype=dtype).contiguous(**layout)
    return lambda: layer(picture), 2.0 * batch * channels**2 * 9 * height * width
