"""Checkpoints of a stage: weights, optimiser, average and a number, written whole or not at all."""

from __future__ import annotations

import dataclasses
import json
import logging
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..disk.documents import read_json
from ..disk.writing import write_json
from .accelerator import sharded
from .average import Average
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
