"""One person, one garment and everything the stages need to know about them.

Published §1.1. `vitonhd.py` and `dresscode.py` read samples from disk with `reading.py`; `collate` makes a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from ..preprocessing import LabelSet, agnostic_image, agnostic_mask, pose_map
from .reading import label_tensor, picture_tensor

if TYPE_CHECKING:
    from PIL.Image import Image

Split = Literal["train", "test"]
Order = Literal["paired", "unpaired"]

SIZE = (512, 384)
"""(height, width) of the published models."""


@dataclass(frozen=True)
class TryOnSample:
    """A sample, or after `collate` a batch of them (a leading axis B, and tuples of strings).

    Attributes:
        person: (3, H, W) in [-1, 1].
        garment: (3, H, W) in [-1, 1], on white.
        agnostic: person with the repainted region at 0, (3, H, W) in [-1, 1].
        mask: repainted region, (1, H, W) in {0, 1}.
        pose_map: (18, H, W) in [0, 1].
        keypoints: COCO-18 joints (18, 2) float64, (x, y) in pixels.
        parse: label map (H, W) int64.
        category: which garment is exchanged.
        person_name, garment_name: file names in the data set.
    """

    person: Tensor
    garment: Tensor
    agnostic: Tensor
    mask: Tensor
    pose_map: Tensor
    keypoints: Tensor
    parse: Tensor
    category: Any
    person_name: Any
    garment_name: Any


def collate(samples: Sequence[TryOnSample]) -> TryOnSample:
    """Stack samples of one size into a batch; pass it to a `DataLoader` as `collate_fn`.

    Raises:
        ValueError: there are none.
    """
    if not samples:
        raise ValueError("cannot collate an empty list of samples; expected one TryOnSample or more")
    columns = {f.name: [getattr(sample, f.name) for sample in samples] for f in fields(TryOnSample)}
    return TryOnSample(
        **{
            name: torch.stack(column) if isinstance(column[0], Tensor) else tuple(column)
            for name, column in columns.items()
        }
    )


def build_sample(
    *,
    person: Image,
    garment: Image,
    parse: Image,
    keypoints: Tensor,
    arm_keypoints: Tensor,
    category: str,
    labels: LabelSet,
    size: tuple[int, int],
    person_name: str,
    garment_name: str,
) -> TryOnSample:
    """Bring the pictures of one sample to `size` and derive mask, agnostic image and pose map.

    Args:
        person, garment: pictures of any size; stretched to `size`.
        parse: palette or grey picture whose values are ids of `labels`.
        keypoints: COCO-18 joints (18, 2) in pixels of `size`, for the pose map.
        arm_keypoints: the same for the arms' stroke and the neck; Dress Code scales them otherwise (published §1.3).
        category, labels: see `agnostic_mask`.
        size: (height, width).
        person_name, garment_name: file names.
    """
    person_pixels = picture_tensor(person, size)
    label_map = label_tensor(parse, size)
    mask = agnostic_mask(label_map[None], arm_keypoints[None], category, labels)
    return TryOnSample(
        person=person_pixels,
        garment=picture_tensor(garment, size),
        agnostic=agnostic_image(person_pixels[None], mask)[0],
        mask=mask[0],
        pose_map=pose_map(keypoints[None], size)[0],
        keypoints=keypoints,
        parse=label_map,
        category=category,
        person_name=person_name,
        garment_name=garment_name,
    )
