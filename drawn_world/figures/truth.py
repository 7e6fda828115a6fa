"""Samples of the drawn world as the pipeline takes them, and their rendered truth. `variants.py` runs them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count as count_up
from itertools import islice

from torch import Tensor

from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.preprocessing.pose.pose_map import pose_map

from ..world.scene import UNPAIRED_SHIFT, DrawnWorld

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
        mask=before.inpaint_mask(),
        pose_map=pose_map(before.keypoints, world.size),
        truth=after.person,
        worn=after.worn,
        garments=tuple(world.garment(index) for index in worn),
    )


def people(world: DrawnWorld, count: int, category: str | None = None, batch: int = 1) -> Iterator[list[int]]:
    """Numbers of the first `count` people, of one category if asked for, in batches.

    Raises:
        ValueError: no samples, an unknown category, or a batch below 1.
    """
    if count < 1:
        raise ValueError(f"count must be at least 1, got {count}")
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if category is not None and category not in CATEGORIES:
        raise ValueError(f"unknown category {category!r}; it is one of {', '.join(CATEGORIES)}")
    wanted = islice((index for index in count_up() if category in (None, world.category(index))), count)
    while block := list(islice(wanted, batch)):
        yield block
