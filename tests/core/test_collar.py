"""The inside of a collar in a garment's picture: found on plain and printed tops, nowhere else."""

import numpy as np
import pytest
import torch

from ladivton_core.batch.encodings import BODY, DETAIL, way_of
from ladivton_core.batch.items import Person
from ladivton_core.preprocessing.garment.collar import inside_of_collar

WHITE = torch.ones(3)


def places(height: int) -> tuple[torch.Tensor, torch.Tensor]:
    """x from the middle and y, in tenths of the height, of every pixel of a picture of 4 to 3."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(height * 3 // 4), indexing="ij")
    return (columns + 0.5 - height * 3 / 8) / height * 10, (rows + 0.5) / height * 10


def top(height: int, colour=(0.7, 0.3, 0.35), inside=(0.4, 0.15, 0.2), neck: str = "crew", seed: int = 0):
    """A top lying flat (3, H, W) in [0, 1], and the inside it shows (H, W): half a neck is .9 wide."""
    x, y = places(height)
    noise = torch.from_numpy(np.random.default_rng(seed).normal(0, 0.01, (3, *x.shape))).float()
    shoulder = 1.6 + 0.25 * (x.abs() - 0.9).clamp_min(0)
    body = (x.abs() < 2.6 - 0.35 * (y > 4)) & (y > shoulder) & (y < 8.5)
    deep = {"crew": 0.8 * (1 - (x / 0.9) ** 2).clamp_min(0).sqrt(), "v": 2.2 * (1 - x.abs() / 0.9)}[neck]
    behind = (x.abs() < 0.9) & (y > 1.6 + 0.12 * (1 - (x / 0.9) ** 2)) & (y <= 1.6 + deep)
    front = body & ~((x.abs() < 0.9) & (y <= 1.6 + deep))
    made = WHITE[:, None, None].expand(3, *x.shape).clone()
    for where, tone in ((front, colour), (behind, inside)):
        made = torch.where(where, torch.tensor(tone)[:, None, None] + noise, made)
    return made.clamp(0, 1), behind


def off(mask: torch.Tensor, garment: torch.Tensor, behind: torch.Tensor) -> float:
    """Share of the inside that was left, or of cloth as large that was cut."""
    cut = (mask[0, 0] > 0) & (garment < 1).any(0)
    return float((cut ^ behind).sum() / behind.sum())


@pytest.mark.parametrize("neck", ["crew", "v"])
@pytest.mark.parametrize("height", [512, 1000])
def test_inside_of_a_neck_is_cut_at_any_size(neck, height):
    garment, behind = top(height, neck=neck)
    mask = inside_of_collar(garment[None])
    assert mask.shape == (1, 1, *garment.shape[1:]) and set(mask.unique().tolist()) == {0.0, 1.0}
    assert off(mask, garment, behind) < 0.08


def test_a_mirror_image_has_the_mirrored_mask():
    garment, behind = top(512)
    mirrored = inside_of_collar(garment.flip(-1)[None])
    assert off(mirrored.flip(-1), garment, behind) < 0.08


def test_an_item_does_not_depend_on_its_batch():
    one, other = top(256)[0], top(256, neck="v", colour=(0.3, 0.4, 0.8), inside=(0.1, 0.15, 0.4))[0]
    both = inside_of_collar(torch.stack([one, other]))
    assert both.amax((1, 2, 3)).tolist() == [1, 1]
    assert torch.equal(both[1:], inside_of_collar(other[None])) and not torch.equal(both[0], both[1])


def test_a_darker_trim_stays():
    garment, behind = top(768, colour=(0.85, 0.85, 0.6), inside=(0.5, 0.5, 0.35))
    x, y = places(768)
    trim = (garment < 1).any(0) & ~behind & (y < 3) & ((x / 1.1) ** 2 + ((y - 1.6) / 1.0) ** 2 < 1)
    garment = torch.where(trim, torch.tensor([0.1, 0.1, 0.15])[:, None, None], garment)
    cut = inside_of_collar(garment[None])[0, 0] > 0
    assert (cut & behind).sum() > 0.8 * behind.sum() and (cut & trim).sum() < 0.1 * trim.sum()


def closed(kind: str) -> torch.Tensor:
    """Garments (3, 768, 576) that show no inside, or none that may be cut."""
    garment, behind = top(768)
    x, y = places(768)
    cloth, rng = (garment < 1).any(0), np.random.default_rng(5)
    tone = garment.clone()
    tone[:, behind] = torch.tensor([0.7, 0.3, 0.35])[:, None]  # the front goes up to the shoulders
    dark = torch.tensor([0.15, 0.1, 0.2])[:, None, None]
    if kind == "high collar":
        collar = (x.abs() < 0.8) & (y > 0.9) & (y < 1.9)
        tone = torch.where(collar, torch.tensor([0.66, 0.28, 0.33])[:, None, None], tone)
        return torch.where(collar & ((y - 1.75 - 0.1 * x**2).abs() < 0.03), dark, tone)
    if kind == "shirt":
        leaf = (y > 1.2) & (y < 2.6) & (x.abs() < 1.2) & (x.abs() > 0.7 * (2.5 - y).abs() * (y < 2.5))
        tone = torch.where(leaf, torch.tensor([0.75, 0.35, 0.4])[:, None, None], tone)
        return torch.where((x.abs() < 0.02) & (y > 2.4) & cloth, dark, tone)
    if kind == "stripes":
        return torch.where(cloth & (y % 0.6 < 0.3), dark, tone)
    if kind == "print":
        spots = torch.zeros_like(cloth)
        for a, b, r in zip(
            rng.uniform(-2.5, 2.5, 90), rng.uniform(1.5, 8, 90), rng.uniform(0.1, 0.35, 90), strict=True
        ):
            spots |= (x - a) ** 2 + (y - b) ** 2 < r**2
        return torch.where(spots & cloth, dark, tone)
    legs = (x.abs() < 1.6) & (y > 1) & (y < 9) & ((x.abs() > 0.15) | (y < 4))
    made = torch.where(legs, torch.tensor([0.3, 0.4, 0.6])[:, None, None], torch.ones(3, 1, 1))
    return torch.where(legs & ((y - 1.6).abs() < 0.03), dark, made)  # a waistband


@pytest.mark.parametrize("kind", ["high collar", "shirt", "stripes", "print", "trousers"])
def test_cloth_is_never_cut(kind):
    assert not inside_of_collar(closed(kind)[None]).any()


def test_white_has_no_inside():
    assert not inside_of_collar(torch.ones(1, 3, 64, 48)).any()


def test_a_catalogue_opens_collars_of_tops_and_dresses_in_photographs_only():
    facts, photo = {BODY: "the body's mask", DETAIL: True}, Person("a", "a.jpg")
    ways = [way_of(photo, category, facts) for category in ("upper_body", "dresses", "lower_body")]
    assert ways == ["whole, open, large", "centred, open, large", "centred, large"]
    assert way_of(photo, "upper_body", {}) == "whole"
