"""Garment on white: the shop photo, or the worn garment, with everything around it turned white.

Published §1.3 (Dress Code's masks; VITON-HD's garments already lie on white) and 8.1. `agnostic.py` makes the other
half of the warper's input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..labels import LabelSet

if TYPE_CHECKING:
    from PIL.Image import Image


def garment_on_white(garment: Tensor, mask: Tensor) -> Tensor:
    """Blend a garment over white.

    Args:
        garment: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in [0, 1]; 1 is garment.

    Returns:
        (B, 3, H, W) in [-1, 1]: white where the mask is 0, the garment where it is 1. Between them it is a
        little darker than a plain blend, because the published code lays the inverted mask itself over the
        garment instead of white.

    Raises:
        ValueError: the sizes differ.

    Source: published §1.3.
    """
    if garment.ndim != 4 or mask.ndim != 4 or mask.shape[1] != 1 or garment.shape[-2:] != mask.shape[-2:]:
        raise ValueError(
            f"garment {tuple(garment.shape)} and mask {tuple(mask.shape)} do not fit; expected (B, 3, H, W) and "
            "(B, 1, H, W) of the same height and width: resize the mask to the garment's picture"
        )
    outside = 1 - mask
    return (outside * outside + (garment + 1) / 2 * mask) * 2 - 1


def garment_picture_on_white(garment: Image, mask: Image) -> Image:
    """The same on 8-bit Pillow pictures, to the bit as the data set does it at its native size.

    Args:
        garment: RGB.
        mask: of the same size, white is garment; converted to grey.

    Raises:
        ValueError: the sizes differ.

    Source: published §1.3.
    """
    from PIL import Image, ImageOps

    if garment.size != mask.size:
        raise ValueError(
            f"the garment is {garment.size} and its mask {mask.size} (width, height); Dress Code's masks have the "
            "size of their pictures: unpack dresscode_masks.zip again"
        )
    outside = ImageOps.invert(mask.convert("L"))
    return Image.composite(outside.convert(garment.mode), garment, outside)


def worn_garment(person: Tensor, parse: Tensor, category: str, labels: LabelSet) -> Tensor:
    """The garment as the person wears it, on white: what training compares the warped garment with.

    Args:
        person: (B, 3, H, W) in [-1, 1].
        parse: label map (B, H, W), integers, ids of `labels`.
        category: which garment; its labels are `labels.regions_of(category).garment`.
        labels: vocabulary of `parse`.

    Returns:
        (B, 3, H, W) in [-1, 1]; 1 away from the garment.

    Raises:
        ValueError: the sizes differ.

    Source: published §8.1.
    """
    if person.ndim != 4 or parse.shape != (person.shape[0], *person.shape[-2:]):
        raise ValueError(
            f"person {tuple(person.shape)} and parse map {tuple(parse.shape)} do not fit; expected (B, 3, H, W) and "
            "(B, H, W) of the same height and width"
        )
    ids = torch.tensor(labels.ids(labels.regions_of(category).garment), dtype=parse.dtype, device=parse.device)
    return torch.where(torch.isin(parse, ids)[:, None], person, torch.ones_like(person))
