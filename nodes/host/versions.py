"""Where newer versions of ComfyUI differ from the oldest one tested (0.3.75), told by what is there.

Read in ComfyUI 0.38 and tested with stand-ins of its signatures only: no ComfyUI newer than 0.33 has run this pack.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor


def patcher_class() -> type:
    """ComfyUI's own patcher for its core models: newer versions choose one with dynamic memory or for many GPUs."""
    import comfy.model_patcher

    return getattr(comfy.model_patcher, "CoreModelPatcher", comfy.model_patcher.ModelPatcher)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device had no memory left; newer versions know more errors than `OOM_EXCEPTION`."""
    import comfy.model_management as memory

    known = getattr(memory, "is_oom", None)
    return isinstance(error, memory.OOM_EXCEPTION) or bool(known and known(error))


def on_device(device: torch.device) -> AbstractContextManager:
    """The context in which newer versions run a VAE, so that with several GPUs its own is the current one."""
    import comfy.model_management as memory

    context = getattr(memory, "cuda_device_context", None)
    return nullcontext() if context is None else context(device)


def in_precision(state: dict[str, Tensor], dtype: torch.dtype | None) -> dict[str, Tensor]:
    """A state dict in the precision asked for; None leaves it to ComfyUI.

    Newer versions take a file's tensors over as they are (dynamic memory): a precision given to the empty model alone
    would be lost.
    """
    if dtype is None:
        return state
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in state.items()}
