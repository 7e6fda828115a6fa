"""A garment picture as the pixels CLIP sees.

Quirk Q4: the published weights were trained with a processor that floors to 8 bit. `encoders.py` reads
these pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
"""OpenAI CLIP's statistics, also used by laion's ViT-H/14."""


def clip_pixels(garment: Tensor, size: int = 224) -> Tensor:
    """Resize straight to a square (no crop), floor to 8 bit, normalise.

    Args:
        garment: (B, 3, H, W) in [-1, 1].
        size: side of the square, 224 for ViT-H/14.

    Returns:
        (B, 3, size, size), normalised, in the dtype of `garment`.

    Raises:
        ValueError: not (B, 3, H, W).

    Source: published §4.1; Q4, the all-white edge case included.
    """
    return normalise(resize(garment, size))


def resize(garment: Tensor, size: int = 224) -> Tensor:
    """Bilinear antialiased resize to (B, 3, size, size) in [0, 1]."""
    if garment.ndim != 4 or garment.shape[1] != 3:
        raise ValueError(f"garment must be (B, 3, H, W) in [-1, 1], got {tuple(garment.shape)}.")
    pixels = (garment + 1) / 2
    pixels = torch.nn.functional.interpolate(pixels, (size, size), mode="bilinear", align_corners=False, antialias=True)
    return pixels.clamp(0, 1)


def normalise(pixels: Tensor) -> Tensor:
    """[0, 1] pixels floored to 8 bit and normalised with CLIP's statistics; in the dtype of `pixels`."""
    values = pixels.float()
    # The reference's processor takes an image of whole numbers for one that is already 0...255, so an
    # entirely white picture ends up almost black (Q4). Cut-off and tolerances are numpy.allclose's.
    cut = values.trunc()
    whole = ((values - cut).abs() <= 1e-8 + 1e-5 * cut.abs()).flatten(1).all(1)
    scale = torch.where(whole, 1.0, 255.0).to(values).view(-1, 1, 1, 1)
    levels = (values * scale).floor()
    mean = torch.tensor(CLIP_MEAN).to(values).view(1, 3, 1, 1)
    std = torch.tensor(CLIP_STD).to(values).view(1, 3, 1, 1)
    return ((levels / 255 - mean) / std).to(pixels.dtype)
