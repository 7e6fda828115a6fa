"""The one training loop: any `TrainingStage`, on `accelerate`, resumable to the bit.

Everything a step needs beside weights, optimiser and average is a function of the seed and the step (see
`draws.py`), so a checkpoint is these three and a number. `recipe.py` calls `fit`.
"""

from __future__ import annotations

import copy
import dataclasses
import json
import logging
import re
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..checkpoints.build import save
from ..disk.documents import read_json
from ..disk.tensors import write_tensors
from ..disk.writing import write_json
from .config import ConfigError, Settings, TrainingSettings
from .draws import Draws, StepSampler, number
from .stage import Run, TrainingStage

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)
_PROGRESS = {"step": int, "seconds": float, "processes": int, "settings": dict}
_STEP = re.compile(r"step-(\d+)")
_FREE = ("steps", "epochs", "micro_batch", "workers", "log_every", "validate_every", "save_every", "keep")
"""Settings that may change between two runs of a stage without a warning."""


@dataclasses.dataclass
class Outcome:
    """What a stage came to.

    Attributes:
        losses: of the steps this call ran, averaged over the batch.
        figures: held-out figures of the last validation.
        seconds: of training, over all calls.
    """

    losses: list[float]
    figures: dict[str, float]
    seconds: float


def new_accelerator(settings: Settings, folder: Path, tracker: str = "none") -> Accelerator:
    """An accelerator in a stage's precision.

    Args:
        folder: of the recipe; trackers that write files write to `folder/logs`.
        tracker: name of an accelerate tracker, or `none`.

    Raises:
        ConfigError: an unknown tracker, or one that is not installed.
    """
    from accelerate import Accelerator
    from accelerate.state import AcceleratorState, GradientState
    from accelerate.utils import LoggerType

    # Stages differ in precision, and accelerate keeps the first one of a process.
    AcceleratorState._reset_state()
    GradientState._reset_state()
    training = isinstance(settings, TrainingSettings)
    tracked = training and tracker != "none"
    if tracked and tracker not in LoggerType.list():
        raise ConfigError(f"tracker {tracker!r} is unknown; choose one of {', '.join(LoggerType.list())}, none.")
    accelerator = Accelerator(
        mixed_precision=settings.precision if training else "no",
        log_with=tracker if tracked else None,
        project_dir=str(folder / "logs"),
    )
    if tracked and not accelerator.log_with:  # accelerate drops it without a word
        raise ConfigError(f"tracker {tracker!r} is not installed: pip install {tracker}, or --tracker none.")
    return accelerator


def fit(stage: TrainingStage, run: Run, accelerator: Accelerator) -> Outcome:
    """Train a stage to its last step, from its newest checkpoint if there is one, and write its weights.

    Raises:
        ConfigError: the batch does not divide over processes and micro-batches, or the newest checkpoint is of
            more steps or does not fit (`resume`).
        FloatingPointError: the loss is not a number any more.
    """
    from torch.utils.data import DataLoader
    from tqdm import tqdm

    settings = stage.settings
    steps = settings.total_steps(len(stage.rows))
    micro_batch = _share_batch(settings, accelerator)
    groups = stage.groups()
    rates = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups, betas=settings.betas, weight_decay=settings.weight_decay)
    whole = copy.deepcopy(stage.module).cpu() if _sharded(accelerator) else None
    # Q21: the optimiser goes through the accelerator like the module, so fp16 gradients are unscaled before the clip.
    model, optimizer = accelerator.prepare(stage.module, optimizer)
    average = Average(model, settings.ema)
    first, seconds = resume(run, settings, accelerator, average)
    if first > steps:
        raise ConfigError(
            f"{run.stage} has already made {first} steps and steps = {steps}: set steps = {first} or more, or delete "
            f"{run.folder / run.stage} and the folders of the stages after it."
        )
    sampler = StepSampler(
        len(stage.rows), settings.batch, micro_batch, settings.seed, range(first, steps), run.process, run.processes
    )
    loader = iter(DataLoader(stage.rows, batch_sampler=sampler, num_workers=settings.workers))
    started, losses, figures = time.monotonic() - seconds, [], None
    hidden = not (run.main and sys.stderr.isatty())
    bar = tqdm(range(first, steps), run.stage, steps, initial=first, disable=hidden, leave=False)
    for step in bar:
        factor = settings.rate_factor(step, steps)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            # all of them: a checkpoint brings those it was written with
            group.update(lr=rate * factor, betas=settings.betas, weight_decay=settings.weight_decay)
        total = _descend(stage, model, optimizer, loader, step, accelerator)
        average.update(model)
        losses.append(float(accelerator.reduce(total, "mean")))
        if losses[-1] != losses[-1]:
            raise FloatingPointError(
                f"the loss of {run.stage} is not a number at step {step}: lower learning_rate, or set "
                f"precision = 'no'; the newest checkpoint in {run.folder / run.stage} is from before."
            )
        last = step == steps - 1
        if (step + 1) % settings.log_every == 0 or last:
            mean = sum(losses[-settings.log_every :]) / len(losses[-settings.log_every :])
            spent = time.monotonic() - started
            accelerator.log({"loss": mean, "learning_rate": rates[0] * factor}, step=step + 1)
            bar.set_postfix(loss=f"{mean:.4f}")
            if run.main:
                log.info("%s step %d of %d: loss %.4f, %.0f s", run.stage, step + 1, steps, mean, spent)
        if (step + 1) % settings.save_every == 0 or last:
            checkpoint(run, settings, accelerator, average, step + 1, time.monotonic() - started)
        if (step + 1) % settings.validate_every == 0 or last:
            with plain_module(model, whole, average, accelerator) as module:
                figures = validate(stage, module, run, accelerator, step + 1)
    with plain_module(model, whole, average, accelerator) as module:
        if figures is None:  # resumed after the last step
            figures = validate(stage, module, run, accelerator, steps)
        if run.main:
            for name, part in stage.outputs(module).items():
                save(name, part, run.file(name), dtype=None)
    accelerator.wait_for_everyone()
    return Outcome(losses, figures, time.monotonic() - started)


