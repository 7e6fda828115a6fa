"""ComfyUI's tensor layouts to the core's and back, and what happens when batches differ.

ComfyUI: IMAGE (B, H, W, 3) in [0, 1], MASK (B, H, W) or (H, W). Core: (B, 3, H, W) in [-1, 1] and (B, 1, H, W).
Every node goes through these few functions; `host/types.py` holds the wire types.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.batches import OVERSHOOT, common_batch, repeat_to
from ..ladivton_core.preprocessing.pictures import over_white
from ..ladivton_core.runtime.finite import all_finite

__all__ = [
    "LARGEST_AREA", "as_image", "check_area", "check_multiple_of_8", "common_batch", "from_image", "from_mask",
    "photo_pixels", "repeat_to", "require_pixels", "soft_mask", "to_image", "to_mask",
]  # fmt: skip

LARGEST_AREA = 4096 * 4096
"""Pixels of a picture the models work on; what the nodes allocate grows with it, Pose Map 72 bytes a pixel."""


def from_image(image: Tensor, what: str = "image") -> Tensor:
    """IMAGE (B, H, W, C) in [0, 1] to (B, 3, H, W) float32 in [-1, 1]; grey is repeated, alpha laid over white.

    Raises:
        ValueError: not an IMAGE.
    """
    return photo_pixels(image, what) * 2 - 1


def photo_pixels(image: Tensor, what: str = "image") -> Tensor:
    """The same in [0, 1]: (B, 3, H, W) float32; pixels of an IMAGE of three channels stay what they are, bit for bit.

    Raises:
        ValueError: not an IMAGE.
    """
    if image.ndim != 4 or image.shape[-1] not in (1, 3, 4):
        raise ValueError(f"'{what}' has the shape {tuple(image.shape)}; expected an IMAGE (batch, height, width, 3).")
    require_pixels(image, what)
    # Contiguous: on the CPU torch's channels-last GroupNorm loses precision on nearly flat pictures (seen: 1.6 on
    # a VAE's moments).
    return over_white(image.movedim(-1, 1).float()).contiguous()


def to_image(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [-1, 1] to IMAGE (B, H, W, 3) float32 in [0, 1] on ComfyUI's intermediate device."""
    return as_image((pixels.float() + 1) / 2)


def as_image(pixels: Tensor) -> Tensor:
    """(B, 3, H, W) in [0, 1] to IMAGE (B, H, W, 3) float32, clamped, on ComfyUI's intermediate device."""
    import comfy.model_management as memory

    return pixels.float().clamp(0, 1).movedim(1, -1).contiguous().to(memory.intermediate_device())


def from_mask(mask: Tensor, size: tuple[int, int] | None = None, what: str = "mask") -> Tensor:
    """MASK (B, H, W) or (H, W) to (B, 1, H, W) in {0, 1}: 0.5 and more is 1, as the published pipeline does.

    Raises:
        ValueError: not a MASK, or another size than the (height, width) asked for.
    """
    mask = soft_mask(mask, what)
    if size is not None and tuple(mask.shape[-2:]) != tuple(size):
        raise ValueError(
            f"'{what}' is {mask.shape[-2]} x {mask.shape[-1]} (height x width), the picture {size[0]} x {size[1]}; "
            "both must come from the same photo at the same size."
        )
    return (mask[:, None] >= 0.5).float()


def soft_mask(mask: Tensor, what: str = "mask") -> Tensor:
    """MASK as (B, H, W) float32, its values as they are.

    Raises:
        ValueError: not a MASK, or values that are no numbers.
    """
    if mask.ndim == 2:
        mask = mask[None]
    if mask.ndim == 4 and mask.shape[1] == 1:
        mask = mask[:, 0]
    if mask.ndim != 3:
        raise ValueError(f"'{what}' has the shape {tuple(mask.shape)}; expected a MASK (batch, height, width).")
    require_pixels(mask, what)
    return mask.float()


def require_pixels(tensor: Tensor, what: str) -> None:
    """Raise a ValueError for a batch of none, pictures without a side, and values that are no numbers or no pixels'."""
    if not tensor.numel():
        raise ValueError(
            f"'{what}' is empty, of the shape {tuple(tensor.shape)}: the node before it gave no picture. "
            "Look at what it was asked for."
        )
    if not all_finite(tensor):
        raise ValueError(
            f"'{what}' holds values that are no numbers (NaN or infinite). "
            "Look at the node that made it: its model may have overflowed in half precision."
        )
    low, high = (float(end) for end in tensor.aminmax())
    if low < -OVERSHOOT or high > 1 + OVERSHOOT:
        raise ValueError(
            f"'{what}' holds values from {low:.3g} to {high:.3g}; expected 0 to 1. "
            "Look at the node that made it: other programs count to 255, or from -1."
        )


def to_mask(mask: Tensor) -> Tensor:
    """(B, 1, H, W) to MASK (B, H, W) float32 on ComfyUI's intermediate device."""
    import comfy.model_management as memory

    return mask[:, 0].float().to(memory.intermediate_device())


def check_area(height: int, width: int, what: str) -> None:
    """Before anything of that size is made.

    Raises:
        ValueError: more than `LARGEST_AREA` pixels; the message says what to do.
    """
    if height * width > LARGEST_AREA:
        raise ValueError(
            f"'{what}' is {height} x {width} (height x width), {height * width / 1e6:.0f} megapixels; "
            f"the nodes work on at most {LARGEST_AREA / 1e6:.0f}, such as 4096 x 4096. "
            "Put 'Fit Person' (LaDI-VTON) before it, or choose a smaller size: the models know 512 x 384."
        )


def check_multiple_of_8(height: int, width: int, what: str) -> None:
    """The VAE works in blocks of 8 x 8 pixels, and no node on more than `LARGEST_AREA`.

    Raises:
        ValueError: a side is no multiple of 8, or there are too many pixels; the message says what to do.
    """
    check_area(height, width, what)
    if height % 8 or width % 8:
        raise ValueError(
            f"'{what}' is {height} x {width} (height x width); both sides must be divisible by 8. Put 'Fit Person' "
            "(LaDI-VTON) before it, or resize the picture, e.g. to 512 x 384."
        )
