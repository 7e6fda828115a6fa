"""The embedded default's recipe in one piece: rendering, a second process of small stages, the others, a budget.

Where there are cores enough the world is rendered beside the training, which takes the pairs in as they come, and
`stages.BESIDE` run in a process of their own; otherwise one thing after another. A stage that fails leaves the weights
before it and the next one goes on; the call then ends with an error that names it.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from ladivton_core.checkpoints.reading import CheckpointError
from ladivton_core.training.config import ConfigError, Settings, StageFailure, TrainingSettings

from .stages import BESIDE, SHARES
from .world import PAIRS, cores, rendered, start_renderers

if TYPE_CHECKING:
    from ladivton_core.training.recipe import Recipe

log = logging.getLogger(__name__)
_RESERVE = 0.03  # of a budget: the last look at the result
_FIRST = 8  # files of pairs that training begins with


@dataclasses.dataclass(frozen=True)
class Machine:
    """How many things are done at once.

    Attributes:
        device: kind of device that trains.
        cores: processor cores.
    """

    device: str
    cores: int

    @property
    def beside(self) -> bool:
        """Whether the small stages get a process of their own: beside an accelerator, or on many cores."""
        return self.cores >= (4 if self.device != "cpu" else 8)

    @property
    def renderers(self) -> int:
        """Processes that render beside the training; 0 renders first."""
        if not self.beside:
            return 0
        return self.cores - 2 if self.device != "cpu" else self.cores // 4

    @property
    def threads(self) -> tuple[int, int] | None:
        """Threads of the main process and of the second one; None leaves it to torch."""
        if self.device != "cpu" or not self.beside:
            return None
        return self.cores // 2, self.cores // 4


class Budget:
    """Shares of the minutes that are left among the stages that are left.

    Args:
        minutes: of the whole recipe; 0 is none.
        stages: those that are left, of `every` stage that takes time one after another.
    """

    def __init__(self, minutes: float, stages: Sequence[str], every: Sequence[str]):
        self.shares = {stage: SHARES[stage] for stage in every}
        self.left, part = list(stages), sum(SHARES[stage] for stage in stages) / sum(self.shares.values())
        self.minutes, self._end = minutes, time.monotonic() + 60 * minutes * part
        self._overhead = 0.0

    def of(self, stage: str) -> float:
        """Minutes for a stage that is about to start; 0 where there is no budget."""
        if not self.minutes:
            return 0.0
        later = self.left[self.left.index(stage) :]
        # starting, looking at held-out people and writing cost every stage about what they cost the dearest so far
        seconds = self._end - time.monotonic() - self._overhead * len(later)
        part = self.shares[stage] / (sum(self.shares[other] for other in later) + _RESERVE)
        return max(seconds * part, 0.1) / 60

    def spent(self, seconds: float, trained: float) -> None:
        """Learn from a stage that took `seconds`, of which it `trained` so many."""
        self._overhead = max(self._overhead, seconds - trained)


class Sitting:
    """One call of the whole recipe.

    Args:
        recipe: of the preset `embedded`.
        plan: settings of every stage.
        machine: this one when None.
    """

    def __init__(self, recipe: Recipe, plan: Mapping[str, Settings], machine: Machine | None = None):
        from accelerate import PartialState

        self.recipe, self.machine = recipe, machine or Machine(PartialState().device.type, cores())
        # with a budget the clock ends a stage, unless steps were asked for
        asked = {key.rpartition(".")[2] for key in recipe.changes}
        by_clock = recipe.minutes and not asked & {"steps"}
        self.plan = {
            stage: dataclasses.replace(settings, steps=0, minutes=recipe.minutes)
            if by_clock and isinstance(settings, TrainingSettings)
            else settings
            for stage, settings in plan.items()
        }
        self.failed: list[str] = []

    def run(self) -> None:
        """Every stage that is not done.

        Raises:
            ConfigError: the folder was begun with another budget or other weights.
            StageFailure: some stages failed.
        """
        recipe, machine = self.recipe, self.machine
        self._claim()
        left = [stage for stage, settings in self.plan.items() if not recipe.done(stage, settings)]
        for stage in self.plan:
            if stage not in left:
                log.info("%s is done", stage)
        if machine.threads:
            torch.set_num_threads(machine.threads[0])
        side = [stage for stage in BESIDE if stage in left] if machine.beside else []
        # a world that is rendered beside grows with the machine's speed: only the clock's runs may depend on it
        renders_beside = "world" in left and bool(machine.renderers and recipe.minutes)
        aside = (*BESIDE, *(("world",) if renders_beside else ())) if machine.beside else ()
        queue = [stage for stage in left if stage not in aside]
        budget = Budget(recipe.minutes, queue, [stage for stage in self.plan if stage not in aside])
        stop, renderers, helper = multiprocessing.get_context("spawn").Event(), [], None
        try:
            if renders_beside:
                renderers = self._start_rendering(stop)
            elif "world" in queue:
                self._attempt("world", budget)
            if side:
                helper = self._start_beside(side)
            for stage in (stage for stage in queue if stage != "world"):
                for needed in _NEEDED.get(stage, ()):
                    if needed in side:
                        self._take(needed, helper, budget)
                self._attempt(stage, budget)
                if stage == "extract" and renderers:
                    self._stop_rendering(stop, renderers)
                    renderers = []
            for needed in side:
                self._take(needed, helper, budget)
            recipe.write(recipe.noted())  # with what the second process noted
        finally:
            stop.set()
            for process in (*renderers, *([helper] if helper is not None else [])):
                process.join(timeout=5)
                if process.is_alive():
                    process.terminate()
        if self.failed:
            raise StageFailure(
                f"these stages failed, and the weights before them stay: {', '.join(self.failed)}. The log says why; "
                "the same command runs them again."
            )

    def _claim(self) -> None:
        """Note budget and starting weights: stages of one folder belong together."""
        recipe = self.recipe
        recipe.folder.mkdir(parents=True, exist_ok=True)
        noted = recipe.noted()
        for name, now in (("minutes", recipe.minutes), ("init", recipe.starts_from)):
            before = noted.setdefault(name, now)
            if before != now:
                raise ConfigError(
                    f"{recipe.folder} was begun with {name} = {before!r} and this call has {now!r}: "
                    "give the same to go on, or choose another folder, or delete this one."
                )
        recipe.write(noted)

    def _attempt(self, stage: str, budget: Budget) -> None:
        """Run a stage; whatever breaks in it, the recipe goes on with the weights before it."""
        minutes, started = budget.of(stage), time.monotonic()
        trained = attempt(self.recipe, stage, limited(self.plan[stage], minutes))
        if trained is None:
            self.failed.append(stage)
        else:
            budget.spent(time.monotonic() - started, trained)
        if stage in budget.left:
            budget.left.remove(stage)
        log.info("stage %s: %.0f s in all", stage, time.monotonic() - started)

    def _start_rendering(self, stop) -> list:
        """Renderers beside the training, which waits for the first files only."""
        folder, settings = self.recipe.folder / "world", self.plan["world"]
        folder.mkdir(parents=True, exist_ok=True)
        self.recipe.claim("world", settings)
        processes = start_renderers(folder, settings, self.machine.renderers, stop)
        wanted = min(_FIRST * PAIRS, settings.count)
        while rendered(folder) < wanted and any(process.is_alive() for process in processes):
            time.sleep(0.2)
        return processes

    def _stop_rendering(self, stop, processes: list) -> None:
        """Nobody can use further pairs."""
        stop.set()
        for process in processes:
            process.join()
        pairs = rendered(self.recipe.folder / "world")
        self.recipe.note("world", self.plan["world"], {"pairs": float(pairs)}, 0.0)
        log.info("world: %d pairs", pairs)

    def _start_beside(self, stages: Sequence[str]):
        """The second process."""
        minutes = self.recipe.minutes
        plan = {stage: limited(self.plan[stage], minutes * SHARES[stage]) for stage in stages}
        for stage in stages:
            (self.recipe.folder / stage / _FAILED).unlink(missing_ok=True)
        recipe = dataclasses.replace(self.recipe, beside=True, memory={}, tracker="none")
        threads = self.machine.threads and self.machine.threads[1]
        process = multiprocessing.get_context("spawn").Process(
            target=run_beside, args=(recipe, plan, threads), daemon=True
        )
        process.start()
        return process

    def _take(self, stage: str, helper, budget: Budget) -> None:
        """Wait for a stage of the second process, or run it here if that one could not."""
        settings = self.plan[stage]
        failed = self.recipe.folder / stage / _FAILED
        while helper.is_alive() and not failed.is_file() and not self.recipe.done(stage, settings):
            time.sleep(0.2)
        if self.recipe.done(stage, settings):
            log.info("%s of the second process is there", stage)
            return
        log.warning("%s of the second process is missing: it runs here", stage)
        budget.shares.setdefault(stage, SHARES[stage])
        budget.left.insert(0, stage)
        self._attempt(stage, budget)


_NEEDED = {"refinement": ("tps",), "extract": ("vision",), "tryon": ("words",)}
"""What of the second process has to be there before a stage."""
_FAILED = "failed"
"""File in a stage's folder that the second process leaves where it could not finish it."""
LOG = "log.txt"
"""Log of a recipe's folder."""


