"""The paper's recipes, a recipe carried out in a folder, and the note it leaves: what was run, how long, how good.

A recipe is data: stages in order and where their settings are. Whoever has stages of their own passes a recipe of their
own to `Training`, and to `commands.main`, which is the command line. `commands.export` turns a finished one into a
folder of weights.
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

from ..disk.documents import read_json
from ..disk.writing import write_json
from .accelerator import new_accelerator
from .config import ConfigError, Settings, TrainingSettings, read
from .denoiser import Denoising
from .draws import number
from .emasc import Emasc
from .extraction import Extraction
from .loop import fit
from .stage import Run, TrainingStage, WorkStage
from .warper import Refinement, Tps

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """Stages in order and where their settings are.

    Attributes:
        name: said in `recipe.json`.
        stages: by name, in order.
        configs: folder with a file `<stage>.toml` of each.
        tables: that these files may hold. One that is called as the recipe or as the kind of device (`cpu`) goes before
            the top level.
        starts_from: weights to go on with where nobody gives others, as `stage.Run.init` has them; empty for none.
        tracker: name of an accelerate tracker, or `none`, where nobody names another one.
    """

    name: str
    stages: Mapping[str, type[TrainingStage] | type[WorkStage]]
    configs: Path
    tables: tuple[str, ...] = ()
    starts_from: str = ""
    tracker: str = "tensorboard"


PAPER: Mapping[str, type[TrainingStage] | type[WorkStage]] = {
    "tps": Tps,
    "refinement": Refinement,
    "extract": Extraction,
    "emasc": Emasc,
    "inversion": Denoising,
    "tryon": Denoising,
}
"""The paper's stages. They take VAE, CLIP and inpainting UNet as given."""
_DATASETS = ("vitonhd", "dresscode")
RECIPES = {name: Recipe(name, PAPER, Path(__file__).parent / "configs", _DATASETS) for name in _DATASETS}
"""The paper's recipes, by the data set they are for."""

_EXPECTED = "the note of a training in this folder; put back a copy, or choose another --out"
_STAGE = {"seconds": float, "figures": {str: object}, "settings": {"models": str, "seed": int}}
_SHAPE = {"preset": str, "stages": {str: _STAGE}}

_HARMLESS = ("count", "workers", "minutes", "batch", "root")
"""Settings of a work stage that may change without its files becoming wrong."""
_TIMES = ("minutes", "micro_batch")
"""Settings that say nothing about whether a finished stage is what is asked for."""


class StageFailure(RuntimeError):
    """Stages failed, and the weights before them stay; the message names them."""


@dataclasses.dataclass(frozen=True)
class Training:
    """A recipe carried out in a folder.

    Attributes:
        recipe: what is done.
        folder: where everything goes.
        init, weights: see `stage.Run`; without `init` the recipe's `starts_from`.
        config: a config file in place of a stage's own.
        changes: settings by name. With `run_all` a stage takes those it knows.
        tracker: name of an accelerate tracker, or `none`; the recipe's when empty.
        memory: see `stage.Run`.
    """

    recipe: Recipe
    folder: Path
    init: str = ""
    weights: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    config: Path | None = None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tracker: str = ""
    memory: dict[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def settings(self, stage: str) -> Settings:
        """Settings of a stage.

        Raises:
            ConfigError: the recipe has no such stage, or a setting is wrong.
        """
        recipe = self.recipe
        if stage not in recipe.stages:
            raise ConfigError(f"preset {recipe.name} has no stage {stage!r}; it has {', '.join(recipe.stages)}.")
        from accelerate import PartialState

        return read(
            recipe.stages[stage].settings_type,
            self.config or recipe.configs / f"{stage}.toml",
            tables=recipe.tables,
            chosen=(recipe.name, PartialState().device.type),
            changes=self.changes,
        )

    def plan(self) -> dict[str, Settings]:
        """Settings of every stage, in order.

        A change named `stage.setting` is for that stage alone, any other one for all that know it.

        Raises:
            ConfigError: a change that no stage knows.
        """
        plan, used = {}, set()
        for stage, kind in self.recipe.stages.items():
            names = {field.name for field in dataclasses.fields(kind.settings_type)}
            keys = {name: f"{stage}.{name}" if f"{stage}.{name}" in self.changes else name for name in names}
            known = {name: key for name, key in keys.items() if key in self.changes}
            own = dataclasses.replace(self, changes={name: self.changes[key] for name, key in known.items()})
            plan[stage], used = own.settings(stage), used | set(known.values())
        used |= {key.partition(".")[2] for key in used}  # overruled where every stage that knows it has its own
        if strange := [key for key in self.changes if key not in used]:
            raise ConfigError(f"no stage of preset {self.recipe.name} has a setting {', '.join(sorted(strange))}.")
        return plan

    def run_all(self) -> None:
        """Every stage in order; finished ones are skipped, a started one goes on.

        Raises:
            ConfigError: a change that no stage knows.
        """
        for stage, settings in self.plan().items():  # all of them are read before the first one runs
            if self.done(stage, settings):
                log.info("%s is done", stage)
            else:
                self.run(stage, settings)

    def run(self, stage: str, settings: Settings | None = None) -> Any:
        """Run one stage; returns `loop.Outcome`, or the figures of a stage without training."""
        settings = settings or self.settings(stage)
        (self.folder / stage).mkdir(parents=True, exist_ok=True)
        accelerator = new_accelerator(settings, self.folder, self.tracker or self.recipe.tracker)
        stages = list(self.recipe.stages)
        run = Run(
            self.folder,
            stage,
            stages[: stages.index(stage)],
            self.init or self.recipe.starts_from,
            self.weights,
            accelerator.process_index,
            accelerator.num_processes,
            self.memory,
        )
        torch.manual_seed(number(settings.seed))  # random weights
        started = time.monotonic()
        found = self.recipe.stages[stage](settings, run, accelerator.device)
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
        """`recipe.json` as it is, or as it begins.

        Raises:
            ConfigError: the folder is another recipe's.
        """
        noted = read_recipe(self.folder) if self.file.is_file() else {"preset": self.recipe.name, "stages": {}}
        if noted["preset"] != self.recipe.name:
            raise ConfigError(f"{self.folder} is a folder of the preset {noted['preset']!r}: choose another --out.")
        return noted

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
        """Note a finished stage in `recipe.json`."""
        noted = self.noted()
        before = noted["stages"].get(stage, {})
        if not isinstance(settings, TrainingSettings):  # work that is already there is kept, and so is its time
            seconds += before.get("seconds", 0.0)
        note = {"seconds": round(seconds, 1), "figures": figures, "settings": _plain(settings)}
        noted["stages"][stage] = note | dict(further or {})
        self.write(noted)


def read_recipe(folder: Path) -> dict[str, Any]:
    """`recipe.json` of a folder: `preset`, and by stage `seconds`, `figures`, `settings` (seed, perceptual, ...).

    Raises:
        FileNotFoundError: no stage has finished there.
        ConfigError: it is something else; the message names the field.
    """
    file = folder / "recipe.json"
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}: no stage has finished in this folder.")
    try:
        return read_json(file, shape=_SHAPE, expected=_EXPECTED)
    except ValueError as error:
        raise ConfigError(str(error)) from error


def _plain(settings: Settings) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(settings)))
