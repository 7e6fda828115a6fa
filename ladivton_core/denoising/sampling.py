"""The sampling loop with classifier-free guidance.

One flat function over any diffusers scheduler. `schedule.ddim_scheduler` is the paper's, and
`conditioning.py` makes the conditioning channels. Paper section 3.3; published §6.8 and 9.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from .conditioning import unconditional, without_garment
from .guidance import EVERYWHERE, Interval, checked, is_guided

Callback = Callable[[dict[str, Any]], None]
"""Gets {"step", "steps", "timestep", "latents", "prediction"} after every step; raise in it to interrupt."""


def garment_steps(steps: int, cloth_cond_rate: float) -> float:
    """Step index from which on the garment latents are zeroed, for both halves (Q17).

    Raises:
        ValueError: the rate is outside [0, 1].
    """
    if not 0 <= cloth_cond_rate <= 1:
        raise ValueError(f"cloth_cond_rate is a share of the steps, 0 to 1; got {cloth_cond_rate}.")
    return steps - (1 - cloth_cond_rate) * steps


def denoise(
    unet: nn.Module,
    scheduler: Any,
    latents: Tensor,
    conditioning: Tensor,
    prompt: Tensor,
    negative_prompt: Tensor | None = None,
    *,
    steps: int = 50,
    guidance_scale: float = 7.5,
    guidance_interval: Interval = EVERYWHERE,
    cloth_cond_rate: float = 1.0,
    callback: Callback | None = None,
    scheduler_step_kwargs: dict[str, Any] | None = None,
) -> Tensor:
    """Denoise latents.

    Args:
        unet: diffusers UNet of 31 (27) input channels, or a `FastUNet`; returns a tuple for `return_dict=False`.
        scheduler: diffusers scheduler; its timesteps are set here.
        latents: standard normal noise (B, 4, h, w).
        conditioning: (B, 27, h, w), or (B, 23, h, w), from `concat_conditioning`.
        prompt: text embeddings (B, 77, C).
        negative_prompt: embeddings (B, 77, C) of the unconditional half; needed when guidance is on.
        steps: sampling steps.
        guidance_scale: 1 or less switches guidance off, and then the UNet runs on half the batch.
        guidance_interval: share of the noise schedule that is guided (`guidance.py`); elsewhere as with a scale of 1.
        cloth_cond_rate: share of the steps, from the first, that see the garment's latents.
        callback: called after every step; an exception it raises ends the loop.
        scheduler_step_kwargs: passed to `scheduler.step`, for schedulers that draw noise.

    Returns:
        Latents (B, 4, h, w).

    Raises:
        ValueError: shapes, batches or channel counts do not fit; names which.

    Source: published §6.
    """
    guided = guidance_scale > 1
    _check(unet, latents, conditioning, prompt, negative_prompt, guided)
    interval = checked(guidance_interval)
    # by whether a step is guided: one tensor a loop, by which a `FastUNet` knows the prompt again
    contexts = {False: prompt, True: torch.cat([negative_prompt.to(prompt), prompt]) if guided else prompt}
    early = _by_guidance(conditioning, guided)
    late = _by_guidance(without_garment(conditioning), guided) if cloth_cond_rate < 1 else early
    last_garment_step = garment_steps(steps, cloth_cond_rate)

    scheduler.set_timesteps(steps)  # on the CPU: a scheduler that looks a timestep up would wait for the device
    train_steps = scheduler.config.num_train_timesteps if interval != EVERYWHERE else 0
    latents = latents * scheduler.init_noise_sigma
    for step, timestep in enumerate(scheduler.timesteps):
        guide = guided and is_guided(int(timestep), train_steps, interval)
        sample = scheduler.scale_model_input(torch.cat([latents, latents]) if guide else latents, timestep)
        extra = (late if step >= last_garment_step else early)[guide].to(sample)
        sample = torch.cat([sample, extra], dim=1)
        prediction = unet(sample, timestep, encoder_hidden_states=contexts[guide], return_dict=False)[0]
        if guide:
            negative, positive = prediction.chunk(2)
            prediction = negative + guidance_scale * (positive - negative)
        latents = scheduler.step(prediction, timestep, latents, **(scheduler_step_kwargs or {}), return_dict=False)[0]
        if callback is not None:
            told = {"step": step, "steps": steps, "timestep": int(timestep)}
            callback({**told, "latents": latents, "prediction": prediction})
    return latents


def _by_guidance(conditioning: Tensor, guided: bool) -> dict[bool, Tensor]:
    """Channels of an unguided and of a guided step, whose unconditional half comes first (published §6.8)."""
    return {
        False: conditioning,
        True: torch.cat([unconditional(conditioning), conditioning]) if guided else conditioning,
    }


def _check(unet, latents, conditioning, prompt, negative_prompt, guided) -> None:
    batch = latents.shape[0]
    if conditioning.shape[0] != batch or conditioning.shape[-2:] != latents.shape[-2:]:
        raise ValueError(f"conditioning {tuple(conditioning.shape)} does not fit latents {tuple(latents.shape)}.")
    if prompt.shape[0] != batch:
        raise ValueError(f"there are {prompt.shape[0]} prompt embeddings for {batch} latents; give one each.")
    if guided and negative_prompt is None:
        raise ValueError("guidance_scale above 1 needs negative_prompt, the embedding of the empty prompt.")
    if guided and negative_prompt.shape != prompt.shape:
        raise ValueError(
            f"prompt {tuple(prompt.shape)} and negative_prompt {tuple(negative_prompt.shape)} must have one shape."
        )
    wanted = getattr(getattr(unet, "config", None), "in_channels", None)
    given = latents.shape[1] + conditioning.shape[1]
    if wanted is not None and wanted != given:
        hint = " It is Stable Diffusion's own inpainting UNet: load the LaDI-VTON one." if wanted == 9 else ""
        raise ValueError(f"the UNet takes {wanted} input channels and the try-on input has {given}.{hint}")
