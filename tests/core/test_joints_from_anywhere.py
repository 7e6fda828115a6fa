"""Joints of every dialect, in both modes: what is not a number is missing, doubtful ones are in `body` mode."""

import json
import math

import pytest
import torch

from ladivton_core.datasets.sample_checks import _check_joints
from ladivton_core.preprocessing import keypoints_from_people, pose_map
from ladivton_core.preprocessing.labels import LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.preprocessing.modes import BODY, PUBLISHED
from ladivton_core.preprocessing.pose.dialects import (
    BLAZEPOSE33_TO_COCO18,
    COCO17_TO_COCO18,
    HAND,
    HAND_KEYS,
    KNUCKLES,
    POINTS,
    coco18,
)
from ladivton_core.preprocessing.pose.keypoint_files import pose_frames
from ladivton_core.preprocessing.pose.keypoints import (
    keypoints_from_dresscode,
    people_in_frame,
    people_in_frames,
    pose_document,
)

JOINTS = torch.stack([10.0 + torch.arange(18), 20 + 2.0 * torch.arange(18), torch.full((18,), 0.9)], 1).double()
JOINTS[1] = torch.tensor([(12 + 15) / 2, (24 + 30) / 2, 0.9])  # the neck between the shoulders
SIZE = (128, 96)


def in_order(order, count):
    points = torch.zeros(count, 3).double()
    for joint, index in enumerate(order):
        if index is not None:
            points[index] = JOINTS[joint]
    return points


def frame(values, key="pose_keypoints_2d", **more):
    return {"people": [{key: values, **more}]}


@pytest.mark.parametrize(
    "document",
    [
        frame(JOINTS.flatten().tolist()),
        frame(JOINTS.tolist()),
        frame(JOINTS.flatten().tolist(), key="pose_keypoints"),
        frame(in_order(COCO17_TO_COCO18, 17).flatten().tolist()),
        frame(in_order(BLAZEPOSE33_TO_COCO18, 33).flatten().tolist()),
        frame(JOINTS[:, :2].tolist(), key="keypoints", keypoint_scores=JOINTS[:, 2].tolist()),
        frame([{"x": x, "y": y, "visibility": s} for x, y, s in in_order(BLAZEPOSE33_TO_COCO18, 33).tolist()]),
        {"people": [None, {"pose_keypoints_2d": None, "hand_left_keypoints_2d": [1, 2, 3]}]}
        | {"people": [None, {"pose_keypoints_2d": JOINTS.flatten().tolist()}]},
        frame((JOINTS / torch.tensor([96, 128, 1])).flatten().tolist(), canvas_width=7),
        frame(JOINTS.flatten().tolist(), foot_keypoints_2d=[9.0] * 18, face_keypoints_2d=[9.0] * 210)
        | {"canvas_height": 128, "canvas_width": 96},  # ComfyUI's SDPose
    ],
)
def test_every_dialect_is_the_same_person(document):
    found = people_in_frame(document, SIZE)
    torch.testing.assert_close(found, JOINTS[None], rtol=0, atol=1e-9)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, None])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_joint_that_is_no_number_is_missing_in_every_mode_and_draws_nothing(value, place):
    values = JOINTS.tolist()
    values[4][place] = value
    for mode in (PUBLISHED, BODY):
        joints = keypoints_from_people(frame(values), SIZE, mode=mode)
        assert not joints[0, 4].any() and joints[0, 5].all()
    wild = JOINTS[None, :, :2].clone()
    wild[0, 4] = math.nan
    clean = wild.nan_to_num(0)
    parse = torch.full((1, *SIZE), LIP20.id("upper_clothes"))
    for mode in ("published", "body"):
        assert torch.equal(pose_map(wild, SIZE, mode=mode), pose_map(clean, SIZE, mode=mode))
        masks = [agnostic_mask(parse, joints, "upper_body", LIP20, mode=mode) for joints in (wild, clean)]
        assert torch.equal(*masks)


