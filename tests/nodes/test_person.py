"""Person nodes: what they give is the core's, any batch fits, wrong input is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.preprocessing import LIP20, agnostic_mask
from ladivton_core.preprocessing import pose_map as core_pose_map


@pytest.fixture
def input_folder(tmp_path, comfyui):
    """ComfyUI's input folder, empty."""
    import folder_paths

    before = folder_paths.get_input_directory()
    folder_paths.set_input_directory(str(tmp_path))
    yield tmp_path
    folder_paths.set_input_directory(before)


def test_pose_map_and_mask_are_the_cores(prepared, scene):
    torch.testing.assert_close(prepared.pose_map, core_pose_map(scene.joints.double(), (128, 96)), rtol=0, atol=1e-5)
    expected = agnostic_mask(scene.parse, scene.joints.double(), "upper_body", LIP20)[:, 0]
    assert torch.equal(prepared.mask, expected)
    assert torch.all(prepared.agnostic[prepared.mask > 0.5] == 0.5)
    outside = prepared.mask < 0.5
    torch.testing.assert_close(prepared.agnostic[outside], scene.person[outside], rtol=0, atol=1e-6)


def test_one_pose_serves_a_batch_of_people(run, scene):
    _, mask = run(
        "AgnosticPerson", person=scene.person, keypoints=scene.keypoints[:1], parse_map=scene.parse_map, neck="keep"
    )
    assert mask.shape == (2, 128, 96)


def test_nobody_in_the_keypoints_is_said(run, scene):
    with pytest.raises(ValueError, match="Picture 1 of 'keypoints' shows nobody"):
        run("PoseMap", keypoints=[scene.keypoints[0], {"people": []}], person=scene.person)


def test_region_masks_take_the_place_of_a_parse_map(run, scene):
    garment = (scene.parse == LIP20.id("upper_clothes")).float()
    face = (scene.parse == LIP20.id("face")).float()
    _, mask = run("AgnosticPerson", person=scene.person, garment_mask=garment, keep_mask=face, grow=2)
    assert mask[garment > face].all() and not mask[face > 0].any()
    with pytest.raises(ValueError, match="Nothing is painted: .*MaskEditor"):
        run("AgnosticPerson", person=scene.person, keypoints=scene.keypoints, garment_mask=garment * 0)
    with pytest.raises(ValueError, match="Nothing tells where the garment is. Connect 'keypoints'"):
        run("AgnosticPerson", person=scene.person)
    with pytest.raises(ValueError, match="Both 'parse_map' and region masks"):
        run(
            "AgnosticPerson", person=scene.person, keypoints=scene.keypoints, parse_map=scene.parse_map,
            garment_mask=garment,
        )  # fmt: skip


def test_parse_map_of_other_proportions_is_named(run, scene, module):
    square = module("nodes.host.types").ParseMap(scene.parse[:, :96], scene.parse_map.label_set)
    with pytest.raises(ValueError, match="'parse_map' is 96 x 96 and the photo 128 x 96"):
        run("AgnosticPerson", person=scene.person, keypoints=scene.keypoints, parse_map=square)


def test_fit_and_stitch_give_the_photo_back(run, scene):
    photo = scene.person[:, :, 8:88]
    shifted = []
    for document in scene.keypoints:
        flat = document["people"][0]["pose_keypoints_2d"]
        moved = [value - 8 * (place % 3 == 0 and value > 0) for place, value in enumerate(flat)]
        shifted.append({"people": [{"pose_keypoints_2d": moved}]})
    person, keypoints, _, _, fit = run("FitPerson", photo=photo, keypoints=shifted, width=96, height=128)
    assert person.shape == (2, 128, 96, 3)
    pose, _ = run("PoseMap", keypoints=keypoints, person=person)
    same, _ = run("PoseMap", keypoints=scene.keypoints, person=scene.person)
    torch.testing.assert_close(pose, same, rtol=0, atol=1e-5)
    stitched, _ = run("StitchPerson", result=person, photo=photo, fit=fit)
    torch.testing.assert_close(stitched, photo, rtol=0, atol=1e-6)
    untouched, _ = run("StitchPerson", result=1 - person, photo=photo, fit=fit, mask=torch.zeros(1, 128, 96))
    assert torch.equal(untouched, photo)


