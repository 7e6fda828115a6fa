"""Finding people: a real portrait, two people, nobody; and what is said where the graphs are missing."""

import importlib.util
import sys

import numpy as np
import pytest
import torch

from ladivton_core.preprocessing.people.blazepose import GRAPHS, Region, anchors, cut_out, find_graphs, paste
from ladivton_core.preprocessing.people.finder import _LOWEST_LEVEL, PersonFinder, _from_the_front, _level, largest
from ladivton_core.preprocessing.pictures import read_picture


@pytest.fixture(scope="module")
def find(pose_graphs):
    return PersonFinder([pose_graphs])


@pytest.fixture(scope="module")
def portrait():
    data = pytest.importorskip("skimage.data")
    return torch.from_numpy(data.astronaut()).movedim(-1, 0).float() / 255


def test_joints_and_silhouette_of_a_portrait_sit_on_the_person(find, portrait):
    (person,) = find(portrait)
    joints = person.joints
    assert 190 < joints[0, 0] < 260 and 90 < joints[0, 1] < 160, "the nose"
    assert joints[2, 0] < joints[5, 0] and joints[[2, 5], 2].min() > 0.8, "shoulders, seen from the front"
    assert person.silhouette[350:450, 120:250].mean() > 0.95 and person.silhouette[:80, 420:].mean() < 0.05
    left, top, right, bottom = person.box
    assert top < 40 and bottom > 480 and right - left > 250 and not person.headless


def test_a_turned_portrait_gives_turned_joints(find, portrait):
    (person,) = find(portrait)
    (turned,) = find(portrait.rot90(1, (1, 2)))
    x, y = turned.joints[:, 0], turned.joints[:, 1]
    back = torch.stack([512 - y, x], 1)
    head_and_shoulders = [0, 2, 5, 14, 15]
    assert (back - person.joints[:, :2])[head_and_shoulders].norm(dim=1).median() < 30
    upright, there = person.silhouette > 0.5, turned.silhouette.rot90(-1, (0, 1)) > 0.5
    assert (upright & there).sum() > 0.8 * (upright | there).sum()


def test_two_people_have_joints_and_pixels_of_their_own(find, portrait):
    small = torch.nn.functional.interpolate(portrait[None], (384, 384), mode="area")[0]
    beside = torch.full((3, 512, 1000), 0.7)
    beside[:, :, :512] = portrait
    beside[:, 128:, 616:] = small
    people = find(beside)
    assert len(people) == 2
    assert people[largest(people)].joints[0, 0] < 400
    both = (people[0].silhouette > 0.5) & (people[1].silhouette > 0.5)
    assert not both.any()


