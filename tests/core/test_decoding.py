"""EMASC, taps, decoding with skip features, pasting back."""

import pytest
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

from ladivton_core.decoding.emasc import EMASC, mask_features, masks_at
from ladivton_core.decoding.paste import lay_garment, paste_back
from ladivton_core.decoding.taps import decode_with_skips, encode_with_taps
from ladivton_core.mask_edges import soften_mask
from ladivton_core.presets import TINY

WIDTHS = (8, 16, 24, 32)
SIZES = ((32, 24), (32, 24), (16, 12), (8, 6), (4, 3))


@pytest.fixture(scope="module")
def vae():
    return AutoencoderKL(**(TINY.vae | {"block_out_channels": WIDTHS, "norm_num_groups": 4})).eval()


@pytest.fixture
def emasc():
    return EMASC((8, 8, 8, 16, 24), (8, 16, 24, 32, 32))


def test_taps_do_not_change_what_is_encoded(vae):
    image = torch.rand(2, 3, 32, 24) * 2 - 1
    with torch.no_grad():
        posterior, taps = encode_with_taps(vae, image)
        assert torch.allclose(posterior.parameters, vae.encode(image).latent_dist.parameters, atol=1e-6)
    assert [tuple(tap.shape[1:]) for tap in taps] == [(c, *s) for c, s in zip((8, 8, 8, 16, 24), SIZES, strict=True)]
    assert taps[0] is taps[1]


def test_no_skips_is_the_plain_decoder(vae):
    latents = torch.randn(1, 4, 4, 3)
    with torch.no_grad():
        plain = vae.decode(latents).sample
        assert torch.allclose(decode_with_skips(vae, latents), plain, atol=1e-6)
        zeros = [torch.zeros(1, c, *s) for c, s in zip((8, 16, 24, 32, 32), SIZES, strict=True)]
        assert torch.allclose(decode_with_skips(vae, latents, zeros), plain, atol=1e-6)


@pytest.mark.parametrize("level", range(5))
def test_every_skip_reaches_the_picture(vae, level):
    latents = torch.randn(1, 4, 4, 3)
    skips = [torch.zeros(1, c, *s) for c, s in zip((8, 16, 24, 32, 32), SIZES, strict=True)]
    with torch.no_grad():
        plain = decode_with_skips(vae, latents, skips)
        skips[level] = torch.randn(skips[level].shape)
        assert (decode_with_skips(vae, latents, skips) - plain).abs().max() > 0.1  # about 2; rounding is 1e-6


def test_gradients_reach_emasc_through_the_decoder(vae, emasc):
    image = torch.rand(1, 3, 32, 24) * 2 - 1
    _, taps = encode_with_taps(vae, image)
    decode_with_skips(vae, torch.randn(1, 4, 4, 3), emasc(taps)).mean().backward()
    assert all(float(parameter.grad.abs().max()) > 0 for parameter in emasc.parameters())


def test_skips_of_another_size_or_number_are_refused(vae, emasc):
    latents = torch.randn(1, 4, 4, 3)
    with pytest.raises(ValueError, match="takes 5 skip features, got 2"):
        decode_with_skips(vae, latents, [torch.zeros(1)] * 2)
    _, taps = encode_with_taps(vae, torch.zeros(1, 3, 64, 24))
    with pytest.raises(ValueError, match="one size and batch"):
        decode_with_skips(vae, latents, emasc(taps))


def test_sizes_the_vae_cannot_halve_are_refused(vae):
    with pytest.raises(ValueError, match="30x24.*divisible by 8"):
        encode_with_taps(vae, torch.zeros(1, 3, 30, 24))
    with pytest.raises(ValueError, match=r"\(B, 3, H, W\)"):
        encode_with_taps(vae, torch.zeros(1, 4, 32, 24))


def test_the_linear_kind_starts_as_nothing():
    features = [torch.randn(1, 3, 4, 4)]
    assert not EMASC((3,), (5,), "linear")(features)[0].any()
    assert EMASC((3,), (5,))(features)[0].any()


def test_emasc_refuses_taps_of_another_vae(emasc):
    with pytest.raises(ValueError, match="different presets"):
        emasc([torch.zeros(1, 4, 4, 4)] * 5)
    with pytest.raises(ValueError, match="cubic"):
        EMASC((1,), (1,), "cubic")
    with pytest.raises(ValueError, match="got 1 and 2"):
        EMASC((1,), (1, 2))


