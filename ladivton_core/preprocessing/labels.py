"""What the numbers in a parse map mean, and which of them each garment category keeps or repaints.

Paper section 4.1 (VITON-HD, Dress Code); published §1.2, 1.3 and the table of 1.5. `agnostic.py` applies it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch import Tensor

Category = Literal["upper_body", "lower_body", "dresses"]

CATEGORIES: tuple[Category, ...] = ("upper_body", "lower_body", "dresses")
"""Garment categories, spelled like Dress Code's folders."""


@dataclass(frozen=True)
class Regions:
    """Labels by the role they play when a garment of one category is exchanged.

    Attributes:
        fixed: kept whatever covers them.
        repaint: the old garment, and what it may uncover.
        head: kept, down to the neck line where there is one.
        arms: both arms; parts of them outside the arms' stroke count as hands and are kept.
        garment: the garment alone, for training's target picture (published §8.1).
        arms_exchanged: whether the arms' stroke is repainted at all.
        neck_cut: whether the published code repaints the head labels below the shoulder line (Q11).
    """

    fixed: tuple[str, ...]
    repaint: tuple[str, ...]
    head: tuple[str, ...]
    garment: tuple[str, ...]
    arms_exchanged: bool = True
    neck_cut: bool = False
    arms: tuple[str, ...] = ("left_arm", "right_arm")


@dataclass(frozen=True)
class LabelSet:
    """Vocabulary of a parse map.

    Attributes:
        name: key in `LABEL_SETS`.
        labels: names in the order of their ids; 0 is the background.
        regions: roles of the labels for every category.
        stroke_at_512: published width in pixels of the arms' stroke for pictures 512 pixels high.
        stroke_scales: whether that width follows the height; it does not in Dress Code (Q10).
    """

    name: str
    labels: tuple[str, ...]
    regions: Mapping[str, Regions] = field(repr=False, compare=False)
    stroke_at_512: int
    stroke_scales: bool

    def id(self, label: str) -> int:
        """Number of a label.

        Raises:
            ValueError: there is no such label; the message lists those there are.
        """
        if label not in self.labels:
            raise ValueError(f"label set {self.name} has no label {label!r}; it has {', '.join(self.labels)}")
        return self.labels.index(label)

    def ids(self, labels: Iterable[str]) -> tuple[int, ...]:
        """Numbers of several labels."""
        return tuple(self.id(label) for label in labels)

    def regions_of(self, category: str) -> Regions:
        """Roles of the labels when a garment of `category` is exchanged.

        Raises:
            ValueError: the category is not one of `CATEGORIES`.
        """
        if category not in CATEGORIES:
            raise ValueError(f"unknown garment category {category!r}; expected one of {', '.join(CATEGORIES)}")
        return self.regions[category]

    def left_in_place(self, category: str) -> tuple[str, ...]:
        """Clothes that the rule of a category neither repaints nor keeps: they stay, but where something else that is
        repainted lies near. Dress Code's shirts and trousers under a new dress; its skirts under new trousers (Q9).
        """
        regions = self.regions_of(category)
        return tuple(x for x in self.labels if x in _CLOTHES and x not in (*regions.repaint, *regions.fixed))

    def stroke_width(self, height: int) -> int:
        """Published width in pixels of the arms' stroke for pictures `height` pixels high; published §1.5, Q10."""
        return int(self.stroke_at_512 / 512 * height) if self.stroke_scales else self.stroke_at_512


_CLOTHES = frozenset(("upper_clothes", "top", "coat", "dress", "jumpsuits", "skirt", "pants"))

_LIP_HEAD = ("hat", "hair", "sunglasses", "face")
_LIP_SHOES = ("left_shoe", "right_shoe")
_LIP_LEGS = ("left_leg", "right_leg")
_LIP_TOPS = ("upper_clothes", "dress", "coat")

LIP20 = LabelSet(
    name="LIP20",
    labels=(
        "background", "hat", "hair", "glove", "sunglasses", "upper_clothes", "dress", "coat", "socks", "pants",
        "neck", "scarf", "skirt", "face", "left_arm", "right_arm", "left_leg", "right_leg", "left_shoe", "right_shoe",
    ),
    regions={
        "upper_body": Regions(
            fixed=("hat", "hair", *_LIP_SHOES, "pants", "skirt"), repaint=_LIP_TOPS, head=_LIP_HEAD, garment=_LIP_TOPS
        ),
        # VITON-HD has upper-body garments only: the next two are Dress Code's rules in this vocabulary.
        "lower_body": Regions(
            fixed=("hat", "hair", *_LIP_SHOES, "upper_clothes", "coat", "left_arm", "right_arm"),
            repaint=("pants", "skirt", *_LIP_LEGS), head=_LIP_HEAD, garment=("pants", "skirt"), arms_exchanged=False,
        ),
        "dresses": Regions(
            fixed=("hat", "hair", *_LIP_SHOES), repaint=(*_LIP_TOPS, "pants", "skirt", *_LIP_LEGS), head=_LIP_HEAD,
            garment=("dress",),
        ),
    },
    stroke_at_512=90,
    stroke_scales=True,
)  # fmt: skip
"""VITON-HD's `image-parse-v3` (published §1.2). Label 10 is the neck and the skin of the torso."""