def test_everyone_in_a_wide_photo_is_found_the_largest_first(find, portrait):
    """Five in a row are too small in all of it, or some of them stand before others' legs."""
    row = torch.full((3, 360, 1900), 0.7)
    for place, tall in enumerate((300, 360, 260, 320, 280)):
        small = torch.nn.functional.interpolate(portrait[None], (tall, tall), mode="area")[0]
        row[:, 360 - tall :, 380 * place : 380 * place + tall] = small
    assert len(find(row, twice=False)) < 5
    people = find(row)
    assert len(people) == 5 and largest(people) == 0
    sizes = [float((p.joints[[2, 5], 0].diff()).abs()) for p in people]
    assert sizes[0] > 1.1 * sizes[-1]
    assert [round(float(p.joints[0, 0])) // 380 for p in people][0] == 1


def test_nobody_in_an_empty_picture_of_any_size(find):
    for size in ((64, 64), (300, 64), (2000, 3000)):
        assert find(torch.full((3, *size), 0.5)) == []


@pytest.mark.parametrize("tall", [pytest.param(600, marks=pytest.mark.long), 250])
def test_who_is_small_in_a_large_photo_is_found_by_a_second_look(find, portrait, tall):
    """Among blurred grounds in which nobody is; a seventh of the photo's height, and a sixteenth of its width."""
    ground = torch.rand(3, 40, 60, generator=torch.Generator().manual_seed(3)) * 0.4 + 0.3
    photo = torch.nn.functional.interpolate(ground[None], (2700, 4000), mode="bilinear")[0]
    small = torch.nn.functional.interpolate(portrait[None], (tall, tall), mode="area")[0]
    photo[:, 1200 : 1200 + tall, 2600 : 2600 + tall] = small
    people = find(photo)
    (alone,) = find(portrait)
    nose = people[largest(people)].joints[0, :2] - torch.tensor([2600.0, 1200.0])
    assert (nose - alone.joints[0, :2] * tall / 512).norm() < 0.08 * tall


def test_a_dark_photo_is_looked_at_in_more_light(find, repository):
    person = read_picture(repository / "samples" / "person.png")[0]
    (seen,), (dark,) = find(person), find(person * 0.05)
    assert (seen.joints - dark.joints)[:14, :2].norm(dim=1).median() < 12


def test_whoever_is_cut_off_above_the_hips_is_found_by_their_silhouette(find, repository):
    """The drawn example from below the shoulders to the shoes: legs as in the whole picture, nothing of the head."""
    photo = read_picture(repository / "samples" / "dresses_person.png")[0]
    (whole,) = find(photo)
    shoulders, hips = (float(whole.joints[list(pair), 1].mean()) for pair in ((2, 5), (8, 11)))
    top = round(shoulders + 0.1 * (hips - shoulders))
    (person,) = find(photo[:, top:])
    assert person.headless and not person.joints[[0, 1, 14, 15, 16, 17], 2].any()
    legs = [8, 9, 10, 11, 12, 13]
    off = (person.joints[legs, :2] + torch.tensor([0.0, top]) - whole.joints[legs, :2]).norm(dim=1)
    assert off.mean() < 0.06 * photo.shape[1] and person.joints[8, 0] < person.joints[11, 0]


def test_landmarks_of_somebody_turned_away_become_those_of_somebody_who_faces_the_camera():
    points = np.random.default_rng(0).random((39, 3))
    points[23, 0], points[24, 0] = 0.7, 0.2
    assert (_from_the_front(points) == points).all()
    points[[23, 24], 0] = 0.2, 0.7
    turned = _from_the_front(points)
    assert turned[23, 0] == 0.7 and (turned[15] == points[16]).all() and (turned[33:] == points[33:]).all()
    turned[:, 0] = 1 - turned[:, 0]
    assert (_from_the_front(turned)[:33, 1] == points[:33, 1]).all(), "twice is once"


def test_who_wears_a_garment_is_told_from_a_print_and_from_folds(find, portrait):
    (worn,) = find(portrait, twice=False)
    assert worn.wears_the_picture
    shirt = torch.ones(3, 700, 600)
    shirt[:, 60:660, 60:540] = torch.tensor([0.7, 0.1, 0.1]).view(3, 1, 1)
    shirt[:, 250:550, 150:450] = torch.nn.functional.interpolate(portrait[None], (300, 300), mode="area")[0]
    assert not any(person.wears_the_picture for person in find(shirt, twice=False))


def test_no_second_look_takes_something_else_for_somebody(find):
    data = pytest.importorskip("skimage.data")
    for name in ("coffee", "coins", "chelsea", "rocket", "horse"):
        picture = torch.from_numpy(np.array(getattr(data, name)()).astype("float32"))
        picture = picture / picture.max()
        picture = picture.movedim(-1, 0)[:3] if picture.ndim == 3 else picture.expand(3, -1, -1)
        assert find(picture) == [], name


def test_a_square_cut_out_and_pasted_back_comes_to_its_place():
    photo = torch.zeros(3, 200, 160)
    photo[:, 60:100, 40:90] = 1
    region = Region((70.0, 90.0), 140.0, 0.4)
    back = paste(cut_out(photo, region, 256)[..., 0], region, (200, 160))
    assert (back - photo[0]).abs().mean() < 0.01
    corners = region.to_photo(np.array([[0.5, 0.5]]))
    assert corners[0].tolist() == pytest.approx([70, 90])
    assert anchors().shape == (2254, 2)


def test_missing_graphs_are_named_with_size_licence_and_command(tmp_path):
    pytest.importorskip("ai_edge_litert")
    with pytest.raises(FileNotFoundError, match="(?s)pose_detection.tflite.*download pose.*10 MB.*Apache-2.0"):
        find_graphs([tmp_path])
    for name in GRAPHS:
        (tmp_path / name).write_bytes(b"no graph")
    with pytest.raises(ValueError, match="pose_detection.tflite is no graph"):
        PersonFinder([tmp_path])


def test_package_and_files_are_asked_for_at_once_with_one_command_of_this_interpreter(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    other, folder = tmp_path / "elsewhere", tmp_path / "models" / "ladi_vton" / "pose"
    with pytest.raises(ImportError) as refused:
        find_graphs([other, folder])
    first, command, *rest = str(refused.value).split("\n")
    assert command.startswith("To get them: ")
    assert "ai-edge-litert" in first and all(name in first for name in GRAPHS)
    assert command.count(sys.executable) == 2 and "pip install ai-edge-litert" in command and "start.py" in command
    assert command.endswith(f'checkpoints download pose --models "{tmp_path / "models"}"')
    assert f"{other} or {folder}" in rest[0] and "https://" in rest[0]
    for name in GRAPHS:
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(ImportError, match="^Finding people needs the package ai-edge-litert.\n") as refused:
        find_graphs([tmp_path])
    assert "download pose" not in str(refused.value) and "\nTo get it: " in str(refused.value)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name)
    (tmp_path / GRAPHS[1]).unlink()
    with pytest.raises(FileNotFoundError, match=f"^Finding people needs the file {GRAPHS[1]}.\nTo get it: "):
        find_graphs([tmp_path])


def test_a_silhouette_counts_from_how_sure_its_graph_is_of_the_body():
    joints = torch.zeros(18, 3, dtype=torch.float64)
    for place, x, y in ((2, 40, 30), (5, 60, 30), (8, 44, 70), (11, 56, 70)):
        joints[place] = torch.tensor([x, y, 0.9])
    for sure in (0.3, 0.45, 1.0):
        assert _level(torch.full((100, 100), sure), joints) == pytest.approx(sure)
    assert _level(torch.zeros(100, 100), joints) == _LOWEST_LEVEL, "nobody is there: nothing is made of noise"
    assert _level(torch.full((100, 100), 0.4), joints * torch.tensor([1.0, 1.0, 0.1])) == 1
    assert _level(torch.full((100, 100), 0.4), joints * torch.tensor([9.0, 9.0, 1.0])) == 1, "outside the picture"
