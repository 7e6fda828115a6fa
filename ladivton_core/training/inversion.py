"""Stage 3 of the paper: the inversion adapter, with an inpainting UNet and no warped garment (SPEC 8.3).

The published adapter learns against a frozen Stable Diffusion; here UNet, text encoder and adapter start
from nothing and learn together. Without the warped garment only the pseudo-words say what to paint, so the
UNet learns to listen to them before `tryon.py` gives it anything easier. Half-size latents: the colours are
the same and the steps cost a quarter.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

from ..presets import TINY, Preset
from .denoiser import Recipe, Scenes, train
from .latents import load

RECIPE = Recipe("inversion", steps=700, batch=16, learning_rate=1e-3, drop_words=0.1, drop_pose=1.0, drop_all=0.0)


def run(out: Path, preset: Preset = TINY, recipe: Recipe = RECIPE) -> None:
    """Train into `out/inversion.pt` from `out/latents_small`."""
    rows = load(out, "small")
    train(recipe, Scenes(rows, rows["tokens"], preset.vae_scale), out, preset)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(options.out)
