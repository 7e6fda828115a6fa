"""Stage `world`: pairs of the drawn world, rendered once into `RUNS/world`; a pair is one person in two garments.

Rendering costs about a third of a second of one core for each of the two pictures, more than a training step may.
Several processes share it, each every so-manieth file of `PAIRS` pairs, so that training can begin with the first
files (`pool.py`, `sitting.py`). `RUNS/world/train` and `RUNS/world/held_out` hold, for a pair,

    persons    (2, 3, H, W) uint8      the person in the first and in the second garment
    garments   (2, 3, H, W) uint8      the garments laid flat
    worn       (2, 3, H, W) uint8      the garments as worn, on white
    masks      (2, H, W / 8) uint8     inpaint masks, a bit a pixel
    keypoints  (18, 2) float32         of the person, in pixels
    category   int64                   index of `CATEGORIES`
    patterns   (2,) int64              pattern class of the garments
    numbers    (2, NUMBERS) float32    their colours and cut, see `attributes`

The held-out pairs are those of the evaluation's unpaired order: person i in garment i and in garment
i + `UNPAIRED_SHIFT` of another world.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.training.chunks import chunk_path, has_chunk, trim, write_chunk
from ladivton_core.training.config import ConfigError, Settings
from ladivton_core.training.stage import WorkStage

from ..world.garments import sample_garment
from ..world.people import sample_person
from ..world.scene import UNPAIRED_SHIFT, DrawnWorld, draw

log = logging.getLogger(__name__)
SPLITS = ("train", "held_out")
PAIRS = 8
"""Pairs a file."""
NUMBERS = 10
"""Numeric attributes of a garment: two colours (3 + 3), period, sleeve, neck depth, length."""
EVALUATION = (3101, 3102, 3301)
"""Seeds of the worlds that evaluation and model card look at: nothing may learn from them."""


@dataclass(frozen=True)
class WorldSettings(Settings):
    """Settings of the stage.

    Attributes:
        world: seed of the people and garments to learn from.
        held_out_world: seed of the world the held-out people are from.
        count: pairs to learn from, at most.
        minutes: rendering ends after so many; 0 is no limit.
        cycle: categories of the pairs in turn.
    """

    world: int = 71
    held_out_world: int = 4301
    count: int = 6400
    minutes: float = 0.0
    cycle: tuple[str, ...] = CATEGORIES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.world in EVALUATION or self.world == self.held_out_world:
            kept = ", ".join(map(str, (*EVALUATION, self.held_out_world)))
            raise ConfigError(f"world = {self.world} is kept for looking at what was learned ({kept}): choose another.")
        if not self.cycle or any(name not in CATEGORIES for name in self.cycle):
            raise ConfigError(f"cycle = {list(self.cycle)} is some of {', '.join(CATEGORIES)}.")
        if min(self.count, self.held_out) < 1:
            raise ConfigError(f"count = {self.count} and held_out = {self.held_out} are at least 1.")


def attributes(garment: dict) -> tuple[int, list[float]]:
    """Pattern class of a garment and its numeric attributes, about unit range."""
    numbers = [*(garment["colour"] * 2 - 1), *(garment["colour_2"] * 2 - 1), garment["period"] / 25 - 2]
    numbers += [garment["sleeve"] - 1, garment["neck_depth"] * 20 - 2, float(garment["length"])]
    return int(garment["pattern"]), numbers


def render_pair(person: dict, garments: list[dict], size: tuple[int, int]) -> dict[str, Tensor]:
    """One person in each of two garments: the fields of a row."""
    scenes = [draw([person], [garment], size) for garment in garments]
    told = [attributes(garment) for garment in garments]
    masks = [
        # Joints nobody can see are left out of the arms' stroke, not drawn through the corner (Q8).
        agnostic_mask(scene.parse, scene.keypoints, person["category"], LIP20, missing_joints="skip")[0, 0]
        for scene in scenes
    ]
    pictures = {"persons": "person", "garments": "garment", "worn": "worn"}
    fields = {
        name: torch.stack([(getattr(scene, field)[0] * 255).round().byte() for scene in scenes])
        for name, field in pictures.items()
    }
    return fields | {
        "masks": torch.from_numpy(np.packbits(torch.stack(masks).byte().numpy(), axis=-1)),
        "keypoints": scenes[0].keypoints[0].float(),
        "category": torch.tensor(CATEGORIES.index(person["category"])),
        "patterns": torch.tensor([pattern for pattern, _ in told]),
        "numbers": torch.tensor(np.array([numbers for _, numbers in told]), dtype=torch.float32),
    }


def training_pair(settings: WorldSettings, index: int) -> dict[str, Tensor]:
    """A pair to learn from; the same on every machine, whoever renders it."""
    category = settings.cycle[index % len(settings.cycle)]
    person, *garments = (np.random.default_rng([settings.world, index, key]) for key in (11, 12, 13))
    return render_pair(
        sample_person(person, category), [sample_garment(rng, category) for rng in garments], settings.size
    )


def held_out_pair(settings: WorldSettings, index: int) -> dict[str, Tensor]:
    """A pair to look at."""
    world = DrawnWorld(settings.held_out_world)
    garments = [world.garment(index), world.garment(index + UNPAIRED_SHIFT)]
    return render_pair(world.person(index), garments, settings.size)


def render(folder: Path, settings: WorldSettings, worker: int = 0, workers: int = 1, stop=None) -> None:
    """Render what is not there yet of a worker's share, held-out pairs first.

    Args:
        folder: `RUNS/world`.
        stop: an event that ends it after the pair at hand; so does the end of the process that started this one. The
            settings' minutes end it after the file at hand, and never before the first of each split.
    """
    parent, end = multiprocessing.parent_process(), time.monotonic() + 60 * settings.minutes
    for split, count, pair in (
        ("held_out", settings.held_out, held_out_pair),
        ("train", settings.count, training_pair),
    ):
        for chunk in range(worker, -(-count // PAIRS), workers):
            indices = range(chunk * PAIRS, min((chunk + 1) * PAIRS, count))
            if has_chunk(folder / split, chunk, len(indices)):
                continue
            if settings.minutes and chunk >= workers and time.monotonic() > end:
                break
            rows = []
            for index in indices:
                if (stop is not None and stop.is_set()) or (parent is not None and not parent.is_alive()):
                    return
                rows.append(pair(settings, index))
            write_chunk(folder / split, chunk, {name: torch.stack([row[name] for row in rows]) for name in rows[0]})


def _render_modestly(*arguments) -> None:
    """`render` in a process among others."""
    torch.set_num_threads(1)
    with suppress(AttributeError, OSError):  # Windows has none
        os.nice(10)
    render(*arguments)


def start_renderers(folder: Path, settings: WorldSettings, workers: int, stop=None) -> list[BaseProcess]:
    """Processes that `render`, one for each worker; they end with this one."""
    context = multiprocessing.get_context("spawn")  # a forked process may inherit a lock of torch's thread pool
    processes = [
        context.Process(target=_render_modestly, args=(folder, settings, worker, workers, stop), daemon=True)
        for worker in range(workers)
    ]
    for process in processes:
        process.start()
    return processes


def rendered(folder: Path) -> int:
    """Training pairs that are there, up to the first file that is missing."""
    files = 0
    while chunk_path(folder / "train", files).is_file():
        files += 1
    if not files:
        return 0
    from safetensors import safe_open

    last = safe_open(chunk_path(folder / "train", files - 1), framework="pt")
    return PAIRS * (files - 1) + last.get_slice("keypoints").get_shape()[0]


class World(WorkStage):
    """Renders what is not there yet."""

    settings_type = WorldSettings
    settings: WorldSettings

    def work(self) -> dict[str, float]:
        settings, folder = self.settings, self.run.folder / "world"
        for split, count in zip(SPLITS, (settings.count, settings.held_out), strict=True):
            trim(folder / split, count, PAIRS)
        workers = min(settings.workers or cores(), -(-settings.count // PAIRS))
        if workers > 1:
            failed = 0
            for process in start_renderers(folder, settings, workers):
                process.join()
                failed += process.exitcode != 0
            if failed:
                raise RuntimeError(f"{failed} of {workers} rendering processes ended with an error; see above.")
        else:
            render(folder, settings)
        return {"pairs": float(rendered(folder))}


def cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
