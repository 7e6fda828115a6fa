"""A function of tensors recorded once and replayed as one launch: a CUDA graph.

A guided step launches thousands of kernels, each shorter than its launch; replayed they follow one another without the
processor. `fast_unet.py` records the UNet with it. Elsewhere than on CUDA there is nothing to record with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

Function = Callable[..., Tensor]
Recorder = Callable[[Function, Sequence[Tensor]], Function]
"""Makes of a function and examples of its inputs one that takes inputs of the same shapes, formats and types."""

WARM_UP = 3
"""Calls before the recording, in which libraries choose their kernels and take their workspaces."""


def recorder(device: torch.device) -> Recorder | None:
    """What records on a device; None where functions run as they are."""
    return record_cuda_graph if device.type == "cuda" and torch.version.hip is None else None


def record_cuda_graph(function: Function, inputs: Sequence[Tensor]) -> Function:
    """The function as a CUDA graph.

    Whatever it reads beside its inputs (weights, kept keys) is read at the addresses it has now: it may change in place
    and must stay alive. The result is a copy, the caller's own.

    Raises:
        RuntimeError: it does something that no graph can hold, or memory is short.
    """
    device = inputs[0].device
    held = [x.clone() for x in inputs]
    with torch.cuda.device(device):
        aside = torch.cuda.Stream(device)
        aside.wait_stream(torch.cuda.current_stream(device))
        with torch.cuda.stream(aside):
            for _ in range(WARM_UP):
                function(*held)
        torch.cuda.current_stream(device).wait_stream(aside)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):  # others may use the device meanwhile
            result = function(*held)

    def replay(*given: Tensor) -> Tensor:
        for kept, new in zip(held, given, strict=True):
            kept.copy_(new)
        graph.replay()
        return result.clone()

    return replay
