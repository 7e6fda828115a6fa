"""Joints, parse map and picture: what belongs together raises no doubt, what does not is named."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from PIL import Image

from drawn_world.world.scene import DrawnWorld
from ladivton_core.datasets.layouts import find, open_dataset, recognise
from ladivton_core.preprocessing.labels import ATR18, LIP20, atr18_from_lip20
from ladivton_core.preprocessing.pose.agreement import labels_in_doubt, mask_in_doubt, outside_picture, picture_in_doubt
from ladivton_core.preprocessing.pose.keypoints import COCO18, keypoints_from_openpose

SIZE = (512, 384)


@pytest.fixture(params=["", "dresses_", "lower_body_"])
def sample(request, repository):
    """Joints, LIP20 map and ATR18 map of one of the pack's pictures."""
    folder, name = repository / "samples", request.param
    joints = keypoints_from_openpose(json.loads((folder / f"{name}keypoints.json").read_text("utf-8")), SIZE, SIZE)
    maps = (Image.open(folder / f"{name}{kind}.png") for kind in ("parse", "parse_atr18"))
    return joints[None], *(torch.tensor(np.array(picture)).long()[None] for picture in maps)


def test_what_belongs_together_raises_no_doubt(sample):
    joints, lip, atr = sample
    assert outside_picture(joints, SIZE) is None
    assert labels_in_doubt(lip, joints, LIP20) is None
    assert labels_in_doubt(atr, joints, ATR18) is None


@pytest.mark.parametrize("folder", ["samples/datasets", "tests/golden/datasets"])
def test_data_sets_raise_no_doubt(repository, folder):
    seen = 0
    for path in find(repository / folder).values():
        data = open_dataset(recognise(path), path)
        for item in data:
            seen += 1
            assert labels_in_doubt(item.parse[None], item.keypoints[None], data.labels) is None
            assert outside_picture(item.keypoints[None], item.parse.shape) is None
    assert seen >= 8


def test_drawn_people_raise_no_doubt_and_their_labels_in_other_words_do():
    drawn = DrawnWorld(seed=21, size=(256, 192)).scene(range(24), range(24, 48))
    caught = 0
    for parse, joints in zip(drawn.parse[:, None], drawn.keypoints[:, None], strict=True):
        atr = atr18_from_lip20(parse)
        assert outside_picture(joints, parse.shape[-2:]) is None
        assert labels_in_doubt(parse, joints, LIP20) is None
        assert labels_in_doubt(atr, joints, ATR18) is None
        caught += bool(labels_in_doubt(parse, joints, ATR18)) + bool(labels_in_doubt(atr, joints, LIP20))
    assert caught >= 36, "of 48; pants read as a dress are no contradiction"


def test_the_other_label_set_is_named(sample):
    joints, lip, atr = sample
    if (joints[0, COCO18.index("nose")] > 0).any():  # the lower body shows no face
        assert "read as LIP20 puts nose on scarf" in labels_in_doubt(atr, joints, LIP20)
        assert "read as ATR18 it makes sense" in labels_in_doubt(atr, joints, LIP20)
    assert "read as LIP20 it makes sense" in labels_in_doubt(lip, joints, ATR18)


def test_joints_of_another_frame_are_named(sample):
    joints, lip, _ = sample
    assert "outside picture 0 of 384 x 512 pixels" in outside_picture(joints * 2, SIZE)
    assert outside_picture(torch.cat([joints, joints * 2]), SIZE).count("picture 1") == 1
    assert outside_picture(torch.full((1, 18, 2), -2.0), SIZE) is None, "missing, as Dress Code writes it"


def test_joints_beside_the_person_are_named(sample):
    joints, lip, _ = sample
    if (joints[0, COCO18.index("nose")] > 0).any():
        assert "on the parse map's background" in labels_in_doubt(lip, joints / 2, LIP20)


def test_a_crop_through_the_legs_or_the_arms_is_no_finding(sample):
    joints, lip, _ = sample
    cut = int(joints[0, [8, 11], 1].max()) + 5  # below the hips
    assert outside_picture(joints, (cut, SIZE[1])) is None or (joints[0, :, 1] > cut).sum() * 2 > 9
    assert labels_in_doubt(lip[:, :cut], joints, LIP20) is None


