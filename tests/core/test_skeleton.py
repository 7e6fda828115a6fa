"""A garment dressed by its skeleton: joints read from pose maps, tubes both ways, and true parts on rendered people."""

import math

import numpy as np
import pytest
import torch

from drawn_world.photographs.inputs import cut_out
from drawn_world.photographs.scene import FIELD, draw_pair, sample_pair
from drawn_world.training import garment_parts as training
from ladivton_core.body.tubes import Tube, arc
from ladivton_core.checkpoints.build import load
from ladivton_core.embedded import embedded_path
from ladivton_core.preprocessing.pose.pose_map import pose_map
from ladivton_core.presets import TINY
from ladivton_core.warping import skeleton
from ladivton_core.warping.garment_parts import PARTS, PartsFound

SIZE = (512, 384)


def standing(**moved: tuple[float, float]) -> torch.Tensor:
    """Joints (1, 18, 2) of somebody who stands facing the camera."""
    x = {"nose": (192, 60), "neck": (192, 120), "r_sho": (147, 120), "r_elb": (125, 205), "r_wri": (115, 280),
         "l_sho": (237, 120), "l_elb": (259, 205), "l_wri": (269, 280), "r_hip": (165, 250), "r_kne": (163, 370),
         "r_ank": (160, 480), "l_hip": (219, 250), "l_kne": (221, 370), "l_ank": (224, 480)}  # fmt: skip
    points = list((x | moved).values()) + [(182, 52), (202, 52), (170, 58), (214, 58)]
    return torch.tensor(points, dtype=torch.float64)[None]


def found_in(made: training.Flat) -> PartsFound:
    """What a network that errs nowhere would find."""
    size = made.parts.shape
    labels = torch.nn.functional.one_hot(torch.from_numpy(made.parts).long(), len(PARTS)).movedim(-1, 0)[None] * 20.0
    points = torch.from_numpy((made.points + 0.5) / (size[1], size[0])).float()[None].nan_to_num(0.5)
    return PartsFound(labels, points, torch.tensor([made.unit / size[0]]))


def test_joints_are_read_from_a_pose_map_as_they_were_drawn_off_the_canvas_too():
    joints = standing(r_wri=(-6.0, 280.0), l_ank=(224.0, 520.5))
    joints += torch.from_numpy(np.random.default_rng(1).normal(0, 3, (1, 18, 2)))
    joints[0, 3] = 0
    for mode in ("published", "body"):
        read = skeleton.joints_of(pose_map(joints, SIZE, mode=mode)[0])
        assert np.isnan(read[3]).all()
        there = [i for i in range(18) if i != 3]
        np.testing.assert_allclose(read[there], joints[0, there].numpy(), atol=1e-3)


def test_a_tube_finds_what_it_places():
    tube = Tube([(100, 50), (120, 150), (60, 260)], [0.0, 1.45, 2.7], 0.3)
    rng = np.random.default_rng(2)
    along, across = rng.uniform(0.1, 2.6, 200), rng.uniform(-12, 12, 200)
    straight = np.abs(along - 1.45) > 0.5
    places = tube.place(along, across)
    found = tube.locate(places[:, 0].astype(np.float32), places[:, 1].astype(np.float32))
    np.testing.assert_allclose(found[0][straight], along[straight], atol=0.03)
    np.testing.assert_allclose(found[1][straight], across[straight], atol=0.5)
    assert np.all(np.diff(arc(np.linspace(-1, 1, 50))) > 0)


