"""Checkpoints of a stage, written whole or not at all, and the running average of its weights that they keep."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..disk.documents import read_json
from ..disk.tensors import write_tensors
from ..disk.writing import write_json
from .accelerator import sharded
from .config import ConfigError, TrainingSettings
from .stage import Run

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)

_PROGRESS = {"step": int, "seconds": float, "processes": int, "settings": dict}
_STEP = re.compile(r"step-(\d+)")
_FREE = ("steps", "epochs", "minutes", "micro_batch", "workers", "log_every", "validate_every", "save_every", "keep")
"""Settings that may change between two runs of a stage without a warning."""


def checkpoint(
    run: Run, settings: TrainingSettings, accelerator: Accelerator, average: Average, step: int, seconds: float
) -> None:
    """Write `RUNS/<stage>/checkpoints/step-N`, whole or not at all, and drop the oldest."""
    folder = run.folder / run.stage / "checkpoints"
    partial, final = folder / f"step-{step:07d}.partial", folder / f"step-{step:07d}"
    if run.main:
        for leftover in (*folder.glob("*.partial"), *folder.glob(final.name)):
            shutil.rmtree(leftover)
        partial.mkdir(parents=True)
    accelerator.wait_for_everyone()
    accelerator.save_state(str(partial))
    if run.main or sharded(accelerator):
        average.write(_average_file(partial, run, accelerator))
    accelerator.wait_for_everyone()
    if run.main:
        progress = {
            "step": step,
            "seconds": seconds,
            "processes": run.processes,
            "settings": dataclasses.asdict(settings),
        }
        write_json(progress, partial / "progress.json")
        partial.replace(final)
        for _, old in checkpoints(folder)[: -settings.keep]:
            shutil.rmtree(old)
    accelerator.wait_for_everyone()


def checkpoints(folder: Path) -> list[tuple[int, Path]]:
    """Complete checkpoints (step, folder), oldest first."""
    found = ((_STEP.fullmatch(path.name), path) for path in folder.glob("step-*"))
    return sorted((int(match[1]), path) for match, path in found if match)


def resume(run: Run, settings: TrainingSettings, accelerator: Accelerator, average: Average) -> tuple[int, float]:
    """Load the newest checkpoint; returns the step to go on with and the seconds spent so far.

    Raises:
        ConfigError: it is from another number of processes, or has no running average and `ema` asks for one.
    """
    found = checkpoints(run.folder / run.stage / "checkpoints")
    if not found:
        return 0, 0.0
    step, folder = found[-1]
    try:
        progress: dict[str, Any] = read_json(folder / "progress.json", shape=_PROGRESS, expected="a checkpoint's note")
    except (ValueError, FileNotFoundError) as error:
        raise ConfigError(f"{error}: delete {folder}, and the run goes on from the checkpoint before.") from error
    if (before := progress["processes"]) != run.processes:
        raise ConfigError(
            f"{folder} was written by {before} processes and now there are {run.processes}: start as many, or delete "
            f"{run.folder / run.stage} to train the stage anew."
        )
    averaged = _average_file(folder, run, accelerator)
    if settings.ema and not averaged.is_file():
        raise ConfigError(
            f"ema = {settings.ema} and {folder} was written without a running average: set ema = 0, or delete "
            f"{run.folder / run.stage} to train the stage anew."
        )
    now = json.loads(json.dumps(dataclasses.asdict(settings)))
    if changed := [k for k, v in now.items() if k not in _FREE and progress["settings"].get(k) != v]:
        log.warning("%s goes on from step %d with other settings: %s", run.stage, step, ", ".join(changed))
    accelerator.load_state(str(folder))
    accelerator.step = 0  # a checkpoint lies between optimiser steps, however many micro-batches those had
    average.read(averaged)
    return step, progress["seconds"]


def _average_file(folder: Path, run: Run, accelerator: Accelerator) -> Path:
    """Where a checkpoint keeps the average: one file, or under FSDP one for every process's shards."""
    return folder / f"average_{run.process if sharded(accelerator) else 0}.safetensors"


class Average:
    """Running average of the trained weights (diffusers' `EMAModel`); buffers follow the module. Decay 0: none.

    Works on what this process holds of each weight: under FSDP everyone averages their own shards.
    """

    def __init__(self, model: nn.Module, decay: float):
        from diffusers.training_utils import EMAModel

        self.ema = EMAModel(_shards(model), decay=decay, foreach=True) if decay else None

    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        if self.ema is not None:
            self.ema.step(_shards(model))

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The averaged weights inside the module."""
        if self.ema is None:
            yield
            return
        self.ema.store(_shards(model))
        self.ema.copy_to(_shards(model))
        try:
            yield
        finally:
            self.ema.restore(_shards(model))

    def write(self, path: Path) -> None:
        """Save as safetensors."""
        if self.ema is not None:
            weights = {f"{index:05d}": weight.contiguous() for index, weight in enumerate(self.ema.shadow_params)}
            write_tensors(path, weights | {"updates": torch.tensor(self.ema.optimization_step)})

    def read(self, path: Path) -> None:
        """Load what `write` saved."""
        from safetensors.torch import load_file

        if self.ema is not None:
            state = load_file(path)
            self.ema.optimization_step = int(state["updates"])
            for index, weight in enumerate(self.ema.shadow_params):
                weight.copy_(state[f"{index:05d}"])


def _shards(model: nn.Module) -> list[Tensor]:
    """What this process holds of every parameter: all of it, or under FSDP its shard."""
    return [weight.to_local() if hasattr(weight, "to_local") else weight for weight in model.parameters()]


@contextmanager
def plain_module(
    model: nn.Module, whole: nn.Module | None, average: Average, accelerator: Accelerator
) -> Iterator[nn.Module]:
    """The averaged module without any wrapper, in eval mode and without gradients.

    Args:
        whole: a copy on the CPU to gather a sharded module into; only the main process may use it then, on its
            device.
    """
    with average.applied(model), torch.no_grad():
        if whole is None:
            yield accelerator.unwrap_model(model).eval()
        else:
            state = accelerator.get_state_dict(model)
            if accelerator.is_main_process:
                whole.load_state_dict(state)
                whole.to(accelerator.device)
            try:
                yield whole.eval()
            finally:
                whole.cpu()
