"""The one training loop: any `TrainingStage`, on `accelerate`, resumable to the bit.

Everything a step needs beside weights, optimiser and average is a function of the seed and the step (see
`draws.py`), so a checkpoint (`resuming.py`) is these three and a number. A stage may also end by the clock
(`Pace`). `recipe.py` calls `fit`.
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..checkpoints.build import save
from ..disk.documents import read_json
from ..disk.writing import write_json
from .accelerator import sharded
from .config import ConfigError, TrainingSettings
from .draws import number
from .resuming import Average, checkpoint, plain_module, resume
from .stage import Run, TrainingStage

if TYPE_CHECKING:
    from accelerate import Accelerator

log = logging.getLogger(__name__)

_SYNCHRONISE = 10
"""Losses are read from the device every so many steps, so that it need not wait for the host in between."""


@dataclasses.dataclass
class Outcome:
    """What a stage came to.

    Attributes:
        losses: of the steps this call ran, averaged over the batch.
        figures: held-out figures of the last validation, and where the stage has a score `score_before` and `score`.
        seconds: of training, over all calls.
        steps: the same.
        written: whether its weights were; False where they were worse than those before it.
    """

    losses: list[float]
    figures: dict[str, float]
    seconds: float
    steps: int = 0
    written: bool = True


def fit(stage: TrainingStage, run: Run, accelerator: Accelerator) -> Outcome:
    """Train a stage to its end, from its newest checkpoint if there is one, and write its weights.

    Raises:
        ConfigError: the batch does not divide over processes and micro-batches, the newest checkpoint is of
            more steps or does not fit (`resume`), or several processes are to watch a clock.
        FloatingPointError: the loss is not a number any more.
    """
    from tqdm import tqdm

    settings = stage.settings
    micro_batch = _share_batch(settings, accelerator)
    groups = stage.groups()
    rates = [group["lr"] for group in groups]
    optimizer = torch.optim.AdamW(groups, betas=settings.betas, weight_decay=settings.weight_decay)
    whole = copy.deepcopy(stage.module).cpu() if sharded(accelerator) else None
    # Q21: the optimiser goes through the accelerator like the module, so fp16 gradients are unscaled before the clip.
    model, optimizer = accelerator.prepare(stage.module, optimizer)
    average = Average(model, settings.ema)
    first, seconds = resume(run, settings, accelerator, average)
    noted = run.folder / run.stage / "score_before.json"
    before = read_json(noted, shape=(float, None), expected="a score; delete it") if first and noted.is_file() else None
    if first == 0 and stage.compares:
        with plain_module(model, whole, average, accelerator) as module:
            before = stage.score(stage.validate(module)[0]) if run.main else None
        if run.main:
            write_json(before, noted)
    pace = Pace(settings, len(stage.rows), first, seconds)
    if pace.steps and first > pace.steps:
        raise ConfigError(
            f"{run.stage} has already made {first} steps and steps = {pace.steps}: set steps = {first} or more, or "
            f"delete {run.folder / run.stage} and the folders of the stages after it."
        )
    batches = stage.batches(range(first, pace.steps or sys.maxsize), micro_batch, run)
    losses, figures, step, last = _Losses(run, accelerator), None, first, pace.over(first)
    hidden = not (run.main and sys.stderr.isatty())
    bar = tqdm(total=pace.steps or None, desc=run.stage, initial=first, disable=hidden, leave=False)
    while not last:
        stage.done, factor = pace.share(step), pace.rate_factor(step)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            # all of them: a checkpoint brings those it was written with
            group.update(lr=rate * factor, betas=settings.betas, weight_decay=settings.weight_decay)
        losses.add(step, _descend(stage, model, optimizer, batches, step, accelerator))
        average.update(model)
        step += 1
        last = pace.over(step)
        saves, validates, logs = (
            last or (every and step % every == 0)
            for every in (settings.save_every, settings.validate_every, settings.log_every)
        )
        if saves or validates or logs or step % _SYNCHRONISE == 0:
            losses.read()
        if logs:
            losses.log(step, pace, rates[0] * factor, bar)
        if saves:
            checkpoint(run, settings, accelerator, average, step, pace.seconds)
        if validates:
            with plain_module(model, whole, average, accelerator) as module:
                if last:
                    stage.settle(module)
                figures = validate(stage, module, run, accelerator, step)
        bar.update()
    bar.close()
    with plain_module(model, whole, average, accelerator) as module:
        if figures is None:  # resumed after the last step
            stage.settle(module)
            figures = validate(stage, module, run, accelerator, step)
        figures, written = _judged(stage, figures, before, run)
        if run.main and written:
            for name, part in stage.outputs(module).items():
                save(name, part, run.file(name), dtype=None)
    accelerator.wait_for_everyone()
    return Outcome(losses.values, figures, pace.seconds, step, written)


class _Losses:
    """Losses of the steps, read from the device now and then."""

    def __init__(self, run: Run, accelerator: Accelerator):
        self.run, self.accelerator, self.values = run, accelerator, []
        self._waiting: list[tuple[int, Tensor]] = []

    def add(self, step: int, loss: Tensor) -> None:
        self._waiting.append((step, loss))

    def log(self, step: int, pace: Pace, rate: float, bar: Any) -> None:
        """Tell the mean of the steps since the last time to tracker, bar and log."""
        some = self.values[-pace.settings.log_every :]
        mean = sum(some) / len(some)
        self.accelerator.log({"loss": mean, "learning_rate": rate}, step=step)
        bar.set_postfix(loss=f"{mean:.4f}")
        if self.run.main:
            length = f"{step} of {pace.steps}" if pace.steps else f"{step}, {pace.share(step):.0%} of the time"
            log.info("%s step %s: loss %.4f, %.0f s", self.run.stage, length, mean, pace.seconds)

    def read(self) -> None:
        """Take in what has been added.

        Raises:
            FloatingPointError: one of them is not a number.
        """
        if not self._waiting:
            return
        steps, losses = zip(*self._waiting, strict=True)
        self._waiting = []
        for step, value in zip(steps, self.accelerator.reduce(torch.stack(losses), "mean").tolist(), strict=True):
            self.values.append(value)
            if value != value:
                raise FloatingPointError(
                    f"the loss of {self.run.stage} is not a number at step {step}: lower learning_rate, or set "
                    f"precision = 'no'; the newest checkpoint in {self.run.folder / self.run.stage} is from before."
                )


def _judged(
    stage: TrainingStage, figures: dict[str, float], before: float | None, run: Run
) -> tuple[dict[str, float], bool]:
    """The figures with the scores, and whether the weights are good enough to be written."""
    score = stage.score(figures) if figures else None
    if score is None:
        return figures, True
    figures = figures | {"score": score}
    if before is None:
        log.info("%s: held-out score %.4f", run.stage, score)
        return figures, True
    figures["score_before"] = before
    log.info("%s: held-out score %.4f -> %.4f", run.stage, before, score)
    if score >= before - stage.tolerance:
        return figures, True
    log.warning("%s made it worse: the weights before it stay", run.stage)
    return figures, False


def _descend(
    stage: TrainingStage, model: nn.Module, optimizer: Any, batches: Iterator, step: int, accelerator: Accelerator
) -> Tensor:
    """One optimiser step over its micro-batches; returns this process's mean loss."""
    settings, device, parts = stage.settings, accelerator.device, accelerator.gradient_accumulation_steps
    model.train()  # Q22: only what is trained; a frozen adapter keeps its dropout off after a validation
    total = torch.zeros((), device=device)
    for _ in range(parts):
        batch, positions = next(batches)
        batch = {name: value.to(device) for name, value in batch.items()}
        torch.manual_seed(number(settings.seed, step, positions[0], 1))  # dropout
        draws = stage.draws(step, positions, device)
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
    if settings.minutes and processes > 1:
        raise ConfigError(f"minutes = {settings.minutes:g} is for one process and there are {processes}: set steps.")
    micro_batch = settings.micro_batch or settings.batch // processes
    if not micro_batch or settings.batch % (micro_batch * processes):
        raise ConfigError(
            f"batch = {settings.batch} does not divide into micro-batches of {micro_batch or 1} on {processes} "
            "processes; batch counts the samples of one optimiser step over everything."
        )
    accelerator.gradient_accumulation_steps = settings.batch // (micro_batch * processes)
    return micro_batch


