"""Training of EMASC (paper 3.4, SPEC 8.2): the VAE frozen, latents of the whole picture, taps of the masked one.

The loss is over the whole picture. Where VGG19's weights cannot be had, L1 on gradients stands in for the
perceptual loss. Of the published recipe's slips, Q21 (gradients never unscaled) and Q25 (the nonlinear
branch not started at zero) do not occur: the last convolutions start at zero here. Read `latents.py` next.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from ..checkpoints.build import build_emasc
from ..decoding.emasc import mask_features
from ..decoding.taps import decode_with_skips, encode_with_taps
from ..presets import TINY, Preset
from .latents import trained_vae
from .perceptual import gradient_l1
from .steps import RunningAverage, checkpoint, cosine_schedule, descend, float_norms, resume
from .world_cache import WorldCache

log = logging.getLogger(__name__)


def masked_crops(cache: WorldCache, rng: np.random.Generator, count: int, size: int) -> tuple[Tensor, Tensor]:
    """Crops of people (count, 3, size, size) in [-1, 1] around their inpaint mask, and the mask's crops."""
    images, masks = [], []
    for row in rng.integers(100, len(cache), count):
        image, mask = cache.pictures("person", [row]), cache.raw("mask", [row]).float()
        top, left = (8 * int(rng.integers(0, (full - size) // 8 + 1)) for full in image.shape[2:])
        window = (..., slice(top, top + size), slice(left, left + size))
        images.append(image[window])
        masks.append(mask[window])
    return torch.cat(images), torch.cat(masks)


def train(world: Path, out: Path, preset: Preset = TINY, steps: int = 300, batch: int = 4, seed: int = 0) -> None:
    """Train EMASC into `out/emasc.pt`."""
    torch.manual_seed(seed)
    cache, rng = WorldCache(world), np.random.default_rng(seed)
    vae = float_norms(trained_vae(out, preset))
    net = build_emasc(preset)
    for branch in net.conv:
        nn.init.zeros_(branch[-1].weight)
        nn.init.zeros_(branch[-1].bias)
    average = RunningAverage(net, 0.98)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = cosine_schedule(optimizer, steps, 0.06)
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    first, started, losses = resume(out / "emasc.pt", **parts), time.monotonic(), []
    for step in range(first, steps):
        image, mask = masked_crops(cache, rng, batch, 128)
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                latents = encode_with_taps(vae, image)[0].sample()
                taps = encode_with_taps(vae, image * (1 - mask))[1]
            result = decode_with_skips(vae, latents, mask_features(net(taps), mask))
        difference = result.float() - image
        loss = difference.abs().mean() + 0.5 * gradient_l1(difference) + difference.square().mean()
        descend(loss, optimizer, schedule)
        average.update(net)
        losses.append(loss.item())
        if step % 25 == 0 or step == steps - 1:
            log.info(
                "emasc step %d loss %.4f  %.2f s/step",
                step,
                np.mean(losses[-25:]),
                (time.monotonic() - started) / (step - first + 1),
            )
        if step % 100 == 99 or step == steps - 1:
            checkpoint(out / "emasc.pt", step + 1, **parts)
            report(vae, average.module, cache)


@torch.no_grad()
def report(vae: nn.Module, net: nn.Module, cache: WorldCache, count: int = 4) -> tuple[float, float]:
    """PSNR outside the mask on held-out people, without and with EMASC."""
    errors = []
    for row in range(count):
        image, mask = cache.pictures("person", [row]), cache.raw("mask", [row]).float()
        latents = vae.encode(image).latent_dist.mean
        skips = mask_features(net(encode_with_taps(vae, image * (1 - mask))[1]), mask)
        both = [decode_with_skips(vae, latents, s) - image for s in (None, skips)]
        errors.append([float((e.square() * (1 - mask)).sum() / (3 * (1 - mask).sum())) for e in both])
    plain, with_emasc = (10 * np.log10(4 / np.mean(column)) for column in zip(*errors, strict=True))
    log.info("PSNR outside the mask: %.2f dB without, %.2f dB with EMASC", plain, with_emasc)
    return plain, with_emasc


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=300)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(options.world, options.out, steps=options.steps)
