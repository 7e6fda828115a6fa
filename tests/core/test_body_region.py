"""Masks from joints alone cover the garment, keep head and hands, follow the body, and end in a mask or in words."""

import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from drawn_world.figures.photos import HEAD, mask_figures, published_mask
from drawn_world.world.scene import DrawnWorld
from ladivton_core.preprocessing.framing.fitting import turned_points
from ladivton_core.preprocessing.framing.framing import framed, framed_together
from ladivton_core.preprocessing.labels import ATR18, CATEGORIES, LABEL_SETS, LIP20, atr18_from_lip20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
from ladivton_core.preprocessing.masks.body_mask import body_mask
from ladivton_core.preprocessing.masks.body_region import body_region
from ladivton_core.preprocessing.masks.regions import region_mask
from ladivton_core.preprocessing.modes import BODY
from ladivton_core.preprocessing.people.chosen import own_territory
from ladivton_core.preprocessing.pose.body_size import REFERENCE, body_size, framing_of, relative_stroke
from ladivton_core.preprocessing.pose.keypoints import people_in_frames
from ladivton_core.preprocessing.pose.pose_map import heat_maps, pose_map


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
    for _ in range(40):
        size = tuple(8 * round(2 ** rng.uniform(3, 5.5)) for _ in range(2))
        joints = torch.tensor([[rng.uniform(-0.3, 1.3) * size[1], rng.uniform(-0.3, 1.3) * size[0]] for _ in range(18)])
        joints[[rng.random() < 0.5 for _ in range(18)]] = 0
        category, labels = rng.choice(CATEGORIES), rng.choice(list(LABEL_SETS.values()))
        seen = {"silhouette": rng.choice([None, torch.rand(1, 1, *size)]), "picture": torch.rand(1, 3, *size)}
        hands = torch.rand(42, 2) * max(size) * (torch.rand(42, 1) > rng.choice([0.1, 0.9]))
        points = torch.cat([joints, hands])[None]
        parse = torch.randint(0, len(labels.labels), (1, *size))
        for name in ("joints", "body", "labels"):
            try:
                if name == "joints":
                    mask = body_region(points, category, size, **seen)
                elif name == "body":
                    given = rng.choice([{}, {"parse": parse, "labels": labels}])
                    mask = body_mask(category, size, keypoints=points, margin=rng.randrange(40), **seen, **given)
                else:
                    mask = agnostic_mask(parse, joints[None], category, labels, mode="body")
            except ValueError as error:
                assert "picture 0" in str(error) and ("shoulder" in str(error) or "hips" in str(error))
            else:
                assert mask.shape == (1, 1, *size) and mask.unique().numel() <= 2
        plan = framed(joints, category, size, (512, 384))
        assert plan is None or (plan.size == (512, 384) and min(plan.taken[2:]) >= 1)


@st.composite
def crowds(draw, sizes):
    """(size, POSE_KEYPOINT frame) of 0 to 5 people, whole or cut, in the picture or half out of it."""
    size = draw(sizes)
    rng = draw(st.randoms(use_true_random=False))
    people = []
    for _ in range(draw(st.integers(0, 5))):
        tall = rng.uniform(0.05, 1.5) * min(size[0], 1000)  # larger bodies grow for seconds
        place = (rng.uniform(-0.2, 1.2) * size[1], rng.uniform(-0.3, 0.9) * size[0])
        missing, points = rng.choice((0.0, 0.2, 0.6, 1.0)), []
        for x, y in STANDING:
            score = 0.0 if rng.random() < missing else rng.uniform(0.2, 1.0)
            jitter = rng.uniform(-0.05, 0.05)
            points += [place[0] + (x + jitter) * tall, place[1] + (y + jitter) * tall, score]
        people.append({"pose_keypoints_2d": points})
    return size, {"people": people, "canvas_height": size[0], "canvas_width": size[1]}


STANDING = (
    (0.0, 0.1), (0.0, 0.2), (-0.11, 0.2), (-0.15, 0.35), (-0.16, 0.5), (0.11, 0.2), (0.15, 0.35), (0.16, 0.5),
    (-0.07, 0.5), (-0.07, 0.72), (-0.07, 0.93), (0.07, 0.5), (0.07, 0.72), (0.07, 0.93), (-0.02, 0.08), (0.02, 0.08),
    (-0.05, 0.09), (0.05, 0.09),
)  # fmt: skip
"""COCO-18 of somebody who stands, in shares of their height."""


