"""The training loop of the two denoising stages: noise, targets, dropping of conditions, held-out gates.

`inversion.py` (stage 3: no warped garment, so that the words must count) and `tryon.py` (stage 4: the full
conditioning) are settings of this loop. Objectives of SPEC 8.3 and 8.4 in the preset's own prediction type
and schedule. Where the published loop drops text, garment and pose independently (8.4), this one also drops
all three together now and then, because that is what guidance asks for at inference.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_inversion_adapter, build_text_encoder, build_unet
from ..denoising.conditioning import GARMENT_START, KEPT_CHANNELS, POSE_CHANNELS, concat_conditioning, sample_posterior
from ..denoising.sampling import denoise
from ..denoising.schedule import alphas_cumprod, ddim_scheduler
from ..inversion.prompts import prompt_for, tokenize
from ..presets import Preset
from .steps import RunningAverage, checkpoint, cosine_schedule, descend, float_norms, resume

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recipe:
    """One denoising stage.

    Attributes:
        name: of its checkpoint, `out/name.pt`.
        steps, batch, learning_rate: of AdamW.
        drop_words, drop_garment, drop_pose, drop_all: probabilities per sample.
        time_power: timesteps are drawn as u ** time_power; above 1 favours low noise.
        hole_weight: weight of the loss inside the inpaint mask; outside it is 1.
    """

    name: str
    steps: int
    batch: int
    learning_rate: float
    drop_words: float = 0.1
    drop_garment: float = 1.0
    drop_pose: float = 0.1
    drop_all: float = 0.05
    time_power: float = 1.0
    hole_weight: float = 2.0


class TryOnDenoiser(nn.Module):
    """UNet, text encoder and inversion adapter: what the denoising stages train together."""

    def __init__(self, preset: Preset):
        super().__init__()
        self.preset = preset
        self.unet = float_norms(build_unet(preset))
        self.text = build_text_encoder(preset)
        self.adapter = build_inversion_adapter(preset)
        self.text.token_embedding.weight.requires_grad_(False)  # the pseudo-words carry what must be learned
        with torch.no_grad():  # exact in 8 bit, so that the file can be small
            table = self.text.token_embedding.weight
            table.copy_((table * (0.25 / table.std())).to(torch.float8_e4m3fn).float())
            self.unet.conv_in.weight[:, 9:] = 0  # pose and garment enter in stage 4, from nothing (SPEC section 5)

    def words(self, tokens: Tensor, dropped: Tensor, category: str = "upper_body") -> Tensor:
        """Prompt embeddings (B, 77, C) of garment tokens (B, T, W); `dropped` rows get the empty prompt."""
        count = self.preset.num_words
        ids = tokenize([prompt_for(category, count), ""])[dropped.long()]
        return self.text(ids, self.adapter(tokens).view(len(tokens), count, -1))

    def forward(self, noisy: Tensor, times: Tensor, conditioning: Tensor, words: Tensor) -> Tensor:
        """The UNet's prediction (B, 4, h, w)."""
        return self.unet(torch.cat([noisy, conditioning], 1), times, words).sample


