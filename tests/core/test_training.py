"""The training stages: their starting points, objectives and bookkeeping, on a few scenes and steps."""

import dataclasses

import pytest
import torch

from ladivton_core.checkpoints.build import build_vae
from ladivton_core.datasets.synthetic import SyntheticWorld
from ladivton_core.denoising.schedule import alphas_cumprod
from ladivton_core.presets import TINY
from ladivton_core.training import denoiser, steps, vae, warper, world_cache
from ladivton_core.warping.refinement import RefinementUNet


@pytest.fixture(scope="module")
def pictures():
    world = SyntheticWorld(7)
    return torch.cat([world.scene([i], [i]).person for i in range(3)]) * 2 - 1


def test_the_vae_encoder_starts_as_the_principal_code(pictures):
    torch.manual_seed(0)
    weights, bias, colour = vae.principal_code(pictures)
    model = build_vae(TINY)
    vae.start_as_linear_code(model, weights, bias, colour)
    crop = pictures[:1, :, 64:192, 128:256]
    expected = (vae.patches(crop) @ weights.T + bias).T.reshape(1, 4, 16, 16)
    with torch.no_grad():
        mean = model.encode(crop).latent_dist.mean
    for channel in range(4):
        pair = torch.stack([mean[:, channel].flatten(), expected[:, channel].flatten()])
        assert torch.corrcoef(pair)[0, 1] > 0.97


def test_standardising_changes_the_latents_and_not_the_pictures(pictures):
    torch.manual_seed(0)
    model = build_vae(TINY).eval()
    crops = pictures[:, :, 64:192, 128:256]
    with torch.no_grad():
        before = model.decode(model.encode(crops).latent_dist.mean).sample
        vae.standardise(model, crops, TINY.vae_scale)
        latents = model.encode(crops).latent_dist.mean * TINY.vae_scale
        after = model.decode(latents / TINY.vae_scale).sample
    assert latents.mean((0, 2, 3)).abs().max() < 1e-3
    assert (latents.std((0, 2, 3)) - 1).abs().max() < 1e-3
    assert torch.allclose(before, after, atol=1e-4)


def test_refinement_starts_as_the_identity_on_the_coarse_garment(pictures):
    torch.manual_seed(0)
    net = RefinementUNet(base_width=16).eval()
    warper.start_from_coarse(net, pictures.mean((0, 2, 3)), pictures.std((0, 2, 3)))
    # the other channels of an untrained net speak too, softly
    net.outc.conv.weight.data[:, 3:] = 0
    inputs = torch.cat([torch.zeros_like(pictures), torch.zeros(3, 18, 512, 384), pictures], 1)[..., :128, :128]
    with torch.no_grad():
        assert torch.allclose(net(inputs), pictures[..., :128, :128], atol=1e-3)


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_the_target_leads_back_to_the_clean_latents(kind):
    clean, noise = torch.randn(2, 3, 4, 8, 8).unbind(0)
    a = alphas_cumprod(TINY.schedule)[torch.tensor([10, 400, 900])]
    noisy, target = denoiser.noised(clean, noise, a), denoiser.target(clean, noise, a, kind)
    a = a.view(-1, 1, 1, 1)
    if kind == "epsilon":
        found = (noisy - (1 - a).sqrt() * target) / a.sqrt()
    else:
        found = a.sqrt() * noisy - (1 - a).sqrt() * target
    assert torch.allclose(found, clean, atol=1e-3)


def test_dropping_everything_leaves_mask_and_masked_person():
    recipe = denoiser.Recipe("x", 1, 4, 1e-3, drop_all=1.0)
    channels, words = denoiser.drop(recipe, torch.ones(4, 27, 2, 2), torch.Generator().manual_seed(0))
    assert words.all() and (channels[:, :5] == 1).all() and (channels[:, 5:] == 0).all()


def test_the_embedding_table_survives_eight_bits():
    table = denoiser.TryOnDenoiser(TINY).text.token_embedding.weight
    assert torch.equal(table, table.to(torch.float8_e4m3fn).float()) and table.std() > 0.1


def test_a_finished_stage_is_kept_and_a_longer_one_goes_on_from_it(tmp_path):
    generator = torch.Generator().manual_seed(0)
    rows = {
        "mask": (torch.rand(6, 1, 16, 8, generator=generator) > 0.5).to(torch.uint8),
        "masked": torch.randn(6, 8, 16, 8, generator=generator),
        "truth": torch.randn(6, 8, 16, 8, generator=generator),
    }
    tokens = torch.randn(6, 5, TINY.vision.hidden_size, generator=generator)
    scenes = denoiser.Scenes(rows, tokens, TINY.vae_scale)
    recipe = denoiser.Recipe("stage", 2, 2, 1e-3)
    denoiser.train(recipe, scenes, tmp_path, TINY, held_out=2)
    once = torch.load(tmp_path / "stage.pt", weights_only=True)
    denoiser.train(recipe, scenes, tmp_path, TINY, held_out=2)  # nothing left to do
    again = torch.load(tmp_path / "stage.pt", weights_only=True)
    assert once["step"] == again["step"] == 2
    assert all(torch.equal(a, b) for a, b in zip(once["net"].values(), again["net"].values(), strict=True))
    longer = dataclasses.replace(recipe, steps=3)
    denoiser.train(longer, scenes, tmp_path, TINY, held_out=2)
    assert torch.load(tmp_path / "stage.pt", weights_only=True)["step"] == 3


def test_a_cache_gives_back_what_was_rendered(tmp_path, monkeypatch):
    monkeypatch.setattr(world_cache, "CHUNK", 2)
    world_cache.render(tmp_path, seed=7, count=2)
    cache, scene = world_cache.WorldCache(tmp_path), SyntheticWorld(7).scene([1], [1])
    assert len(cache) == 2
    assert torch.allclose(cache.pictures("person", [1]) / 2 + 0.5, scene.person, atol=0.003)
    assert torch.equal(cache.raw("parse", [1]).long(), scene.parse)


def test_an_empty_cache_says_what_to_run(tmp_path):
    with pytest.raises(FileNotFoundError, match="stage before"):
        world_cache.WorldCache(tmp_path)


def test_the_running_average_follows_and_lags():
    module = torch.nn.Linear(2, 2)
    average = steps.RunningAverage(module, 0.9)
    with torch.no_grad():
        module.weight.add_(1)
    gap = (module.weight - average.module.weight).abs().max()
    average.update(module)
    assert 0 < (module.weight - average.module.weight).abs().max() < gap
