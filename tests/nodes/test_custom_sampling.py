"""Try-On Sampler honours its LATENT, and taken apart into SIGMAS, SAMPLER and NOISE it stays what it is, to the bit."""

from __future__ import annotations

import pytest
import torch

STEPS, GUIDANCE, SEED = 3, 1.5, 20


@pytest.fixture(scope="session")
def sample(run, models):
    """`sample(conditioned, latent=..., ...)`: Try-On Sampler's latents."""

    def execute(conditioned: tuple, latent: dict | None = None, **options) -> torch.Tensor:
        positive, negative, empty, _ = conditioned
        wires = {"model": models.model, "positive": positive, "negative": negative, "latent": latent or empty}
        settings = {"seed": SEED, "steps": STEPS, "guidance": GUIDANCE}
        return run("TryOnSampler", **wires | settings | options)[0]["samples"]

    return execute


@pytest.fixture(scope="session")
def custom(run, models):
    """`custom(conditioned, latent, cuts=(), ...)`: the same from SamplerCustomAdvanced, cut into parts after steps."""
    from comfy.samplers import CFGGuider
    from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced

    def execute(conditioned: tuple, latent: dict | None = None, cuts=(), denoise=1.0, rate=1.0) -> torch.Tensor:
        positive, negative, empty, _ = conditioned
        sigmas, sampler = run("PaperSchedule", model=models.model, steps=STEPS, denoise=denoise)
        (noise,) = run("PaperNoise", seed=SEED)
        positive, negative = run(
            "GarmentSteps", model=models.model, positive=positive, negative=negative, sigmas=sigmas,
            cloth_cond_rate=rate,
        )  # fmt: skip
        (silence,) = DisableNoise.execute().result
        guider, flowing = CFGGuider(models.model), latent or empty
        guider.set_conds(positive, negative)
        guider.set_cfg(GUIDANCE)
        bounds = [0, *cuts, STEPS]
        with torch.inference_mode():
            for start, end in zip(bounds, bounds[1:], strict=False):
                part = (noise if start == 0 else silence, guider, sampler, sigmas[start : end + 1])
                flowing = SamplerCustomAdvanced.execute(*part, flowing).result[0]
        return flowing["samples"]

    return execute


@pytest.fixture(scope="session")
def dressed(condition) -> tuple:
    """One person, in the latent as well."""
    return condition(0, latent_of_person=True)


@pytest.fixture(scope="session")
def empty(condition) -> tuple:
    """The same with an empty latent."""
    return condition(0)


@pytest.fixture(scope="session")
def half() -> torch.Tensor:
    """A noise mask (1, 128, 96) that lets the left half be repainted."""
    mask = torch.zeros(1, 128, 96)
    mask[..., :48] = 1
    return mask


def test_the_latent_of_the_person_is_the_vaes(dressed, empty, models, scene):
    with torch.inference_mode():
        stock = models.vae.encode(scene.person[:1])
    torch.testing.assert_close(dressed[2]["samples"], stock, rtol=1e-4, atol=1e-4)
    assert not empty[2]["samples"].any()
    for now, before in zip(dressed[:2], empty[:2], strict=True):  # nothing else changes
        assert torch.equal(now[0][1]["noise_concat"], before[0][1]["noise_concat"])


def test_at_denoise_1_the_latent_counts_as_empty(sample, empty, dressed):
    assert torch.equal(sample(dressed), sample(empty))


def test_below_1_sampling_starts_from_the_latent(sample, empty, dressed):
    person = dressed[2]["samples"]
    near, far = ((sample(dressed, denoise=share) - person).abs().mean() for share in (0.01, 1.0))
    assert near < 0.7 * far
    assert not torch.allclose(sample(dressed, denoise=0.5), sample(empty, denoise=0.5))
    assert torch.equal(sample(dressed, denoise=0.0), person)


def test_denoise_that_asks_for_more_levels_than_there_are_says_so(sample, empty):
    with pytest.raises(ValueError, match="schedule of 4000 steps.*1000 noise levels.*more denoise"):
        sample(empty, steps=40, denoise=0.01)


@pytest.mark.parametrize("denoise", [1.0, 0.5])
def test_a_noise_mask_keeps_what_it_covers(sample, dressed, half, denoise):
    latent = dressed[2] | {"noise_mask": half}
    kept = sample(dressed, latent, denoise=denoise)
    # There and back through the latents' scale.
    torch.testing.assert_close(kept[..., 6:], dressed[2]["samples"][..., 6:], rtol=1e-5, atol=1e-5)
    assert (kept[..., :6] - dressed[2]["samples"][..., :6]).abs().mean() > 0.1


def test_a_mask_that_lets_all_be_sampled_changes_nothing(sample, empty, dressed):
    latent = dressed[2] | {"noise_mask": torch.ones(1, 128, 96)}
    assert torch.equal(sample(dressed, latent), sample(empty))


@pytest.mark.parametrize(
    "options", [{}, {"denoise": 0.5, "rate": 0.5}, {"masked": True}], ids=["plain", "from the latent", "noise mask"]
)
def test_the_parts_rebuild_the_sampler_to_the_bit(sample, custom, dressed, half, options):
    options = dict(options)
    latent = dressed[2] | ({"noise_mask": half} if options.pop("masked", False) else {})
    whole = {"denoise": options.get("denoise", 1.0), "cloth_cond_rate": options.get("rate", 1.0)}
    assert torch.equal(custom(dressed, latent, **options), sample(dressed, latent, **whole))