class Scenes:
    """Rows of extracted latents as batches.

    Args:
        rows: fields of `latents.load`; `pose` and `warped` may be missing (then zero).
        tokens: vision tokens (N, T, W).
        scale: the VAE's latent scale.
    """

    def __init__(self, rows: dict[str, Tensor], tokens: Tensor, scale: float):
        self.rows, self.tokens, self.scale = rows, tokens, scale

    def __len__(self) -> int:
        return len(self.rows["truth"])

    def batch(self, index, generator: torch.Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Clean latents (B, 4, h, w), conditioning (B, 27, h, w), garment tokens (B, T, W)."""

        def latents(field: str) -> Tensor:
            moments = self.rows[field][index].float()
            noise = torch.randn(moments[:, :4].shape, generator=generator)
            return sample_posterior(moments, noise=noise) * self.scale

        truth, mask = latents("truth"), self.rows["mask"][index].float()
        pose = (
            self.rows["pose"][index].float()
            if "pose" in self.rows
            else mask.new_zeros(len(mask), POSE_CHANNELS, *mask.shape[2:])
        )
        warped = latents("warped") if "warped" in self.rows else torch.zeros_like(truth)
        return truth, concat_conditioning(mask, latents("masked"), pose, warped), self.tokens[index].float()


def draw_times(recipe: Recipe, count: int, generator: torch.Generator) -> Tensor:
    """Random timesteps (B,) below `count`: uniform to a power, so that the last steps of sampling get their share."""
    return (torch.rand(recipe.batch, generator=generator) ** recipe.time_power * count).long()


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


def drop(recipe: Recipe, conditioning: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Zero garment and pose channels at random; returns the conditioning and which rows lose their words."""

    def chosen(probability: float) -> Tensor:
        return torch.rand(len(conditioning), generator=generator) < probability

    everything = chosen(recipe.drop_all)
    words, garment, pose = (chosen(p) | everything for p in (recipe.drop_words, recipe.drop_garment, recipe.drop_pose))
    conditioning = conditioning.clone()
    conditioning[:, GARMENT_START:][garment] = 0
    conditioning[:, KEPT_CHANNELS:GARMENT_START][pose] = 0
    return conditioning, words


def train(
    recipe: Recipe,
    scenes: Scenes,
    out: Path,
    preset: Preset,
    start: Path | None = None,
    seed: int = 0,
    show=None,
    held_out: int = 50,
) -> None:
    """Run a stage into `out/<name>.pt`.

    Args:
        start: checkpoint of the stage before, whose averaged weights are taken over.
        show: called with (denoiser, name) at every report, to draw a contact sheet.
        held_out: the first rows, never trained on, used for the gates.
    """
    torch.manual_seed(seed)
    generator, rng = torch.Generator().manual_seed(seed), np.random.default_rng(seed)
    model = TryOnDenoiser(preset)
    if start is not None:
        state = torch.load(start, map_location="cpu", weights_only=True)["average"]
        model.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    average = RunningAverage(model, 0.996)
    weights = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(weights, lr=recipe.learning_rate, betas=(0.9, 0.99), weight_decay=1e-3)
    schedule = cosine_schedule(optimizer, recipe.steps)
    parts = {"net": model, "average": average, "optimizer": optimizer, "schedule": schedule}
    path = out / f"{recipe.name}.pt"
    first, started, losses = resume(path, **parts), time.monotonic(), []
    alphas = alphas_cumprod(preset.schedule)
    for step in range(first, recipe.steps):
        clean, conditioning, tokens = scenes.batch(rng.integers(held_out, len(scenes), recipe.batch), generator)
        conditioning, dropped = drop(recipe, conditioning, generator)
        times = draw_times(recipe, len(alphas), generator)
        noise = torch.randn(clean.shape, generator=generator)
        with torch.autocast("cpu", torch.bfloat16):
            predicted = model(noised(clean, noise, alphas[times]), times, conditioning, model.words(tokens, dropped))
        weight = 1 + (recipe.hole_weight - 1) * conditioning[:, :1]
        loss = (
            F.mse_loss(
                predicted.float(),
                target(clean, noise, alphas[times], preset.schedule.prediction_type),
                reduction="none",
            )
            * weight
        ).mean()
        descend(loss, optimizer, schedule)
        average.update(model)
        losses.append(loss.item())
        if step % 25 == 0 or step == recipe.steps - 1:
            log.info(
                "%s step %d loss %.4f  %.2f s/step",
                recipe.name,
                step,
                np.mean(losses[-25:]),
                (time.monotonic() - started) / (step - first + 1),
            )
        if step % 200 == 199 or step == recipe.steps - 1:
            checkpoint(path, step + 1, **parts)
            gates(average.module, scenes, held_out, preset)
            if show is not None:
                show(average.module, recipe.name)


@torch.no_grad()
def gates(model: TryOnDenoiser, scenes: Scenes, held_out: int, preset: Preset) -> dict[str, float]:
    """Held-out error of the clean latents inside the hole, from pure noise: with and without words and garment."""
    clean, conditioning, tokens = scenes.batch(np.arange(held_out), torch.Generator().manual_seed(1))
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(2))
    alphas = alphas_cumprod(preset.schedule)
    times = torch.full((held_out,), len(alphas) - 1)
    a = alphas[times].view(-1, 1, 1, 1)
    mask = conditioning[:, :1]
    bare = conditioning.clone()
    bare[:, GARMENT_START:] = 0
    keep, none = torch.zeros(held_out, dtype=torch.bool), torch.ones(held_out, dtype=torch.bool)
    shuffled = tokens.roll(1, 0)
    cases = {
        "all": (conditioning, tokens, keep),
        "no words": (conditioning, tokens, none),
        "no garment": (bare, tokens, keep),
        "neither": (bare, tokens, none),
        "no garment, wrong words": (bare, shuffled, keep),
    }
    errors = {}
    for name, (channels, words, dropped) in cases.items():
        noisy = noised(clean, noise, alphas[times])
        predicted = model(noisy, times, channels, model.words(words, dropped))
        if preset.schedule.prediction_type == "epsilon":
            found = (noisy - (1 - a).sqrt() * predicted) / a.sqrt()
        else:
            found = a.sqrt() * noisy - (1 - a).sqrt() * predicted
        errors[name] = float(((found - clean).square() * mask).sum() / (4 * mask.sum()))
    log.info(
        "held-out x0 error at the last timestep: %s", ", ".join(f"{name} {error:.3f}" for name, error in errors.items())
    )
    return errors


@torch.no_grad()
def sample(
    model: TryOnDenoiser, scenes: Scenes, index, preset: Preset, steps: int = 10, guidance_scale: float = 1.0
) -> Tensor:
    """Latents (B, 4, h, w), unscaled, of some rows by DDIM; rows are seeded by their index."""
    clean, conditioning, tokens = scenes.batch(index, torch.Generator().manual_seed(3))
    noise = torch.cat(
        [torch.randn(1, *clean.shape[1:], generator=torch.Generator().manual_seed(int(i))) for i in index]
    )
    keep = torch.zeros(len(clean), dtype=torch.bool)
    words, empty = model.words(tokens, keep), model.words(tokens, ~keep)
    scheduler = ddim_scheduler(preset.schedule)
    latents = denoise(
        model.unet, scheduler, noise, conditioning, words, empty, steps=steps, guidance_scale=guidance_scale
    )
    return latents / preset.vae_scale
