"""Figures on the drawn world: metrics, samples, variants, the command line."""

import dataclasses
import json

import pytest
import torch

from drawn_world.figures import metrics, truth
from drawn_world.figures.__main__ import main
from drawn_world.figures.evaluate import evaluate
from drawn_world.figures.variants import Variant, encode, run
from drawn_world.world.scene import DrawnWorld
from ladivton_core.pipeline import TryOnPipeline

pytestmark = pytest.mark.long

SIZE = (128, 96)
KEYS = {
    "ssim", "l1", "ssim_mask", "psnr_mask", "l1_mask", "warp_l1_tps", "warp_l1_refined", "psnr_outside",
    "psnr_outside_no_emasc", "colour_right", "colour_chance", "pattern_right", "seconds_per_picture",
}  # fmt: skip


@pytest.fixture(scope="module")
def pipeline():
    """The embedded models on small pictures, one sampling step."""
    whole = TryOnPipeline.from_embedded()
    return dataclasses.replace(whole, preset=dataclasses.replace(whole.preset, size=SIZE, steps=1))


@pytest.fixture(scope="module")
def world():
    return DrawnWorld(31, SIZE)


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, 48, 40, generator=generator)


@pytest.fixture
def mask():
    mask = torch.zeros(2, 1, 48, 40)
    mask[..., 10:30, 12:26] = 1
    return mask


def test_identical_pictures_are_perfect(pictures, mask):
    for where in (None, mask):
        assert torch.allclose(metrics.ssim(pictures, pictures, where), torch.ones(2))
        assert torch.equal(metrics.l1(pictures, pictures, where), torch.zeros(2))
        assert torch.allclose(metrics.psnr(pictures, pictures, where), torch.full((2,), 100.0))


def test_a_known_difference_has_the_known_l1_and_psnr(pictures, mask):
    other = pictures + 0.1
    for where in (None, mask):
        assert torch.allclose(metrics.l1(other, pictures, where), torch.full((2,), 0.1), atol=1e-5)
        assert torch.allclose(metrics.psnr(other, pictures, where), torch.full((2,), 20.0), atol=1e-3)