def _descend(
    stage: TrainingStage, model: nn.Module, optimizer: Any, loader: Iterator, step: int, accelerator: Accelerator
) -> Tensor:
    """One optimiser step over its micro-batches; returns this process's mean loss."""
    settings, device, parts = stage.settings, accelerator.device, accelerator.gradient_accumulation_steps
    model.train()  # Q22: only what is trained; a frozen adapter keeps its dropout off after a validation
    total = torch.zeros((), device=device)
    for _ in range(parts):
        batch = {name: value.to(device) for name, value in next(loader).items()}
        positions = batch.pop("position").tolist()
        torch.manual_seed(number(settings.seed, step, positions[0], 1))  # dropout
        draws = Draws(settings.seed, step, positions, device)
        # Q22: one context around the one module that is trained; nested ones count micro-batches twice.
        with accelerator.accumulate(model):
            with accelerator.autocast():
                loss = stage.loss(model, batch, draws)
            accelerator.backward(loss)
            if settings.clip and accelerator.sync_gradients:
                accelerator.clip_grad_norm_(model.parameters(), settings.clip)
            optimizer.step()
            optimizer.zero_grad()
        total += loss.detach().float() / parts
    return total


def _share_batch(settings: TrainingSettings, accelerator: Accelerator) -> int:
    """Samples a process holds at once; tells the accelerator how often gradients are accumulated."""
    processes = accelerator.num_processes
    micro_batch = settings.micro_batch or settings.batch // processes
    if not micro_batch or settings.batch % (micro_batch * processes):
        raise ConfigError(
            f"batch = {settings.batch} does not divide into micro-batches of {micro_batch or 1} on {processes} "
            "processes; batch counts the samples of one optimiser step over everything."
        )
    accelerator.gradient_accumulation_steps = settings.batch // (micro_batch * processes)
    return micro_batch


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
            weights = {f"{index:05d}": weight for index, weight in enumerate(self.ema.shadow_params)}
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


def validate(
    stage: TrainingStage, module: nn.Module, run: Run, accelerator: Accelerator, step: int
) -> dict[str, float]:
    """Held-out figures and the contact sheet `RUNS/<stage>/sheet.png`, to the log and the tracker."""
    import numpy as np
    from PIL import Image

    from ..evaluation.sheet import write_sheet

    figures: dict[str, float] = {}
    if run.main:
        figures, rows = stage.validate(module)
        log.info("%s after %d steps: %s", run.stage, step, ", ".join(f"{k} {v:.4g}" for k, v in figures.items()))
        sheet = run.folder / run.stage / "sheet.png"
        write_sheet([row.float().cpu() / 2 + 0.5 for row in rows], sheet, titles=stage.sheet_titles)
        accelerator.log(figures, step=step)
        picture = np.asarray(Image.open(sheet))[None]
        for tracker in accelerator.trackers:
            if hasattr(tracker, "log_images"):
                layout = {"dataformats": "NHWC"} if tracker.name == "tensorboard" else {}
                tracker.log_images({"validation": picture}, step=step, **layout)
    accelerator.wait_for_everyone()
    return figures


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
    if run.main or _sharded(accelerator):
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


def _sharded(accelerator: Accelerator) -> bool:
    from accelerate.utils import DistributedType

    return accelerator.distributed_type == DistributedType.FSDP


def _average_file(folder: Path, run: Run, accelerator: Accelerator) -> Path:
    """Where a checkpoint keeps the average: one file, or under FSDP one for every process's shards."""
    return folder / f"average_{run.process if _sharded(accelerator) else 0}.safetensors"
