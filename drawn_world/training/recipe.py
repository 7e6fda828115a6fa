"""The embedded default's recipe: its stages, and all of them one after another, within minutes if there are any.

With minutes every stage ends at its share of them (`share` in its config file), and the world is rendered beside the
others, which take pairs in as they come. Without, the world is rendered first and every stage makes its steps: only
then do two runs of one seed give the same weights.

A stage that fails leaves the weights before it, and the next one goes on.
"""

from __future__ import annotations

import dataclasses
import logging
import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

from ladivton_core.checkpoints.reading import CheckpointError
from ladivton_core.embedded import EMBEDDED_DIR
from ladivton_core.training.config import ConfigError, Settings, TrainingSettings
from ladivton_core.training.recipe import Recipe, StageFailure, Training

from .finish import Finish
from .latents import Latents
from .pairs import PAIRS
from .reading import Vision, Words
from .tryon import TryOn
from .vae import Vae
from .warping import Refinement, Tps
from .world import World, WorldSettings, open_pairs, start_renderers

log = logging.getLogger(__name__)
EMBEDDED = Recipe(
    "embedded",
    stages={
        "world": World,
        "vae": Vae,
        "tps": Tps,
        "vision": Vision,
        "words": Words,
        "refinement": Refinement,
        "extract": Latents,
        "tryon": TryOn,
        "finish": Finish,
    },
    configs=Path(__file__).parent / "configs",
    tables=("cpu",),
    starts_from=str(EMBEDDED_DIR),
    tracker="none",
)
"""Where nobody says what to start from it goes on with the weights that ship."""
_FIRST = 8  # files of pairs that training begins with


@dataclasses.dataclass(frozen=True)
class Sitting(Training):
    """The whole recipe in one call.

    Attributes:
        minutes: for all of it; 0 for the stages' own steps.
    """

    minutes: float = 0.0

    def plan(self) -> dict[str, Settings]:
        """As `Training.plan`; with minutes the clock ends a stage, unless its steps were asked for."""
        plan = super().plan()
        asked = {key.rpartition(".")[2] for key in self.changes}
        for stage, settings in plan.items():
            if not self.minutes or not hasattr(settings, "share"):
                continue
            changes = {"minutes": self.minutes * settings.share}
            if isinstance(settings, TrainingSettings) and "steps" not in asked:
                changes["steps"] = 0
            plan[stage] = dataclasses.replace(settings, **changes)
        return plan

    def run_all(self) -> None:
        """Every stage that is not done.

        Raises:
            ConfigError: the folder was begun with another budget or other weights.
            StageFailure: some stages failed.
        """
        plan, failed, renderers = self.plan(), [], []
        self._begin()
        stop = multiprocessing.get_context("spawn").Event()
        try:
            for stage, settings in plan.items():
                if self.done(stage, settings):
                    log.info("%s is done", stage)
                elif stage == "world" and self.minutes:
                    renderers = self._render_beside(settings, stop)
                elif not self._attempt(stage, settings):
                    failed.append(stage)
                if stage == "extract" and renderers:  # nobody can use further pairs
                    stop.set()
                    for process in renderers:
                        process.join()
                    pairs, renderers = open_pairs(self.folder, "train").there(plan["world"].count), []
                    self.note("world", plan["world"], {"pairs": float(pairs)}, 0.0)
                    log.info("world: %d pairs", pairs)
        finally:
            stop.set()
            for process in renderers:
                process.join(timeout=5)
                process.terminate()
        if failed:
            raise StageFailure(
                f"these stages failed, and the weights before them stay: {', '.join(failed)}. The log says why; "
                "the same command runs them again."
            )

    def _begin(self) -> None:
        """Note budget and starting weights: stages of one folder belong together."""
        noted = self.noted()
        for name, now in (("minutes", self.minutes), ("init", self.init or self.recipe.starts_from)):
            before = noted.setdefault(name, now)
            if before != now:
                raise ConfigError(
                    f"{self.folder} was begun with {name} = {before!r} and this call has {now!r}: "
                    "give the same to go on, or choose another folder, or delete this one."
                )
        self.folder.mkdir(parents=True, exist_ok=True)
        self.write(noted)

    def _attempt(self, stage: str, settings: Settings) -> bool:
        """Run a stage; False after a failure that nobody has to do anything about first."""
        started = time.monotonic()
        try:
            self.run(stage, settings)
        except (ConfigError, CheckpointError, FileNotFoundError):
            raise
        except Exception:
            log.exception("%s failed: the weights before it stay", stage)
            return False
        log.info("stage %s: %.0f s in all", stage, time.monotonic() - started)
        return True

    def _render_beside(self, settings: WorldSettings, stop) -> list[BaseProcess]:
        """Renderers beside the training, which waits for the first files only."""
        folder = self.folder / "world"
        folder.mkdir(parents=True, exist_ok=True)
        self.claim("world", settings)
        processes = start_renderers(folder, settings, settings.workers or 1, stop)
        pairs, wanted = open_pairs(self.folder, "train"), min(_FIRST * PAIRS, settings.count)
        while pairs.there(wanted) < wanted and any(process.is_alive() for process in processes):
            time.sleep(0.2)
        return processes
