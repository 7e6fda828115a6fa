"""Nodes for people's own photos, in this process: from a photo to a mask, checks, parse maps, garments."""

from __future__ import annotations

import numpy as np
import pytest
import torch


@pytest.fixture(scope="module")
def photo():
    """A real portrait, small in a large picture: IMAGE (1, 700, 900, 3)."""
    data = pytest.importorskip("skimage.data")
    picture = np.full((700, 900, 3), 120, np.uint8)
    picture[150:662, 200:712] = data.astronaut()
    return torch.from_numpy(picture)[None].float() / 255


@pytest.fixture(scope="module")
def graphs(module, pose_graphs):
    """Find Person with the graphs of the tests."""
    photo = module("nodes.photo")
    before, photo.graph_folders = photo.graph_folders, lambda: [pose_graphs]
    photo._finder.cache_clear()
    yield
    photo.graph_folders = before
    photo._finder.cache_clear()


@pytest.fixture(scope="module")
def found(run, photo, graphs):
    return run("FindPerson", photo=photo)


def test_from_a_photo_to_a_mask_and_back(run, photo, found):
    keypoints, silhouette, boxes, count = found
    assert count == 1 and silhouette.shape == (1, 700, 900) and 200 <= boxes[0][0]["x"] < 400
    person, joints, _, outline, fit = run(
        "FitPerson", photo=photo, keypoints=keypoints, mask=silhouette, mode="body", framing="upper_body",
        person_index=-1, border="blur",
    )  # fmt: skip
    assert person.shape == (1, 512, 384, 3)
    pose, _ = run("PoseMap", keypoints=joints, person=person, mode="body")
    assert pose[:, 0].amax() > 0.99
    agnostic, mask = run(
        "AgnosticPerson", person=person, keypoints=joints, silhouette=outline, category="upper_body", mode="body"
    )
    nose = joints[0]["people"][0]["pose_keypoints_2d"][:2]
    assert 0.1 < mask.mean() < 0.7 and not mask[0, int(nose[1]), int(nose[0])]
    same, _ = run("StitchPerson", result=person, photo=photo, fit=fit, mask=mask, feather=3)
    torch.testing.assert_close(same, photo, rtol=0, atol=1e-5)
    changed, _ = run("StitchPerson", result=1 - person, photo=photo, fit=fit, mask=mask, match_colour=True)
    kept = (changed == photo).all(-1)
    assert 0.4 < kept.float().mean() < 0.95 and kept[0, 0].all()


def test_a_batch_of_differently_placed_people_is_framed_and_put_back_one_by_one(run, photo, found):
    keypoints = found[0]
    moved = torch.roll(photo, -150, dims=2)
    flat = keypoints[0]["people"][0]["pose_keypoints_2d"]
    shifted = [value - 150 * (place % 3 == 0) for place, value in enumerate(flat)]
    both = [keypoints[0], {"people": [{"pose_keypoints_2d": shifted}]}]
    pair = torch.cat([photo, moved])
    person, joints, _, _, fit = run("FitPerson", photo=pair, keypoints=both, mode="body", framing="upper_body")
    assert len(fit) == 2 and fit[0] != fit[1]
    back, _ = run("StitchPerson", result=person, photo=pair, fit=fit, mask=torch.ones(1, 512, 384))
    torch.testing.assert_close(back, pair, rtol=0, atol=1e-5)


def test_a_frame_without_a_person_is_named_or_passes_unchanged(run, photo, found, graphs):
    frames = torch.cat([photo, torch.full_like(photo, 0.5)])
    with pytest.raises(ValueError, match="Picture 1 of 'photo' shows nobody"):
        run("FindPerson", photo=frames)
    keypoints, *_ = run("FindPerson", photo=frames, nobody="pass")
    with pytest.raises(ValueError, match="Picture 1 of 'keypoints' shows nobody"):
        run("FitPerson", photo=frames, keypoints=keypoints, mode="body", framing="upper_body")
    passing = {"mode": "body", "nobody": "pass"}
    person, joints, _, _, fit = run("FitPerson", photo=frames, keypoints=keypoints, framing="upper_body", **passing)
    _, mask = run("AgnosticPerson", person=person, keypoints=joints, **passing)
    pose, _ = run("PoseMap", keypoints=joints, person=person, **passing)
    assert mask[0].any() and not mask[1].any() and not pose[1].any()
    stitched, _ = run("StitchPerson", result=1 - person, photo=frames, fit=fit, mask=mask)
    assert torch.equal(stitched[1], frames[1]) and not torch.equal(stitched[0], frames[0])


