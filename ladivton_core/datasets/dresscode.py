"""Dress Code on disk (upper bodies, lower bodies, dresses at 1024 x 768).

Published §1.3. `vitonhd.py` is the other data set, `sample.py` what both return.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from torch import Tensor

from ..preprocessing import ATR18, CATEGORIES, garment_picture_on_white, keypoints_from_dresscode
from ..preprocessing.pictures import on_white
from ..preprocessing.pose.keypoints import DRESSCODE_FRAME
from .reading import (
    PairList,
    SampleFiles,
    check_choice,
    mask_tensor,
    naming,
    open_labels,
    open_picture,
    read_json,
    read_pairs,
    require_lists,
)
from .sample import SIZE, Order, Split, TryOnSample, build_sample

# Order of the published code when all categories are taken (published §1.3).
ALL_CATEGORIES = ("dresses", "upper_body", "lower_body")

PERSON_ENDING = "_0.jpg"
"""Of the names in a list's first column: label map and joints are named after what precedes it."""


class DressCode:
    """Map-style data set.

    Layout: `<root>/<category>/` with `train_pairs.txt`, `test_pairs_paired.txt`, `test_pairs_unpaired.txt`,
    `images/`, `label_maps/`, `keypoints/` and the authors' additional garment `masks/`.

    Args:
        root: folder of the data set.
        split: `train` or `test`.
        order: `paired` or `unpaired`; the train split has one list only.
        categories: which to take, in this order.
        size: (height, width) of the samples.

    Raises:
        ValueError: unknown split, order or category, or a malformed list.
        FileNotFoundError: a pair list is missing.
    """

    title = "Dress Code"
    labels = ATR18

    def __init__(
        self,
        root: str | Path,
        split: Split = "test",
        order: Order = "paired",
        categories: Sequence[str] = ALL_CATEGORIES,
        size: tuple[int, int] = SIZE,
    ) -> None:
        check_choice("split", split, ("train", "test"))
        check_choice("order", order, ("paired", "unpaired"))
        categories = (categories,) if isinstance(categories, str) else tuple(categories)
        for category in categories:
            check_choice("category", category, CATEGORIES)
        self.root, self.split, self.order, self.categories, self.size = Path(root), split, order, categories, size
        file = _list_name(split, order)
        asked = [PairList(self.root / c / file, split, order if split == "test" else "paired", c) for c in categories]
        require_lists(self.pair_lists(self.root), asked)
        self.pairs = [(c, *pair) for c in categories for pair in read_pairs(self.root / c / file)]

    @staticmethod
    def pair_lists(root: Path) -> list[PairList]:
        """Every list the layout knows."""
        return [
            PairList(root / category / _list_name(split, order), split, order, category)
            for split, order in (("train", "paired"), ("test", "paired"), ("test", "unpaired"))
            for category in ALL_CATEGORIES
        ]

    @staticmethod
    def pair(order: str, person_name: str, garment_name: str) -> tuple[str, str]:
        """Person and garment of a line: as they stand, in either order."""
        return (person_name, garment_name)

    @staticmethod
    def files_of(root: Path, split: str, person_name: str, garment_name: str, category: str) -> SampleFiles:
        """Where the files of a pair lie; both splits share the folders.

        Raises:
            ValueError: the person's name does not end as Dress Code's do, so that the other names cannot be told.
        """
        if not person_name.endswith(PERSON_ENDING):
            raise ValueError(
                f"the person {person_name!r} of {root / category} should be called like 013563{PERSON_ENDING}: label "
                "map and joints are named after it. Take the pair lists that come with the data set"
            )
        folder, stem = root / category, person_name.removesuffix(PERSON_ENDING)
        return SampleFiles(
            person=folder / "images" / person_name,
            parse=folder / "label_maps" / f"{stem}_4.png",
            keypoints=folder / "keypoints" / f"{stem}_2.json",
            garment=folder / "images" / garment_name,
            garment_mask=folder / "masks" / Path(garment_name).with_suffix(".png"),
            category=category,
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def files(self, index: int) -> SampleFiles:
        """Where the files of sample `index` lie, whether they are there or not.

        Raises:
            ValueError: see `files_of`.
        """
        category, person_name, garment_name = self.pairs[index]
        return self.files_of(self.root, self.split, person_name, garment_name, category)

    def __getitem__(self, index: int) -> TryOnSample:
        category, person_name, garment_name = self.pairs[index]
        files = self.files(index)
        document = read_json(files.keypoints)
        height = self.size[0]
        # The published code scales both coordinates by the height for arms and neck: the same for 3:4 pictures.
        arm_size = (height, height * DRESSCODE_FRAME[1] / DRESSCODE_FRAME[0])
        with naming(files.keypoints):
            keypoints, arms = (keypoints_from_dresscode(document, size) for size in (self.size, arm_size))
        garment, mask = on_white(open_picture(files.garment)), open_picture(files.garment_mask)
        with naming(files.garment_mask):
            garment = garment_picture_on_white(garment, mask)
        return build_sample(
            person=open_picture(files.person),
            garment=garment,
            parse=open_labels(files.parse, self.labels),
            keypoints=keypoints,
            arm_keypoints=arms,
            category=category,
            labels=self.labels,
            size=self.size,
            person_name=person_name,
            garment_name=garment_name,
        )

    def garment_mask(self, index: int) -> Tensor:
        """Where garment `index` is, (1, H, W) in [0, 1]."""
        return mask_tensor(open_picture(self.files(index).garment_mask), self.size)


def _list_name(split: str, order: str) -> str:
    return "train_pairs.txt" if split == "train" else f"test_pairs_{order}.txt"
