"""Conditioning and sampler as nodes: channels, batches, seeds, and messages for wrong wires."""

from __future__ import annotations

import gc

import pytest
import torch


def sample(run, models, conditioned, **options) -> torch.Tensor:
    positive, negative, latent, _ = conditioned
    wires = {"model": models.model, "positive": positive, "negative": negative, "latent": latent}
    return run("TryOnSampler", **wires | {"steps": 3, "guidance": 1.5} | options)[0]["samples"]


def test_negative_keeps_mask_and_person_only(condition):
    positive, negative, latent, skips = condition()
    channels, kept = positive[0][1]["noise_concat"], negative[0][1]["noise_concat"]
    assert channels.shape == (2, 27, 16, 12) and latent["samples"].shape == (2, 4, 16, 12)
    assert torch.equal(kept[:, :5], channels[:, :5])
    assert not kept[:, 5:].any() and channels[:, 5:].any()
    assert [f.shape[-1] for f in skips.features] == [96, 96, 48, 24, 12] and skips.features[0] is skips.features[1]


def test_item_of_a_batch_is_what_a_run_of_its_own_gives(run, models, condition):
    together = sample(run, models, condition(posterior_seed=5), seed=20)
    for item in range(2):
        alone = sample(run, models, condition(item, posterior_seed=5 + item), seed=20 + item)
        torch.testing.assert_close(together[item : item + 1], alone, rtol=1e-3, atol=1e-3 * float(alone.abs().max()))


def test_items_taken_out_of_a_batch_keep_their_noise(run, models, condition):
    positive, negative, latent, skips = condition(1)
    alone = sample(run, models, (positive, negative, latent, skips), seed=21)
    cut = sample(run, models, (positive, negative, latent | {"batch_index": [1]}, skips), seed=20)
    assert torch.equal(alone, cut)


def test_one_latent_serves_every_person(run, models, condition):
    positive, negative, latent, skips = condition()
    whole = sample(run, models, (positive, negative, latent, skips), steps=1)
    single = {"samples": latent["samples"][:1]}
    assert torch.equal(sample(run, models, (positive, negative, single, skips), steps=1), whole)
    with pytest.raises(ValueError, match=r"cut down to the items \[1\].*hold 2.*before 'Try-On Conditioning'"):
        sample(run, models, (positive, negative, single | {"batch_index": [1]}, skips), steps=1)


def test_seeds_wrap_instead_of_overflowing(run, models, condition):
    assert sample(run, models, condition(), seed=2**64 - 1, steps=1).isfinite().all()


def test_one_garment_serves_every_person(condition, prepared):
    positive, *_ = condition(warped_garment=prepared.warped[:1], sample_posterior=False)
    channels = positive[0][1]["noise_concat"]
    torch.testing.assert_close(channels[0, 23:], channels[1, 23:], rtol=0, atol=1e-4)
    assert not torch.equal(channels[0, 1:5], channels[1, 1:5])


def test_other_batches_are_named_with_their_sizes(condition, prepared):
    with pytest.raises(ValueError, match="'person' is a batch of 2 and 'warped_garment' a batch of 3"):
        condition(warped_garment=prepared.warped[:1].repeat(3, 1, 1, 1))


def test_pictures_of_another_size_are_named(condition, prepared, scene):
    with pytest.raises(ValueError, match="'warped_garment' is 64 x 96"):
        condition(warped_garment=prepared.warped[:, :64])
    with pytest.raises(ValueError, match="divisible by 8.*Fit Person"):
        condition(person=scene.person[:, :121])


def test_model_of_other_channels_is_named(run, models, condition):
    from types import SimpleNamespace

    other = SimpleNamespace(model=SimpleNamespace(model_config=SimpleNamespace(unet_config={"in_channels": 9})))
    with pytest.raises(ValueError, match="takes 9 input channels, LaDI-VTON's takes 31.*Load Try-On Model"):
        sample(run, models, condition(), model=other)


def test_conditioning_without_the_channels_is_named(run, models, condition, prepared):
    positive, negative, latent, skips = condition()
    with pytest.raises(ValueError, match="'positive' has no try-on channels.*Try-On Conditioning"):
        sample(run, models, (prepared.positive, negative, latent, skips))


def test_stock_sampler_without_the_channels_is_told_what_to_connect(models, prepared):
    import comfy.sample

    latent = torch.zeros(1, 4, 16, 12)
    with pytest.raises(ValueError, match="27 channels.*Try-On Conditioning"), torch.inference_mode():
        comfy.sample.sample(
            models.model, latent, 1, 1.0, "euler", "normal", prepared.negative, prepared.negative, latent, seed=1
        )


def test_a_new_seed_is_a_new_picture_and_the_same_seed_the_same(run, models, condition):
    conditioned = condition(0)
    first, again, other = (sample(run, models, conditioned, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again) and not torch.allclose(first, other)


def test_interrupt_stops_between_steps(run, models, condition, comfyui, monkeypatch):
    import comfy.model_management as memory
    import comfy.utils

    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0, raising=False)  # newer hosts leave steps out
    seen = []

    def hook(value, total, preview, node_id=None):  # what the server installs
        seen.append(value)
        memory.interrupt_current_processing(len(seen) == 2)
        memory.throw_exception_if_processing_interrupted()

    conditioned = condition(0)
    comfy.utils.set_progress_bar_global_hook(hook)
    try:
        with pytest.raises(memory.InterruptProcessingException):
            sample(run, models, conditioned, steps=8)
    finally:
        comfy.utils.set_progress_bar_global_hook(None)
        memory.interrupt_current_processing(False)
    assert seen == [1, 2]


def test_runs_leave_no_tensor_behind(run, models, condition):
    """What the process holds over hundreds of prompts is `make soak`'s."""

    def tensors() -> list[torch.Tensor]:
        gc.collect()
        return [held for held in gc.get_objects() if issubclass(type(held), torch.Tensor)]

    def one_more(seed: int) -> None:
        positive, negative, latent, skips = condition(0, posterior_seed=seed)
        samples = {"samples": sample(run, models, (positive, negative, latent, skips), seed=seed, steps=1)}
        run("EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=samples, skip_features=skips)

    one_more(0)  # the first run may fill what is kept for all
    before = tensors()
    known = {id(held) for held in before}  # which `before` keeps alive, so that no number is given twice
    for seed in range(1, 4):
        one_more(seed)
    assert [tuple(held.shape) for held in tensors() if id(held) not in known] == []
