"""`NoiseSchedule` as numbers: cumulative alphas, sigmas, timesteps, a diffusers scheduler.

The paper samples with DDIM on Stable Diffusion 2's schedule (published §6). The tiny preset shifts it
to lower signal-to-noise ratios and ends in pure noise. `sampling.py` runs the loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from diffusers import DDIMScheduler

    from ..presets import NoiseSchedule

SAMPLERS = ("ddim", "unipc", "dpmpp_2m")
"""Samplers `sampling_scheduler` knows; `ddim` is the paper's."""

TERMINAL_ALPHA = 4.8973451890853435e-08
"""Last cumulative alpha of a zero-terminal schedule. Exact 0 has no finite sigma; ComfyUI uses this value."""


def alphas_cumprod(schedule: NoiseSchedule) -> Tensor:
    """Cumulative products of alpha, (train_steps,) float32, falling.

    The plain schedule is computed in float32 exactly as diffusers does, so that it is bit-equal. Then,
    when asked for: the signal-to-noise ratio a / (1 - a) divided by `snr_shift`; and sqrt(a) shifted and
    scaled so that it ends in 0 while its first value is the plain schedule's (arXiv 2305.08891,
    algorithm 1): sampling ends at that value, and a shifted one would leave visible noise.

    Raises:
        ValueError: `snr_shift` is not positive.
    """
    if schedule.snr_shift <= 0:
        raise ValueError(f"snr_shift must be positive, got {schedule.snr_shift}.")
    plain = (
        torch.linspace(schedule.beta_start**0.5, schedule.beta_end**0.5, schedule.train_steps, dtype=torch.float32) ** 2
    )
    alphas = torch.cumprod(1.0 - plain, dim=0)
    if _is_plain(schedule):
        return alphas
    alphas = alphas.double()
    first = alphas[0].sqrt()
    ratio = alphas / (1 - alphas) / schedule.snr_shift
    alphas = ratio / (1 + ratio)
    if schedule.zero_terminal_snr:
        root = alphas.sqrt()
        root = (root - root[-1]) * (first / (root[0] - root[-1]))
        alphas = root.square()
        alphas.clamp_min_(TERMINAL_ALPHA)  # the last few of a shifted schedule would fall below it
    return alphas.float()


def sigmas(schedule: NoiseSchedule) -> Tensor:
    """Noise-to-signal ratios sqrt((1 - a) / a) of every training timestep, (train_steps,) float32, rising."""
    alphas = alphas_cumprod(schedule).double()
    return ((1 - alphas) / alphas).sqrt().float()


def timesteps(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Training timesteps visited by `steps` sampling steps, (steps,) int64, falling.

    `leading` (the paper): 981, 961, ..., 1 for 50 steps. `trailing`: 999, 979, ..., 19.

    Raises:
        ValueError: fewer than 1 step, or more than the schedule has room for.

    Source: published §6, scheduler.
    """
    total = schedule.train_steps
    if not 1 <= steps <= total:
        raise ValueError(f"steps must be 1 to {total}, got {steps}.")
    if schedule.timestep_spacing == "trailing":
        ratio = total / steps
        times = (total - torch.arange(steps, dtype=torch.float64) * ratio).round().long() - 1
    else:
        times = torch.arange(steps).flip(0) * (total // steps) + schedule.steps_offset
    if int(times[0]) >= total:
        raise ValueError(
            f"{steps} steps with offset {schedule.steps_offset} would start at timestep {int(times[0])}, "
            f"past the last one ({total - 1}); use fewer steps."
        )
    return times


def paper_sigmas(schedule: NoiseSchedule, steps: int) -> Tensor:
    """Sigmas of a sampler that takes the paper's DDIM steps, (steps + 1,) float32, falling.

    One sigma a timestep, then the sigma DDIM steps down to at the end: that of the timestep one stride
    below the last one, or of timestep 0 when there is none (`set_alpha_to_one=False`), never 0.
    """
    times = timesteps(schedule, steps)
    last = max(int(times[-1]) - schedule.train_steps // steps, 0)
    return sigmas(schedule)[torch.cat([times, torch.tensor([last])])]


def ddim_scheduler(schedule: NoiseSchedule) -> DDIMScheduler:
    """The reference's scheduler for a schedule: diffusers' DDIM, no clipping, last alpha = that of timestep 0.

    Source: published §6, scheduler.
    """
    from diffusers import DDIMScheduler

    alphas = alphas_cumprod(schedule)
    betas = None
    if not _is_plain(schedule):
        exact = alphas.double()
        betas = (1 - exact / torch.cat([exact.new_ones(1), exact[:-1]])).tolist()
    scheduler = DDIMScheduler(
        num_train_timesteps=schedule.train_steps,
        beta_start=schedule.beta_start,
        beta_end=schedule.beta_end,
        beta_schedule="scaled_linear",
        trained_betas=betas,
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=schedule.steps_offset,
        prediction_type=schedule.prediction_type,
        timestep_spacing=schedule.timestep_spacing,
    )
    # From betas diffusers multiplies the alphas up again in float32, which loses the last, tiny ones.
    scheduler.alphas_cumprod = alphas
    scheduler.final_alpha_cumprod = alphas[0]
    return scheduler


def sampling_scheduler(schedule: NoiseSchedule, sampler: str = "ddim") -> Any:
    """A diffusers scheduler for a schedule: the paper's DDIM, UniPC or DPM-Solver++ 2M, with its spacing of timesteps.

    Raises:
        ValueError: a sampler that is not one of `SAMPLERS`.
    """
    if sampler not in SAMPLERS:
        raise ValueError(f"there is no sampler {sampler!r} here; it is one of {', '.join(SAMPLERS)}.")
    ddim = ddim_scheduler(schedule)
    if sampler == "ddim":
        return ddim
    from diffusers import DPMSolverMultistepScheduler, UniPCMultistepScheduler

    kind = UniPCMultistepScheduler if sampler == "unipc" else DPMSolverMultistepScheduler
    scheduler = kind.from_config(ddim.config)
    scheduler.alphas_cumprod = ddim.alphas_cumprod  # exact, as above; its steps are computed from these
    return scheduler


def _is_plain(schedule: NoiseSchedule) -> bool:
    return schedule.snr_shift == 1.0 and not schedule.zero_terminal_snr