def test_nothing_to_repaint_is_said(run, scene, module):
    parse = module("nodes.host.types").ParseMap(torch.zeros_like(scene.parse), scene.parse_map.label_set)
    for inputs in (
        {"keypoints": scene.keypoints, "parse_map": parse, "category": "lower_body", "mode": "body"},
        {"garment_mask": torch.full((1, 128, 96), 0.45)},
    ):
        with pytest.raises(ValueError, match="Nothing is repainted in picture 0, 1"):
            run("AgnosticPerson", person=scene.person, **inputs)


def test_check_inputs_scores_a_photo_and_says_why(run, photo, found):
    score, report = run("CheckInputs", photo=photo, keypoints=found[0], garment=torch.ones(1, 512, 384, 3))
    assert score > 0.6, report
    flat = list(found[0][0]["people"][0]["pose_keypoints_2d"])
    for joint in (9, 10, 12, 13):
        flat[3 * joint : 3 * joint + 3] = [0.0, 0.0, 0.0]
    cut = [found[0][0] | {"people": [{"pose_keypoints_2d": flat}]}]
    striped = torch.arange(100).remainder(3).view(1, 1, 100, 1).expand(1, 100, 100, 3) / 2  # black, grey, white
    poor, report = run("CheckInputs", photo=photo, keypoints=cut, category="dresses", garment=striped)
    assert poor < score and "busy ground" in report and "ankles" in report
    with pytest.raises(ValueError, match="below 'stop_below'"):
        run("CheckInputs", photo=photo, keypoints=cut, category="dresses", stop_below=1.0)


def test_a_parsers_colour_picture_becomes_labels(run, module, scene, photo):
    colours = torch.from_numpy(module("ladivton_core.preprocessing.label_pictures").voc_colours(20)).float() / 255
    (read,) = run("LabelsFromPicture", picture=colours[scene.parse], label_set="CIHP20")
    assert torch.equal(read.labels, scene.parse)
    with pytest.raises(ValueError, match="'picture' is a colour picture"):
        run("LabelsFromPicture", picture=photo)


def test_a_segformer_from_a_local_folder_parses_a_photo(run, nodes, module, scene, tmp_path, monkeypatch):
    transformers = pytest.importorskip("transformers")
    labels = module("ladivton_core.preprocessing.labels").ATR18.labels
    config = transformers.SegformerConfig(
        depths=[1, 1, 1, 1], hidden_sizes=[8, 8, 16, 16], num_attention_heads=[1, 1, 2, 2], decoder_hidden_size=16,
        num_labels=18, id2label=dict(enumerate(labels)),
    )  # fmt: skip
    transformers.SegformerForSemanticSegmentation(config).save_pretrained(tmp_path / "clothes")
    monkeypatch.setattr(module("nodes.photo"), "parser_folders", lambda: {"mine": tmp_path / "clothes"})
    (parse,) = run("ParsePerson", photo=scene.person, parser_name="mine")
    assert parse.labels.shape == scene.person.shape[:3] and parse.label_set.name == "ATR18" and parse.labels.max() < 18
    assert "no parser 'other'" in nodes["LadiVTON_ParsePerson"].validate_inputs(parser_name="other")
    (tmp_path / "clothes" / "model.safetensors").write_bytes(b"cut")
    with pytest.raises(ValueError, match="model.safetensors does not fit"):
        run("ParsePerson", photo=scene.person, parser_name="mine")


def test_a_transparent_garment_and_a_grey_ground_end_on_white(run):
    rgba = torch.zeros(1, 128, 96, 4)
    rgba[:, 40:90, 30:60] = torch.tensor([0.8, 0.1, 0.1, 1.0])
    white, _ = run("PrepareGarment", garment=rgba, width=96, height=128)
    assert (white[0, 0] == 1).all() and white[0, 60, 45].tolist() == pytest.approx([0.8, 0.1, 0.1], abs=1e-5)
    grey = torch.full((1, 128, 96, 3), 0.7)
    grey[:, 40:90, 30:60] = torch.tensor([0.8, 0.1, 0.1])
    white, _ = run("PrepareGarment", garment=grey, width=96, height=128, backdrop="white")
    assert (white[0, 0] == 1).all() and (white[0, 60, 45] - torch.tensor([0.8, 0.1, 0.1])).abs().max() < 0.02
    kept, _ = run("PrepareGarment", garment=grey, width=96, height=128)
    torch.testing.assert_close(kept, grey, rtol=0, atol=1e-6)


