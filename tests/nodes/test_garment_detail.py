"""Garment Detail on ComfyUI's wires: Garment Warper's spline, `large` of Prepare Garment, Stitch Person's region."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

pytest.importorskip("cv2")
SIZE = (128, 96)


@pytest.fixture(scope="module")
def wires(run, models):
    """Two photos at twice the models' size, dressed by a result that is the warped garment itself."""
    generator = torch.Generator().manual_seed(2)
    fine = F.interpolate((torch.rand(2, 1, 64, 48, generator=generator) > 0.5).float(), (512, 384), mode="nearest")
    garment = torch.ones(2, 512, 384, 3)
    garment[:, 60:450, 50:330] = fine.movedim(1, -1)[:, 60:450, 50:330] * torch.tensor([0.5, 0.2, 0.1]) + 0.3
    prepared, large = run("PrepareGarment", garment=garment, width=SIZE[1], height=SIZE[0])
    person = torch.full((1, *SIZE, 3), 0.5)
    pose = torch.zeros(1, 18, *SIZE)
    warped, coarse, _, spline = run(
        "GarmentWarper", warper=models.warper, garment=prepared, agnostic=person, pose_map=pose
    )
    photo = torch.full((1, 256, 192, 3), 0.5)
    fitted, _, _, _, fit = run("FitPerson", photo=photo, width=SIZE[1], height=SIZE[0])
    mask = torch.ones(1, *SIZE)
    stitched, taken = run("StitchPerson", result=coarse, photo=photo, fit=fit, mask=mask)
    return {"picture": stitched, "garment": large, "fit": fit, "spline": spline, "region": taken}


def test_large_is_the_prepared_garment_in_the_pixels_of_its_picture(run, wires):
    assert wires["garment"].shape == (2, 512, 384, 3)
    for options in ({}, {"centre": True}, {"fit": "pad"}, {"fit": "crop"}):
        picture = torch.ones(1, 500, 300, 3)
        picture[:, 100:300, 80:200] = torch.rand(1, 200, 120, 3, generator=torch.Generator().manual_seed(1)) * 0.8
        prepared, large = run("PrepareGarment", garment=picture, width=SIZE[1], height=SIZE[0], **options)
        assert large.shape == (1, 4 * SIZE[0], 4 * SIZE[1], 3)
        small = F.interpolate(large.movedim(-1, 1), SIZE, mode="bicubic", antialias=True).movedim(1, -1)
        assert (small - prepared).abs().mean() < 0.02, options
    prepared, large = run("PrepareGarment", garment=torch.rand(1, 40, 30, 3), width=SIZE[1], height=SIZE[0])
    assert torch.equal(prepared, large)


def test_the_garments_detail_goes_into_the_photo_and_the_map_says_where(run, wires):
    made, weight = run("GarmentDetail", **wires)
    assert made.shape == wires["picture"].shape and weight.shape == (2, 256, 192)
    assert weight.min() >= 0 and weight.max() <= 1 and weight.mean() > 0.02
    assert torch.equal(made[weight == 0], wires["picture"][weight == 0])
    steps = [picture.diff(dim=2)[weight[..., 1:] > 0.1].square().mean() for picture in (made, wires["picture"])]
    assert steps[0] > 1.2 * steps[1]


def test_a_batch_is_its_items(run, wires):
    made, weight = run("GarmentDetail", **wires)
    for item in range(2):
        alone = {name: wire if name == "fit" else wire[item : item + 1] for name, wire in wires.items()}
        one, its = run("GarmentDetail", **alone)
        assert torch.equal(one[0], made[item]) and torch.equal(its[0], weight[item])


def test_another_garment_changes_nothing_and_is_told(nodes, wires):
    other = torch.ones(1, 512, 384, 3)
    other[:, 100:400, 80:300] = torch.rand(1, 300, 220, 3, generator=torch.Generator().manual_seed(9))
    with torch.inference_mode():
        made = nodes["LadiVTON_GarmentDetail"].execute(**wires | {"garment": other})
    assert made.result[1].mean() < 0.02 and "almost nowhere" in made.ui["text"][0]


def test_a_picture_of_the_models_size_needs_no_fit(run, wires):
    made, weight = run("GarmentDetail", **{name: wire for name, wire in wires.items() if name != "fit"})
    whole, other = run("GarmentDetail", **wires)
    assert torch.equal(made, whole) and torch.equal(weight, other)


def test_wires_that_do_not_belong_together_are_named(run, wires):
    with pytest.raises(ValueError, match="'spline'.*Garment Warper"):
        run("GarmentDetail", **wires | {"spline": torch.zeros(1, 64, 48, 2)})
    with pytest.raises(ValueError, match="'region'"):
        run("GarmentDetail", **wires | {"region": torch.ones(1, 64, 48)})
    with pytest.raises(ValueError, match="'picture' is a batch of 2 and 'garment' a batch of 3"):
        run("GarmentDetail", **wires | {"garment": wires["garment"][:1].expand(3, -1, -1, -1)})