def limited(settings: Settings, minutes: float) -> Settings:
    """Settings with the minutes of a budget, where the stage has any."""
    if minutes and hasattr(settings, "minutes"):
        return dataclasses.replace(settings, minutes=minutes)
    return settings


def attempt(recipe: Recipe, stage: str, settings: Settings) -> float | None:
    """Run a stage, with smaller micro-batches where the memory does not hold the batch.

    Returns:
        Seconds of training; None after a failure, which is logged.

    Raises:
        ConfigError, CheckpointError, FileNotFoundError: somebody has to change something first.
    """
    while True:
        try:
            started = time.monotonic()
            outcome = recipe.run(stage, settings)
            return getattr(outcome, "seconds", time.monotonic() - started)
        except (ConfigError, CheckpointError, FileNotFoundError):
            raise
        except Exception as error:
            smaller = _smaller(settings) if _out_of_memory(error) else 0
            if not smaller:
                log.exception("%s failed: the weights before it stay", stage)
                return None
            log.warning("%s does not fit the memory: %d samples at once instead", stage, smaller)
            settings = dataclasses.replace(settings, micro_batch=smaller)
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def _out_of_memory(error: Exception) -> bool:
    return isinstance(error, torch.cuda.OutOfMemoryError) or "out of memory" in str(error).lower()


def _smaller(settings: Settings) -> int:
    """The next smaller number of samples at once that divides the batch; 0 where there is none."""
    if not isinstance(settings, TrainingSettings):
        return 0
    most = (settings.micro_batch or settings.batch) // 2
    return next((size for size in range(most, 0, -1) if settings.batch % size == 0), 0)


def run_beside(recipe: Recipe, plan: Mapping[str, Settings], threads: int | None) -> None:
    """What the second process does: some stages, one after another. It ends with the process that started it."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=lambda: (wait([parent.sentinel]), os._exit(1)), daemon=True).start()
    if threads:
        torch.set_num_threads(threads)
    with log_to(recipe.folder):
        for stage, settings in plan.items():
            if attempt(recipe, stage, settings) is None:
                (recipe.folder / stage / _FAILED).touch()


@contextmanager
def log_to(folder: Path) -> Iterator[None]:
    """Let this package's log go to `folder/log.txt` as well as to the screen."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logger = logging.getLogger(__name__.partition(".training")[0])
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(handler)
        handler.close()
