"""Samples of the drawn world as the pipeline takes them, and their rendered truth. `variants.py` runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.agnostic import GROW, agnostic_mask
from ladivton_core.preprocessing.pose.pose_map import pose_map

from ..world.scene import UNPAIRED_SHIFT, DrawnWorld, Scene

SHIFTS = {"paired": 0, "unpaired": UNPAIRED_SHIFT}
"""By order: person i gets garment i + shift."""
ORDERS = tuple(SHIFTS)


@dataclass(frozen=True)
class Samples:
    """A batch of people and the garments they are to wear. Pictures are (B, 3, H, W) in [0, 1].

    Attributes:
        indices: the people's numbers in the world.
        categories: one an item.
        person: in their own garments.
        garment: laid flat.
        mask: inpaint mask (B, 1, H, W) in {0, 1}.
        pose_map: (B, 18, H, W).
        truth: the person in `garment`.
        worn: `garment` as truly worn, on white.
        garments: the garments' numbers (`DrawnWorld.garment`).
    """

    indices: tuple[int, ...]
    categories: tuple[str, ...]
    person: Tensor
    garment: Tensor
    mask: Tensor
    pose_map: Tensor
    truth: Tensor
    worn: Tensor
    garments: tuple[dict, ...]


def inpaint_mask(scene: Scene, grow: int = GROW) -> Tensor:
    """Mask (B, 1, H, W) by the published rules, each item by its category, absent joints skipped."""
    return torch.cat(
        [
            agnostic_mask(parse[None], joints[None], category, LIP20, missing_joints="skip", grow=grow)
            for parse, joints, category in zip(scene.parse, scene.keypoints, scene.category, strict=True)
        ]
    )


def draw(world: DrawnWorld, indices: Sequence[int], order: str) -> Samples:
    """Draw people of the world with their garments and the truth.

    Raises:
        ValueError: an unknown order.
    """
    if order not in SHIFTS:
        raise ValueError(f"unknown order {order!r}; it is one of {', '.join(ORDERS)}")
    worn = [index + SHIFTS[order] for index in indices]
    before, after = world.scene(list(indices), list(indices)), world.scene(list(indices), worn)
    return Samples(
        indices=tuple(indices),
        categories=tuple(after.category),
        person=before.person,
        garment=after.garment,
        mask=inpaint_mask(before),
        pose_map=pose_map(before.keypoints, world.size),
        truth=after.person,
        worn=after.worn,
        garments=tuple(world.garment(index) for index in worn),
    )


def blocks(indices: Sequence[int], batch: int) -> Iterator[Sequence[int]]:
    """Cut numbers into batches.

    Raises:
        ValueError: a batch below 1.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    for start in range(0, len(indices), batch):
        yield indices[start : start + batch]


def first(world: DrawnWorld, count: int, category: str | None = None) -> list[int]:
    """Numbers of the first `count` people, of one category if asked for.

    Raises:
        ValueError: no samples, or an unknown category.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if category is not None and category not in CATEGORIES:
        raise ValueError(f"unknown category {category!r}; it is one of {', '.join(CATEGORIES)}")
    found, index = [], 0
    while len(found) < count:
        if category in (None, world.category(index)):
            found.append(index)
        index += 1
    return found
