"""torch's defaults for a while: float32 on the CPU, whatever another library of this process has set.

ComfyUI's packs share one process, and `torch.set_default_dtype` holds for all of it and every thread. Setting it back
would change the other's numbers in turn; what is here reaches the calling thread only.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_MADE = {torch.empty, torch.zeros, torch.ones, torch.rand, torch.randn, torch.linspace, torch.eye}
"""What makes tensors of the default format."""
_TOLD = {torch.tensor, torch.as_tensor, torch.arange, torch.full}
"""What makes them of it where the values given are fractions."""


class _Float32(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if kwargs.get("dtype") is None and func in _MADE:
            return func(*args, **kwargs | {"dtype": torch.float32})
        made = func(*args, **kwargs)
        if func not in _TOLD or kwargs.get("dtype") is not None or not made.is_floating_point():
            return made
        keeps_its_own = args and isinstance(args[0], (Tensor, np.ndarray, np.generic))
        return made if keeps_its_own else func(*args, **kwargs | {"dtype": torch.float32})


def in_float32(build: Any) -> Any:
    """Of a function that builds a module: its weights are float32, on the device that is the default."""

    @wraps(build)
    def built(*args, **kwargs):
        if torch.get_default_dtype() == torch.float32:
            return build(*args, **kwargs)
        with _Float32():
            return build(*args, **kwargs)

    return built


@contextmanager
def own_defaults() -> Iterator[None]:
    """Inside, tensors made without a format and a device are float32 on the CPU, in this thread."""
    if torch.get_default_dtype() == torch.float32 and torch.get_default_device().type == "cpu":
        yield
        return
    with torch.device("cpu"), _Float32():
        yield