def validate(
    stage: TrainingStage, module: nn.Module, run: Run, accelerator: Accelerator, step: int
) -> dict[str, float]:
    """Held-out figures and the contact sheet `RUNS/<stage>/sheet.png`, to the log and the tracker."""
    import numpy as np
    from PIL import Image

    from ..disk.sheet import write_sheet

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


_FINE = 100_000  # of so many parts the way consists where a clock measures it


class Pace:
    """The way of a stage.

    Without `minutes` everything is a function of the step, so that runs can be repeated and resumed to the bit.

    Args:
        settings: of the stage.
        rows: training samples, for `epochs`.
        first: steps made already.
        seconds: spent already.
    """

    def __init__(self, settings: TrainingSettings, rows: int, first: int = 0, seconds: float = 0.0):
        self.settings, self.first = settings, first
        self.steps = settings.total_steps(rows)
        self.limit = 60 * settings.minutes
        self._started = time.monotonic() - seconds

    @property
    def seconds(self) -> float:
        """Spent so far, over all calls."""
        return time.monotonic() - self._started

    def over(self, step: int) -> bool:
        """Whether nothing is left to do after `step` steps. One step at least is made, however little time there is."""
        return bool(self.steps and step >= self.steps) or bool(self.limit and step and self.seconds >= self.limit)

    def share(self, step: int) -> float:
        """Share of the way made after `step` steps, in [0, 1]."""
        shares = [step / self.steps] if self.steps else []
        if self.limit:
            shares.append(self.seconds / self.limit)
        return min(1.0, max(shares))

    def rate_factor(self, step: int) -> float:
        """What the learning rate is multiplied by at a step."""
        if not self.limit:
            return self.settings.rate_factor(step, self.steps)
        return self.settings.rate_factor(self.share(step) * _FINE, _FINE)