def test_masks_that_do_nothing_are_named_on_the_node(nodes, scene):
    black, white = torch.zeros(1, 128, 96), torch.ones(1, 128, 96)
    joints = {"person": scene.person, "keypoints": scene.keypoints}
    parsed = joints | {"parse_map": scene.parse_map}
    for inputs, words in (
        (joints | {"keep_mask": black}, "'keep_mask' is black"),
        (joints | {"silhouette": black}, "'silhouette' is black"),
        (joints | {"arms_mask": white}, "'arms_mask' is not used"),
        (parsed | {"silhouette": white}, "'silhouette' is not used"),
        (parsed | {"keep_mask": black}, "'keep_mask' is black"),
        ({"person": scene.person, "garment_mask": white, "arms_mask": black}, "'arms_mask' is black"),
    ):
        said = nodes["LadiVTON_AgnosticPerson"].execute(**inputs).ui["text"]
        assert [line for line in said if words in line], (words, said)


def test_nodes_behind_fit_person_take_the_person_it_took(run, scene):
    people = scene.keypoints[0]["people"] + scene.keypoints[1]["people"]
    crowd, photo = [scene.keypoints[0] | {"people": people}], scene.person[:1]
    for mode in ("body", "published"):
        common = {"mode": mode, "person_index": 1}
        fitted, joints, *_ = run("FitPerson", photo=photo, keypoints=crowd, width=96, height=128, **common)
        chosen, _ = run("PoseMap", keypoints=joints, person=fitted, **common)
        right, _ = run("PoseMap", keypoints=[scene.keypoints[1]], person=fitted, mode=mode)
        torch.testing.assert_close(chosen, right, rtol=0, atol=1e-4)
        with pytest.raises(ValueError, match="person 5 is not among"):
            run("FitPerson", photo=photo, keypoints=crowd, mode=mode, person_index=5)


def test_a_wire_that_brings_no_choice_is_refused(run, scene):
    with pytest.raises(ValueError, match="'framing' cannot be 'shoes'"):
        run("FitPerson", photo=scene.person, keypoints=scene.keypoints, framing="shoes")
    with pytest.raises(ValueError, match="'rule' cannot be 'LIP'"):
        run("AgnosticPerson", person=scene.person, keypoints=scene.keypoints, rule="LIP")


def test_a_detectors_boxes_find_who_is_small_in_their_order(run, photo, graphs):
    small = torch.nn.functional.interpolate(photo[:, 150:662, 200:712].movedim(-1, 1), (128, 128), mode="area")
    large = torch.full((1, 1500, 2000, 3), 0.45)
    for left in (300, 1500):
        large[:, 700:828, left : left + 128] = small.movedim(1, -1)
    with pytest.raises(ValueError, match="smaller than a sixteenth.*connect a detector's 'boxes'"):
        tiny = torch.nn.functional.interpolate(large.movedim(-1, 1), (500, 667), mode="area").movedim(1, -1)
        run("FindPerson", photo=torch.nn.functional.pad(tiny, (0, 0, 667, 666, 500, 500), value=0.45))
    right, left = ({"x": x, "y": 700, "width": 128, "height": 128, "score": 0.9} for x in (1500, 300))
    keypoints, silhouette, boxes, count = run("FindPerson", photo=large, boxes=[[right, left]], person_index=0)
    assert count == 2 and 1450 < boxes[0][0]["x"] < 1650
    noses = [person["pose_keypoints_2d"][:2] for person in keypoints[0]["people"]]
    assert noses[0][0] - noses[1][0] == pytest.approx(1200, abs=12) and 700 < noses[0][1] < 790
    assert silhouette[0, :, 1400:].any() and not silhouette[0, :, :1000].any()
    for again in (boxes, boxes[0], boxes[0][0]):
        _, _, same, one = run("FindPerson", photo=large, boxes=again)
        assert one == 1 and abs(same[0][0]["x"] - boxes[0][0]["x"]) < 20