@pytest.mark.parametrize("index", [2, 3, 5])  # tops, dresses, a skirt and trousers
def test_true_parts_dress_a_rendered_person_as_the_world_does(index):
    numbers = sample_pair(99, index)
    made = draw_pair(numbers)
    joints = torch.from_numpy(made.joints[:, :2] * (made.joints[:, 2:] > 0)).double()[None]
    garments = cut_out(made.garments, made.garment_masks) * 2 - 1
    for number, garment in enumerate(garments):
        flat = training.draw_table(numbers["garments"][number], numbers["tables"][number], SIZE)
        grid, shade = skeleton.dress(found_in(flat), garment, pose_map(joints, SIZE)[0])
        assert grid.shape == (*SIZE, 2) and 0.7 < float(shade.min()) <= float(shade.max()) == 1
        seen = ((grid.numpy() + 1) * (SIZE[1], SIZE[0]) - 1) / 2
        truth = made.fields[number]
        off = np.linalg.norm(seen[FIELD // 2 :: FIELD, FIELD // 2 :: FIELD] - truth, axis=-1)
        told = np.isfinite(off)
        assert np.median(off[told]) < 25, "where the cloth is seen, its own place of the garment"
        assert (off[told] < 50).mean() > 0.75


def test_sleeves_follow_the_arms():
    numbers = sample_pair(99, 6)
    flat = training.draw_table(numbers["garments"][0], numbers["tables"][0], SIZE)
    garment = torch.from_numpy(flat.picture).movedim(-1, 0).float() / 127.5 - 1
    garment[:, torch.from_numpy(flat.cover) < 128] = 1
    cloth = {}
    for name, elbow, wrist in (("hanging", (125, 205), (115, 280)), ("out", (70, 150), (10, 190))):
        joints = standing(r_elb=elbow, r_wri=wrist)
        grid, _ = skeleton.dress(found_in(flat), garment, pose_map(joints, SIZE)[0])
        worn = torch.nn.functional.grid_sample(garment[None], grid[None], align_corners=False)[0]
        cloth[name] = (worn.amin(0) < 0.8).numpy()
        x, y = np.mean([elbow, (147, 120)], 0).astype(int)
        assert cloth[name][y, x]
    assert cloth["out"][140:160, 75:95].any() and not cloth["hanging"][140:160, 75:95].any()


@pytest.mark.parametrize(
    "joints",
    [
        standing(r_sho=(237, 120), l_sho=(147, 120)),  # from behind
        standing(r_sho=(188, 120), l_sho=(196, 120)),  # from the side
        standing(r_sho=(0, 0), r_kne=(0, 0)),  # neither shoulders nor legs
    ],
)
def test_who_is_not_seen_from_the_front_is_left_to_the_spline(joints):
    flat = training.draw(5, 0, SIZE)
    garment = torch.from_numpy(flat.picture).movedim(-1, 0).float() / 127.5 - 1
    assert skeleton.dress(found_in(flat), garment, pose_map(joints, SIZE)[0]) is None


def test_whatever_the_joints_are_every_pixel_looks_somewhere():
    flat, rng, dressed = training.draw(5, 4, SIZE), np.random.default_rng(4), 0
    garment = torch.from_numpy(flat.picture).movedim(-1, 0).float() / 127.5 - 1
    for number in range(24):
        joints = standing()
        some = rng.choice(np.arange(3, 14), 4, replace=False)
        joints[0, some] = torch.from_numpy(rng.uniform(0, 500, (4, 2))) if number % 2 else joints[0, some - 1]
        made = skeleton.dress(found_in(flat), garment, pose_map(joints, SIZE)[0])
        if made is not None:
            dressed += 1
            assert all(part.isfinite().all() for part in made)
    assert dressed > 6


def test_a_white_picture_has_no_parts():
    network = load("warping", embedded_path("warping"), TINY).garment_parts
    blank = torch.ones(1, 3, *SIZE)
    with torch.no_grad():
        found = network(blank)
    assert skeleton.dress(found._replace(labels=found.labels * 0 + torch.eye(7)[0].view(1, 7, 1, 1)), blank[0],
                          pose_map(standing(), SIZE)[0]) is None  # fmt: skip


def test_the_shipped_network_tells_parts_of_garments_it_never_saw():
    network = load("warping", embedded_path("warping"), TINY).garment_parts
    rng = np.random.default_rng(31)
    rows = [training.shown(training.draw(31, index), rng) for index in range(24)]
    batch = [torch.stack([torch.as_tensor(value) for value in column]) for column in zip(*rows, strict=True)]
    with torch.no_grad():
        _, told = training.losses(network, batch)
    assert told["right"] > 0.93 and told["off"] < 0.03 and told["unit"] < math.log(1.15)


def test_training_goes_down(monkeypatch):
    monkeypatch.setattr(training, "_BATCH", 4)
    torch.manual_seed(1)
    made, network = [training.draw(3, i) for i in range(4)], training.GarmentParts()
    rows = [training.shown(flat, np.random.default_rng(i)) for i, flat in enumerate(made)]
    batch = [torch.stack([torch.as_tensor(value) for value in column]) for column in zip(*rows, strict=True)]
    optimiser, losses = torch.optim.AdamW(network.parameters(), 2e-3), []
    for _ in range(12):
        loss, _ = training.losses(network, batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]
