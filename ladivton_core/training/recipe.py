"""The stages and their order, running one of them, and `RUNS/recipe.json`: what was run, how long, what it reached.

`__main__.py` is the command line on top, `export.py` turns a finished recipe into a folder of weights.
"""

from __future__ import annotations

import dataclasses
import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from drawn_world.training import stages as embedded

from ..disk.documents import read_json
from ..disk.writing import write_json
from ..embedded import embedded_path
from .accelerator import new_accelerator
from .config import EMBEDDED, ConfigError, Settings, TrainingSettings, read
from .denoiser import Denoising
from .draws import number
from .emasc import Emasc
from .extraction import Extraction
from .loop import fit
from .stage import Run, TrainingStage, WorkStage
from .warper import Refinement, Tps

log = logging.getLogger(__name__)

PAPER: Mapping[str, type[TrainingStage] | type[WorkStage]] = {
    "tps": Tps,
    "refinement": Refinement,
    "extract": Extraction,
    "emasc": Emasc,
    "inversion": Denoising,
    "tryon": Denoising,
}
RECIPES = {"vitonhd": PAPER, "dresscode": PAPER, EMBEDDED: embedded.STAGES}
"""Stages of a preset, in order. The paper takes VAE, CLIP and inpainting UNet as given; `embedded` trains its own."""
STAGES = tuple(dict.fromkeys(stage for stages in RECIPES.values() for stage in stages))
"""Every stage's name."""
SUPERSEDED = {stage: told for stage, told in embedded.SUPERSEDED.items() if stage not in STAGES}
"""Names of stages that are no more, and what does their work."""

_EXPECTED = "the note of a training in this folder; put back a copy, or choose another --out"
_STAGE = {"seconds": float, "figures": {str: object}, "settings": {"models": str, "seed": int}}
_SHAPE = {"preset": str, "stages": {str: _STAGE}}