def test_features_are_zero_in_the_hole_and_whole_outside():
    mask = torch.zeros(1, 1, 32, 24)
    mask[..., :16, :] = 1
    features = [torch.rand(1, 2, *size) + 1 for size in SIZES]
    for feature, masked in zip(features, mask_features(features, mask), strict=True):
        half = feature.shape[-2] // 2
        assert not masked[..., :half, :].any()
        assert torch.equal(masked[..., half:, :], feature[..., half:, :])


def test_the_mask_shrinks_step_by_step():
    mask = torch.arange(25.0 * 17).view(1, 1, 25, 17)  # every pixel a number of its own, which tells it at every step
    features = [torch.zeros(1, 1, *size) for size in ((25, 17), (12, 9), (5, 4))]
    steps = masks_at(mask, features)
    assert torch.equal(steps[0], mask)
    assert torch.equal(steps[2], torch.nn.functional.interpolate(steps[1], (5, 4)))
    assert not torch.equal(steps[2], torch.nn.functional.interpolate(mask, (5, 4)))


def test_growing_and_feathering_the_mask():
    mask = torch.zeros(1, 1, 21, 21)
    mask[..., 10, 10] = 1
    assert float(soften_mask(mask, grow=2).sum()) == 25
    assert torch.equal(soften_mask(soften_mask(mask, grow=3), grow=-3), mask)
    soft = soften_mask(soften_mask(mask, grow=5), feather=3)
    assert float(soft[0, 0, 10, 10]) == pytest.approx(1) and float(soft[0, 0, 0, 0]) == 0
    assert bool(((soft > 0) & (soft < 1)).any())
    assert bool((soft[0, 0, 10, :11].diff() >= -1e-6).all())
    with pytest.raises(ValueError, match="cannot be negative"):
        soften_mask(mask, feather=-1)


def test_pasting_back_keeps_the_person_outside_the_mask():
    image, person, mask = torch.rand(2, 3, 16, 16), torch.rand(2, 3, 16, 16), torch.zeros(2, 1, 16, 16)
    mask[..., 8:] = 1
    out = paste_back(image, person, mask)
    assert torch.equal(out[..., 8:], image[..., 8:]) and torch.equal(out[..., :8], person[..., :8])
    soft = paste_back(image, person, mask, feather=2)
    assert torch.allclose(soft[..., :5], person[..., :5]) and not torch.allclose(soft[..., 7], person[..., 7])
    with pytest.raises(ValueError, match="one size"):
        paste_back(image, person[..., :8], mask)


def test_a_laid_garment_has_its_own_pattern_in_the_results_light():
    generator = torch.Generator().manual_seed(5)
    cloth = torch.zeros(2, 1, 96, 96)
    cloth[..., 16:80, 20:76] = 1
    pattern = 0.3 + 0.4 * torch.rand(2, 3, 96, 96, generator=generator)
    garment = torch.where(cloth > 0, pattern, torch.ones(()))
    shade = torch.linspace(0.75, 1, 96)[:, None]
    image = garment * shade
    laid = lay_garment(image, garment, cloth)
    inner = (cloth[0, 0] > 0) & (F.max_pool2d(1 - cloth, 9, 1, 4)[0, 0] == 0)
    assert torch.equal(laid * (1 - cloth), image * (1 - cloth))
    assert ((laid / garment)[..., inner] - shade.sqrt().expand(96, 96)[inner]).abs().max() < 0.06
    assert torch.allclose(lay_garment(image[1:], garment[1:], cloth[1:]), laid[1:], atol=1e-6)
    assert torch.equal(lay_garment(image, garment, cloth * 0), image)


def test_a_shadow_around_a_laid_garment_stays_behind_and_white_cloth_does_not():
    cloth = torch.zeros(1, 1, 64, 64)
    cloth[..., 16:48, 16:48] = 1
    rim = cloth * (F.max_pool2d(1 - cloth, 5, 1, 2) > 0)
    wall = torch.full((1, 3, 64, 64), 0.5)
    for own, light in ((0.2, 0.9), (0.95, 0.97)):
        garment = torch.where(cloth > 0, torch.where(rim > 0, light, own), 1.0).expand(-1, 3, -1, -1)
        changed = (lay_garment(wall, garment, cloth) - wall).abs().amax(1, keepdim=True) > 0.02
        assert changed[..., 20:44, 20:44].all()
        assert bool((changed * rim).any()) != (own < 0.5)