def ends_in_a_mask_or_words(crowd, category):
    """The way of `body` mode: everybody read, the largest chosen, others kept out, region, framing and pose."""
    size, frame = crowd
    (people,) = people_in_frames([frame], size, -1, BODY)
    if not len(people):
        return "nobody"
    joints, others = people[0, :, :2], people[1:, :, :2]
    own = own_territory(joints, others, size)
    assert own.shape == size and (own.all() or len(others))
    plan = framed(joints, category, size, (512, 384))
    assert plan is None or (plan.size == (512, 384) and min(plan.taken[2:]) >= 1)
    if plan is not None:
        pose = pose_map(plan.apply_points(joints)[None], (512, 384), mode="body")
        assert pose.shape == (1, 18, 512, 384) and 0 <= pose.amin() <= pose.amax() <= 1
    try:
        mask = body_region(joints[None], category, size, keep=(~own)[None, None].float())
    except ValueError as error:
        assert "picture 0" in str(error) and ("shoulder" in str(error) or "hips" in str(error))
        return "words"
    assert mask.shape == (1, 1, *size) and ((mask == 0) | (mask == 1)).all()
    assert not mask[0, 0][~own].any(), "somebody else is repainted"
    return "mask"


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(crowds(st.tuples(st.integers(64, 640), st.integers(64, 640))), st.sampled_from(CATEGORIES))
def test_no_crowd_ends_in_anything_but_a_mask_or_words(crowd, category):
    ends_in_a_mask_or_words(crowd, category)


@settings(max_examples=5, deadline=None, database=None, derandomize=True)
@given(crowds(st.sampled_from(((64, 4096), (4096, 640), (1000, 2048), (3000, 1000)))), st.sampled_from(CATEGORIES))
def test_no_crowd_in_a_large_photo_ends_in_anything_but_a_mask_or_words(crowd, category):
    ends_in_a_mask_or_words(crowd, category)


@pytest.mark.long
def test_a_photo_as_large_as_the_nodes_take_with_five_people_gets_its_mask():
    points = [value for x, y in STANDING for value in (1000 + x * 1200, 1500 + y * 1200, 1.0)]
    people = [[v + 500 * k * (i % 3 == 0) for i, v in enumerate(points)] for k in range(5)]
    frame = {"people": [{"pose_keypoints_2d": one} for one in people], "canvas_height": 4096, "canvas_width": 4096}
    assert ends_in_a_mask_or_words(((4096, 4096), frame), "dresses") == "mask"


def test_768_x_1024_is_treated_as_the_docs_say(drawn):
    """`published`: dots and growth stay in pixels, LIP's stroke grows, ATR's does not (docs/photos.md, Other sizes)."""
    large, joints = (1024, 768), drawn[0][2]
    dots = [
        float(pose_map(points[None], size)[0, 2].sum()) for points, size in ((joints, (512, 384)), (joints * 2, large))
    ]
    assert dots[1] == pytest.approx(dots[0], rel=0.02)
    assert [labels.stroke_width(1024) / labels.stroke_width(512) for labels in (LIP20, ATR18)] == [2, 1]
    for size, mode, grown in (((512, 384), "published", 10), (large, "published", 10), (large, "body", 20)):
        scale = size[0] // 512
        parse = torch.zeros(1, *size, dtype=torch.long)
        parse[:, 200 * scale : 300 * scale, 100 * scale : 200 * scale] = ATR18.ids(("pants",))[0]
        mask = agnostic_mask(parse, drawn[1][2][None] * scale, "lower_body", ATR18, mode=mode)[0, 0].bool()
        rows = mask[:, 150 * scale].nonzero().flatten()
        assert int(rows[0]) == pytest.approx(200 * scale - grown, abs=0 if mode == "published" else 6)


def walking(drawn, count=12):
    """Joints (count, 18, 2) of somebody who walks to the right through a photo of 900 x 1600, found a little off."""
    joints = drawn[2][2] * 0.8
    rng = torch.Generator().manual_seed(5)
    steps = torch.arange(count, dtype=torch.float64)[:, None, None] * torch.tensor([40.0, 0.0])
    noise = torch.randn(count, 18, 2, generator=rng, dtype=torch.float64) * 4
    return (joints + torch.tensor([300.0, 200.0]) + steps + noise) * (joints > 0).any(1, keepdim=True)


