"""VITON-HD on disk (upper bodies at 1024 x 768), as the published models were trained and tested with it.

SPEC 1.2. `dresscode.py` is the other data set, `sample.py` what both return.
"""

from __future__ import annotations

from pathlib import Path

from ..preprocessing import LIP20, keypoints_from_openpose
from .reading import check_choice, open_picture, read_json, read_pairs
from .sample import SIZE, Order, Split, TryOnSample, build_sample


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

    labels = LIP20

    def __init__(
        self, root: str | Path, split: Split = "test", order: Order = "paired", size: tuple[int, int] = SIZE
    ) -> None:
        check_choice("split", split, ("train", "test"))
        check_choice("order", order, ("paired", "unpaired"))
        self.root, self.split, self.order, self.size = Path(root), split, order, size
        pairs = read_pairs(self.root / f"{split}_pairs.txt")
        if split == "train" or order == "paired":
            pairs = [(person, person) for person, _ in pairs]
        self.pairs = pairs

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> TryOnSample:
        person_name, garment_name = self.pairs[index]
        folder, stem = self.root / self.split, Path(person_name).stem
        keypoints = keypoints_from_openpose(read_json(folder / "openpose_json" / f"{stem}_keypoints.json"), self.size)
        return build_sample(
            person=open_picture(folder / "image" / person_name),
            garment=open_picture(folder / "cloth" / garment_name),
            parse=open_picture(folder / "image-parse-v3" / f"{stem}.png"),
            keypoints=keypoints,
            arm_keypoints=keypoints,
            category="upper_body",
            labels=self.labels,
            size=self.size,
            person_name=person_name,
            garment_name=garment_name,
        )
