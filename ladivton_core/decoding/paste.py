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
_FRINGE, _PALER = 3, 0.04
"""So far in, a rim paler than what is beside it by so much has the ground's white in it."""
_INNER = 4
"""What a result draws so near to the edge is not the cloth's light."""
_GREY = 1 / 256
"""Distance from middle grey, which eight bits do not hold."""
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


def lay_garment(image: Tensor, garment: Tensor, cloth: Tensor, underlay: Tensor | None = None) -> Tensor:
    """Lay the warped garment itself into a result, in the result's light.

    The composition of CP-VTON (Wang et al. 2018, section 3.3), whose mask is learned; here it is the cloth.

    Args:
        image: result (B, 3, H, W) in [0, 1].
        garment: warped, (B, 3, H, W) in [0, 1].
        cloth: where it lies and may be seen (B, 1, H, W) in {0, 1}.
        underlay: what is shown beside the cloth (B, 3, H, W) in [0, 1], the result where it is middle grey; None: the
            result.

    Returns:
        (B, 3, H, W) in [0, 1]; outside the cloth the underlay, or the result.
    """
    inner = grow_mask(cloth, -_INNER)
    around = soften_mask(inner, feather=_LIGHT).clamp_min(1e-4)
    drawn, own = (
        soften_mask(picture.mean(1, keepdim=True) * inner, feather=_LIGHT) / around + 0.05
        for picture in (image, garment)
    )
    lit = (garment * (drawn / own).clamp(*_SHADE).sqrt()).clamp(0, 1)
    rim, core = cloth - grow_mask(cloth, -_RIM), grow_mask(cloth, -_FRINGE)
    # at its edge cloth is mixed with the white it lay on
    near = soften_mask(core, feather=2 * _RIM)
    own = soften_mask(lit * core, feather=2 * _RIM) / near.clamp_min(1e-4)
    mixed = (cloth - core) * (near > 0.02) * (lit.amin(1, keepdim=True) > own.amin(1, keepdim=True) + _PALER)
    lit = lit + (own - lit) * mixed
    dark = 1 - garment.amin(1, keepdim=True)
    shadow = rim * (dark < grow_mask(dark * cloth, _INNER) * 0.5)
    if underlay is not None:
        grey = ((underlay - 0.5).abs().amax(1, keepdim=True) < _GREY).to(image)
        image = paste_back(image, underlay.to(image), grey)
    return paste_back(lit, image, grow_mask(cloth * (1 - shadow), -_EDGE), _EDGE)