@pytest.mark.parametrize(
    ("cuts", "options"),
    [((1,), {}), ((1, 2), {"denoise": 0.5, "rate": 0.5})],
    ids=["two parts", "three, from the latent"],
)
def test_a_split_schedule_joins_without_a_seam(sample, custom, dressed, cuts, options):
    whole = {"denoise": options.get("denoise", 1.0), "cloth_cond_rate": options.get("rate", 1.0)}
    parts, expected = custom(dressed, cuts=cuts, **options), sample(dressed, **whole)
    torch.testing.assert_close(parts, expected, rtol=1e-4, atol=2e-5 * float(expected.abs().max()))


def test_a_later_part_refuses_a_noise_mask(custom, dressed, half):
    with pytest.raises(ValueError, match="noise mask.*earlier part.*LatentCompositeMasked"):
        custom(dressed, dressed[2] | {"noise_mask": half}, cuts=(1,))


def test_restarted_with_new_noise_it_ends_as_clean(run, models, custom, dressed):
    """Down, up again to a middle level with fresh noise (Add Noise), down once more: k-diffusion's restart."""
    from comfy.samplers import CFGGuider
    from comfy_extras.nodes_custom_sampler import AddNoise, DisableNoise, SamplerCustomAdvanced

    first = custom(dressed)
    sigmas, sampler = run("PaperSchedule", model=models.model, steps=STEPS)
    noise, silence = run("PaperNoise", seed=99)[0], DisableNoise.execute().result[0]
    guider = CFGGuider(models.model)
    guider.set_conds(*dressed[:2])
    guider.set_cfg(GUIDANCE)
    with torch.inference_mode():
        noised = AddNoise.execute(models.model, noise, sigmas[1:], {"samples": first}).result[0]
        again = SamplerCustomAdvanced.execute(silence, guider, sampler, sigmas[1:], noised).result[0]["samples"]
    assert again.isfinite().all() and not torch.equal(again, first)
    assert float(again.std()) == pytest.approx(float(first.std()), rel=0.1)
    cosine = torch.nn.functional.cosine_similarity(again.flatten(1), first.flatten(1))
    assert cosine.min() > 0.8


def test_paper_noise_is_not_the_stock_noise_and_follows_the_item(run):
    from comfy_extras.nodes_custom_sampler import RandomNoise

    latent = {"samples": torch.zeros(3, 4, 16, 12)}
    ours = run("PaperNoise", seed=7)[0].generate_noise(latent)
    (single,) = run("PaperNoise", seed=9)
    assert torch.equal(ours[2:], single.generate_noise({"samples": latent["samples"][:1]}))
    assert torch.equal(ours[2:], run("PaperNoise", seed=7)[0].generate_noise(
        {"samples": latent["samples"][:1], "batch_index": [2]}))  # fmt: skip
    assert not torch.allclose(ours, RandomNoise.execute(7).result[0].generate_noise(latent))


def test_garment_steps_need_the_try_on_channels(run, models, prepared):
    wires = {"model": models.model, "positive": prepared.positive, "negative": prepared.negative}
    with pytest.raises(ValueError, match="'positive' has no try-on channels"):
        run("GarmentSteps", **wires, sigmas=torch.tensor([1.0, 0.0]), cloth_cond_rate=0.5)


def replaced(models, sampling: str):
    """The MODEL behind ComfyUI's ModelSamplingDiscrete."""
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    return ModelSamplingDiscrete().patch(models.model, sampling, False)[0]


def test_a_schedule_that_was_thrown_away_is_said_on_the_node(nodes, models, empty):
    wires = dict(zip(("positive", "negative", "latent"), empty[:3], strict=True))
    other = replaced(models, "v_prediction")
    with torch.inference_mode():
        sampled = nodes["LadiVTON_TryOnSampler"].execute(model=other, **wires, steps=1, guidance=1.0)
        schedule = nodes["LadiVTON_PaperSchedule"].execute(model=other, steps=2)
        fine = nodes["LadiVTON_PaperSchedule"].execute(model=models.model, steps=2)
    for output in (sampled, schedule):
        assert any("Warning: A model-sampling node" in line for line in output.ui["text"])
    assert not any("Warning" in line for line in fine.ui["text"])
    assert float(schedule.result[0][0]) < 20 < float(fine.result[0][0]), "the other node's levels are kept"


def test_too_few_levels_are_refused_in_words(run, models):
    with pytest.raises(ValueError, match="left this MODEL 50 noise levels of 1000.*KSampler"):
        run("PaperSchedule", model=replaced(models, "lcm"), steps=4)


def test_an_empty_latent_that_counts_is_said_on_the_node(nodes, models, empty, dressed, half):
    def said(latent: dict, **options) -> str:
        wires = {"model": models.model, "positive": empty[0], "negative": empty[1], "latent": latent}
        with torch.inference_mode():
            return " ".join(
                nodes["LadiVTON_TryOnSampler"].execute(**wires, steps=1, guidance=1.0, **options).ui["text"]
            )

    assert "The LATENT is empty" in said(empty[2], denoise=0.5)
    assert "The LATENT is empty" in said(empty[2] | {"noise_mask": half})
    assert "Warning" not in said(dressed[2] | {"noise_mask": half}, denoise=0.5) + said(empty[2])


def test_steps_left_to_the_model_are_its_own(run, models):
    assert len(run("PaperSchedule", model=models.model)[0]) == models.model.model.preset.steps + 1
