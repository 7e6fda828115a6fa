"""Pixels, prompts, towers and adapter of the textual inversion stage."""

import pytest
import torch

from ladivton_core.inversion.adapter import InversionAdapter
from ladivton_core.inversion.encoders import TextTower, VisionTower
from ladivton_core.inversion.pixels import CLIP_MEAN, CLIP_STD, clip_pixels, normalise
from ladivton_core.inversion.prompts import PLACEHOLDER_ID, prompt_for, tokenize
from ladivton_core.presets import ClipTower

TEXT = ClipTower(32, 80, 2, 4)
VISION = ClipTower(32, 80, 2, 4, image_size=28, projection_dim=16)


@pytest.fixture(scope="module")
def text_tower():
    return TextTower(TEXT).eval()


def test_pixels_are_floored_to_eight_bit():
    pixels = torch.tensor([0.5, 100.9 / 255, 101.0 / 255]).view(1, 3, 1, 1).expand(1, 3, 2, 2)
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    levels = (normalise(pixels)[0, :, 0, 0] * std + mean) * 255
    assert torch.allclose(levels, torch.tensor([127.0, 100.0, 101.0]), atol=1e-3)


def test_a_picture_of_whole_numbers_is_taken_for_eight_bit():
    white, grey = torch.ones(1, 3, 2, 2), torch.full((1, 3, 2, 2), 0.5)
    out = normalise(torch.cat([white, grey]))
    mean, std = torch.tensor(CLIP_MEAN), torch.tensor(CLIP_STD)
    assert torch.allclose(out[0, :, 0, 0], (1 / 255 - mean) / std)
    assert torch.equal(out[1:], normalise(grey))


def middles(count):
    """Where the middles of so many pixels lie, as shares of the side."""
    return (torch.arange(count) + 0.5) / count


@pytest.mark.parametrize("size", [(40, 16), (16, 40), (28, 28)])
def test_the_whole_garment_is_squeezed_into_the_square(size):
    y, x = torch.meshgrid(*map(middles, size), indexing="ij")
    garment = torch.stack([x, y, 0.5 + 0 * x])[None] * 2 - 1  # every pixel says where it lies
    pixels = clip_pixels(garment, 28)
    assert pixels.shape == (1, 3, 28, 28)
    mean, std = (torch.tensor(numbers).view(3, 1, 1) for numbers in (CLIP_MEAN, CLIP_STD))
    across, down, _ = pixels[0] * std + mean
    near = 0.5 / 28 + 1 / 255  # half a pixel, where a border repeats, and the level that the floor takes
    assert (across - middles(28)).abs().max() < near and (down - middles(28)[:, None]).abs().max() < near
    with pytest.raises(ValueError, match="garment must be"):
        clip_pixels(garment[:, :2])


def test_a_prompt_holds_one_placeholder_token_a_word():
    ids = tokenize([prompt_for("dresses", 5), prompt_for("upper_body"), ""])
    assert ids.shape == (3, 77) and ids.dtype == torch.int64
    assert (ids == PLACEHOLDER_ID).sum(1).tolist() == [5, 16, 0]
    assert ids[2].tolist() == [49406, 49407] + [0] * 75
    with pytest.raises(ValueError, match="upper_body, lower_body, dresses"):
        prompt_for("hat")


def test_a_long_prompt_is_cut_and_still_ends():
    ids = tokenize("$ " * 200)
    assert ids.shape == (1, 77) and ids[0, -1] == 49407


def test_pseudo_words_sit_at_the_placeholders(text_tower):
    ids = tokenize(["a $ $ b", "nothing here"])
    vectors = text_tower.token_embedding(torch.tensor([[320, 1125], [2595, 3309]]))
    want = ids.clone()
    want[0, 2:4] = torch.tensor([320, 1125])
    with torch.no_grad():
        assert torch.allclose(text_tower(ids, vectors), text_tower(want), atol=1e-6)


def test_the_text_tower_looks_only_backwards(text_tower):
    ids = tokenize(["a photo of a cat", "a photo of a dog on the moon"])
    with torch.no_grad():
        a, b = text_tower(ids)
    same = int((ids[0] == ids[1]).int().cumprod(0).sum())
    assert same == 5
    assert torch.allclose(a[:same], b[:same], atol=1e-6)
    assert not torch.allclose(a[same], b[same], atol=1e-3)


@pytest.mark.parametrize("shape", [(1, 2, 32), (2, 2, 31), (2, 32)])
def test_pseudo_words_of_another_shape_are_refused(text_tower, shape):
    with pytest.raises(ValueError, match="pseudo-words must be"):
        text_tower(tokenize(["$", "$"]), torch.zeros(shape))


def test_pseudo_words_without_room_are_refused(text_tower):
    with pytest.raises(ValueError, match="no room for 77"):
        text_tower(tokenize(["a $"]), torch.zeros(1, 77, 32))


def test_the_vision_tower_returns_every_token_without_the_post_norm():
    tower = VisionTower(VISION).eval()
    pixels = torch.randn(2, 3, 28, 28)
    with torch.no_grad():
        tokens = tower(pixels)
        assert tokens.shape == (2, 5, 32)
        # OpenCLIP's own forward is its pooled, projected class token: the same operations on numbers of about 1
        assert torch.allclose(tower.image_embeds(tokens), tower.visual(pixels), atol=1e-5)
    with pytest.raises(ValueError, match="28, 28"):
        tower(torch.zeros(1, 3, 224, 224))


def test_towers_have_exactly_the_mlp_width_asked_for():
    odd = ClipTower(48, 163, 1, 3)
    assert TextTower(odd).transformer.resblocks[0].mlp.c_fc.out_features == 163


def test_the_adapter_reads_all_tokens_and_writes_words():
    adapter = InversionAdapter(32, 64, 3 * 8, num_heads=4, mlp_dim=48).eval()
    tokens = torch.randn(2, 5, 32)
    with torch.no_grad():
        words = adapter.pseudo_words(tokens, 3)
        changed = tokens.clone()
        changed[:, 4] = torch.randn(2, 32)
        assert words.shape == (2, 3, 8)
        assert torch.equal(words.flatten(1), adapter(tokens))
        assert not torch.allclose(adapter(changed), adapter(tokens))
    with pytest.raises(ValueError, match="different presets"):
        adapter(torch.zeros(1, 5, 16))
    with pytest.raises(ValueError, match="24 numbers"):
        adapter.pseudo_words(tokens, 5)
