"""Preparation and way back for any model: boxes, masks for what is asked, results of any size into one photo."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.parts import parts_of_bodies

SIZE = (128, 96)


@pytest.fixture
def window(run, scene):
    """Somebody in a larger picture (1, 512, 512, 3), and what Fit Person gives."""
    photo = torch.full((1, 512, 512, 3), 0.6) + 0.1 * torch.rand(1, 512, 512, 3)
    large = F.interpolate(scene.person[:1].movedim(-1, 1), (512, 384), mode="bilinear").movedim(1, -1)
    photo[:, :, 64:448] = large
    flat = scene.keypoints[0]["people"][0]["pose_keypoints_2d"]
    moved = [v if i % 3 == 2 or v <= 0 else 4 * v + 64 * (i % 3 == 0) for i, v in enumerate(flat)]
    document = {"people": [{"pose_keypoints_2d": moved}], "canvas_height": 512, "canvas_width": 512}
    person, joints, _, _, fit = run(
        "FitPerson", photo=photo, keypoints=[document], width=192, height=256, framing="dresses", mode="body",
    )  # fmt: skip
    return {"photo": photo, "fit": fit}, person, joints


@pytest.mark.parametrize("size", [(256, 192), (512, 384), (1024, 768), (1040, 784), (128, 96)])
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_a_result_of_any_size_and_kind_of_pixel_comes_home(nodes, window, size, channels):
    wires, person, _ = window
    result = torch.full((1, *size, channels), 0.25)
    if channels == 4:
        result[..., 3] = 1
    mask = torch.zeros(1, 256, 192)
    mask[:, 80:160, 60:120] = 1
    made = nodes["LadiVTON_StitchPerson"].execute(**wires, result=result, mask=mask)
    stitched, taken = made.result
    photo = wires["photo"]
    assert stitched.shape == photo.shape and taken.shape == photo.shape[:3]
    assert torch.equal(stitched[taken == 0], photo[taken == 0])
    torch.testing.assert_close(stitched[taken == 1], torch.full_like(stitched[taken == 1], 0.25))
    assert any("was brought to its window of 256 x 192" in line for line in made.ui["text"]) == (size != (256, 192))


def test_another_shape_is_refused_and_masks_may_be_the_photos(run, window):
    wires, person, _ = window
    with pytest.raises(ValueError, match="'result' is 256 x 256 and its window 256 x 192"):
        run("StitchPerson", **wires, result=torch.zeros(1, 256, 256, 3))
    with pytest.raises(ValueError, match="'mask' is 100 x 192 and its window"):
        run("StitchPerson", **wires, result=person, mask=torch.ones(1, 100, 192))
    large = torch.zeros(1, *wires["photo"].shape[1:3])
    large[:, 200:300, 200:300] = 1
    _, taken = run("StitchPerson", **wires, result=1 - person, mask=large)
    assert ((taken > 0.5) == (large > 0.5)).float().mean() > 0.98
    _, twice = run(
        "StitchPerson", **wires, result=1 - person, mask=F.interpolate(torch.ones(1, 1, 256, 192), (512, 384))[0]
    )
    _, whole = run("StitchPerson", **wires, result=1 - person)
    assert torch.equal(twice, whole)


def test_face_and_hands_and_what_is_kept_stay_the_photos(run, window):
    wires, person, joints = window
    points = torch.tensor(joints[0]["people"][0]["pose_keypoints_2d"]).view(1, 18, 3)[..., :2]
    face = parts_of_bodies(points, (256, 192), ("head", "hands"))
    keep = torch.zeros(1, 256, 192)
    keep[:, 200:220] = 1
    stitched, taken = run("StitchPerson", **wires, result=1 - person, keypoints=joints, keep_mask=keep, feather=4)
    kept = torch.maximum(face[:, 0], keep)
    shown = 1 - wires["fit"][0].apply(taken[:, None])[0]
    assert shown[0][kept[0] > 0].mean() > 0.99 and shown[0][kept[0] == 0].mean() < 0.4
    assert ((taken > 0.05) & (taken < 0.95)).any()
    half, share = run("StitchPerson", **wires, result=1 - person, keep_mask=torch.full((1, 256, 192), 0.5))
    assert (share[share > 0] - 0.5).abs().max() < 1e-4


def test_results_go_into_one_photo_one_after_another(run, window):
    wires, person, _ = window
    masks = torch.zeros(2, 256, 192)
    masks[0, 60:120, 40:90], masks[1, 140:200, 90:150] = 1, 1
    results = torch.where(masks[..., None] > 0, torch.tensor([0.9, 0.1, 0.1]), person)
    results[1] = torch.where(masks[1][..., None] > 0, torch.tensor([0.1, 0.1, 0.9]), person[0])
    batch, taken = run("StitchPerson", **wires, result=results, one_photo=True)
    assert batch.shape[0] == taken.shape[0] == 1
    first, _ = run("StitchPerson", **wires, result=results[:1])
    second, _ = run("StitchPerson", **wires, result=results[1:], onto=first)
    torch.testing.assert_close(batch, second)
    boxes = [run("StitchPerson", **wires, result=person, mask=mask[None])[1][0] > 0.99 for mask in masks]
    assert second[0][boxes[0]].mean(0)[0] > 0.85 and second[0][boxes[1]].mean(0)[2] > 0.85


def test_only_the_clothes_of_an_editors_picture_are_taken(nodes, window):
    pytest.importorskip("cv2")
    wires, person, _ = window
    mask = torch.zeros(1, 256, 192)
    mask[:, 90:170, 60:130] = 1
    answer = torch.where(mask[..., None] > 0, torch.tensor([0.1, 0.7, 0.3]), person * 0.94 + 0.02)
    answer = torch.roll(answer, (2, -3), (1, 2))
    made = nodes["LadiVTON_StitchPerson"].execute(
        **wires, result=answer, only_changed=True, register=True, match_colour=True, feather=2
    )
    stitched, taken = made.result
    assert any("moved back" in line for line in made.ui["text"])
    assert torch.equal(stitched[taken == 0], wires["photo"][taken == 0])
    shown = wires["fit"][0].apply(taken[:, None])[0, 0]
    assert shown[mask[0] > 0].mean() > 0.9 and shown[mask[0] == 0].mean() < 0.1


def test_a_body_mask_needs_no_warped_garment(run, scene):
    silhouette = (scene.parse > 0).float()
    inputs = {"keypoints": scene.keypoints, "silhouette": silhouette}
    masks = {category: run("BodyMask", **inputs, category=category)[0] for category in CATEGORIES}
    worn = scene.parse == LIP20.id("upper_clothes")
    assert masks["upper_body"][worn].mean() > 0.9
    assert not (masks["upper_body"] * (scene.parse == LIP20.id("face"))).sum() > 30
    outfit, *_ = run("BodyMask", **inputs, whole_outfit=True)
    assert torch.equal(outfit, torch.stack(list(masks.values())).amax(0))
    clothes = torch.isin(scene.parse, torch.tensor(LIP20.ids(("upper_clothes", "pants", "skirt", "dress"))))
    assert outfit[clothes].mean() > 0.9
    with pytest.raises(ValueError, match="Nothing tells how large the mask is"):
        run("BodyMask", keypoints=scene.keypoints)


@pytest.mark.parametrize("source", ["joints", "labels", "painted"])
def test_hands_stay_or_come_along_and_an_outfit_is_all_that_is_worn(run, scene, source):
    inputs = {"person": scene.person, "keypoints": scene.keypoints}
    inputs |= {"labels": {"parse_map": scene.parse_map}, "joints": {}}.get(
        source, {"garment_mask": (scene.parse == LIP20.id("upper_clothes")).float()}
    )
    hands = parts_of_bodies(scene.joints.double(), SIZE, ("hands",))[:, 0] > 0
    usual = run("AgnosticPerson", **inputs)[1]
    kept, along = (run("AgnosticPerson", **inputs, hands=hands_)[1] for hands_ in ("keep", "repaint"))
    assert hands.any() and not kept[hands].any() and along[hands].all()
    assert torch.equal(kept[~hands], usual[~hands]) and torch.equal(along[~hands], usual[~hands])
    keep = torch.ones(1, *SIZE)
    keep[:, 20:60] = 0
    within = run("AgnosticPerson", **inputs, hands="repaint", keep_mask=keep)[1]
    assert not within[:, 60:].any()
    if source != "painted":
        outfit = run("AgnosticPerson", **inputs, whole_outfit=True)[1]
        clothes = torch.isin(scene.parse, torch.tensor(LIP20.ids(("upper_clothes", "pants", "skirt", "dress"))))
        assert outfit[clothes].mean() > 0.9 and (outfit >= usual).all()


def test_necks_and_hands_of_a_body_mask_are_asked_for(run, scene):
    inputs = {"person": scene.person, "keypoints": scene.keypoints}
    for part in ("neck", "hands"):
        there = parts_of_bodies(scene.joints.double(), SIZE, (part,))[:, 0] > 0
        kept, along = (run("BodyMask", **inputs, **{part: rule})[0] for rule in ("keep", "repaint"))
        assert there.any() and not kept[there].any() and along[there].all()
    with pytest.raises(ValueError, match="'hands' need 'keypoints'"):
        run("BodyMask", silhouette=torch.ones(1, *SIZE), warped_garment=torch.zeros(1, *SIZE, 3), hands="keep")


def test_joints_without_a_head_as_sdpose_gives_them_mask_trousers(run, repository):
    """It places every joint; those it does not see have low scores, and no shoulders no neck."""
    document = json.loads((repository / "samples" / "lower_body_keypoints.json").read_text("utf-8"))
    picture = np.asarray(Image.open(repository / "samples" / "lower_body_person.png").convert("RGB"))
    photo = torch.from_numpy(picture.astype(np.float32) / 255)[None]
    document |= {"canvas_width": photo.shape[2], "canvas_height": photo.shape[1]}
    seen = torch.tensor(document["people"][0]["pose_keypoints_2d"]).view(25, 3)[[*range(8), *range(9, 19)]]
    guessed = torch.where(seen[:, 2:] > 0, seen, torch.tensor([190.0, 4.0, 0.1]))
    guessed[1, 2] = 0
    unseen = {name: [5.0, 5.0, 0.02] * count for name, count in
              (("foot", 6), ("face", 70), ("hand_left", 21), ("hand_right", 21))}  # fmt: skip
    theirs = {f"{name}_keypoints_2d": points for name, points in unseen.items()}
    theirs["pose_keypoints_2d"] = guessed.flatten().tolist()
    masks = []
    for joints in (document, document | {"people": [theirs]}):
        framed, keypoints, _, _, _ = run(
            "FitPerson", photo=photo, keypoints=[joints], width=384, height=512, framing="lower_body", mode="body"
        )
        how = {"category": "lower_body", "mode": "body", "missing_joints": "skip"}
        masks.append(run("AgnosticPerson", person=framed, keypoints=keypoints, **how)[1])
    assert 0.05 < masks[0].mean() < 0.5
    torch.testing.assert_close(*masks)
