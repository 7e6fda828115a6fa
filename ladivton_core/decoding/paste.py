"""Putting the person's own pixels back outside the inpaint mask.

Not part of the paper (Q14: the published pipeline re-draws every pixel through the VAE); an option for
people who want untouched surroundings. `emasc.py` holds the learned way to keep them.
"""

from __future__ import annotations

from torch import Tensor

from ..mask_edges import soften_mask


def paste_back(image: Tensor, person: Tensor, mask: Tensor, feather: int = 0) -> Tensor:
    """Take `image` inside the mask and `person` outside it.

    Args:
        image: result (B, 3, H, W).
        person: original (B, 3, H, W) in the same range as `image`.
        mask: (B, 1, H, W) in {0, 1}, 1 = repainted.
        feather: pixels to either side of the edge over which the two are blended.

    Returns:
        (B, 3, H, W).

    Raises:
        ValueError: sizes disagree, or feather is negative.
    """
    if image.shape[-2:] != person.shape[-2:] or mask.shape[-2:] != image.shape[-2:]:
        raise ValueError(
            f"paste_back needs one size; image {tuple(image.shape)}, person {tuple(person.shape)}, "
            f"mask {tuple(mask.shape)}."
        )
    mask = soften_mask(mask.to(image), feather=feather)
    return image * mask + person.to(image) * (1 - mask)
