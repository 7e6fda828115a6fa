"""Pairs of the photographs' world as rows to learn from: `photographs=FOLDER` among the `sources` of the stage `world`.

`FOLDER/train` and `FOLDER/held_out` come from `python -m drawn_world.photographs render`, each with a seed of its own.
Whatever is drawn for a row is drawn from its number, so a row is the same whenever it is read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask

from .pairs import Fields


class Photographs:
    """A `pairs.Source`. Half of the people have their joints as a detector gives them, the others exact ones.

    Args:
        folder: with a folder of pairs for each split.
        split: one of `pairs.SPLITS`.
        size: (height, width) that pictures are shrunk to.
    """

    def __init__(self, folder: Path, split: str, size: tuple[int, int]):
        self.folder, self.size, self._there = folder / split, size, 0

    def there(self, stop: int) -> int:
        from ..photographs.store import path_of

        while self._there < stop and path_of(self.folder, self._there).is_file():
            self._there += 1
        return min(self._there, stop)

    def read(self, row: int) -> Fields:
        from ..photographs.store import path_of, read

        made, rng = read(path_of(self.folder, row)), np.random.default_rng(row)
        parse = torch.from_numpy(made.parse)
        joints = torch.from_numpy(made.detected if rng.random() < 0.5 else made.joints).double()
        joints = (joints[:, :2] * (joints[:, 2:] > 0)).expand(2, -1, -1)
        # at the size it was rendered in: the rule counts in pixels of that size
        masks = agnostic_mask(parse.long(), joints, made.category, LIP20, missing_joints="skip")
        scale = torch.tensor([new / old for new, old in zip(self.size[::-1], parse.shape[:0:-1], strict=True)])
        pictures = {"persons": made.persons, "garments": made.garments, "worn": made.worn}
        return {name: self._shrunk(torch.from_numpy(picture).movedim(-1, 1)) for name, picture in pictures.items()} | {
            "masks": torch.from_numpy(np.packbits(self._shrunk(masks * 255)[:, 0].numpy() > 127, axis=-1)),
            "keypoints": (joints[0] * scale).float(),
            "category": torch.tensor(CATEGORIES.index(made.category)),
        }

    def _shrunk(self, pictures: Tensor) -> Tensor:
        return F.interpolate(pictures.float(), self.size, mode="area").round().byte()
