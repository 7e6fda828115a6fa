"""What the UNet sees beside the noisy latent: mask, masked person, pose, warped garment.

Order of the 31 channels (published §5): noisy latents 4, mask 1, masked-image latents 4, pose map 18,
garment latents 4. This file builds the last 27; `sampling.py` puts the latent in front.
Paper section 3.3.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from .noise import TryOnNoise

MASK_CHANNELS, LATENT_CHANNELS, POSE_CHANNELS = 1, 4, 18
KEPT_CHANNELS = MASK_CHANNELS + LATENT_CHANNELS
"""Channels the unconditional half keeps: mask and masked image (Q29)."""
GARMENT_START = KEPT_CHANNELS + POSE_CHANNELS
"""First garment channel of the conditioning (27 channels with it, 23 without)."""

FACTOR = 8
"""Pixels a latent."""


def latent_size(size: tuple[int, int], factor: int = FACTOR) -> tuple[int, int]:
    """(h, w) of the latents of an (H, W) picture.

    Raises:
        ValueError: H or W is not divisible by the factor.
    """
    height, width = size
    if height % factor or width % factor:
        raise ValueError(
            f"the picture is {height}x{width}; height and width must be divisible by {factor}: resize or pad it."
        )
    return height // factor, width // factor


def binary_mask(mask: Tensor) -> Tensor:
    """Inpaint mask (B, 1, H, W) cut at 0.5 (0.5 itself is 1), float32.

    Raises:
        ValueError: not (B, 1, H, W), or values outside [0, 1].

    Source: published §6.3.
    """
    if mask.ndim != 4 or mask.shape[1] != 1:
        raise ValueError(f"mask must be (B, 1, H, W), got {tuple(mask.shape)}.")
    if mask.numel() and (float(mask.min()) < 0 or float(mask.max()) > 1):
        raise ValueError(f"mask values must lie in [0, 1]; got {float(mask.min()):.3g} to {float(mask.max()):.3g}.")
    return (mask >= 0.5).float()


def masked_at_half(person: Tensor, mask: Tensor) -> Tensor:
    """The person with the hole, the mask cut at one half, set to 0, which is mid-grey: what the VAE encodes.

    A data set's agnostic image is multiplied instead: `preprocessing.masks.agnostic.agnostic_by_product`.

    Args:
        person: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W); 0.5 and more is the hole.

    Returns:
        (B, 3, H, W) in [-1, 1].

    Raises:
        ValueError: values outside [-1, 1] or sizes that differ.

    Source: published §6.3.
    """
    if person.shape[-2:] != mask.shape[-2:]:
        raise ValueError(f"person is {tuple(person.shape[-2:])} and mask {tuple(mask.shape[-2:])}; they need one size.")
    if person.numel() and (float(person.min()) < -1.001 or float(person.max()) > 1.001):
        raise ValueError(
            f"person must lie in [-1, 1]; got {float(person.min()):.3g} to {float(person.max()):.3g}. "
            "Pictures in [0, 1] are brought there by 2 * x - 1, in 0...255 by x / 127.5 - 1."
        )
    return person * (mask < 0.5).to(person)


def latent_mask(mask: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Mask at latent size, nearest (picks pixel 8 i, 8 j). Source: published §6.7."""
    return F.interpolate(mask, size=size or latent_size(mask.shape[-2:]), mode="nearest")


def latent_pose(pose_map: Tensor, size: tuple[int, int] | None = None) -> Tensor:
    """Pose map at latent size, bilinear and *not* antialiased. Source: published §6.4."""
    return F.interpolate(pose_map, size=size or latent_size(pose_map.shape[-2:]), mode="bilinear", align_corners=False)


def posterior_mode(moments: Tensor) -> Tensor:
    """Mean of a VAE posterior, (B, 8, h, w) moments to (B, 4, h, w)."""
    return moments.chunk(2, dim=1)[0]


