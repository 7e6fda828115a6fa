"""The paper's DDIM steps in ComfyUI's sampling machinery.

DDIM without noise is Euler on sigmas. What differs from KSampler is which sigmas are visited, how the first noise is
scaled, and that the run ends at sigma_0 instead of 0 (published §6). `../sampling.py` holds the nodes. Imported only
when sampling.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor
from tqdm.auto import trange

from ...ladivton_core.denoising.conditioning import without_garment
from ...ladivton_core.denoising.sampling import garment_steps
from ...ladivton_core.denoising.schedule import timesteps
from ...ladivton_core.presets import NoiseSchedule
from .types import ItemNoise


@torch.no_grad()
def sample_ddim(model, x: Tensor, sigmas: Tensor, extra_args=None, callback=None, disable=None) -> Tensor:
    """Euler steps between sigmas, with the signature of ComfyUI's k-diffusion samplers.

    Written as a blend instead of ComfyUI's x + slope * (next - sigma): a schedule that starts in pure noise has a first
    sigma of 4,500, and there the difference of two huge numbers costs float32 up to 1e-3 of the result (measured).
    """
    rows = x.new_ones(x.shape[0])
    for step in trange(len(sigmas) - 1, disable=disable):
        denoised = model(x, sigmas[step] * rows, **(extra_args or {}))
        if callback is not None:
            callback({"x": x, "i": step, "sigma": sigmas[step], "sigma_hat": sigmas[step], "denoised": denoised})
        x = denoised + (x - denoised) * (sigmas[step + 1] / sigmas[step])
    return x


class DDIMSteps(comfy.samplers.KSAMPLER):
    """The paper's steps between the given sigmas, from and to variance-preserving latents.

    ComfyUI's latents at noise level sigma are sqrt(1 + sigma^2) times the paper's. They are scaled where a schedule
    begins and where it ends; a part of it hands ComfyUI's own latents on, so that parts join without a seam.

    Args:
        first: the schedule's first sigma. A run that starts there, with noise, starts from that noise alone, as the
            paper does: what the LATENT holds counts for its noise mask only.
        last: the schedule's last sigma. A run that ends there gives the paper's latent, and exactly the LATENT's own
            where its noise mask lets nothing be repainted.
    """

    def __init__(self, first: float, last: float) -> None:
        super().__init__(self._between)
        self.first, self.last = first, last

    def _between(self, model, x: Tensor, sigmas: Tensor, extra_args=None, callback=None, disable=None) -> Tensor:
        mask = (extra_args or {}).get("denoise_mask")
        if model.noise.any():
            if _is_level(sigmas[0], self.first):
                x = model.noise * (1 + sigmas[0] ** 2).sqrt()
        elif mask is not None and (mask < 1).any():
            raise ValueError(
                "The LATENT has a noise mask, and its noise was added in an earlier part of the schedule: "
                "what the mask keeps is known without noise to that part only. "
                "Put a white mask on it with 'Set Latent Noise Mask', "
                "and lay what is to be kept over the result with 'LatentCompositeMasked'."
            )
        x = sample_ddim(model, x, sigmas, extra_args, callback, disable)
        if not _is_level(sigmas[-1], self.last):
            return x
        x = x / (1 + sigmas[-1] ** 2).sqrt()
        return x if mask is None else torch.where(mask == 0, model.latent_image, x)


def _is_level(sigma: Tensor, level: float) -> bool:
    """Neighbouring levels of a schedule that ends in pure noise differ by parts in a million (`native.py`)."""
    return math.isclose(float(sigma), level, rel_tol=1e-6)


def noise_schedule(model) -> NoiseSchedule:
    """Schedule of a MODEL: the one its noise levels were made by, or, when another node replaced those, the one it was
    trained with; the paper's for a MODEL that is none of ours.
    """
    own = getattr(model.get_model_object("model_sampling"), "noise_schedule", None)
    trained = getattr(getattr(model.model, "preset", None), "schedule", None)
    return own or trained or NoiseSchedule()


def lost_schedule(model) -> str | None:
    """What to say when a model-sampling node has thrown the try-on model's noise levels away; None when none has."""
    sampling = model.get_model_object("model_sampling")
    if hasattr(sampling, "noise_schedule") or not hasattr(model.model, "preset"):
        return None
    return (
        f"A model-sampling node before this one ({type(sampling).__name__}) has replaced the noise schedule "
        "that the try-on model was trained with, and the result suffers. "
        "Take the node away: the schedule travels in the MODEL."
    )


