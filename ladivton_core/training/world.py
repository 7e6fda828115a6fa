"""Stage `world`: scenes of the synthetic world, rendered once into `RUNS/world`.

Rendering a 512x384 scene costs about a third of a second on one core, more than a training step may. Fields
are those of `scenes.py`, pictures and masks as uint8, and what the vision tower learns to tell of a garment.
"""

from __future__ import annotations

import logging
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch

from ..drawn_world.scene import CYCLE, UNPAIRED_SHIFT, DrawnWorld
from ..preprocessing.agnostic import agnostic_mask
from ..preprocessing.labels import CATEGORIES, LIP20
from .chunks import CHUNK, has_chunk, trim, write_chunk
from .config import ConfigError, Settings
from .scenes import PICTURES
from .stage import WorkStage

log = logging.getLogger(__name__)
NUMBERS = 10
"""Numeric attributes of a garment: two colours (3 + 3), period, sleeve, neck depth, length."""


@dataclass(frozen=True)
class WorldSettings(Settings):
    """Settings of the stage.

    Attributes:
        world: seed of the world.
        count: scenes.
        cycle: categories of the scenes in turn, as many as `CYCLE` has; each takes the world's next scene of its
            category, so a category that comes more often than in the world comes from further on.
        unpaired: share of scenes whose mask and agnostic image show the person before: in another garment of the
            category. Where every mask is that of the garment to be painted, its outline gives away skirt or trousers.
    """

    world: int = 1
    count: int = 2400
    cycle: tuple[str, ...] = CYCLE
    unpaired: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.cycle) != len(CYCLE) or any(name not in CYCLE for name in self.cycle):
            raise ConfigError(f"cycle = {list(self.cycle)} is {len(CYCLE)} of {', '.join(CATEGORIES)}.")
        if not 0 <= self.unpaired <= 1:
            raise ConfigError(f"unpaired = {self.unpaired} is a share between 0 and 1.")


def attributes(garment: dict) -> tuple[int, list[float]]:
    """Pattern class of a garment and its numeric attributes, about unit range."""
    numbers = [*(garment["colour"] * 2 - 1), *(garment["colour_2"] * 2 - 1), garment["period"] / 25 - 2]
    numbers += [garment["sleeve"] - 1, garment["neck_depth"] * 20 - 2, float(garment["length"])]
    return int(garment["pattern"]), numbers


def scene_index(cycle: tuple[str, ...], row: int) -> int:
    """Number in the world of a row: the next one of its category that no earlier row has."""
    turn, place = divmod(row, len(cycle))
    category = cycle[place]
    count = turn * cycle.count(category) + cycle[:place].count(category)
    own = [index for index, name in enumerate(CYCLE) if name == category]
    return count // len(own) * len(CYCLE) + own[count % len(own)]


def render_chunk(folder: Path, settings: WorldSettings, index: int, count: int) -> None:
    """Render rows `index * CHUNK ...`, at most `count` of them; everyone wears their own garment."""
    world, rows = DrawnWorld(settings.world, settings.size), range(index * CHUNK, index * CHUNK + count)
    columns: dict[str, list[torch.Tensor]] = {}
    for row in rows:
        number = scene_index(settings.cycle, row)
        scene, (pattern, numbers) = world.scene([number], [number]), attributes(world.garment(number))
        category, before = world.category(number), scene
        if np.random.default_rng([settings.world, number, 3]).random() < settings.unpaired:
            before = world.scene([number], [number + UNPAIRED_SHIFT])
        # Joints nobody can see are left out of the arms' stroke, not drawn through the corner (Q8).
        mask = agnostic_mask(before.parse, before.keypoints, category, LIP20, missing_joints="skip")
        fields = {name: (getattr(scene, name)[0] * 255).round().byte() for name in PICTURES} | {
            "before": (before.person[0] * 255).round().byte(),
            "mask": mask[0].byte(),
            "keypoints": scene.keypoints[0].float(),
            "category": torch.tensor(CATEGORIES.index(category)),
            "pattern": torch.tensor(pattern),
            "numbers": torch.tensor(np.array(numbers), dtype=torch.float32),
        }
        for name, value in fields.items():
            columns.setdefault(name, []).append(value)
    write_chunk(folder, index, {name: torch.stack(column) for name, column in columns.items()})


class World(WorkStage):
    """Renders what is not there yet."""

    settings_type = WorldSettings
    settings: WorldSettings

    def work(self) -> dict[str, float]:
        settings, folder = self.settings, self.run.folder / "world"
        if self.run.main:
            trim(folder, settings.count)
        chunks = -(-settings.count // CHUNK)
        rows = [min(CHUNK, settings.count - index * CHUNK) for index in range(chunks)]
        jobs = [
            (folder, settings, index, rows[index])
            for index in range(self.run.process, chunks, self.run.processes)
            if not has_chunk(folder, index, rows[index])
        ]
        # Spawned, not forked: a forked process may inherit a lock of torch's thread pool.
        workers = min(settings.workers, len(jobs))
        if workers > 1:
            with ProcessPoolExecutor(workers, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
                for _ in pool.map(render_chunk, *zip(*jobs, strict=True)):
                    log.info("rendered another %d scenes", CHUNK)
        else:
            for job in jobs:
                render_chunk(*job)
        return {"scenes": float(settings.count)}
