"""A diffusers `AutoencoderKL` whose encoder is tapped and whose decoder takes skip features.

Walks the VAE's own submodules in their own order, so nothing is patched or hooked and gradients flow.
Paper section 3.4; published §3.1 and 3.4. `emasc.py` stands between the two functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from torch import Tensor

if TYPE_CHECKING:
    from diffusers import AutoencoderKL
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution


def downscale_factor(vae: AutoencoderKL) -> int:
    """Pixels a latent: 2 for every encoder level but the last (8 for Stable Diffusion)."""
    return 2 ** (len(vae.encoder.down_blocks) - 1)


def encode_with_taps(vae: AutoencoderKL, image: Tensor) -> tuple[DiagonalGaussianDistribution, list[Tensor]]:
    """Encode, and keep the input of the first block and of every level.

    Args:
        vae: diffusers autoencoder.
        image: (B, 3, H, W) in [-1, 1]; H and W divisible by the VAE's factor (8).

    Returns:
        The posterior over latents (unscaled; `.parameters` is its (B, 8, h, w) moments) and
        [f1, ..., f5]: f1 = output of conv_in, f2 = the same tensor (Q12), f3, f4, f5 = outputs of the
        first three levels.

    Raises:
        ValueError: the image is not (B, 3, H, W) or its size is not divisible.

    Source: published §3.1.
    """
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution

    factor = downscale_factor(vae)
    if image.ndim != 4 or image.shape[1] != 3:
        raise ValueError(f"image must be (B, 3, H, W) in [-1, 1], got {tuple(image.shape)}.")
    if image.shape[-2] % factor or image.shape[-1] % factor:
        height, width = image.shape[-2:]
        raise ValueError(
            f"image is {height}x{width}; the VAE needs a height and width divisible by {factor}: resize or pad it."
        )
    encoder = vae.encoder
    sample = encoder.conv_in(image)
    taps = [sample]
    for block in encoder.down_blocks:
        taps.append(sample)
        sample = block(sample)
    sample = encoder.mid_block(sample)
    moments = encoder.conv_out(encoder.conv_act(encoder.conv_norm_out(sample)))
    if vae.quant_conv is not None:
        moments = vae.quant_conv(moments)
    return DiagonalGaussianDistribution(moments), taps


def decode_with_skips(vae: AutoencoderKL, latents: Tensor, skips: Sequence[Tensor] | None = None) -> Tensor:
    """Decode latents, adding skip features on the way up.

    f5'...f2' are added to the inputs of the up blocks 0...3, f1' after the last norm and activation,
    just before conv_out.

    Args:
        vae: diffusers autoencoder.
        latents: (B, 4, h, w), already divided by the latent scale.
        skips: masked EMASC outputs [f1', ..., f5'] or None for a plain decode.

    Returns:
        (B, 3, 8h, 8w), about [-1, 1], not clamped.

    Raises:
        ValueError: the number of skips, a width, a size or the batch does not fit the decoder.

    Source: published §3.4.
    """
    decoder = vae.decoder
    pending = list(skips) if skips is not None else []
    if pending and len(pending) != len(decoder.up_blocks) + 1:
        raise ValueError(f"the decoder takes {len(decoder.up_blocks) + 1} skip features, got {len(pending)}.")

    if vae.post_quant_conv is not None:
        latents = vae.post_quant_conv(latents)
    sample = decoder.mid_block(decoder.conv_in(latents))
    for block in decoder.up_blocks:
        sample = _add(sample, pending)
        sample = block(sample)
    sample = decoder.conv_act(decoder.conv_norm_out(sample))
    return decoder.conv_out(_add(sample, pending))


def _add(sample: Tensor, pending: list[Tensor]) -> Tensor:
    """`sample` plus the deepest skip feature that is left, if any."""
    if not pending:
        return sample
    skip = pending.pop()
    if skip.shape[1:] != sample.shape[1:] or skip.shape[0] not in (1, sample.shape[0]):
        raise ValueError(
            f"skip feature {tuple(skip.shape)} does not fit the decoder's {tuple(sample.shape)}: person image, mask "
            "and latents must have one size and batch, and EMASC and VAE must belong together."
        )
    return sample + skip.to(sample)
