"""The loops of a diffusers tutorial over the modules of a `TryOnPipeline`: what everything else is compared with."""

from __future__ import annotations

import torch
from torch import Tensor

from ladivton_core.denoising.schedule import ddim_scheduler
from ladivton_core.inversion.pixels import clip_pixels
from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.pipeline import TryOnPipeline

CATEGORY = "upper_body"


def inversion(pipeline: TryOnPipeline, garment: Tensor) -> tuple[Tensor, Tensor]:
    """Tower, adapter and text encoder called one after the other; prompt and empty prompt."""
    words = pipeline.preset.num_words
    pixels = clip_pixels(garment, pipeline.preset.vision.image_size).to(pipeline.dtype)
    pseudo = pipeline.adapter.pseudo_words(pipeline.vision(pixels), words)
    ids = tokenize([prompt_for(CATEGORY, words), ""]).to(pipeline.device)
    return pipeline.text_encoder(ids[:1], pseudo), pipeline.text_encoder(ids[1:])


def loop(
    pipeline: TryOnPipeline,
    channels: Tensor,
    prompt: Tensor,
    empty: Tensor,
    latents: Tensor,
    steps: int,
    guidance: float = 7.5,
    *,
    guided: bool = True,
) -> Tensor:
    """One UNet call for both halves, or for the prompt's alone; diffusers' own DDIM step."""
    scheduler = ddim_scheduler(pipeline.preset.schedule)
    scheduler.set_timesteps(steps)
    bare = channels.clone()
    bare[:, 5:] = 0
    context = torch.cat([empty.expand_as(prompt), prompt])
    for time in scheduler.timesteps:
        if not guided:
            single = pipeline.unet(torch.cat([latents, channels], 1), time, prompt).sample
            latents = scheduler.step(single, time, latents).prev_sample
            continue
        both = torch.cat([torch.cat([latents, bare], 1), torch.cat([latents, channels], 1)])
        low, high = pipeline.unet(both, time, context).sample.chunk(2)
        latents = scheduler.step(low + guidance * (high - low), time, latents).prev_sample
    return latents
