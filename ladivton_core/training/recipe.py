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

from .config import ConfigError, Settings, TrainingSettings, read
from .denoiser import Denoising
from .draws import number
from .emasc import Emasc
from .embedded.decoder import Decoder, Sample
from .embedded.vae import Vae
from .embedded.vision import Vision
from .embedded.words import Words
from .embedded.world import World
from .extraction import Extraction
from .loop import fit, new_accelerator
from .stage import Run, TrainingStage, WorkStage
from .warper import Refinement, Tps

log = logging.getLogger(__name__)

STAGES: Mapping[str, type[TrainingStage] | type[WorkStage]] = {
    "world": World,
    "vae": Vae,
    "tps": Tps,
    "refinement": Refinement,
    "refinement_finish": Refinement,
    "vision": Vision,
    "words": Words,
    "emasc": Emasc,
    "extract_small": Extraction,
    "inversion": Denoising,
    "extract": Extraction,
    "tryon": Denoising,
    "tryon_finish": Denoising,
    "sample": Sample,
    "decoder": Decoder,
}
"""Every stage; those of a name in `configs/`."""

_PAPER = ("tps", "refinement", "extract", "emasc", "inversion", "tryon")
RECIPES = {"vitonhd": _PAPER, "dresscode": _PAPER, "synthetic": tuple(STAGES)}
"""Stages of a preset, in order. The paper takes VAE, CLIP and inpainting UNet as given; `synthetic` trains its own."""


_HARMLESS = ("count", "workers", "batch", "root")
"""Settings of a work stage that may change without its files becoming wrong."""


@dataclasses.dataclass(frozen=True)
class Recipe:
    """One recipe in one folder.

    Attributes:
        preset: key of `RECIPES`.
        folder: where everything goes.
        init, weights: see `stage.Run`.
        config: a config file in place of a stage's own.
        changes: settings by name. With `run_all` a stage takes those it knows.
        tracker: name of an accelerate tracker, or `none`.
    """

    preset: str
    folder: Path
    init: str = ""
    weights: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    config: Path | None = None
    changes: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    tracker: str = "tensorboard"

    def settings(self, stage: str) -> Settings:
        """Settings of a stage.

        Raises:
            ConfigError: the preset has no such stage, or a setting is wrong.
        """
        if stage not in RECIPES[self.preset]:
            raise ConfigError(f"preset {self.preset} has no stage {stage!r}; it has {', '.join(RECIPES[self.preset])}.")
        return read(STAGES[stage].settings_type, stage, self.preset, file=self.config, changes=self.changes)

    def run_all(self) -> None:
        """Every stage in order; finished ones are skipped, a started one goes on.

        Raises:
            ConfigError: a change that no stage knows.
        """
        plan, used = {}, set()
        for stage in RECIPES[self.preset]:
            known = {field.name for field in dataclasses.fields(STAGES[stage].settings_type)} & self.changes.keys()
            own = dataclasses.replace(self, changes={name: self.changes[name] for name in known})
            plan[stage], used = own.settings(stage), used | known
        if strange := self.changes.keys() - used:
            raise ConfigError(f"no stage of preset {self.preset} has a setting {', '.join(sorted(strange))}.")
        for stage, settings in plan.items():  # all of them were read before the first one runs
            if self.done(stage, settings):
                log.info("%s is done", stage)
            else:
                self.run(stage, settings)

    def run(self, stage: str, settings: Settings | None = None) -> Any:
        """Run one stage; returns `loop.Outcome`, or the figures of a stage without training."""
        settings = settings or self.settings(stage)
        (self.folder / stage).mkdir(parents=True, exist_ok=True)
        accelerator = new_accelerator(settings, self.folder, self.tracker)
        earlier = RECIPES[self.preset][: RECIPES[self.preset].index(stage)]
        run = Run(
            self.folder, stage, earlier, self.init, self.weights, accelerator.process_index, accelerator.num_processes
        )
        torch.manual_seed(number(settings.seed))  # random weights
        started = time.monotonic()
        found = STAGES[stage](settings, run, accelerator.device)
        if isinstance(found, TrainingStage):
            noted = dataclasses.asdict(settings).items()
            accelerator.init_trackers(stage, {k: v if isinstance(v, int | float) else str(v) for k, v in noted})
            outcome = fit(found, run, accelerator)
            figures, seconds = outcome.figures, outcome.seconds
            for tracker in accelerator.trackers:  # not `end_training`: it would end the processes' group as well
                tracker.finish()
        else:
            if run.main:
                self._claim(stage, settings)
            accelerator.wait_for_everyone()
            outcome = figures = found.work()
            accelerator.wait_for_everyone()
            seconds = time.monotonic() - started
        if run.main:
            self._note(stage, settings, figures, seconds)
        return outcome

    def _claim(self, stage: str, settings: Settings) -> None:
        """Note what a work stage's files are made with.

        Raises:
            ConfigError: there are files made with something else, which would be taken for its own.
        """
        note, now = self.folder / stage / "settings.json", _plain(settings)
        before = json.loads(note.read_text(encoding="utf-8")) if note.is_file() else now
        if changed := [name for name in now if name not in _HARMLESS and before.get(name) != now[name]]:
            raise ConfigError(
                f"{self.folder / stage} was made with another {', '.join(changed)}: delete that folder, "
                "and those of the stages after it, or choose another --out."
            )
        note.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")

    @property
    def file(self) -> Path:
        """`RUNS/recipe.json`."""
        return self.folder / "recipe.json"

    def done(self, stage: str, settings: Settings) -> bool:
        """Whether a stage has run to its end with these settings."""
        noted = read_recipe(self.folder)["stages"].get(stage) if self.file.is_file() else None
        return noted is not None and noted["settings"] == _plain(settings)

    def _note(self, stage: str, settings: Settings, figures: dict[str, float], seconds: float) -> None:
        noted = read_recipe(self.folder) if self.file.is_file() else {"preset": self.preset, "stages": {}}
        before = noted["stages"].get(stage, {})
        if not isinstance(settings, TrainingSettings):  # work that is already there is kept, and so is its time
            seconds += before.get("seconds", 0.0)
        noted["stages"][stage] = {"seconds": round(seconds, 1), "figures": figures, "settings": _plain(settings)}
        partial = self.file.with_suffix(".partial")
        partial.write_text(json.dumps(noted, indent=1) + "\n", encoding="utf-8")
        partial.replace(self.file)


def read_recipe(folder: Path) -> dict[str, Any]:
    """`recipe.json` of a folder: `preset`, and by stage `seconds`, `figures`, `settings` (seed, perceptual, ...).

    Raises:
        FileNotFoundError: no stage has finished there.
    """
    file = folder / "recipe.json"
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}: no stage has finished in this folder.")
    return json.loads(file.read_text(encoding="utf-8"))


def _plain(settings: Settings) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(settings)))