CATEGORIES = {"": "upper_body", "dresses_": "dresses", "lower_body_": "lower_body"}


@pytest.fixture
def sample_of(repository):
    """`sample_of(prefix)`: joints (1, 18, 2) and LIP20 map (1, H, W) of one of the pack's pictures."""
    folder = repository / "samples"

    def read(name: str) -> tuple[torch.Tensor, torch.Tensor]:
        document = json.loads((folder / f"{name}keypoints.json").read_text("utf-8"))
        parse = torch.tensor(np.array(Image.open(folder / f"{name}parse.png"))).long()
        return keypoints_from_openpose(document, SIZE, SIZE)[None], parse[None]

    return read


@pytest.mark.parametrize("joints_of", CATEGORIES)
@pytest.mark.parametrize("parse_of", CATEGORIES)
def test_joints_and_labels_of_two_photos_are_told_apart_in_every_combination(sample_of, joints_of, parse_of):
    joints, parse = sample_of(joints_of)[0], sample_of(parse_of)[1]
    assert (labels_in_doubt(parse, joints, LIP20) is None) == (joints_of == parse_of)


@pytest.fixture
def person_of(repository):
    """`person_of(prefix)`: one of the pack's pictures, (1, 3, H, W) in [0, 1]."""

    def read(name: str) -> torch.Tensor:
        picture = Image.open(repository / "samples" / f"{name}person.png").convert("RGB")
        return torch.tensor(np.array(picture)).permute(2, 0, 1)[None] / 255

    return read


@pytest.mark.parametrize("person", ["", "dresses_"])
@pytest.mark.parametrize("others", CATEGORIES)
def test_joints_and_labels_that_are_both_another_persons_are_told_by_the_picture(person_of, sample_of, person, others):
    said = picture_in_doubt(person_of(person), sample_of(others)[1])
    assert said is None if person == others else said.startswith("Joints and parse map are not of picture 0: ")


def test_own_labels_clothes_of_the_grounds_colour_and_grounds_that_are_not_plain_raise_no_doubt(person_of, sample_of):
    drawn = DrawnWorld(seed=5, size=(256, 192)).scene(range(16), range(16, 32))
    assert picture_in_doubt(drawn.person, drawn.parse) is None
    assert picture_in_doubt(drawn.person, torch.roll(drawn.parse, 60, dims=-1)) is not None
    person, parse = person_of(""), sample_of("")[1]
    worn = torch.isin(parse, torch.tensor(LIP20.ids(("upper_clothes", "pants"))))[:, None]
    white = torch.where(worn | (parse == 0)[:, None], 0.97, person)
    assert picture_in_doubt(white, parse) is None
    others = sample_of("dresses_")[1]
    assert picture_in_doubt(white, others) is not None
    busy = torch.where((parse == 0)[:, None], torch.rand(person.shape), person)
    assert picture_in_doubt(busy, others) is None


def test_a_painted_mask_beside_another_persons_joints_is_told(sample_of, repository):
    painted = np.array(Image.open(repository / "samples" / "person_painted.png"))[..., 3] < 128
    mask = torch.tensor(painted).float()[None, None]
    assert mask_in_doubt(mask, sample_of("")[0], "upper_body") is None
    assert "beside the body" in mask_in_doubt(mask, sample_of("dresses_")[0], "upper_body")
    moved = torch.roll(mask, -150, dims=-1)
    assert mask_in_doubt(moved, sample_of("")[0], "upper_body")


def test_drawn_peoples_own_garments_raise_no_doubt_and_moved_ones_do():
    drawn = DrawnWorld(seed=5, size=(256, 192)).scene(range(24), range(24, 48))
    for parse, joints, category in zip(drawn.parse[:, None], drawn.keypoints[:, None], drawn.category, strict=True):
        worn = torch.isin(parse, torch.tensor(LIP20.ids(LIP20.regions_of(category).garment)))[:, None].float()
        generous = torch.nn.functional.max_pool2d(worn, 15, 1, 7)
        for mask in (worn, generous):
            assert mask_in_doubt(mask, joints, category) is None
        assert mask_in_doubt(torch.roll(generous, 90, dims=-1), joints, category) is not None