@dataclass(frozen=True)
class PaperSteps:
    """One run's part of the paper's schedule.

    Attributes:
        sigmas: (steps + 1,) float32, falling.
        times: their training timesteps, (steps + 1,) int64.
        sampler: takes the steps; knows where the whole schedule begins and ends.
    """

    sigmas: Tensor
    times: Tensor
    sampler: DDIMSteps


def paper_steps(model, steps: int, denoise: float = 1.0) -> PaperSteps:
    """The paper's steps, read from the model's own table.

    Equal to `ladivton_core.denoising.schedule.paper_sigmas`, and still right when a ModelSampling node changed the
    table. A `denoise` below 1 takes the last `steps` steps of a schedule of `steps / denoise`, as KSampler does.

    Raises:
        ValueError: such a schedule has more steps than the model knows noise levels, or another node has left the
            model fewer levels than it was trained with.
    """
    schedule, table = noise_schedule(model), model.get_model_object("model_sampling").sigmas.cpu()
    if len(table) < schedule.train_steps:
        raise ValueError(
            f"A model-sampling node has left this MODEL {len(table)} noise levels of {schedule.train_steps}: "
            "the paper's steps fall between them. Take the node away, or sample with KSampler."
        )
    total = steps if denoise > 0.9999 else max(int(steps / denoise), steps)
    if total > schedule.train_steps:
        raise ValueError(
            f"{steps} steps at denoise {denoise} are the end of a schedule of {total} steps, "
            f"and the model knows {schedule.train_steps} noise levels. Take fewer steps, or more denoise."
        )
    times = timesteps(schedule, total)
    last = max(int(times[-1]) - schedule.train_steps // total, 0)
    times = torch.cat([times, torch.tensor([last])])
    sigmas = table[times]
    return PaperSteps(sigmas[-steps - 1 :], times[-steps - 1 :], DDIMSteps(float(sigmas[0]), float(sigmas[-1])))


def garment_for_first_steps(conditioning: list, rate: float, times: Tensor) -> list:
    """Conditioning whose warped garment is seen for the first share `rate` of the steps only (published §6.9).

    Args:
        conditioning: with `noise_concat` entries of 27 channels.
        rate: `cloth_cond_rate`, 0 to 1.
        times: timesteps (steps + 1,) of the run.

    Returns:
        The same at 1, else every entry twice: with the garment before the boundary, without it from there on.
    """
    steps = len(times) - 1
    first_without = next((step for step in range(steps) if step >= garment_steps(steps, rate)), steps)
    if first_without >= steps:
        return conditioning
    # ComfyUI switches conditionings by percent of the training timesteps; put the switch between two steps.
    before = times[first_without - 1].double() if first_without else 1000.0
    switch = float(1 - (before + times[first_without].double()) / 2 / 999)
    result = []
    for tensor, options in conditioning:
        start, end = options.get("start_percent", 0.0), options.get("end_percent", 1.0)
        bare = options | {"noise_concat": without_garment(options["noise_concat"])}
        if first_without and start < switch:
            result.append([tensor, options | {"start_percent": start, "end_percent": min(end, switch)}])
        if end > switch:
            result.append([tensor, bare | {"start_percent": max(start, switch), "end_percent": end}])
    return result


def sample(
    model, noise: ItemNoise, positive: list, negative: list, latent: dict, *, steps: int, guidance: float,
    cloth_cond_rate: float, denoise: float = 1.0,
) -> Tensor:  # fmt: skip
    """Denoise with previews, progress and interrupt; returns ComfyUI latents (B, 4, h, w), unscaled."""
    import latent_preview

    run = paper_steps(model, steps, denoise)
    positive, negative = (garment_for_first_steps(cond, cloth_cond_rate, run.times) for cond in (positive, negative))
    return comfy.sample.sample_custom(
        model, noise.generate_noise(latent), guidance, run.sampler, run.sigmas, positive, negative, latent["samples"],
        noise_mask=latent.get("noise_mask"), callback=latent_preview.prepare_callback(model, steps), seed=noise.seed,
    )  # fmt: skip