def test_steady_framing_follows_the_person_without_trembling(drawn):
    source, size, joints = (900, 1600), (512, 384), walking(drawn)
    joints[5] = 0  # not found there

    def middles(plans):
        return torch.tensor([[plan.taken[1] + plan.taken[3] / 2, float(plan.taken[2])] for plan in plans])

    each = framed_together(joints, "dresses", source, size)
    assert each[5] is None and all(plan for place, plan in enumerate(each) if place != 5)
    assert each[0] == framed(joints[0], "dresses", source, size)
    smooth = framed_together(joints, "dresses", source, size, "smooth")
    trembling = [
        middles([plan for plan in plans if plan]).diff(dim=0).diff(dim=0).abs().mean(0) for plans in (each, smooth)
    ]
    assert (trembling[1] < trembling[0] / 3).all(), trembling
    drift = (middles(smooth)[:, 0] - middles([plan or smooth[5] for plan in each])[:, 0]).abs()
    assert drift.max() < 15, "it stays on the person, at both ends too"
    one = framed_together(joints, "dresses", source, size, "one window")
    assert len(set(one)) == 1
    for place, plan in enumerate(each):
        if plan:
            top, left, height, width = plan.taken
            around = one[place].taken
            assert around[0] <= top + 1 and around[1] <= left + 1
            assert around[0] + around[2] >= top + height - 1 and around[1] + around[3] >= left + width - 1
    assert framed_together(torch.zeros(2, 18, 2), "dresses", source, size, "smooth") == [None, None]
    with pytest.raises(ValueError, match="'trembling'"):
        framed_together(joints, "dresses", source, size, "trembling")


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_whoever_lies_or_stands_on_their_head_is_framed_upright(drawn, turns):
    """The window of a turned photo shows what that of the upright photo does; who sits, leans or bends over stands."""
    _, parse, joints = drawn[2]
    person = torch.rand(3, *parse.shape)
    lying, source = person.rot90(-turns, (1, 2)), tuple(person.shape[1:])
    turned = turned_points(joints, source, -turns) * (joints > 0).any(1, keepdim=True)
    for category in CATEGORIES:
        fit = framed(turned, category, tuple(lying.shape[1:]), (512, 384))
        assert fit.turns == turns
        upright = framed(joints, category, source, (512, 384))
        torch.testing.assert_close(fit.apply(lying[None]), upright.apply(person[None]), rtol=0, atol=1e-6)
        torch.testing.assert_close(fit.apply_points(turned), upright.apply_points(joints), rtol=0, atol=1e-3)
    bent = joints.clone()
    bent[[0, 1, 2, 5, 14, 15, 16, 17], 1] = joints[8, 1]  # the trunk is level, the legs stand
    bent[[0, 1, 2, 5, 14, 15, 16, 17], 0] = joints[8, 0] + 80
    assert framed(bent, "upper_body", source, (512, 384)).turns == 0
    frames = torch.stack([turned, turned, joints, torch.zeros_like(joints)])
    for steady in ("smooth", "one window"):
        assert {fit.turns for fit in framed_together(frames, "dresses", source[::-1], (512, 384), steady)} == {turns}


def test_a_window_is_rather_smaller_than_bordered_as_long_as_head_and_garment_are_in_it(drawn):
    _, _, joints = drawn[2]
    for left, right, bottom in ((60, 330, 512), (0, 384, 300), (90, 300, 330)):
        shown = joints - torch.tensor([left, 0.0])
        shown = torch.where(shown[:, 1:] < bottom, shown, 0.0)
        source = (bottom, right - left)
        fit = framed(shown, "dresses", source, (512, 384))
        head, inside = shown[0, 1], fit.apply_points(shown[(shown > 1).any(1)])
        assert ((inside >= 0) & (inside <= torch.tensor([384.0, 512.0]))).all()
        assert fit.taken[0] < head
        invented = 1 - fit.placed[2] * fit.placed[3] / (512 * 384)
        assert invented < 0.35, invented


def test_dress_codes_rule_is_narrower_and_keeps_the_neck(drawn):
    _, parse, joints = drawn[0]
    masks = {
        name: body_region(joints[None], "upper_body", tuple(parse.shape), **options)[0, 0].bool()
        for name, options in {"vitonhd": {}, "dresscode": {"labels": ATR18}, "kept": {"neck": "keep"}}.items()
    }
    atr = atr18_from_lip20(parse)[None]
    published = agnostic_mask(atr, joints[None], "upper_body", ATR18, missing_joints="skip")[0, 0].bool()

    def overlap(mask):
        return float((mask & published).sum() / (mask | published).sum())

    assert overlap(masks["dresscode"]) > max(0.85, overlap(masks["vitonhd"]) + 0.05)
    x, y = joints[[2, 5]].mean(0).int().tolist()
    above = [bool(mask[y - 40, x]) for mask in masks.values()]
    assert above == [True, False, False], "VITON-HD's rule repaints the neck up to the chin"
    with pytest.raises(ValueError, match="FASHN18"):
        body_region(joints[None], "upper_body", (512, 384), labels=LABEL_SETS["FASHN18"])


def test_masks_that_are_empty_or_the_wrong_way_round_are_said(drawn):
    _, parse, joints = drawn[0]
    said: list[str] = []
    both, size, empty = torch.stack([joints, joints]), tuple(parse.shape), torch.zeros(2, 1, *parse.shape)
    alone = body_region(both, "upper_body", size, say=said.append)
    assert not said
    drawn_again = body_region(both, "upper_body", size, silhouette=empty, keep=empty, numbers=[3, 7], say=said.append)
    assert torch.equal(alone, drawn_again)
    assert len(said) == 2 and all("is black" in line and "3, 7" in line for line in said)
    body_region(both, "upper_body", size, silhouette=(parse == 0).expand(2, 1, -1, -1).float(), say=said.append)
    assert "wrong way round" in said[-1] and "picture 1" in said[-1]
    region_mask(torch.ones(1, 1, 8, 8), arms=torch.zeros(1, 1, 8, 8), say=said.append)
    assert "'arms_mask' is black" in said[-1]