_HARMLESS = ("count", "workers", "minutes", "batch", "root")
"""Settings of a work stage that may change without its files becoming wrong."""
_NOTE = "note.json"
_TIMES = ("minutes", "micro_batch")
"""Settings that say nothing about whether a finished stage is what is asked for."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One recipe in one folder.

    Attributes:
        preset: key of `RECIPES`.
        folder: where everything goes.
        init, weights: see `stage.Run`; without `init` the embedded default goes on with the shipped weights.
        config: a config file in place of a stage's own.
        changes: settings by name. With `run_all` a stage takes those it knows.
        tracker: name of an accelerate tracker, or `none`.
        minutes: budget of `run_all`; stages then end by the clock. For the embedded default.
        beside: whether another process runs the recipe and this one only some of its stages.
        memory: see `stage.Run`.
    """

    preset: str
    folder: Path
    init: str = ""
    weights: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    config: Path | None = None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tracker: str = "tensorboard"
    minutes: float = 0.0
    beside: bool = False
    memory: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @property
    def starts_from(self) -> str:
        """`init`, or the folder of the shipped weights."""
        return self.init or (str(embedded_path("unet").parent) if self.preset == EMBEDDED else "")

    def settings(self, stage: str) -> Settings:
        """Settings of a stage.

        Raises:
            ConfigError: the preset has no such stage, or a setting is wrong.
        """
        stages = RECIPES[self.preset]
        if stage not in stages:
            told = embedded.SUPERSEDED.get(stage) if self.preset == EMBEDDED else None
            raise ConfigError(
                f"preset {self.preset} has no stage {stage!r}; "
                + (f"in its place there is {told}." if told else f"it has {', '.join(stages)}.")
            )
        from accelerate import PartialState

        return read(
            stages[stage].settings_type,
            stage,
            self.preset,
            file=self.config,
            changes=self.changes,
            device=PartialState().device.type,
        )

    def plan(self) -> dict[str, Settings]:
        """Settings of every stage, in order.

        A change named `stage.setting` is for that stage alone, any other one for all that know it.

        Raises:
            ConfigError: a change that no stage knows.
        """
        plan, used = {}, set()
        for stage, kind in RECIPES[self.preset].items():
            names = {field.name for field in dataclasses.fields(kind.settings_type)}
            keys = {name: f"{stage}.{name}" if f"{stage}.{name}" in self.changes else name for name in names}
            known = {name: key for name, key in keys.items() if key in self.changes}
            own = dataclasses.replace(self, changes={name: self.changes[key] for name, key in known.items()})
            plan[stage], used = own.settings(stage), used | set(known.values())
        if strange := [key for key in self.changes if key not in used and not self._is_overruled(key)]:
            raise ConfigError(f"no stage of preset {self.preset} has a setting {', '.join(sorted(strange))}.")
        return plan

    def _is_overruled(self, key: str) -> bool:
        return any(f"{stage}.{key}" in self.changes for stage in RECIPES[self.preset])

    def run_all(self) -> None:
        """Every stage in order; finished ones are skipped, a started one goes on.

        Raises:
            ConfigError: a change that no stage knows, or a budget for a recipe of the paper.
        """
        plan = self.plan()  # all of them are read before the first one runs
        if self.preset == EMBEDDED:
            from drawn_world.training.sitting import Sitting

            Sitting(self, plan).run()
            return
        if self.minutes:
            raise ConfigError(f"minutes = {self.minutes:g} is for the preset {EMBEDDED}; set a stage's own minutes.")
        for stage, settings in plan.items():
            if self.done(stage, settings):
                log.info("%s is done", stage)
            else:
                self.run(stage, settings)

    def run(self, stage: str, settings: Settings | None = None) -> Any:
        """Run one stage; returns `loop.Outcome`, or the figures of a stage without training."""
        settings = settings or self.settings(stage)
        (self.folder / stage).mkdir(parents=True, exist_ok=True)
        accelerator = new_accelerator(settings, self.folder, self.tracker)
        stages = list(RECIPES[self.preset])
        run = Run(
            self.folder,
            stage,
            stages[: stages.index(stage)],
            self.starts_from,
            self.weights,
            accelerator.process_index,
            accelerator.num_processes,
            self.memory,
        )
        torch.manual_seed(number(settings.seed))  # random weights
        started = time.monotonic()
        found = RECIPES[self.preset][stage](settings, run, accelerator.device)
        if isinstance(found, TrainingStage):
            noted = dataclasses.asdict(settings).items()
            accelerator.init_trackers(stage, {k: v if isinstance(v, int | float) else str(v) for k, v in noted})
            outcome = fit(found, run, accelerator)
            figures, seconds = outcome.figures, outcome.seconds
            further = {"steps": outcome.steps} | ({} if outcome.written else {"written": False})
            for tracker in accelerator.trackers:  # not `end_training`: it would end the processes' group as well
                tracker.finish()
        else:
            if run.main:
                self.claim(stage, settings)
            accelerator.wait_for_everyone()
            outcome = figures = found.work()
            accelerator.wait_for_everyone()
            seconds, further = time.monotonic() - started, {}
        if run.main:
            self.note(stage, settings, figures, seconds, further)
        return outcome

    def claim(self, stage: str, settings: Settings) -> None:
        """Note what a work stage's files are made with.

        Raises:
            ConfigError: there are files made with something else, which would be taken for its own.
        """
        note, now = self.folder / stage / "settings.json", _plain(settings)
        before = read_json(note, shape=dict, expected=_EXPECTED) if note.is_file() else now
        if changed := [name for name in now if name not in _HARMLESS and before.get(name) != now[name]]:
            raise ConfigError(
                f"{self.folder / stage} was made with another {', '.join(changed)}: delete that folder, "
                "and those of the stages after it, or choose another --out."
            )
        write_json(now, note)

    @property
    def file(self) -> Path:
        """`RUNS/recipe.json`."""
        return self.folder / "recipe.json"

    def done(self, stage: str, settings: Settings) -> bool:
        """Whether a stage has run to its end with these settings."""
        noted = self.noted()["stages"].get(stage)
        if noted is None:
            return False
        before, now = (
            {name: value for name, value in found.items() if name not in _TIMES}
            for found in (noted["settings"], _plain(settings))
        )
        return before == now

    def noted(self) -> dict[str, Any]:
        """`recipe.json` as it is, or as it begins."""
        if self.file.is_file() or list(self.folder.glob(f"*/{_NOTE}")):
            return read_recipe(self.folder)
        return {"preset": self.preset, "stages": {}}

    def write(self, noted: dict[str, Any]) -> None:
        """Write `recipe.json`, whole or not at all."""
        write_json(noted, self.file)

    def note(
        self,
        stage: str,
        settings: Settings,
        figures: dict[str, float],
        seconds: float,
        further: Mapping[str, Any] | None = None,
    ) -> None:
        """Note a finished stage: in `recipe.json`, or in the stage's folder beside another process."""
        noted = self.noted()
        before = noted["stages"].get(stage, {})
        if not isinstance(settings, TrainingSettings):  # work that is already there is kept, and so is its time
            seconds += before.get("seconds", 0.0)
        note = {"seconds": round(seconds, 1), "figures": figures, "settings": _plain(settings)} | dict(further or {})
        if self.beside:  # the main process alone writes `recipe.json`
            write_json(note, self.folder / stage / _NOTE)
            return
        noted["stages"][stage] = note
        self.write(noted)


def read_recipe(folder: Path) -> dict[str, Any]:
    """`recipe.json` of a folder: `preset`, and by stage `seconds`, `figures`, `settings` (seed, perceptual, ...).

    Stages that a second process has finished are taken in from the notes it left.

    Raises:
        FileNotFoundError: no stage has finished there.
        ConfigError: it is something else; the message names the field.
    """
    file, notes = folder / "recipe.json", sorted(folder.glob(f"*/{_NOTE}"))
    if not file.is_file() and not notes:
        raise FileNotFoundError(f"there is no {file}: no stage has finished in this folder.")
    recipe = {"preset": EMBEDDED, "stages": {}}
    try:
        if file.is_file():
            recipe = read_json(file, shape=_SHAPE, expected=_EXPECTED)
        for note in notes:
            recipe["stages"].setdefault(note.parent.name, read_json(note, shape=_STAGE, expected=_EXPECTED))
    except ValueError as error:
        raise ConfigError(str(error)) from error
    if recipe["preset"] not in RECIPES:
        raise ConfigError(f"{file}: 'preset' is {recipe['preset']!r}; known are {', '.join(RECIPES)}.")
    return recipe


def _plain(settings: Settings) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(settings)))
