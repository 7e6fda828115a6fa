"""What the denoising stages do to clean latents and conditions: noise, its targets, dropping (published §8.3, 8.4).

`denoiser.py` is the user.
"""

from __future__ import annotations

from torch import Tensor

from ..denoising.conditioning import GARMENT_START, KEPT_CHANNELS
from .draws import Draws


def noised(clean: Tensor, noise: Tensor, alphas: Tensor) -> Tensor:
    """sqrt(a) x0 + sqrt(1 - a) e for per-sample cumulative alphas (B,)."""
    a = alphas.view(-1, 1, 1, 1)
    return a.sqrt() * clean + (1 - a).sqrt() * noise


def target(clean: Tensor, noise: Tensor, alphas: Tensor, prediction_type: str) -> Tensor:
    """What the UNet predicts: the noise, or v = sqrt(a) e - sqrt(1 - a) x0 (arXiv 2202.00512)."""
    if prediction_type == "epsilon":
        return noise
    a = alphas.view(-1, 1, 1, 1)
    return a.sqrt() * noise - (1 - a).sqrt() * clean


def clean_from(noisy: Tensor, predicted: Tensor, alphas: Tensor, prediction_type: str) -> Tensor:
    """The clean latents that a prediction at some noise level means."""
    a = alphas.view(-1, 1, 1, 1)
    if prediction_type == "epsilon":
        return (noisy - (1 - a).sqrt() * predicted) / a.sqrt()
    return a.sqrt() * noisy - (1 - a).sqrt() * predicted


def drop(
    conditioning: Tensor, draws: Draws, *, words: float, garment: float, pose: float, everything: float = 0.0
) -> tuple[Tensor, Tensor]:
    """Leave conditions out of some samples.

    Args:
        conditioning: (B, 27, h, w).
        words, garment, pose: probability of each, drawn independently; `everything` drops the three together.

    Returns:
        The conditioning with garment and pose channels zeroed, and which samples lose their words (B,).
    """
    together = draws.uniform() < everything
    no_words, no_garment, no_pose = ((draws.uniform() < share) | together for share in (words, garment, pose))
    conditioning = conditioning.clone()
    conditioning[:, GARMENT_START:] *= ~no_garment.view(-1, 1, 1, 1)
    conditioning[:, KEPT_CHANNELS:GARMENT_START] *= ~no_pose.view(-1, 1, 1, 1)
    return conditioning, no_words
