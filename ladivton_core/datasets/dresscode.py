"""Dress Code on disk (upper bodies, lower bodies, dresses at 1024 x 768).

SPEC 1.3. `vitonhd.py` is the other data set, `sample.py` what both return.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ..preprocessing import ATR18, CATEGORIES, garment_picture_on_white, keypoints_from_dresscode
from ..preprocessing.keypoints import DRESSCODE_FRAME
from .reading import check_choice, open_picture, read_json, read_pairs
from .sample import SIZE, Order, Split, TryOnSample, build_sample

# Order of the published code when all categories are taken (SPEC 1.3).
ALL_CATEGORIES = ("dresses", "upper_body", "lower_body")


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
        file = "train_pairs.txt" if split == "train" else f"test_pairs_{order}.txt"
        self.pairs = [(c, *pair) for c in categories for pair in read_pairs(self.root / c / file)]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TryOnSample:
        category, person_name, garment_name = self.pairs[index]
        folder = self.root / category
        document = read_json(folder / "keypoints" / person_name.replace("_0.jpg", "_2.json"))
        garment = open_picture(folder / "images" / garment_name).convert("RGB")
        mask = open_picture(folder / "masks" / Path(garment_name).with_suffix(".png"))
        height = self.size[0]
        # The published code scales both coordinates by the height for arms and neck: the same for 3:4 pictures.
        arm_size = (height, height * DRESSCODE_FRAME[1] / DRESSCODE_FRAME[0])
        return build_sample(
            person=open_picture(folder / "images" / person_name),
            garment=garment_picture_on_white(garment, mask),
            parse=open_picture(folder / "label_maps" / person_name.replace("_0.jpg", "_4.png")),
            keypoints=keypoints_from_dresscode(document, self.size),
            arm_keypoints=keypoints_from_dresscode(document, arm_size),
            category=category,
            labels=self.labels,
            size=self.size,
            person_name=person_name,
            garment_name=garment_name,
        )
