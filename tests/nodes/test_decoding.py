"""EMASC decoder as a node: hooks go away, paste-back keeps pixels, misfits are named."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch


@pytest.fixture(scope="module")
def decoded(run, models, condition):
    """`decoded(**options)`: the decoder on made-up latents."""
    _, _, latent, skips = condition()
    samples = {"samples": torch.randn(2, 4, 16, 12, generator=torch.Generator().manual_seed(0)) * 3}

    def execute(**options):
        inputs = {"vae": models.vae, "emasc": models.emasc, "samples": samples, "skip_features": skips}
        return run("EMASCDecoder", **inputs | options)[0]

    return SimpleNamespace(run=execute, samples=samples, skips=skips)


def hooks(vae) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in vae.first_stage_model.modules())


def test_skip_features_change_the_picture_and_leave_no_hooks(models, decoded):
    with torch.inference_mode():
        plain = models.vae.decode(decoded.samples["samples"])
    with_skips = decoded.run()
    assert with_skips.shape == plain.shape == (2, 128, 96, 3)
    assert float((with_skips - plain).abs().mean()) > 1e-3
    assert hooks(models.vae) == 0
    with torch.inference_mode():
        assert torch.equal(models.vae.decode(decoded.samples["samples"]), plain)


def test_hooks_go_away_when_decoding_fails(models, decoded, monkeypatch):
    def broken(*args, **kwargs):
        raise RuntimeError("out of luck")

    monkeypatch.setattr(models.vae.first_stage_model.decoder.mid.block_1, "forward", broken)
    with pytest.raises(RuntimeError, match="out of luck"):
        decoded.run()
    assert hooks(models.vae) == 0


def test_items_do_not_depend_on_their_batch(decoded, module):
    together = decoded.run()
    skips = module("nodes.host.types").SkipFeatures(
        tuple(f[1:] for f in decoded.skips.features), decoded.skips.mask[1:]
    )
    alone = decoded.run(samples={"samples": decoded.samples["samples"][1:]}, skip_features=skips)
    assert torch.equal(together[1:], alone)


def test_one_persons_features_serve_several_latents(decoded, module):
    skips = module("nodes.host.types").SkipFeatures(
        tuple(f[:1] for f in decoded.skips.features), decoded.skips.mask[:1]
    )
    assert torch.equal(decoded.run(skip_features=skips)[:1], decoded.run()[:1])


def test_paste_back_keeps_every_pixel_outside_the_mask(decoded, scene, prepared):
    pasted = decoded.run(person=scene.person, mask=prepared.mask, paste_back=True)
    outside = prepared.mask < 0.5
    assert torch.equal(pasted[outside], scene.person[outside])
    assert torch.equal(pasted[~outside], decoded.run()[~outside])
    feathered = decoded.run(person=scene.person, paste_back=True, paste_feather=4)
    assert not torch.equal(feathered, pasted)


def test_grown_and_feathered_holes_are_options(decoded):
    published = decoded.run()
    assert not torch.equal(decoded.run(skip_grow=6), published)
    assert not torch.equal(decoded.run(skip_feather=6), published)


def test_paste_back_without_a_photo_says_what_to_connect(decoded):
    with pytest.raises(ValueError, match="connect the photo to 'person'"):
        decoded.run(paste_back=True)


def test_photo_of_another_size_is_named_before_decoding(decoded, scene):
    with pytest.raises(ValueError, match="'person' is 120 x 96 and the result 128 x 96.*Stitch Person"):
        decoded.run(person=scene.person[:, :120], paste_back=True)


def test_latents_of_another_picture_are_named(decoded):
    with pytest.raises(ValueError, match="'samples' is 8 x 8 latent pixels.*same Try-On Conditioning"):
        decoded.run(samples={"samples": torch.zeros(2, 4, 8, 8)})


def test_emasc_of_another_vae_is_named(decoded, module):
    skips = module("nodes.host.types").SkipFeatures(tuple(f[:, :3] for f in decoded.skips.features), decoded.skips.mask)
    with pytest.raises(ValueError, match="EMASC .* reads features of widths"):
        decoded.run(skip_features=skips)


def test_tiles_cannot_carry_skip_features(models, decoded, module, nodes):
    taps = module("nodes.host.taps")
    refused = pytest.raises(ValueError, match="switch tiled decoding off")
    added = taps.skips_added(models.vae.first_stage_model, decoded.skips.features)
    with torch.inference_mode(), refused, added:
        models.vae.decode_tiled(decoded.samples["samples"], tile_x=8, tile_y=8, overlap=2)
    assert hooks(models.vae) == 0


def test_vae_of_another_kind_is_named(run, models, decoded):
    other = SimpleNamespace(first_stage_model=torch.nn.Identity(), throw_exception_if_invalid=lambda: None)
    other.memory_used_decode = lambda shape, dtype: 0
    other.vae_dtype = torch.float32
    with pytest.raises(ValueError, match="Identity without Stable Diffusion's four"):
        decoded.run(vae=other)
