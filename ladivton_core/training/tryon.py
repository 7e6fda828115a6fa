"""Stage 4 of the paper: the try-on UNet with the adapter, on the full conditioning (SPEC 8.4).

Starts from stage 3's weights; the input channels of pose and garment start at zero. The warped garment is
dropped often, so that the words keep their voice. `show` draws a contact sheet at every report.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import torch

from ..presets import TINY, Preset
from .denoiser import Recipe, Scenes, TryOnDenoiser, sample, train
from .latents import load, trained_vae

RECIPE = Recipe(
    "tryon",
    steps=2800,
    batch=8,
    learning_rate=1e-3,
    drop_words=0.1,
    drop_garment=0.3,
    drop_pose=0.05,
    drop_all=0.05,
    time_power=1.5,
)

FINISH = dataclasses.replace(RECIPE, name="tryon_finish", steps=650, learning_rate=5e-4, time_power=3.0)
"""A second pass at low noise, against the grain that the first one leaves."""


def run(out: Path, preset: Preset = TINY, recipe: Recipe = RECIPE, start: str = "inversion") -> None:
    """Train into `out/<recipe.name>.pt`, from `out/latents_full` and the tokens of `out/latents_small`.

    Args:
        start: the stage whose weights are taken over.
    """
    rows = load(out, "full")
    tokens = load(out, "small")["tokens"][: len(rows["truth"])]
    scenes, vae = Scenes(rows, tokens, preset.vae_scale), trained_vae(out, preset)

    def show(model: TryOnDenoiser, name: str) -> None:
        from torchvision.utils import save_image

        index = list(range(6))
        result = sample(model, scenes, index, preset)
        columns = [
            rows["masked"][index][:, :4].float(),
            rows["warped"][index][:, :4].float(),
            result,
            rows["truth"][index][:, :4].float(),
        ]
        with torch.no_grad():
            pictures = torch.cat([vae.decode(latent[None]).sample for latent in torch.cat(columns)])
        save_image((pictures.clamp(-1, 1) + 1) / 2, out / f"{name}.png", nrow=len(index))

    train(recipe, scenes, out, preset, start=out / f"{start}.pt", show=show)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    run(options.out)
    run(options.out, recipe=FINISH, start=RECIPE.name)
