"""Pairs of the photographs' world as rows to learn from: `photographs`, or `photographs=FOLDER`, among the `sources`.

The stage `world` renders the first; `FOLDER/train` and `FOLDER/held_out` come from the command
`python -m drawn_world.photographs render`, each with a seed of its own. Whatever is drawn for a row is drawn from its
number, so a row is the same whenever it is made or read.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ladivton_core.preprocessing.garment.backdrop import centred_on_white, ground_to_white
from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.preprocessing.masks.body_mask import body_mask
from ladivton_core.preprocessing.masks.body_region import body_region

from ..photographs.inputs import cut_out, pictures, places
from ..photographs.scene import Pair
from .pairs import Fields

MASKS = {"body": 0.45, "joints": 0.25, "labels": 0.3}
"""How a person's mask is drawn, and how often: around body and cloth, from joints, by labels as in the paper."""


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

        return fields_of(read(path_of(self.folder, row)), row, self.size)


def fields_of(made: Pair, number: int, size: tuple[int, int]) -> Fields:
    """A pair as a row of pictures of a size; joints, masks and the garments' state are drawn from its number."""
    rng = np.random.default_rng(number)
    joints = places(made.detected if rng.random() < 0.5 else made.joints)
    # at the size it was rendered in: the rules count in pixels of that size
    masks = _masks(made, joints, rng)
    scale = torch.tensor([new / old for new, old in zip(size[::-1], made.parse.shape[:0:-1], strict=True)])
    shown = {name: torch.from_numpy(getattr(made, name)).movedim(-1, 1) for name in ("persons", "worn")}
    if rng.random() < 0.5:
        garments = cut_out(made.garments, made.garment_masks)
    else:  # as it lies, a plain ground turned white
        found = [(picture, ground_to_white(picture)) for picture in pictures(made.garments)]
        garments = [picture if white is None else white for picture, white in found]
    garments = torch.stack([centred_on_white(picture, size) for picture in garments])
    return {name: _shrunk(picture, size) for name, picture in shown.items()} | {
        "garments": (garments * 255).round().byte(),
        "masks": torch.from_numpy(np.packbits(_shrunk(masks * 255, size)[:, 0].numpy() > 127, axis=-1)),
        "keypoints": (joints * scale).float(),
        "category": torch.tensor(CATEGORIES.index(made.category)),
        "refined": torch.tensor(False),
    }


def _shrunk(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(pictures.float(), size, mode="area").round().byte()


def _masks(made: Pair, joints: Tensor, rng: np.random.Generator) -> Tensor:
    """Masks (2, 1, H, W) of the person in each garment, for the other one to be put on."""
    kind, seen = rng.choice(list(MASKS), p=list(MASKS.values())), rng.random() < 0.7
    parse, size = torch.from_numpy(made.parse), made.parse.shape[1:]
    both = joints.expand(2, -1, -1)
    silhouette = torch.from_numpy(made.silhouettes)[:, None].float() / 255 if seen else None
    told: dict = {"silhouette": silhouette, "say": lambda _: None}
    picture = pictures(made.persons)
    if kind == "body":
        cloth = (torch.from_numpy(made.worn[::-1].copy()) < 255).any(-1)[:, None].float()
        return body_mask(made.category, size, keypoints=both, cloth=cloth, picture=picture, **told)
    try:
        if kind == "joints":
            return body_region(both, made.category, size, picture=picture, **told)
    except ValueError:  # too few joints to hang a garment on
        pass
    return agnostic_mask(parse.long(), both, made.category, LIP20, missing_joints="skip")
