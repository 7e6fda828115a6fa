"""Graph engine and core engine, the same inputs, seeds and schedule: the same latents and the same picture."""

from __future__ import annotations

import pytest
import torch

from ladivton_core.presets import PUBLISHED_VAE_SCALE, TINY


def pixels(image: torch.Tensor) -> torch.Tensor:
    return image.movedim(-1, 1).contiguous() * 2 - 1


def relative(actual: torch.Tensor, expected: torch.Tensor) -> float:
    return float((actual.cpu() - expected).abs().max() / expected.abs().max())


@pytest.fixture(scope="session")
def core(pipeline, scene, prepared):
    """`core(seeds, steps=..., ...)`: the core's result on the same people and garments."""

    def execute(**options):
        person = {"mask": prepared.mask[:, None], "pose_map": prepared.pose_map}
        return pipeline(pixels(scene.person), pixels(scene.garment), **person, **options)

    return execute


def test_stages_before_the_sampler_agree(pipeline, scene, prepared, across):
    garment = pipeline.encode_garment(pixels(scene.garment), "upper_body")
    torch.testing.assert_close(prepared.pseudo_words.cpu(), garment.pseudo_words, rtol=1e-3, atol=across(1e-5))
    assert relative(prepared.positive[0][0], garment.prompt) < across(1e-4)
    assert relative(prepared.negative[0][0], pipeline.empty_prompt()) < across(1e-4)
    person = pipeline.encode_person(pixels(scene.person), prepared.mask[:, None], prepared.pose_map)
    warped = pipeline.warp(pixels(scene.garment), person)
    # One by one here, as a batch there: convolutions round differently by the number of threads (seen: 4e-5).
    torch.testing.assert_close(pixels(prepared.warped).cpu(), warped.warped, rtol=0, atol=across(1e-4))
    torch.testing.assert_close(pixels(prepared.coarse).cpu(), warped.coarse.clamp(-1, 1), rtol=0, atol=across(1e-4))
    torch.testing.assert_close(pixels(prepared.agnostic).cpu(), person.agnostic, rtol=0, atol=1e-6)


@pytest.mark.parametrize(
    ("graph", "options"),
    [
        ({}, {}),
        ({"guidance": 1.0}, {"guidance_scale": 1.0}),
        ({"cloth_cond_rate": 0.5}, {"cloth_cond_rate": 0.5}),
        ({"cloth_cond_rate": 0.0}, {"cloth_cond_rate": 0.0}),
        ({"no_pose": True}, {"no_pose": True}),
        ({"sample_posterior": False}, {"posterior": "mode"}),
        ({"lay_garment": True}, {"lay_garment": True}),
    ],
    ids=[
        "plain",
        "unguided",
        "garment for half the steps",
        "never the garment",
        "no pose",
        "posterior mode",
        "lay garment",
    ],
)
def test_latents_and_picture_agree(run, models, condition, core, across, graph, options):
    seed, steps = 40, 3
    expected = core(**{"seeds": [seed, seed + 1], "steps": steps, "guidance_scale": 3.0} | options)
    for_conditioning = {key: graph[key] for key in ("no_pose", "sample_posterior", "lay_garment") if key in graph}
    for_sampler = {"guidance": 3.0} | {key: graph[key] for key in ("guidance", "cloth_cond_rate") if key in graph}
    positive, negative, latent, skips = condition(posterior_seed=seed, **for_conditioning)
    (samples,) = run(
        "TryOnSampler", model=models.model, positive=positive, negative=negative, latent=latent, seed=seed, steps=steps,
        **for_sampler,
    )  # fmt: skip
    (image,) = run(
        "EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=samples, skip_features=skips,
        skip_grow=TINY.skip_grow, skip_feather=TINY.skip_feather,
    )  # fmt: skip

    assert relative(samples["samples"] * PUBLISHED_VAE_SCALE, expected.latents) < across(1e-3)
    assert float((image.movedim(-1, 1).cpu() - expected.images).abs().max()) < 1 / 255


def test_the_paper_schedule_agrees_too(run, models, condition, core, pipeline, module, across):
    """epsilon, leading timesteps, last step to sigma_0: the published models' schedule on the tiny UNet."""
    import dataclasses

    from ladivton_core.denoising.schedule import ddim_scheduler
    from ladivton_core.presets import NoiseSchedule

    native = module("nodes.host.native")
    paper = dataclasses.replace(native.PRESETS["tiny"], schedule=module("ladivton_core.presets").NoiseSchedule())
    state = {key: value.clone() for key, value in pipeline.unet.state_dict().items()}
    model = native.unet_model(paper, state, torch.float32)
    pipeline.scheduler = ddim_scheduler(NoiseSchedule())
    try:
        expected = core(seeds=[7, 8], steps=3, guidance_scale=2.0)
    finally:
        pipeline.scheduler = None
    positive, negative, latent, _ = condition(posterior_seed=7)
    (samples,) = run(
        "TryOnSampler", model=model, positive=positive, negative=negative, latent=latent, seed=7, steps=3, guidance=2.0
    )
    assert relative(samples["samples"] * PUBLISHED_VAE_SCALE, expected.latents) < across(1e-3)


def test_ksampler_works_in_place_of_the_try_on_sampler(run, models, condition):
    """Same first noise; ComfyUI's DDIM ends at sigma 0 instead of sigma_0, and its spacing differs by a step."""
    import comfy.sample

    positive, negative, latent, _ = condition()
    (ours,) = run(
        "TryOnSampler", model=models.model, positive=positive, negative=negative, latent=latent, seed=3, steps=10,
        guidance=1.5,
    )  # fmt: skip
    noise = torch.cat([torch.randn(1, 4, *latent["samples"].shape[-2:], generator=_third(3 + i)) for i in range(2)])
    with torch.inference_mode():
        stock = comfy.sample.sample(
            models.model, noise, 10, 1.5, "ddim", "sgm_uniform", positive, negative, latent["samples"], seed=3
        )
    assert stock.isfinite().all()
    assert torch.nn.functional.cosine_similarity(stock.flatten(1), ours["samples"].flatten(1)).min() > 0.9


def _third(seed: int) -> torch.Generator:
    """Generator of an item after its first draw: the second draw is the sampler's noise (Q6)."""
    generator = torch.Generator().manual_seed(seed)
    torch.randn(1, 4, 16, 12, generator=generator)
    return generator