def test_doubtful_joints_count_in_published_mode_only():
    values = JOINTS.clone()
    values[7, 2] = 0.05
    assert keypoints_from_people(frame(values.tolist()), SIZE)[0, 7].all()
    assert not keypoints_from_people(frame(values.tolist()), SIZE, mode=BODY)[0, 7].any()


def test_a_joint_outside_the_frame_does_not_wrap_to_the_other_side():
    joints = JOINTS[None, :, :2].clone() * 2
    joints[0, 4] = torch.tensor([-6.0, 60.0])
    parse = torch.zeros(1, 256, 192, dtype=torch.int64)
    body = agnostic_mask(parse, joints, "upper_body", LIP20, mode="body", grow=0)
    assert not body[..., 140:].any()


def test_the_chosen_person_comes_first_and_the_others_stay():
    small, large = JOINTS.clone(), JOINTS.clone()
    small[:, :2] = small[:, :2] / 4 + 40
    document = {"people": [{"pose_keypoints_2d": p.flatten().tolist()} for p in (small, large)]}
    (people,) = people_in_frames(document, SIZE, person=-1)
    torch.testing.assert_close(people[0], large)
    torch.testing.assert_close(people[1], small)


@pytest.mark.parametrize(
    "document",
    [
        [frame(JOINTS.tolist()), None, {"people": []}],
        {"keypoints": JOINTS.flatten().tolist()},
        {"instances": [{"keypoints": JOINTS[:, :2].tolist(), "keypoint_scores": JOINTS[:, 2].tolist()}]},
        {"pose_landmarks": in_order(BLAZEPOSE33_TO_COCO18, 33).tolist()},
    ],
)
def test_files_of_every_kind_become_frames(document):
    frames = pose_frames(document, "joints.json")
    torch.testing.assert_close(people_in_frame(frames[0], SIZE, 0)[0], JOINTS)
    assert all(not len(people_in_frame(item, SIZE)) for item in frames[1:])


def test_a_files_scores_are_kept_beside_the_confidence_that_the_paper_ignores():
    values = JOINTS.clone()
    values[7, 2] = 0.0
    frames = pose_frames(frame(values.tolist()), "joints.json")
    assert keypoints_from_people(frames, SIZE)[0, 7].all()
    assert not keypoints_from_people(frames, SIZE, mode=BODY)[0, 7].any()


def hands(score=0.9):
    """Right and left hand (2, 21, 3)."""
    places = 30.0 + torch.arange(2 * HAND).double().view(2, HAND, 1)
    return torch.cat([places, places + 20, torch.full_like(places, score)], -1)


def test_hands_travel_behind_the_joints():
    lists = {key: hand.flatten().tolist() for key, hand in zip(HAND_KEYS, hands(), strict=True)}
    body = {"pose_keypoints_2d": JOINTS.flatten().tolist()}
    expected = torch.cat([JOINTS, *hands()])
    whole, pairs = {"people": [body | lists]}, {"people": [body | {HAND_KEYS[1]: hands()[1].tolist()}]}
    for document in (whole, pose_document(expected[None], SIZE), pose_frames(whole, "joints.json")[0]):
        (people,) = people_in_frames(document, SIZE, mode=BODY, hands=True)
        torch.testing.assert_close(people[0, :, :2], expected[:, :2])
        assert torch.equal(people_in_frames(document, SIZE, mode=BODY)[0][0], people[0, :18])
    left = people_in_frames(pairs, SIZE, hands=True)[0][0]
    assert not left[18 : 18 + HAND].any() and torch.equal(left[18 + HAND :], hands()[1])
    half = people_in_frames(whole | {"canvas_height": 256, "canvas_width": 192}, SIZE, hands=True)[0]
    torch.testing.assert_close(half[0, :, :2], expected[:, :2] / 2)