def test_keypoint_files_of_both_data_sets_are_read(run, nodes, input_folder):
    body25 = [[100.0 + i, 200.0 + i, 0.5] for i in range(25)]
    document = {"people": [{"pose_keypoints_2d": [v for p in body25 for v in p]}]}
    (input_folder / "v.json").write_text(json.dumps(document), encoding="utf-8")
    (input_folder / "d.json").write_text(json.dumps({"keypoints": [[10, 20, 0, 0]] * 18}), encoding="utf-8")
    assert nodes["LadiVTON_LoadKeypoints"].validate_inputs(file="v.json", coordinates="picture") is True
    (read,) = run("LoadKeypoints", file="v.json", coordinates="768 x 1024 (VITON-HD)")
    assert (read[0]["canvas_height"], read[0]["canvas_width"]) == (1024, 768)
    (read,) = run("LoadKeypoints", file="d.json")
    assert (read[0]["canvas_height"], read[0]["canvas_width"]) == (512, 384)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "is no valid JSON"),
        ('{"joints": []}', "neither an OpenPose file"),
        ('{"people": []}', "shows nobody"),
        ('{"people": [{"pose_keypoints_2d": [null, 1, 1]}]}', "has 1 points"),
        ('{"people": [{"pose_keypoints_2d": ["a", 1, 1]}]}', "not a list of numbers"),
        ('{"keypoints": [[1], [2]]}', "point without x and y"),
        ('[{"people": []}, {"people": 3}]', "picture 1"),
    ],
)
def test_unusable_keypoint_files_are_named(run, input_folder, text, message):
    (input_folder / "bad.json").write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=f"bad.json.*{message}"):
        run("LoadKeypoints", file="bad.json")


def test_parse_map_keeps_its_numbers(run, input_folder):
    labels = np.array([[0, 5], [13, 15]], dtype=np.uint8)
    palette = Image.fromarray(labels, mode="P")
    palette.putpalette([value for i in range(256) for value in (255 - i, i, 7)])
    palette.save(input_folder / "palette.png")
    Image.fromarray(labels).save(input_folder / "grey.png")
    for file in ("palette.png", "grey.png"):
        (parse_map,) = run("LoadParseMap", file=file)
        assert parse_map.labels.tolist() == [labels.tolist()]
    with pytest.raises(ValueError, match="grey.png has the label 25, but ATR18"):
        Image.fromarray(labels + 10).save(input_folder / "grey.png")
        run("LoadParseMap", file="grey.png", label_set="ATR18")
    Image.new("RGB", (4, 4)).save(input_folder / "colour.png")
    with pytest.raises(ValueError, match="colour.png is a colour picture.*label"):
        run("LoadParseMap", file="colour.png")
    whole = (input_folder / "palette.png").read_bytes()
    (input_folder / "cut.png").write_bytes(whole[:-30])
    with pytest.raises(ValueError, match="cut.png cannot be read as a picture.*Save"):
        run("LoadParseMap", file="cut.png")


def test_files_outside_the_input_folder_are_refused(nodes, input_folder):
    (input_folder.parent / "secret.png").write_bytes(b"secret")
    outside = ("../secret.png", f"{input_folder.parent}/secret.png", "../secret.png [input]", "[example] ../README.md")
    for file in outside:
        assert "There is no file" in nodes["LadiVTON_LoadParseMap"].validate_inputs(file=file)
        with pytest.raises(ValueError, match="There is no file"):  # a wired name reaches only `execute`
            nodes["LadiVTON_LoadPicture"].execute(image=file)
    assert "Upload" in nodes["LadiVTON_LoadKeypoints"].validate_inputs(file="missing.json")


def test_a_changed_file_is_read_again(nodes, input_folder):
    file = input_folder / "v.json"
    file.write_text("{}", encoding="utf-8")
    first = nodes["LadiVTON_LoadKeypoints"].fingerprint_inputs(file="v.json")
    file.write_text("[]", encoding="utf-8")
    assert nodes["LadiVTON_LoadKeypoints"].fingerprint_inputs(file="v.json") != first


def test_sheet_has_a_row_an_item(run, scene):
    (sheet,) = run(
        "ComparisonSheet", image_1=scene.person, image_2=scene.garment[:1], height=64, gap=4, captions="person, garment"
    )
    assert sheet.shape == (1, 24 + 64 * 2 + 4, 48 * 2 + 4, 3)
