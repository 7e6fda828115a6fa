"""Stage `vae`: a small VAE for the embedded default, in Stable Diffusion's layout (factor 8, 4 latent channels).

The paper takes Stable Diffusion's VAE as given; it cannot be shipped here, so the tiny preset trains its
own. Plain training from random weights tends to grey pictures: the encoder therefore starts as a linear
code (pixel-unshuffle to the whitened first four principal components of 8x8 patches, residual branches
zero), the decoder as smooth upsampling of the code's least-squares colour. Read `emasc.py` next.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...checkpoints.build import build_vae
from ...denoising.conditioning import sample_posterior
from ..config import TrainingSettings
from ..draws import Draws, Rows, number
from ..norms import float_norms
from ..perceptual import gradient_l1
from ..scenes import Scenes, open_scenes, stacked
from ..stage import Run, TrainingStage

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
        conv = block.downsamplers[0].conv
        conv.weight[: 4 * width].zero_()
        conv.bias[: 4 * width].zero_()
        for channel in range(width):
            for row in range(2):
                for column in range(2):
                    conv.weight[channel * 4 + row * 2 + column, channel, row, column] = 1
        width *= 4
    # channel c of the 48 holds pixel (r1 + 2 r2, c1 + 2 c2): invert that order into the patch's own
    conv = encoder.down_blocks[2].downsamplers[0].conv
    channels = len(weights)
    patch = weights.reshape(channels, 3, 8, 8)
    conv.weight[:channels].zero_()
    for rgb in range(3):
        for first in range(4):
            for second in range(4):
                for third in range(4):
                    y = (first // 2) + 2 * (second // 2) + 4 * (third // 2)
                    x = (first % 2) + 2 * (second % 2) + 4 * (third % 2)
                    conv.weight[:channels, (rgb * 4 + first) * 4 + second, third // 2, third % 2] = patch[:, rgb, y, x]
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


class Crops(Rows):
    """Crops of people, flat and worn garments, some people with a grey hole; one size a step."""

    def __init__(self, scenes: Scenes, sizes: tuple[int, ...], seed: int):
        self.scenes, self.sizes, self.seed = scenes, sizes, seed

    def __len__(self) -> int:
        return len(self.scenes)

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        size = self.sizes[number(self.seed, step) % len(self.sizes)]
        field = str(rng.choice(["person", "person", "person", "garment", "worn"]))
        picture = self.scenes.read(row, field)[field]
        top, left = rng.integers(0, picture.shape[1] - size + 1), rng.integers(0, picture.shape[2] - size + 1)
        crop = picture[:, top : top + size, left : left + size]
        if rng.random() < 0.5:
            crop = crop.flip(2)
        if field == "person" and rng.random() < 0.35:
            y, x = sorted(rng.integers(0, size + 1, 2)), sorted(rng.integers(0, size + 1, 2))
            crop = crop.clone()
            crop[:, y[0] : y[1], x[0] : x[1]] = 0
        return {"picture": crop}


def reconstruction_loss(result: Tensor, target: Tensor) -> Tensor:
    """L1 + half the L1 of gradients + twice the MSE + L1 of 16-pixel mean colour."""
    difference = result - target
    return (
        difference.abs().mean()
        + 0.5 * gradient_l1(difference)
        + 2 * difference.square().mean()
        + 0.5 * F.avg_pool2d(difference, 16).abs().mean()
    )


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


@dataclass(frozen=True)
class VaeSettings(TrainingSettings):
    """Settings of the stage.

    Attributes:
        crops: sides of the training crops; each step takes one.
        kl: weight of the posterior's divergence from a standard normal.
        rest_rate, path_rate: learning rates, relative to that of the residual branches, of the decoder's path and
            of the encoder's, which carries the linear code.
    """

    crops: tuple[int, ...] = (96, 128, 160)
    kl: float = 1e-4
    rest_rate: float = 0.6
    path_rate: float = 0.1


class Autoencoder(nn.Module):
    """Encoder, posterior and decoder in one call, as a wrapped module has to be used."""

    def __init__(self, vae: nn.Module):
        super().__init__()
        self.vae = vae

    def forward(self, picture: Tensor, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Reconstruction (B, 3, H, W) and posterior moments (B, 8, h, w) of pictures in [-1, 1]."""
        moments = self.vae.encode(picture).latent_dist.parameters
        return self.vae.decode(sample_posterior(moments.float(), noise=noise)).sample, moments


class Vae(TrainingStage):
    """Trains the whole autoencoder; what it writes has standardised latents."""

    settings_type = VaeSettings
    sheet_titles = ("person", "person", "person", "garment")

    def __init__(self, settings: VaeSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        scenes, self.held_out = open_scenes(settings, run.folder)
        self.rows = Crops(scenes, settings.crops, settings.seed)
        # some pictures to find the code in; the latents are standardised on them as well
        rows = np.linspace(0, len(scenes) - 1, min(24, len(scenes))).round().astype(int)
        self.sample = torch.cat(
            [stacked(scenes, rows, "person")["person"], stacked(scenes, rows[::2], "garment")["garment"]]
        )
        self.module = Autoencoder(float_norms(build_vae(settings.preset)))
        start_as_linear_code(self.module.vae, *principal_code(self.sample))

    def groups(self) -> list[dict]:
        groups = {"residual": [], "rest": [], "path": []}
        for name, weight in self.module.named_parameters():
            residual = "resnets" in name and "shortcut" not in name or "attentions" in name
            encoder = name.startswith(("vae.encoder", "vae.quant"))
            groups["residual" if residual else "path" if encoder else "rest"].append(weight)
        factors = {"residual": 1.0, "rest": self.settings.rest_rate, "path": self.settings.path_rate}
        return [{"params": groups[k], "lr": self.settings.learning_rate * factor} for k, factor in factors.items()]

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        picture = batch["picture"]
        noise = draws.normal(4, picture.shape[2] // 8, picture.shape[3] // 8)
        result, moments = module(picture, noise)
        mean, log_variance = moments.float().chunk(2, 1)
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return reconstruction_loss(result.float(), picture) + self.settings.kl * divergence

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        rows = range(min(3, len(self.held_out)))
        read = stacked(self.held_out, rows, "person", "garment")
        images = torch.cat([read["person"], read["garment"][:1]]).to(self.device)
        images = torch.cat([images, images[-1:].expand(4 - len(images), -1, -1, -1)])
        vae = module.vae
        result = torch.cat([vae.decode(vae.encode(image[None]).latent_dist.mean).sample for image in images])
        psnr = float(10 * torch.log10(4 / (result - images).square().mean()))
        return {"psnr": psnr}, [images, result]

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        vae = copy.deepcopy(module.vae)
        standardise(vae, self.sample.to(self.device), self.settings.preset.vae_scale)
        return {"vae": vae}
