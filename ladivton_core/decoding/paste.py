"""What goes past the sampler as pixels: the person's own outside the inpaint mask, the garment's own inside it.

Not part of the paper (Q14: the published pipeline re-draws every pixel through the VAE); options for
people who want untouched surroundings, and for models too small to draw cloth. `emasc.py` holds the learned way.
"""

from __future__ import annotations

from torch import Tensor

from ..mask_edges import grow_mask, soften_mask

# Lengths are in pixels of the models' picture.
_EDGE, _RIM = 1, 3
"""The garment's own edge shows its picture's ground; so far in, a rim as light as that is a shadow on it."""
_INNER = 4
"""What a result draws so near to the edge is not the cloth's light."""
_LIGHT = 32
"""What varies over less than this radius is the garment's own pattern, more slowly the light on it."""
_SHADE = (0.7, 1.1)
"""Factors between which light is believed; of what is believed half is taken, as a logarithm."""


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


def lay_garment(image: Tensor, garment: Tensor, cloth: Tensor) -> Tensor:
    """Lay the warped garment itself into a result, in the result's light.

    The composition of CP-VTON (Wang et al. 2018, section 3.3), whose mask is learned; here it is the cloth.

    Args:
        image: result (B, 3, H, W) in [0, 1].
        garment: warped, (B, 3, H, W) in [0, 1].
        cloth: where it lies and may be seen (B, 1, H, W) in {0, 1}.

    Returns:
        (B, 3, H, W) in [0, 1]; the result outside the cloth.
    """
    inner = grow_mask(cloth, -_INNER)
    around = soften_mask(inner, feather=_LIGHT).clamp_min(1e-4)
    drawn, own = (
        soften_mask(picture.mean(1, keepdim=True) * inner, feather=_LIGHT) / around + 0.05
        for picture in (image, garment)
    )
    lit = (garment * (drawn / own).clamp(*_SHADE).sqrt()).clamp(0, 1)
    dark = 1 - garment.amin(1, keepdim=True)
    rim = cloth - grow_mask(cloth, -_RIM)
    shadow = rim * (dark < grow_mask(dark * cloth, _INNER) * 0.5)
    return paste_back(lit, image, grow_mask(cloth * (1 - shadow), -_EDGE), _EDGE)
