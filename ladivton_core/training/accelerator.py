"""The accelerator of a stage: its tracker, its device, and the precision that device multiplies in."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ..start import installing
from .config import ConfigError, Settings, TrainingSettings

if TYPE_CHECKING:
    from accelerate import Accelerator


def new_accelerator(settings: Settings, folder: Path, tracker: str = "none") -> Accelerator:
    """An accelerator in a stage's precision.

    Args:
        folder: of the recipe; trackers that write files write to `folder/logs`.
        tracker: name of an accelerate tracker, or `none`.

    Raises:
        ConfigError: an unknown tracker, or one that is not installed.
    """
    from accelerate import Accelerator, PartialState
    from accelerate.state import AcceleratorState, GradientState
    from accelerate.utils import LoggerType

    # Stages differ in precision, and accelerate keeps the first one of a process: it has no public way to forget it.
    # `tests/core/test_training.py` asks for two in turn.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    training = isinstance(settings, TrainingSettings)
    tracked = training and tracker != "none"
    if tracked and tracker not in LoggerType.list():
        raise ConfigError(f"tracker {tracker!r} is unknown; choose one of {', '.join(LoggerType.list())}, none.")
    accelerator = Accelerator(
        mixed_precision=precision_on(PartialState().device, settings.precision) if training else "no",
        log_with=tracker if tracked else None,
        project_dir=str(folder / "logs"),
    )
    if tracked and not accelerator.log_with:  # accelerate drops it without a word
        raise ConfigError(f"tracker {tracker!r} is not installed: {installing(tracker)}, or --tracker none.")
    return accelerator


def precision_on(device: torch.device | str, precision: str) -> str:
    """`precision`, with `auto` decided: `bf16` where the hardware multiplies bfloat16, `no` elsewhere.

    That is NVIDIA from Ampere on and AMD's equals, and processors with AVX-512 BF16 or AMX: emulated, bfloat16 is many
    times slower than float32.
    """
    if precision != "auto":
        return precision
    device = torch.device(device)
    if device.type == "cuda":
        return "bf16" if torch.cuda.get_device_capability(device) >= (8, 0) else "no"
    if device.type == "cpu":
        # private in torch, and there is no public question
        known = (getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))
        return "bf16" if any(ask() for ask in known if ask is not None) else "no"
    return "no"


def sharded(accelerator: Accelerator) -> bool:
    """Whether weights are split over processes (FSDP)."""
    from accelerate.utils import DistributedType

    return accelerator.distributed_type == DistributedType.FSDP
