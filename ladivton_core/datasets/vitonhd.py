"""VITON-HD on disk (upper bodies at 1024 x 768), as the published models were trained and tested with it.

Published §1.2. `dresscode.py` is the other data set, `sample.py` what both return.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from ..disk.looking import file_there
from ..preprocessing import LIP20, keypoints_from_openpose
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

CATEGORY = "upper_body"
"""The only one there is."""


class VitonHD:
    """Map-style data set.

    Layout: `<root>/{train|test}_pairs.txt` and `<root>/{train|test}/` with `image/`, `cloth/`,
    `image-parse-v3/` and `openpose_json/`.

    Args:
        root: folder of the data set.
        split: `train` or `test`.
        order: `paired` dresses everyone in the garment they wear, `unpaired` takes the second column of the
            test list. The train split is always paired.
        size: (height, width) of the samples.

    Raises:
        ValueError: unknown split or order, or a malformed list.
        FileNotFoundError: no pair list in `root`.
    """

    title = "VITON-HD"
    labels = LIP20

    def __init__(
        self, root: str | Path, split: Split = "test", order: Order = "paired", size: tuple[int, int] = SIZE
    ) -> None:
        check_choice("split", split, ("train", "test"))
        check_choice("order", order, ("paired", "unpaired"))
        self.root, self.split, self.order, self.size = Path(root), split, order, size
        file = self.root / f"{split}_pairs.txt"
        require_lists(self.pair_lists(self.root), [PairList(file, split, "paired", CATEGORY)])
        pairs = read_pairs(file)
        self.pairs = [self.pair(order if split == "test" else "paired", *names) for names in pairs]

    @staticmethod
    def pair_lists(root: Path) -> list[PairList]:
        """Every list the layout knows; test pairs serve both orders."""
        return [
            PairList(root / f"{split}_pairs.txt", split, order, CATEGORY)
            for split, order in (("train", "paired"), ("test", "paired"), ("test", "unpaired"))
        ]

    @staticmethod
    def pair(order: str, person_name: str, garment_name: str) -> tuple[str, str]:
        """Person and garment of a line: paired, everyone wears the garment called like them (published §1.2)."""
        return (person_name, person_name if order == "paired" else garment_name)

    @staticmethod
    def files_of(root: Path, split: str, person_name: str, garment_name: str, category: str = CATEGORY) -> SampleFiles:
        """Where the files of a pair lie; there may be a mask of the garment, which the paper does not use."""
        folder, stem = root / split, Path(person_name).stem
        mask = folder / "cloth-mask" / garment_name
        return SampleFiles(
            person=folder / "image" / person_name,
            parse=folder / "image-parse-v3" / f"{stem}.png",
            keypoints=folder / "openpose_json" / f"{stem}_keypoints.json",
            garment=folder / "cloth" / garment_name,
            garment_mask=mask if file_there(mask) else None,
            category=category,
        )

    def __len__(self) -> int:
        return len(self.pairs)

    def files(self, index: int) -> SampleFiles:
        """Where the files of sample `index` lie, whether they are there or not."""
        return self.files_of(self.root, self.split, *self.pairs[index])

    def __getitem__(self, index: int) -> TryOnSample:
        person_name, garment_name = self.pairs[index]
        files = self.files(index)
        document = read_json(files.keypoints)
        with naming(files.keypoints):
            keypoints = keypoints_from_openpose(document, self.size)
        return build_sample(
            person=open_picture(files.person),
            garment=open_picture(files.garment),
            parse=open_labels(files.parse, self.labels),
            keypoints=keypoints,
            arm_keypoints=keypoints,
            category=files.category,
            labels=self.labels,
            size=self.size,
            person_name=person_name,
            garment_name=garment_name,
        )

    def garment_mask(self, index: int) -> Tensor:
        """Where garment `index` is, (1, H, W) in [0, 1]; all of the picture when there is no `cloth-mask/`."""
        mask = self.files(index).garment_mask
        return torch.ones(1, *self.size) if mask is None else mask_tensor(open_picture(mask), self.size)
