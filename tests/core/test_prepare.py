"""From a photo to what the models take: one way, whoever asks, and an item is what it is alone."""

from __future__ import annotations

import dataclasses
import inspect
import json

import pytest
import torch

from ladivton_core.preprocessing import prepare
from ladivton_core.preprocessing.label_pictures import read_labels
from ladivton_core.preprocessing.labels import LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.preprocessing.masks.body_region import body_region
from ladivton_core.preprocessing.masks.person_mask import USUAL, MaskRule, mask_person
from ladivton_core.preprocessing.modes import BODY, PUBLISHED
from ladivton_core.preprocessing.people.chosen import chosen_joints, people_in
from ladivton_core.preprocessing.pictures import read_picture
from ladivton_core.preprocessing.pose.keypoint_files import pose_frames

SIZE = (512, 384)


@pytest.fixture(scope="module")
def example(repository):
    """Photo (3, H, W) in [0, 1], keypoints and labels (H, W) of the example person, at the models' size."""
    samples = repository / "samples"
    document = json.loads((samples / "keypoints.json").read_text(encoding="utf-8"))
    photo, _ = read_picture(samples / "person.png")
    return photo, pose_frames(document, "keypoints.json"), read_labels(samples / "parse.png", LIP20)


def joints_of(keypoints, mode=PUBLISHED):
    return chosen_joints(people_in(keypoints, SIZE, 0, mode))


def test_with_a_parse_map_it_is_the_published_mask_with_missing_joints_left_out(example):
    photo, keypoints, parse = example
    made = prepare.prepare_person(photo, keypoints, "upper_body", SIZE, parse_map=parse, labels=LIP20)
    expected = agnostic_mask(parse[None], joints_of(keypoints), "upper_body", LIP20, missing_joints="skip")
    assert torch.equal(made.framed.mask, expected) and torch.equal(made.framed.person[0], photo * 2 - 1)


def test_without_one_the_mask_follows_the_body_in_its_window(example):
    photo, keypoints, _ = example
    wide = torch.nn.functional.pad(photo, (200, 100, 0, 0), value=0.8)
    moved = json.loads(json.dumps(keypoints))
    moved[0] |= {"canvas_width": wide.shape[-1], "canvas_height": wide.shape[-2]}
    points = moved[0]["people"][0]["pose_keypoints_2d"]
    points[::3] = [x + 200 if score else x for x, score in zip(points[::3], points[2::3], strict=True)]
    made = prepare.prepare_person(wide, moved, "upper_body", SIZE)
    people = people_in(moved, tuple(wide.shape[-2:]), -1, BODY)
    fitted = prepare.fit_person(wide[None], SIZE, people=people, framing="upper_body", border="blur", mode=BODY)
    assert torch.equal(made.framed.person, fitted.photo * 2 - 1) and fitted.fits == (made.fit,)
    seen = body_region(joints_of(fitted.keypoints, BODY), "upper_body", SIZE, picture=fitted.photo)
    assert torch.equal(made.framed.mask, seen)


def test_an_item_of_a_batch_is_what_it_is_alone_and_nobody_passes_with_an_empty_mask(example):
    photo, keypoints, parse = example
    frames = [keypoints[0], {"people": []}, keypoints[0]]
    rule = dataclasses.replace(USUAL, nobody="pass")
    person = torch.stack([photo, photo, photo.flip(0)]) * 2 - 1
    for given in ({}, {"parse_map": parse[None], "labels": LIP20}):
        found = mask_person(person, "upper_body", rule, keypoints=frames, say=lambda _: None, **given)
        alone = mask_person(person[:1], "upper_body", keypoints=keypoints, **given)
        assert torch.equal(found.mask[[0]], alone.mask) and torch.equal(found.mask[[2]], alone.mask)
        assert not found.mask[1].any() and found.source == alone.source
        with pytest.raises(ValueError, match="Picture 1 of 'keypoints' shows nobody"):
            mask_person(person, "upper_body", keypoints=frames, **given)


def test_the_rule_keeps_the_published_joints_and_everybody_who_comes_this_way_leaves_missing_ones_out():
    assert inspect.signature(agnostic_mask).parameters["missing_joints"].default == "published"
    assert MaskRule().missing_joints == USUAL.missing_joints == "skip"
