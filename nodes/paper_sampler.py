"""The paper's DDIM steps in ComfyUI's sampling machinery.

DDIM without noise is Euler on sigmas. What differs from KSampler is which sigmas are visited, how the first noise is
scaled, and that the run ends at sigma_0 instead of 0 (SPEC section 6). `sampling.py` holds the node. Imported only when
sampling.
"""

from __future__ import annotations

import comfy.sample
import comfy.samplers
import torch
from torch import Tensor
from tqdm.auto import trange

from ..ladivton_core.denoising.conditioning import without_garment
from ..ladivton_core.denoising.sampling import garment_steps
from ..ladivton_core.denoising.schedule import timesteps
from ..ladivton_core.presets import NoiseSchedule


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

    ComfyUI's latents at noise level sigma are sqrt(1 + sigma^2) times the paper's.
    """

    def __init__(self) -> None:
        super().__init__(sample_ddim)

    def max_denoise(self, model_wrap, sigmas: Tensor) -> bool:
        """Always: the first latent is pure noise, scaled by sqrt(1 + sigma^2) instead of sigma."""
        return True

    def sample(self, model_wrap, sigmas: Tensor, *args, **kwargs) -> Tensor:
        """As in ComfyUI, then back to the paper's scale at the last sigma."""
        return super().sample(model_wrap, sigmas, *args, **kwargs) / (1 + sigmas[-1] ** 2).sqrt()


def noise_schedule(model_sampling) -> NoiseSchedule:
    """Schedule that travels in the MODEL; the paper's when another node replaced the model's sampling."""
    return getattr(model_sampling, "noise_schedule", NoiseSchedule())


def paper_sigmas(model_sampling, steps: int) -> tuple[Tensor, Tensor]:
    """Sigmas (steps + 1,) of the paper's steps and their timesteps (steps + 1,), read from the model's own table.

    Equal to `ladivton_core.denoising.schedule.paper_sigmas`, and still right when a ModelSampling node changed the
    table.
    """
    schedule = noise_schedule(model_sampling)
    times = timesteps(schedule, steps)
    last = max(int(times[-1]) - schedule.train_steps // steps, 0)
    times = torch.cat([times, torch.tensor([last])])
    return model_sampling.sigmas.cpu()[times], times


def garment_for_first_steps(conditioning: list, rate: float, times: Tensor) -> list:
    """Conditioning whose warped garment is seen for the first share `rate` of the steps only (SPEC section 6, step 9).

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
    model, noise: Tensor, positive: list, negative: list, latent: Tensor, *, steps: int, guidance: float,
    cloth_cond_rate: float, seed: int,
) -> Tensor:  # fmt: skip
    """Denoise with previews, progress and interrupt; returns ComfyUI latents (B, 4, h, w), unscaled."""
    import latent_preview

    sigmas, times = paper_sigmas(model.get_model_object("model_sampling"), steps)
    positive, negative = (garment_for_first_steps(cond, cloth_cond_rate, times) for cond in (positive, negative))
    return comfy.sample.sample_custom(
        model, noise, guidance, DDIMSteps(), sigmas, positive, negative, latent,
        callback=latent_preview.prepare_callback(model, steps), seed=seed,
    )  # fmt: skip