def test_a_whole_body_in_one_list_has_its_hands_at_the_end():
    points = torch.full((133, 3), 9.0).double()
    points[:17] = in_order(COCO17_TO_COCO18, 17)
    points[112:], points[91:112] = hands()
    (people,) = people_in_frames(frame(points.flatten().tolist(), key="keypoints"), SIZE, hands=True)
    torch.testing.assert_close(people[0], torch.cat([JOINTS, *hands()]))


def test_doubtful_and_odd_hands_are_none_and_never_change_who_is_meant():
    odd = {HAND_KEYS[0]: [1.0, 2.0], HAND_KEYS[1]: hands(0.4)[1].flatten().tolist()}
    document = {"people": [{"pose_keypoints_2d": JOINTS.flatten().tolist()} | odd]}
    assert not people_in_frames(document, SIZE, mode=BODY, hands=True)[0][0, 18:].any()
    assert people_in_frames(document, SIZE, hands=True)[0][0, 18 + HAND :].all()
    small = JOINTS.clone()
    small[:, :2] = small[:, :2] / 4
    waving = {"pose_keypoints_2d": small.flatten().tolist(), HAND_KEYS[0]: (hands() * 40).clamp(0, 900)[0].tolist()}
    document["people"].insert(0, waving)
    assert torch.equal(people_in_frames(document, SIZE, -1, hands=True)[0][0, :18], JOINTS)
    with pytest.raises(ValueError, match=HAND_KEYS[0]):
        people_in_frames(frame(JOINTS.tolist(), **{HAND_KEYS[0]: ["a"] * 63}), SIZE, hands=True)
    assert people_in_frames({"people": []}, SIZE, hands=True)[0].shape == (0, POINTS, 3)


def test_blazepose_knows_three_points_of_a_hand():
    points = in_order(BLAZEPOSE33_TO_COCO18, 33)
    points[17:23] = torch.tensor([[40.0 + i, 50.0, 0.9] for i in range(6)])
    (people,) = people_in_frames(frame(points.flatten().tolist()), SIZE, mode=BODY, hands=True)
    right, left = people[0, 18:].view(2, HAND, 3)
    assert right[[KNUCKLES[0], KNUCKLES[-1], 3], 0].tolist() == [43, 41, 45]
    assert left[[KNUCKLES[0], KNUCKLES[-1], 3], 0].tolist() == [42, 40, 44]
    assert int((people[0, 18:, 2] > 0).sum()) == 6


@pytest.mark.parametrize(
    "document", [{}, [], "x", {"people": 3}, [frame([1, 2])], frame(["a", 1, 1]), [{"people": []}]]
)
def test_what_holds_no_joints_is_refused_by_name(document):
    with pytest.raises(ValueError, match="joints.json"):
        pose_frames(document, "joints.json")


def test_a_neck_needs_both_shoulders():
    points = in_order(COCO17_TO_COCO18, 17)
    points[5] = 0
    assert not coco18(points)[1].any()


@pytest.mark.parametrize("row", [None, [None, 7.0, 0.0, 0.0], [math.nan, 7.0, 0.0, 0.0]])
def test_a_null_in_a_dress_code_document_is_a_missing_joint_to_file_reader_and_verification(row, tmp_path):
    rows = [[x, y, 0.0, 0.0] for x, y, _ in JOINTS.tolist()]
    rows[4] = row
    document = {"keypoints": rows}
    read = keypoints_from_dresscode(document, (512, 384))
    assert read[4].tolist() == [0, 0] and torch.equal(read[5], JOINTS[5, :2])
    (from_file,) = keypoints_from_people(pose_frames(document, "joints.json"), (512, 384))
    assert torch.equal(from_file, read)
    path, findings = tmp_path / "1_2.json", []
    path.write_text(json.dumps(document), encoding="utf-8")
    _check_joints(path, "dresscode", findings)
    unknown = [finding for finding in findings if "no numbers" in finding.kind]
    assert bool(unknown) == (row is not None and row[0] is not None)
