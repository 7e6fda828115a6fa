"""Where a VAE of the embedded default starts, and how its latents are standardised.

The paper takes Stable Diffusion's VAE as given; it cannot be shipped here, so the tiny preset trains its own. Plain
training from random weights tends to grey pictures: the encoder therefore starts as a linear code (pixel-unshuffle to
the whitened first four principal components of 8x8 patches, residual branches zero), the decoder as smooth upsampling
of the code's least-squares colour. `vae.py` is the stage.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_CONSTANT = 4.0  # size of the constant channels that keep the encoder's last norm close to affine


def patches(images: Tensor, size: int = 8) -> Tensor:
    """Non-overlapping patches (N, 3 * size * size), ordered (channel, row, column)."""
    return F.unfold(images, size, stride=size).transpose(1, 2).reshape(-1, images.shape[1] * size * size)


def principal_code(images: Tensor, channels: int = 4) -> tuple[Tensor, Tensor, Tensor]:
    """Whitening linear code of 8x8 patches.

    Returns:
        weights (channels, 192) and bias (channels,) with code = weights @ patch + bias of unit variance, and
        the least-squares map (3, channels + 1) from code (and 1) to the patch's mean colour.
    """
    rows = patches(images).double()
    mean = rows.mean(0)
    values, vectors = torch.linalg.eigh((rows - mean).T @ (rows - mean) / len(rows))
    weights = vectors[:, -channels:].flip(1).T / values[-channels:].flip(0).sqrt()[:, None]
    code = (rows - mean) @ weights.T
    target = rows.reshape(len(rows), 3, -1).mean(-1)
    design = torch.cat([code, torch.ones(len(code), 1, dtype=code.dtype)], 1)
    colour = torch.linalg.lstsq(design, target).solution.T
    return weights.float(), (-(weights @ mean)).float(), colour.float()


@torch.no_grad()
def start_as_linear_code(vae: nn.Module, weights: Tensor, bias: Tensor, colour: Tensor) -> None:
    """Set an `AutoencoderKL` of four levels to a linear code and its smooth decoding (see module docstring)."""
    for name, module in vae.named_modules():
        if name.endswith("conv2") or name.endswith("to_out.0"):  # residual branches start silent
            nn.init.zeros_(module.weight)
            nn.init.zeros_(module.bias)
    encoder, decoder = vae.encoder, vae.decoder
    _select(encoder.conv_in, torch.eye(3))
    width = 3
    for block in encoder.down_blocks[:2]:  # 3 -> 12 -> 48 channels of unshuffled pixels
        conv, wider = block.downsamplers[0].conv, 4 * width
        conv.weight[:wider].zero_()
        conv.bias[:wider].zero_()
        conv.weight[:wider, :width, :2, :2] = torch.eye(wider).view(wider, width, 2, 2)
        width = wider
    # channel c of the 48 holds pixel (r1 + 2 r2, c1 + 2 c2): invert that order into the patch's own
    conv = encoder.down_blocks[2].downsamplers[0].conv
    channels = len(weights)
    patch = weights.reshape(channels, 3, *(2,) * 6)  # the third, second and first split of rows, then of columns
    conv.weight[:channels].zero_()
    conv.weight[:channels, :width, :2, :2] = patch.permute(0, 1, 4, 7, 3, 6, 2, 5).reshape(channels, width, 2, 2)
    conv.bias[:channels] = bias
    shortcut = encoder.down_blocks[3].resnets[0].conv_shortcut
    group = shortcut.out_channels // 32
    if group < 4:
        raise ValueError(
            f"the last encoder level has {shortcut.out_channels} channels; at least 128 keep its norm affine"
        )
    for k in range(channels):  # [x, -x, C, -C]: zero mean, variance ruled by the constant
        rows = slice(group * k, group * (k + 1))
        shortcut.weight[rows].zero_()
        shortcut.bias[rows] = 0
        shortcut.weight[group * k, k], shortcut.weight[group * k + 1, k] = 1, -1
        shortcut.bias[group * k + 2], shortcut.bias[group * k + 3] = _CONSTANT, -_CONSTANT
    encoder.conv_out.weight.zero_()
    encoder.conv_out.bias.zero_()
    scale = ((1 + _CONSTANT**2) * 2 / group) ** 0.5
    for k in range(channels):  # silu(z) - silu(-z) = z
        encoder.conv_out.weight[k, group * k, 1, 1], encoder.conv_out.weight[k, group * k + 1, 1, 1] = scale, -scale
    encoder.conv_out.bias[channels:] = -5.0
    for conv in (vae.quant_conv, vae.post_quant_conv):
        conv.weight.copy_(torch.eye(conv.out_channels)[:, :, None, None])
        conv.bias.zero_()
    _select(decoder.conv_in, torch.eye(channels))
    smooth = torch.outer(torch.tensor([1.0, 2, 1]), torch.tensor([1.0, 2, 1])) / 16
    for block in decoder.up_blocks:
        shortcut = block.resnets[0].conv_shortcut
        if shortcut is not None:
            _select(shortcut, torch.eye(channels))
    for block in decoder.up_blocks[:2]:
        _select(block.upsamplers[0].conv, torch.eye(channels), smooth)
    last = decoder.up_blocks[2].upsamplers[0].conv
    pairs = torch.stack([colour[:, :channels], -colour[:, :channels]], 1).reshape(6, channels)  # [r, -r, g, -g, b, -b]
    offsets = torch.stack([colour[:, channels], -colour[:, channels]], 1).reshape(6)
    _select(last, pairs, smooth)
    last.bias[:6] = offsets
    decoder.conv_out.weight.mul_(0.1)
    for c in range(3):
        decoder.conv_out.weight[c, :6].zero_()
        decoder.conv_out.weight[c, 2 * c, 1, 1], decoder.conv_out.weight[c, 2 * c + 1, 1, 1] = 0.6, -0.6


def _select(conv: nn.Conv2d, matrix: Tensor, kernel: Tensor | None = None) -> None:
    """Let the first outputs of a convolution be `matrix` times its first inputs, and nothing else."""
    rows, columns = matrix.shape
    conv.weight[:rows].zero_()
    conv.bias[:rows] = 0
    if kernel is None:
        conv.weight[:rows, :columns, conv.kernel_size[0] // 2, conv.kernel_size[1] // 2] = matrix
    else:
        conv.weight[:rows, :columns] = matrix[:, :, None, None] * kernel


@torch.no_grad()
def standardise(vae: nn.Module, images: Tensor, scale: float) -> None:
    """Fold per-channel mean and deviation of the latents into the quant convolutions, so that latents times
    `scale` have mean 0 and deviation 1."""
    means = torch.cat([vae.encode(image[None]).latent_dist.mean for image in images])
    mean, deviation = means.mean((0, 2, 3)), means.std((0, 2, 3))
    channels = len(mean)
    gain = 1 / (deviation * scale)
    quant, post = vae.quant_conv, vae.post_quant_conv
    post.bias.add_(post.weight[:, :, 0, 0] @ mean)
    post.weight.mul_((1 / gain)[None, :, None, None])
    quant.weight[:channels].mul_(gain[:, None, None, None])
    quant.bias[:channels] = (quant.bias[:channels] - mean) * gain
    quant.bias[channels:].add_(2 * gain.log())
