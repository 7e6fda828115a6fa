"""Masks from joints alone cover the garment, keep head and hands, follow the body, and end in a mask or in words."""

import random

import pytest
import torch

from ladivton_core.drawn_world.scene import DrawnWorld
from ladivton_core.evaluation.drawn.photos import HEAD, mask_figures, published_mask
from ladivton_core.preprocessing.agnostic import agnostic_mask
from ladivton_core.preprocessing.body import REFERENCE, body_size, framing_of, relative_stroke
from ladivton_core.preprocessing.body_region import body_region
from ladivton_core.preprocessing.framing import framed
from ladivton_core.preprocessing.labels import ATR18, CATEGORIES, LABEL_SETS, LIP20
from ladivton_core.preprocessing.pose_map import heat_maps, pose_map
from ladivton_core.preprocessing.territory import own_territory


@pytest.fixture(scope="module")
def drawn():
    """A person a category: (category, parse, joints)."""
    world = DrawnWorld(seed=41)
    scenes = [world.scene([index], [index + 4]) for index in (0, 1, 3)]
    return [(scene.category[0], scene.parse[0], scene.keypoints[0].double()) for scene in scenes]


@pytest.mark.parametrize("with_silhouette", [False, True])
def test_joints_alone_give_nearly_the_mask_of_a_parse_map(drawn, with_silhouette):
    for category, parse, joints in drawn:
        silhouette = (parse > 0)[None, None].float() if with_silhouette else None
        mask = body_region(joints[None], category, tuple(parse.shape), silhouette=silhouette)[0, 0].bool()
        garment, head = (
            torch.isin(parse, torch.tensor(LIP20.ids(names))) for names in (LIP20.regions_of(category).garment, HEAD)
        )
        figures = mask_figures(mask, published_mask(parse, joints, category), garment, head)
        assert figures["iou"] > 0.75 and figures["garment"] > 0.9 and figures["head"] < 0.05, (category, figures)


def test_relative_widths_are_the_published_ones_on_the_data_sets_bodies(drawn):
    for category, parse, joints in drawn:
        size = tuple(parse.shape)
        assert body_size(joints) / REFERENCE[framing_of(joints, size)] == pytest.approx(1, abs=0.2), category
    half = drawn[0][2]
    assert relative_stroke(half, (512, 384), LIP20) == pytest.approx(90, rel=0.2)
    assert relative_stroke(drawn[2][2], (512, 384), ATR18) == pytest.approx(45, rel=0.2)


def test_body_mode_is_the_same_at_every_size_of_the_picture(drawn):
    category, parse, joints = drawn[0]
    small, large = parse[None], parse.repeat_interleave(2, 0).repeat_interleave(2, 1)[None]
    masks = [
        agnostic_mask(labels, points[None], category, LIP20, mode="body")
        for labels, points in ((small, joints), (large, joints * 2))
    ]
    assert (masks[0] != masks[1][..., ::2, ::2]).float().mean() < 0.01
    dots = [
        pose_map(points[None], size, mode="body") for points, size in ((joints, (512, 384)), (joints * 2, (1024, 768)))
    ]
    torch.testing.assert_close(dots[0], dots[1][..., ::2, ::2], rtol=0, atol=0.02)
    assert torch.equal(pose_map(joints[None], (512, 384)), heat_maps(joints, (512, 384))[None])


def test_everybody_keeps_their_own_pixels(drawn):
    _, parse, joints = drawn[0]
    beside = joints + torch.tensor([384.0, 0.0]) * (joints > 0).any(1, keepdim=True)
    own = own_territory(joints, beside[None], (512, 768))
    person = torch.zeros(512, 768, dtype=torch.bool)
    person[:, :384] = parse > 0
    assert own[person].float().mean() > 0.97 and own[:, 384:].float().mean() < 0.2
    assert own_territory(joints, beside[:0][None][:0], (64, 64)).all()


def test_no_input_ends_in_anything_but_a_mask_or_words():
    rng = random.Random(3)
    for _ in range(150):
        size = tuple(8 * round(2 ** rng.uniform(3, 6.5)) for _ in range(2))
        joints = torch.tensor([[rng.uniform(-0.3, 1.3) * size[1], rng.uniform(-0.3, 1.3) * size[0]] for _ in range(18)])
        joints[[rng.random() < 0.5 for _ in range(18)]] = 0
        category, labels = rng.choice(CATEGORIES), rng.choice(list(LABEL_SETS.values()))
        silhouette = rng.choice([None, torch.rand(1, 1, *size)])
        parse = torch.randint(0, len(labels.labels), (1, *size))
        for name in ("joints", "labels"):
            try:
                if name == "joints":
                    mask = body_region(joints[None], category, size, silhouette=silhouette)
                else:
                    mask = agnostic_mask(parse, joints[None], category, labels, mode="body")
            except ValueError as error:
                assert "picture 0" in str(error) and ("shoulder" in str(error) or "hips" in str(error))
            else:
                assert mask.shape == (1, 1, *size) and mask.unique().numel() <= 2
        plan = framed(joints, category, size, (512, 384))
        assert plan is None or (plan.size == (512, 384) and min(plan.taken[2:]) >= 1)
