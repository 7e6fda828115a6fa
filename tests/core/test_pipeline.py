"""TryOnPipeline on the embedded models at a small size, and the golden end-to-end case."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from ladivton_core.denoising.noise import shared_noise
from ladivton_core.encodings import item
from ladivton_core.mask_edges import grow_mask
from ladivton_core.parity import case, pipeline_cases
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.garment.backdrop import centred_on_white
from ladivton_core.preprocessing.masks.body_mask import EMBEDDED_MARGIN, cloth_on_white
from ladivton_core.preprocessing.masks.person_mask import mask_body
from ladivton_core.preprocessing.pictures import read_picture
from ladivton_core.preprocessing.pose.keypoint_files import pose_frames
from ladivton_core.preprocessing.prepare import prepare_person
from ladivton_core.presets import TINY

GOLDEN = Path(__file__).parent.parent / "golden"
H, W = 64, 48


@pytest.fixture
def pipeline(embedded):
    return embedded


@pytest.fixture
def inputs(scene):
    return dict(scene)


def test_the_golden_chain_from_raw_files_is_reproduced():
    checks = pipeline_cases.e2e_tiny(case.read_case(GOLDEN / "e2e_tiny_vitonhd_a.json"))
    assert len(checks) >= 12
    assert [check for check in checks if not check.ok] == []


def test_an_item_is_the_same_in_any_batch(pipeline, inputs):
    both = pipeline(**inputs, category=["dresses", "upper_body"], seeds=[5, 9], steps=2)
    assert both.images.shape == (2, 3, H, W)
    assert float(both.images.min()) >= 0 and float(both.images.max()) <= 1
    alone = pipeline(**{key: x[1:] for key, x in inputs.items()}, category="upper_body", seeds=9, steps=2)
    assert torch.allclose(both.latents[1:], alone.latents, atol=1e-4)
    assert torch.allclose(both.images[1:], alone.images, atol=1e-3)
    assert not torch.allclose(both.latents[0], both.latents[1], atol=0.1)


def test_encodings_can_be_used_again(pipeline, inputs):
    person = pipeline.encode_person(inputs["person"][:1], inputs["mask"][:1], inputs["pose_map"][:1])
    garments = pipeline.encode_garment(inputs["garment"], ["dresses", "upper_body"])
    result = pipeline(person, garments, seeds=[5, 9], steps=1)
    whole = pipeline(
        inputs["person"][:1], inputs["garment"][:1], mask=inputs["mask"][:1], pose_map=inputs["pose_map"][:1],
        category="dresses", seeds=5, steps=1,
    )  # fmt: skip
    assert torch.allclose(result.latents[:1], whole.latents, atol=1e-4)
    seeds = pipeline(person, pipeline.encode_garment(inputs["garment"][:1], "dresses"), seeds=[1, 2, 3], steps=1)
    assert seeds.images.shape[0] == 3


def test_a_photographs_mask_waits_for_the_garment_that_is_not_refined(pipeline, repository):
    photo, garment = (read_picture(repository / "samples" / f"{name}.png")[0] for name in ("person", "garment"))
    document = json.loads((repository / "samples" / "keypoints.json").read_text(encoding="utf-8"))
    size = (128, 96)
    framed = prepare_person(photo, pose_frames(document, "keypoints.json"), "upper_body", size).framed
    whole = centred_on_white(garment, size)[None]
    both = torch.cat([whole, torch.zeros_like(whole)]) * 2 - 1  # and cloth from edge to edge
    garments = pipeline.encode_garment(both, "upper_body")
    made = pipeline(framed, garments, seeds=[3, 4], steps=1)
    assert not torch.equal(made.mask[0], made.mask[1])
    for place, seed in enumerate((3, 4)):
        one = both[place : place + 1]
        coarse = pipeline.warper.coarse_warp(one, framed.agnostic, framed.pose_map, photograph=True).coarse
        mask = mask_body(
            "upper_body", size, cloth=cloth_on_white(coarse / 2 + 0.5), people=[*framed.people], person=framed.person,
            margin=EMBEDDED_MARGIN, paste=True,
        )[:, :1]  # fmt: skip
        given = {"mask": mask, "pose_map": framed.pose_map, "warped": coarse, "seeds": seed, "steps": 1}
        given["lay_garment"] = True
        alone = pipeline(framed.person, item(garments, place), **given)
        under = framed.under(coarse, "upper_body")
        assert torch.equal(under.repainted, mask) and torch.equal(made.mask[place : place + 1], under.shown)
        grey = (under.underlay - 0.5).abs().amax(1, keepdim=True) < 1e-3
        expected = torch.where(grey, alone.images, under.underlay)
        assert torch.allclose(made.warped[place : place + 1], coarse, atol=1e-4)
        assert torch.allclose(made.images[place : place + 1], expected, atol=2e-3)
    painted = dataclasses.replace(framed, people=None)
    assert torch.equal(pipeline(painted, item(garments, 0), seeds=3, steps=1).mask, framed.mask)


def test_the_garment_itself_is_laid_where_its_cloth_lies(pipeline, inputs):
    one = {key: x[:1] for key, x in inputs.items()} | {"seeds": 1, "steps": 1}
    lies = torch.zeros(1, 1, H, W)
    lies[..., 24:56, 24:56] = 1
    warped = torch.where(lies > 0, -0.2, 1.0).expand(-1, 3, -1, -1)
    warped = warped - lies * 0.5 * (torch.arange(W) % 8 < 4)
    one |= {"mask": torch.maximum(lies, one["mask"].round()), "warped": warped}
    on, off, default = (pipeline(**one, lay_garment=way).images for way in (True, False, None))
    assert torch.equal(off, default)
    assert torch.equal(on * (1 - lies), off * (1 - lies))
    inner = (grow_mask(lies, -3) > 0)[0, 0]
    ratio = (on / (warped / 2 + 0.5))[..., inner]
    assert ratio.min() > 0.7**0.5 - 1e-4 and ratio.max() < 1.1**0.5 + 1e-4
    alone = [pipeline(**one, lay_garment=way, emasc=False).images for way in (True, False)]
    assert torch.equal(*alone)


def test_a_batch_of_one_with_a_seed_is_the_references_draw(pipeline, inputs):
    one = {key: x[:1] for key, x in inputs.items()}
    one["warped"] = one["garment"]
    mine = pipeline(**one, seeds=11, steps=1)
    theirs = pipeline(**one, reference_generator=torch.Generator().manual_seed(11), steps=1)
    given = pipeline(**one, noise=shared_noise(torch.Generator().manual_seed(11), (1, 4, H // 8, W // 8)), steps=1)
    assert torch.equal(mine.latents, theirs.latents) and torch.equal(mine.latents, given.latents)


def test_the_posterior_mode_needs_no_noise(pipeline, inputs):
    person = pipeline.encode_person(inputs["person"], inputs["mask"], inputs["pose_map"])
    draws = [shared_noise(torch.Generator().manual_seed(seed), (2, 4, H // 8, W // 8)) for seed in (1, 2)]
    mode = [pipeline.conditioning(person, inputs["garment"], noise, posterior="mode") for noise in draws]
    sample = [pipeline.conditioning(person, inputs["garment"], noise) for noise in draws]
    assert mode[0].shape == (2, 27, H // 8, W // 8)
    assert torch.equal(*mode) and not torch.equal(*sample)


def test_no_pose_blanks_the_pose_channels_only(pipeline, inputs):
    person = pipeline.encode_person(inputs["person"], inputs["mask"], inputs["pose_map"])
    noise = shared_noise(torch.Generator().manual_seed(1), (2, 4, H // 8, W // 8))
    with_pose, blank = (pipeline.conditioning(person, inputs["garment"], noise, no_pose=flag) for flag in (False, True))
    assert bool(with_pose[:, 5:23].any()) and not bool(blank[:, 5:23].any())
    assert torch.equal(with_pose[:, :5], blank[:, :5]) and torch.equal(with_pose[:, 23:], blank[:, 23:])


def test_pasting_back_returns_the_persons_pixels(pipeline, inputs):
    result = pipeline(**inputs, warped=inputs["garment"], seeds=1, steps=1, guidance_scale=1.0, paste_back=True)
    outside = inputs["mask"].expand(-1, 3, -1, -1) == 0
    assert torch.allclose(result.images[outside], (inputs["person"] / 2 + 0.5)[outside], atol=1e-6)


def test_emasc_changes_the_decoding_and_not_the_latents(pipeline, inputs):
    one = {key: x[:1] for key, x in inputs.items()} | {"warped": inputs["garment"][:1]}
    with_skips, plain = (pipeline(**one, seeds=1, steps=1, guidance_scale=1.0, emasc=flag) for flag in (True, False))
    assert torch.equal(with_skips.latents, plain.latents)
    assert not torch.allclose(with_skips.images, plain.images, atol=1e-3)


def test_the_callback_sees_every_step_and_the_scheduler_is_replaceable(pipeline, inputs):
    from diffusers import DDIMScheduler

    states = []
    one = {key: x[:1] for key, x in inputs.items()} | {"warped": inputs["garment"][:1], "guidance_scale": 1.0}
    pipeline(**one, seeds=1, steps=3, callback=states.append)
    assert [state["step"] for state in states] == [0, 1, 2] and states[0]["timestep"] == 999
    try:
        pipeline.scheduler = DDIMScheduler(prediction_type="v_prediction", timestep_spacing="leading")
        pipeline(**one, seeds=1, steps=2, callback=states.append)
    finally:
        pipeline.scheduler = None
    assert states[-1]["timestep"] == 0


def test_a_prompt_of_ones_own_carries_the_pseudo_words(pipeline, inputs):
    own = pipeline.encode_garment(inputs["garment"], "dresses", prompt="a red coat " + "$ " * TINY.num_words)
    assert own.prompt.shape == (2, 77, TINY.text.hidden_size)
    assert not torch.allclose(own.prompt[0], own.prompt[1], atol=1e-5)
    with pytest.raises(ValueError, match="holds 2 '[$]'"):
        pipeline.encode_garment(inputs["garment"], "dresses", prompt="$ $")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"mask": None}, "needs mask and pose_map"),
        ({"mask": torch.ones(1, 1, H, W)}, "one batch size, got 2, 1, 2"),
        ({"mask": torch.full((2, 1, H, W), 255.0)}, r"\[0, 1\]"),
        ({"person": torch.full((2, 3, H, W), 200.0)}, r"\[-1, 1\]"),
        ({"pose_map": torch.zeros(2, 18, H, 8)}, "pose map must be"),
        ({"category": ["dresses"] * 3}, "2 garments and 3 categories"),
        ({"seeds": [1, 2, 3]}, "2 persons, 2 garments, 3 seeds"),
        ({"posterior": "mean"}, "'sample' or 'mode'"),
        ({"warped": torch.zeros(2, 3, 8, 8)}, "warped garment must be"),
    ],
)
def test_what_does_not_fit_is_named(pipeline, inputs, change, said):
    with pytest.raises(ValueError, match=said):
        pipeline(**(inputs | change), steps=1)


def test_a_size_that_is_not_divisible_by_eight_is_named(pipeline):
    with pytest.raises(ValueError, match="60x48.*divisible by 8"):
        pipeline.encode_person(torch.zeros(1, 3, 60, 48), torch.zeros(1, 1, 60, 48), torch.zeros(1, 18, 60, 48))


def test_from_files_names_the_missing_part():
    with pytest.raises(ValueError, match="missing .'vae'.*unknown .'hat'"):
        TryOnPipeline.from_files(
            {part: "x" for part in ("unet", "text_encoder", "vision", "inversion_adapter", "warping", "hat")}, TINY
        )