_ATR_HEAD = ("hat", "hair", "sunglasses", "head")
_ATR_FIXED = ("hat", "hair", "sunglasses", "left_shoe", "right_shoe", "bag", "scarf")
_ATR_LEGS = ("left_leg", "right_leg")

ATR18 = LabelSet(
    name="ATR18",
    labels=(
        "background", "hat", "hair", "sunglasses", "upper_clothes", "skirt", "pants", "dress", "belt", "left_shoe",
        "right_shoe", "head", "left_leg", "right_leg", "left_arm", "right_arm", "bag", "scarf",
    ),
    regions={
        "upper_body": Regions(
            fixed=(*_ATR_FIXED, "skirt", "pants"), repaint=("upper_clothes",), head=_ATR_HEAD,
            garment=("upper_clothes",), neck_cut=True,
        ),
        # The skirt is missing from what is repainted, as in the published code (Q9).
        "lower_body": Regions(
            fixed=(*_ATR_FIXED, "upper_clothes", "left_arm", "right_arm"), repaint=("pants", *_ATR_LEGS),
            head=_ATR_HEAD, garment=("pants",), arms_exchanged=False,
        ),
        "dresses": Regions(
            fixed=_ATR_FIXED, repaint=("dress", *_ATR_LEGS), head=_ATR_HEAD, garment=("dress",), neck_cut=True
        ),
    },
    stroke_at_512=45,
    stroke_scales=False,
)  # fmt: skip
"""Dress Code's `label_maps` (published §1.3)."""

LIP20_SCHP = LabelSet(
    name="LIP20-SCHP",
    labels=tuple("jumpsuits" if label == "neck" else label for label in LIP20.labels),
    regions={
        category: replace(
            regions,
            repaint=(*regions.repaint, *(() if category == "lower_body" else ("jumpsuits",))),
            garment=(*regions.garment, *(() if category == "lower_body" else ("jumpsuits",))),
        )
        for category, regions in LIP20.regions.items()
    },
    stroke_at_512=90,
    stroke_scales=True,
)
"""LIP as SCHP's parser numbers it: 10 is a jumpsuit, and the neck belongs to the face."""

CIHP20 = replace(
    LIP20, name="CIHP20", labels=tuple("torso_skin" if label == "neck" else label for label in LIP20.labels)
)
"""CIHP: 10 is the skin of neck and torso, as in VITON-HD's maps."""

_FASHN_TOPS, _FASHN_KEPT = ("top", "dress", "scarf"), ("bag", "hat", "glasses", "jewelry", "hands", "feet")

FASHN18 = LabelSet(
    name="FASHN18",
    labels=(
        "background", "face", "hair", "top", "dress", "skirt", "pants", "belt", "bag", "hat", "scarf", "glasses",
        "arms", "hands", "legs", "feet", "torso", "jewelry",
    ),
    regions={
        "upper_body": Regions(
            fixed=("hair", *_FASHN_KEPT, "pants", "skirt"), repaint=_FASHN_TOPS, head=("face", "hair"),
            garment=("top", "dress"), arms=("arms",),
        ),
        "lower_body": Regions(
            fixed=("hair", *_FASHN_KEPT, "top", "arms", "torso"), repaint=("pants", "skirt", "legs", "belt"),
            head=("face", "hair"), garment=("pants", "skirt"), arms_exchanged=False, arms=("arms",),
        ),
        "dresses": Regions(
            fixed=("hair", *_FASHN_KEPT), repaint=(*_FASHN_TOPS, "skirt", "pants", "legs", "belt"),
            head=("face", "hair"), garment=("dress",), arms=("arms",),
        ),
    },
    stroke_at_512=90,
    stroke_scales=True,
)  # fmt: skip
"""The labels of fashn-human-parser. No weights were published for them: the rules are VITON-HD's with its words."""

LABEL_SETS: dict[str, LabelSet] = {labels.name: labels for labels in (LIP20, ATR18, LIP20_SCHP, CIHP20, FASHN18)}
"""Every label set by name."""

_LIP_AS_ATR = {
    "upper_clothes": ("coat",),
    "head": ("face", "neck"),  # Dress Code's head reaches down to the shoulders
    "left_arm": ("glove",),  # no rule tells left from right
    "left_leg": ("socks",),
}


def atr18_from_lip20(labels: Tensor) -> Tensor:
    """A LIP20 label map in Dress Code's vocabulary, so that Dress Code's rules apply to it.

    Args:
        labels: any shape, int64, ids of `LIP20`.

    Returns:
        The same shape, ids of `ATR18`: labels of the same name, and the nearest for coat, face, neck, glove and socks.
    """
    import torch

    nearest = {lip: atr for atr, names in _LIP_AS_ATR.items() for lip in names}
    table = torch.tensor([ATR18.id(nearest.get(name, name)) for name in LIP20.labels], device=labels.device)
    return table[labels]
