"""Schedule, conditioning channels, noise and the sampling loop."""

import dataclasses

import pytest
import torch
from torch import nn

from ladivton_core.denoising import conditioning as cond
from ladivton_core.denoising.noise import item_noise, shared_noise
from ladivton_core.denoising.sampling import denoise
from ladivton_core.denoising.schedule import alphas_cumprod, ddim_scheduler, paper_sigmas, sigmas, timesteps
from ladivton_core.presets import SD2, TINY, NoiseSchedule

SCHEDULES = pytest.mark.parametrize("schedule", [SD2.schedule, TINY.schedule], ids=["sd2", "tiny"])


def test_the_plain_schedule_is_stable_diffusions():
    from diffusers import DDIMScheduler

    plain = DDIMScheduler(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear")
    assert torch.equal(alphas_cumprod(SD2.schedule), plain.alphas_cumprod)


@SCHEDULES
def test_sigmas_rise_and_belong_to_the_alphas(schedule):
    alphas, noise = alphas_cumprod(schedule), sigmas(schedule)
    # the finite stand-in at the end of a zero-terminal schedule lies above its last few neighbours
    alphas, noise = alphas[:-3], noise[:-3]
    assert bool((alphas.diff() < 0).all()) and bool((noise.diff() > 0).all())
    assert torch.allclose(1 / (1 + noise.double() ** 2), alphas.double(), rtol=1e-4)


def test_the_snr_shift_divides_the_ratio():
    shifted = dataclasses.replace(NoiseSchedule(), snr_shift=16.0)
    assert torch.allclose(sigmas(shifted), 4 * sigmas(NoiseSchedule()), rtol=1e-4)


def test_a_zero_terminal_schedule_keeps_its_start_and_ends_in_noise():
    schedule = NoiseSchedule(zero_terminal_snr=True)
    alphas = alphas_cumprod(schedule)
    assert float(alphas[0]) == pytest.approx(float(alphas_cumprod(NoiseSchedule())[0]), abs=1e-7)
    assert float(alphas[-1]) == pytest.approx(4.8973451890853435e-08, rel=1e-6)


@SCHEDULES
@pytest.mark.parametrize("steps", [1, 3, 7, 20, 50])
def test_timesteps_are_the_schedulers_own(schedule, steps):
    scheduler = ddim_scheduler(schedule)
    scheduler.set_timesteps(steps)
    assert torch.equal(scheduler.timesteps, timesteps(schedule, steps))


def test_the_papers_timesteps():
    assert timesteps(SD2.schedule, 50).tolist() == list(range(981, 0, -20))
    with pytest.raises(ValueError, match="use fewer steps"):
        timesteps(SD2.schedule, 1000)
    with pytest.raises(ValueError, match="1 to 1000"):
        timesteps(SD2.schedule, 0)


@SCHEDULES
@pytest.mark.parametrize("steps", [5, 20])
def test_euler_on_the_paper_sigmas_is_the_papers_ddim(schedule, steps):
    """x = x0 + sigma * noise, scaled: one Euler step between two sigmas equals one DDIM step."""
    scheduler, levels = ddim_scheduler(schedule), paper_sigmas(schedule, steps).double()
    scheduler.set_timesteps(steps)
    alphas = scheduler.alphas_cumprod.double()
    latents = torch.randn(1, 4, 3, 3, dtype=torch.float64)
    euler = latents * (1 + levels[0] ** 2).sqrt()
    for step, timestep in enumerate(scheduler.timesteps):
        clean = torch.tanh(latents)  # any function of the latent will do for a model
        a = alphas[timestep]
        noise = (latents - a.sqrt() * clean) / (1 - a).sqrt()
        output = noise if schedule.prediction_type == "epsilon" else a.sqrt() * noise - (1 - a).sqrt() * clean
        latents = scheduler.step(output, timestep, latents, return_dict=False)[0]
        euler = euler + (euler - clean) / levels[step] * (levels[step + 1] - levels[step])
    assert torch.allclose(euler / (1 + levels[-1] ** 2).sqrt(), latents, atol=2e-3)


def test_the_conditioning_has_the_trained_order():
    parts = [torch.full((2, n, 3, 2), float(i)) for i, n in enumerate((1, 4, 18, 4))]
    whole = cond.concat_conditioning(*parts)
    assert whole[0, :, 0, 0].tolist() == [0.0] + [1.0] * 4 + [2.0] * 18 + [3.0] * 4
    assert cond.concat_conditioning(*parts[:3], None).shape[1] == 23
    assert cond.without_garment(whole)[0, :, 0, 0].tolist() == [0.0] + [1.0] * 4 + [2.0] * 18 + [0.0] * 4
    assert cond.unconditional(whole)[0, :, 0, 0].tolist() == [0.0] + [1.0] * 4 + [0.0] * 22
    with pytest.raises(ValueError, match=r"pose must be \(2, 18, 3, 2\)"):
        cond.concat_conditioning(parts[0], parts[1], parts[2][:1], parts[3])


def test_the_mask_is_cut_at_half_and_checked():
    mask = torch.tensor([0.49, 0.5, 1.0]).view(1, 1, 1, 3)
    assert cond.binary_mask(mask).flatten().tolist() == [0, 1, 1]
    with pytest.raises(ValueError, match="lie in"):
        cond.binary_mask(mask * 255)
    with pytest.raises(ValueError, match=r"\(B, 1, H, W\)"):
        cond.binary_mask(mask[0])


def test_the_hole_of_the_person_is_mid_grey():
    person, mask = torch.full((1, 3, 2, 2), 0.7), torch.tensor([[[[1.0, 0.0], [0.0, 1.0]]]])
    assert cond.masked_at_half(person, mask)[0, 0].tolist() == [[0.0, pytest.approx(0.7)], [pytest.approx(0.7), 0.0]]
    with pytest.raises(ValueError, match=r"\[-1, 1\]"):
        cond.masked_at_half(person * 255, mask)


def test_the_latent_mask_picks_every_eighth_pixel():
    mask = (torch.rand(1, 1, 32, 24) > 0.5).float()
    assert torch.equal(cond.latent_mask(mask), mask[..., ::8, ::8])
    with pytest.raises(ValueError, match="divisible by 8"):
        cond.latent_mask(mask[..., :30, :])


def test_a_posterior_sample_is_mean_plus_scaled_noise():
    moments = torch.cat([torch.full((1, 4, 2, 2), 3.0), torch.full((1, 4, 2, 2), 2 * 0.6931472)], 1)
    noise = torch.randn(1, 4, 2, 2)
    # noise of 4 at most; its factor exp(log 4 / 2) is off by a few steps of float32
    assert torch.allclose(cond.sample_posterior(moments, noise=noise), 3 + 2 * noise, rtol=0, atol=1e-5)
    assert torch.equal(cond.posterior_mode(moments), moments[:, :4])
    drawn = cond.sample_posterior(moments, torch.Generator().manual_seed(1))
    again = torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(drawn, 3 + 2 * again, rtol=0, atol=1e-5)


def test_the_shared_generator_draws_garment_latents_masked_in_this_order():
    noise = shared_noise(torch.Generator().manual_seed(5), (2, 4, 3, 3))
    generator = torch.Generator().manual_seed(5)
    for drawn in (noise.garment, noise.latents, noise.masked):
        assert torch.equal(drawn, torch.randn(2, 4, 3, 3, generator=generator))


def test_an_items_noise_depends_on_its_seed_only():
    many, one = item_noise([7, 8, 9], (4, 3, 3)), item_noise([8], (4, 3, 3))
    for name in ("garment", "latents", "masked"):
        assert torch.equal(getattr(many, name)[1:2], getattr(one, name))
    assert torch.equal(one.latents, shared_noise(torch.Generator().manual_seed(8), (1, 4, 3, 3)).latents)


class Recorder(nn.Module):
    """Stands in for the UNet: remembers its inputs, predicts a constant an item."""

    def __init__(self):
        super().__init__()
        self.inputs, self.contexts = [], []

    def forward(self, sample, timestep, encoder_hidden_states, return_dict):
        self.inputs.append(sample)
        self.contexts.append(encoder_hidden_states)
        return (encoder_hidden_states.mean((1, 2))[:, None, None, None].expand_as(sample[:, :4]),)


def run(**options):
    unet = Recorder()
    latents, channels = torch.randn(2, 4, 3, 2), torch.randn(2, 27, 3, 2)
    prompt, negative = torch.full((2, 5, 6), 2.0), torch.zeros(2, 5, 6)
    out = denoise(unet, ddim_scheduler(SD2.schedule), latents, channels, prompt, negative, **options)
    return unet, latents, channels, out


def test_guidance_puts_the_blank_half_first():
    unet, latents, channels, _ = run(steps=2, guidance_scale=3.0)
    first = unet.inputs[0]
    assert torch.equal(
        first, torch.cat([torch.cat([latents, cond.unconditional(channels)], 1), torch.cat([latents, channels], 1)])
    )
    assert unet.contexts[0].mean((1, 2)).tolist() == [0, 0, 2, 2]


def test_guidance_moves_away_from_the_blank_prediction():
    predictions = []
    run(steps=1, guidance_scale=3.0, callback=lambda state: predictions.append(state["prediction"]))
    assert torch.allclose(predictions[0], torch.full((2, 4, 3, 2), 0 + 3.0 * (2 - 0)))


def test_without_guidance_the_unet_runs_on_half_the_batch():
    unet, latents, channels, _ = run(steps=2, guidance_scale=1.0)
    assert torch.equal(unet.inputs[0], torch.cat([latents, channels], 1))


@pytest.mark.parametrize(("rate", "seen"), [(1.0, 5), (0.6, 3), (0.5, 3), (0.0, 0)])
def test_the_garment_is_seen_in_the_first_share_of_the_steps(rate, seen):
    unet, *_ = run(steps=5, guidance_scale=2.0, cloth_cond_rate=rate)
    assert [bool(x[2:, 4 + cond.GARMENT_START :].any()) for x in unet.inputs] == [True] * seen + [False] * (5 - seen)
    assert all(bool(x[2:, 4 : 4 + cond.GARMENT_START].any()) for x in unet.inputs)


def test_a_callback_interrupts_by_raising():
    class Stop(Exception):
        pass

    def stop(state):
        if state["step"] == 1:
            raise Stop

    with pytest.raises(Stop):
        run(steps=5, callback=stop)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"conditioning": torch.zeros(1, 27, 3, 2)}, "conditioning"),
        ({"prompt": torch.zeros(3, 5, 6)}, "3 prompt embeddings for 2"),
        ({"negative_prompt": None}, "needs negative_prompt"),
        ({"cloth_cond_rate": 1.5}, "0 to 1"),
    ],
)
def test_the_loop_names_what_does_not_fit(change, said):
    arguments = dict(
        latents=torch.zeros(2, 4, 3, 2),
        conditioning=torch.zeros(2, 27, 3, 2),
        prompt=torch.zeros(2, 5, 6),
        negative_prompt=torch.zeros(2, 5, 6),
    )
    with pytest.raises(ValueError, match=said):
        denoise(Recorder(), ddim_scheduler(SD2.schedule), **(arguments | change), steps=2)


def test_stable_diffusions_own_unet_is_named():
    unet = Recorder()
    unet.config = type("Config", (), {"in_channels": 9})
    with pytest.raises(ValueError, match="own inpainting UNet"):
        denoise(
            unet, None, torch.zeros(1, 4, 3, 2), torch.zeros(1, 27, 3, 2), torch.zeros(1, 5, 6), torch.zeros(1, 5, 6)
        )
