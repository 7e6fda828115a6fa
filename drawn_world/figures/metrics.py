"""What is measured between a picture and its truth: SSIM, L1 and PSNR, whole or inside a mask.

One value per picture, so that means over any batches agree. `classifier.py` judges colour and pattern.
"""

from __future__ import annotations

import torch
from torch import Tensor


def l1(image: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Mean absolute difference (B,) of pictures (B, 3, H, W), over the pixels of a mask (B, 1, H, W) if given."""
    return _mean((image - truth).abs(), where)


def psnr(image: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Decibels (B,) of pictures in [0, 1], at most 100; over the pixels of a mask if given."""
    return -10 * torch.log10(_mean((image - truth).square(), where).clamp_min(1e-10))


def ssim(image: Tensor, truth: Tensor, where: Tensor | None = None) -> Tensor:
    """Structural similarity (B,) of pictures (B, 3, H, W) in [0, 1], by the paper's library and settings.

    Args:
        where: mask (B, 1, H, W): the mean of the similarity map over its pixels. The map's windows are 11 wide, so
            pixels up to 5 outside the mask take part.

    Raises:
        ImportError: torchmetrics is not installed.

    Source: published §9.
    """
    try:
        from torchmetrics.functional.image import structural_similarity_index_measure
    except ImportError as error:
        raise ImportError("SSIM needs torchmetrics: pip install 'ladi-vton[eval]'") from error

    whole, similarity = structural_similarity_index_measure(
        image, truth, data_range=1.0, reduction="none", return_full_image=True
    )
    return whole if where is None else _mean(similarity, where)


def _mean(value: Tensor, where: Tensor | None) -> Tensor:
    if where is None:
        return value.flatten(1).mean(1)
    return (value * where).flatten(1).sum(1) / (value.shape[1] * where.flatten(1).sum(1))
