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

from ..datasets.synthetic import SyntheticWorld
from ..preprocessing.agnostic import agnostic_mask
from ..preprocessing.labels import CATEGORIES, LIP20
from .chunks import CHUNK, has_chunk, trim, write_chunk
from .config import Settings
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
    """

    world: int = 1
    count: int = 2400


def attributes(garment: dict) -> tuple[int, list[float]]:
    """Pattern class of a garment and its numeric attributes, about unit range."""
    numbers = [*(garment["colour"] * 2 - 1), *(garment["colour_2"] * 2 - 1), garment["period"] / 25 - 2]
    numbers += [garment["sleeve"] - 1, garment["neck_depth"] * 20 - 2, float(garment["length"])]
    return int(garment["pattern"]), numbers


def render_chunk(folder: Path, seed: int, size: tuple[int, int], index: int, count: int) -> None:
    """Render scenes `index * CHUNK ...` of world `seed`, at most `count` of them; everyone wears their own garment."""
    world, rows = SyntheticWorld(seed, size), range(index * CHUNK, index * CHUNK + count)
    columns: dict[str, list[torch.Tensor]] = {}
    for row in rows:
        scene, (pattern, numbers) = world.scene([row], [row]), attributes(world.garment(row))
        category = world.category(row)
        # Joints nobody can see are left out of the arms' stroke, not drawn through the corner (Q8).
        mask = agnostic_mask(scene.parse, scene.keypoints, category, LIP20, missing_joints="skip")
        fields = {name: (getattr(scene, name)[0] * 255).round().byte() for name in PICTURES} | {
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
            (folder, settings.world, settings.size, index, rows[index])
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