def test_inside_a_mask_the_outside_does_not_count(pictures, mask):
    noisy = (pictures + 0.2 * torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    reach = torch.nn.functional.max_pool2d(mask, 11, 1, 5)  # the windows of SSIM
    elsewhere = torch.where(reach.bool(), noisy, 1 - noisy)
    for metric in (metrics.ssim, metrics.l1, metrics.psnr):
        assert torch.allclose(metric(noisy, pictures, mask), metric(elsewhere, pictures, mask), atol=1e-5)
        assert not torch.allclose(metric(noisy, pictures), metric(elsewhere, pictures), atol=1e-2)


def test_ssim_is_that_of_the_papers_library(pictures):
    from torchmetrics.image import StructuralSimilarityIndexMeasure

    noisy = (pictures * 0.8 + 0.1).clamp(0, 1)
    theirs = StructuralSimilarityIndexMeasure(data_range=1.0)(noisy, pictures)
    assert torch.allclose(metrics.ssim(noisy, pictures).mean(), theirs, atol=1e-6)


def test_unpaired_people_get_another_garment_of_their_category(world):
    (indices,) = truth.people(world, 4, batch=4)
    paired, unpaired = (truth.draw(world, indices, order) for order in truth.ORDERS)
    assert torch.equal(paired.person, unpaired.person) and torch.equal(paired.mask, unpaired.mask)
    assert torch.equal(paired.truth, paired.person)
    assert paired.categories == unpaired.categories == tuple(map(world.category, indices))
    for other, own in zip(unpaired.garment, paired.garment, strict=True):
        assert not torch.equal(other, own)


def test_samples_of_one_category(world):
    found = list(truth.people(world, 3, "dresses", batch=2))
    assert [len(batch) for batch in found] == [2, 1]
    assert {world.category(index) for batch in found for index in batch} == {"dresses"}


def test_the_figures_have_their_keys_and_the_sheet_its_pictures(pipeline, tmp_path):
    from PIL import Image

    figures = evaluate(31, 2, "unpaired", category="upper_body", sheet=tmp_path / "sheet.png", pipeline=pipeline)
    assert set(figures) == KEYS
    assert all(isinstance(value, float) for value in figures.values())
    assert 0 < figures["ssim"] < 1 and 0 < figures["l1"] < figures["l1_mask"] < 1
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width == 6 * 192 and sheet.height > 2 * 256


def test_several_categories_are_reported_apart(pipeline):
    figures = evaluate(31, 4, "paired", batch=4, pipeline=pipeline)
    kinds = {name.split(".")[0] for name in figures if "." in name}
    assert kinds == {"upper_body", "lower_body", "dresses"}
    assert set(figures) == KEYS | {f"{kind}.{key}" for kind in kinds for key in KEYS}
    weighted = figures["upper_body.l1"] / 2 + figures["lower_body.l1"] / 4 + figures["dresses.l1"] / 4
    assert figures["l1"] == pytest.approx(weighted, abs=2e-4)


def test_the_batch_changes_no_figure(pipeline):
    one, three = (evaluate(31, 3, "unpaired", batch=batch, pipeline=pipeline) for batch in (1, 3))
    assert set(one) == set(three)
    for name, value in one.items():
        if not name.endswith("seconds_per_picture"):
            # decibels of near-equal pictures amplify rounding
            assert value == pytest.approx(three[name], abs=0.02 if "psnr" in name else 2e-4), name


@pytest.mark.parametrize("part", ["garment", "words", "emasc"])
def test_a_withheld_part_changes_the_picture(pipeline, world, part):
    encoded = encode(pipeline, truth.draw(world, [0], "unpaired"))
    whole, without = (run(pipeline, encoded, variant) for variant in (Variant(), Variant((part,))))
    assert not torch.allclose(whole.images, without.images, atol=1e-3)
    assert torch.equal(whole.latents, without.latents) == (part == "emasc")


def test_a_withheld_garment_is_not_seen_at_all(pipeline, world):
    drawn = truth.draw(world, [0, 0], "unpaired")
    two = dataclasses.replace(drawn, garment=torch.stack([drawn.garment[0], 1 - drawn.garment[0]]))
    blind = run(pipeline, encode(pipeline, two), Variant(("garment", "words")))
    assert torch.allclose(blind.images[0], blind.images[1], atol=1e-4)
    sighted = run(pipeline, encode(pipeline, two), Variant())
    assert not torch.allclose(sighted.images[0], sighted.images[1], atol=1e-2)


def test_steps_guidance_and_sampler_are_heard(pipeline, world):
    encoded = encode(pipeline, truth.draw(world, [0], "unpaired"))
    latents = [
        run(pipeline, encoded, variant).latents
        for variant in (
            Variant(steps=4, guidance_scale=1),
            Variant(steps=5, guidance_scale=1),
            Variant(steps=4, guidance_scale=3),
            # with guidance: without it the two differ by less than 1e-3 in four steps
            Variant(steps=4, guidance_scale=3, sampler="unipc"),
            Variant(steps=4, guidance_scale=3, sampler="dpmpp_2m"),
        )
    ]
    for index, one in enumerate(latents):
        assert torch.isfinite(one).all()
        assert not any(torch.allclose(one, other, atol=1e-3) for other in latents[:index])
    assert pipeline.scheduler is None


def test_what_is_unknown_raises(pipeline, world):
    with pytest.raises(ValueError, match="withhold"):
        Variant(("shoes",))
    with pytest.raises(ValueError, match="sampler"):
        Variant(sampler="euler")
    with pytest.raises(ValueError, match="steps"):
        Variant(steps=0)
    with pytest.raises(ValueError, match="order"):
        evaluate(31, 1, "sideways", pipeline=pipeline)
    with pytest.raises(ValueError, match="count"):
        evaluate(31, 0, "paired", pipeline=pipeline)
    with pytest.raises(ValueError, match="batch"):
        evaluate(31, 1, "paired", batch=0, pipeline=pipeline)
    with pytest.raises(ValueError, match="category"):
        evaluate(31, 1, "paired", category="shoes", pipeline=pipeline)


def test_the_command_writes_figures_and_a_sheet_beside_them(pipeline, tmp_path, monkeypatch):
    monkeypatch.setattr(TryOnPipeline, "from_embedded", lambda: pipeline)
    target = tmp_path / "made" / "out.json"
    main(f"--seed 31 --count 1 --order paired --steps 2 --withhold garment --json {target}".split())
    assert set(json.loads(target.read_text())) == KEYS
    assert target.with_suffix(".jpg").exists()
    for wrong in (["--withhold", "shoes"], ["--seed", "5", "ablations"]):  # the latter's seed would go unheard
        with pytest.raises(SystemExit):
            main(wrong)
