"""People in garments for the paper's stages that look at pictures, from the data sets.

A row's fields by name: `person`, `garment`, `worn` (the garment as worn, on white) (3, H, W) in
[-1, 1], `mask` (1, H, W) in {0, 1}, `agnostic` (3, H, W), which is 0 inside the mask, `keypoints` (18, 2) in
pixels, `category` as an index of `CATEGORIES`.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ..datasets import DressCode, VitonHD
from ..preprocessing.garment.garment import worn_garment
from ..preprocessing.labels import CATEGORIES
from .config import ConfigError, DatasetSettings
from .draws import Rows


class Scenes:
    """Rows of VITON-HD or Dress Code.

    Args:
        count: rows to take, evenly spaced: Dress Code lists one category after the other. None takes all.
    """

    def __init__(self, dataset: VitonHD | DressCode, count: int | None = None):
        self.dataset = dataset
        count = len(dataset) if count is None else min(count, len(dataset))
        self.indices = np.linspace(0, len(dataset) - 1, count).round().astype(int)

    def __len__(self) -> int:
        return len(self.indices)

    def read(self, row: int, *fields: str) -> dict[str, Tensor]:
        """Some fields of a row."""
        sample = self.dataset[int(self.indices[row])]
        found = {}
        for name in fields:
            if name == "worn":
                worn = worn_garment(sample.person[None], sample.parse[None], sample.category, self.dataset.labels)
                found[name] = worn[0]
            elif name == "agnostic":
                found[name] = sample.person.float() * (1 - sample.mask.float())
            elif name == "category":
                found[name] = torch.tensor(CATEGORIES.index(sample.category))
            else:
                found[name] = getattr(sample, name).float()
        return found


class WholeScenes(Rows):
    """Some fields of scenes at full size."""

    def __init__(self, scenes: Scenes, seed: int, *fields: str):
        self.scenes, self.seed, self.fields = scenes, seed, fields

    def __len__(self) -> int:
        return len(self.scenes)

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        return self.scenes.read(row, *self.fields)


def open_scenes(settings: DatasetSettings) -> tuple[Scenes, Scenes]:
    """Training rows and held-out rows of a stage.

    Raises:
        FileNotFoundError: the data set is not there.
        ConfigError: no `root`.
    """
    if not settings.root:
        raise ConfigError(f"data = {settings.data!r} needs the folder of the data set: --data FOLDER.")
    kind = {"vitonhd": VitonHD, "dresscode": DressCode}[settings.data]
    train = Scenes(kind(settings.root, split="train", size=settings.size))
    return train, Scenes(kind(settings.root, split="test", size=settings.size), settings.held_out)


def stacked(scenes: Scenes, rows, *fields: str) -> dict[str, Tensor]:
    """Fields of some rows as a batch."""
    read = [scenes.read(int(row), *fields) for row in rows]
    return {name: torch.stack([one[name] for one in read]) for name in fields}