def sample_posterior(
    moments: Tensor, generator: torch.Generator | None = None, *, noise: Tensor | None = None
) -> Tensor:
    """Sample of a VAE posterior (Q6): mean + exp(logvar / 2) * noise, log variance clamped to [-30, 20].

    Args:
        moments: (B, 8, h, w).
        generator: where the noise is drawn from; its device may differ from the moments'.
        noise: (B, 4, h, w) drawn already; then the generator is not used.

    Returns:
        (B, 4, h, w), not scaled.

    Source: published §6.7.
    """
    mean, log_variance = moments.chunk(2, dim=1)
    if noise is None:
        device = moments.device if generator is None else generator.device
        noise = torch.randn(mean.shape, generator=generator, device=device, dtype=moments.dtype)
    return mean + torch.exp(0.5 * log_variance.clamp(-30.0, 20.0)) * noise.to(mean)


POSTERIORS = ("sample", "mode")
"""How a latent is taken from a VAE posterior: drawn, as the reference does, or its mean."""


def concat_conditioning(mask: Tensor, masked_latents: Tensor, pose: Tensor, garment_latents: Tensor | None) -> Tensor:
    """The conditioning channels in the order the UNet was trained with.

    Args:
        mask: (B, 1, h, w) at latent size.
        masked_latents: (B, 4, h, w), scaled.
        pose: (B, 18, h, w) at latent size.
        garment_latents: (B, 4, h, w), scaled; None for a UNet without garment input (27 channels).

    Returns:
        (B, 27, h, w), or (B, 23, h, w) without a garment.

    Raises:
        ValueError: a channel count, a size or a batch differs; names which.

    Source: published §5.
    """
    parts = {
        "mask": (mask, 1),
        "masked_latents": (masked_latents, 4),
        "pose": (pose, 18),
        "garment_latents": (garment_latents, 4),
    }
    for name, (tensor, channels) in parts.items():
        if tensor is None:
            continue
        wanted = (mask.shape[0], channels, *mask.shape[-2:])
        if tuple(tensor.shape) != wanted:
            raise ValueError(f"{name} must be {wanted} to match the mask, got {tuple(tensor.shape)}.")
    return torch.cat([tensor.to(masked_latents) for tensor, _ in parts.values() if tensor is not None], dim=1)


def try_on_channels(
    mask: Tensor,
    person_moments: Tensor,
    pose_map: Tensor,
    garment_moments: Tensor | None,
    noise: TryOnNoise | None,
    scale: float,
    *,
    no_pose: bool = False,
) -> Tensor:
    """The conditioning from what was encoded: both engines' way to the channels that the UNet sees.

    Args:
        mask: (B, 1, H, W) in {0, 1}; 1 is repainted.
        person_moments: posterior of the masked person (B, 8, h, w).
        pose_map: (B, 18, H, W) in [0, 1].
        garment_moments: posterior of the warped garment (B, 8, h, w); None for a UNet without garment input.
        noise: draws the latents from the posteriors, as the reference does; None takes their means.
        scale: of the latents, the VAE's.
        no_pose: zeros in the pose's place (an ablation of the paper).

    Returns:
        (B, 27, h, w), or (B, 23, h, w) without a garment, in the format of `person_moments`.

    Raises:
        ValueError: sizes or batches differ; names which.

    Source: published §5, §6.4 to 6.7.
    """
    size = (person_moments.shape[-2], person_moments.shape[-1])

    def latents(moments: Tensor, drawn: Tensor | None) -> Tensor:
        return (posterior_mode(moments) if drawn is None else sample_posterior(moments, noise=drawn)) * scale

    pose = latent_pose(pose_map.float(), size)
    return concat_conditioning(
        latent_mask(mask, size),
        latents(person_moments, noise and noise.masked),
        torch.zeros_like(pose) if no_pose else pose,
        None if garment_moments is None else latents(garment_moments, noise and noise.garment),
    )


def unconditional(conditioning: Tensor) -> Tensor:
    """The conditioning of the unconditional half: pose and garment zeroed, mask and masked image kept (Q29)."""
    zeroed = conditioning.clone()
    zeroed[:, KEPT_CHANNELS:] = 0
    return zeroed


def without_garment(conditioning: Tensor) -> Tensor:
    """The conditioning with the garment latents zeroed, for steps after `cloth_cond_rate` (published §6.9)."""
    zeroed = conditioning.clone()
    zeroed[:, GARMENT_START:] = 0
    return zeroed
