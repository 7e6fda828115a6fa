"""Properties of the agnostic mask; the pixel-exact comparison with the reference is in test_datasets.py."""

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from ladivton_core.mask_edges import grow_mask
from ladivton_core.preprocessing import ATR18, LABEL_SETS, LIP20, agnostic_image, agnostic_mask, region_mask
from ladivton_core.preprocessing.labels import atr18_from_lip20

SIZE = (128, 96)
# right shoulder, elbow, wrist, then left ones, of a person who fills a 128 x 96 picture
ARMS = {2: (34, 38), 3: (24, 58), 4: (38, 74), 5: (62, 38), 6: (72, 58), 7: (60, 74)}

# published §1.5 as published: fixed, repainted and head labels, arm stroke and neck rule.
PUBLISHED = {
    ("LIP20", "upper_body"): ({1, 2, 18, 19, 9, 12}, {5, 6, 7}, {1, 2, 4, 13}),
    ("ATR18", "upper_body"): ({1, 2, 3, 9, 10, 16, 17, 5, 6}, {4}, {1, 2, 3, 11}),
    ("ATR18", "lower_body"): ({1, 2, 3, 9, 10, 16, 17, 4, 14, 15}, {6, 12, 13}, {1, 2, 3, 11}),
    ("ATR18", "dresses"): ({1, 2, 3, 9, 10, 16, 17}, {7, 12, 13}, {1, 2, 3, 11}),
}


def joints(**moved):
    """(1, 18, 2): the arms above, changed by e.g. j4=(0, 0)."""
    points = torch.zeros(1, 18, 2, dtype=torch.float64)
    for index, xy in ARMS.items():
        points[0, index] = torch.tensor(moved.get(f"j{index}", xy), dtype=torch.float64)
    return points


def blocks(seed, labels=20, block=8):
    """A parse map of random 8 x 8 blocks."""
    small = torch.randint(
        0, labels, (1, SIZE[0] // block, SIZE[1] // block), generator=torch.Generator().manual_seed(seed)
    )
    return small.repeat_interleave(block, 1).repeat_interleave(block, 2)


def literal_mask(parse, points, name, category):
    """Published §1.5 step by step on numpy arrays, with Python's own slicing for the neck (Q7)."""
    fixed_ids, repaint_ids, head_ids = PUBLISHED[name, category]
    height, width = parse.shape
    p = {k: points[k] for k in ARMS}
    gone = {k: p[k][0] <= 1 and p[k][1] <= 1 for k in ARMS}
    if gone[4] and gone[3]:
        path = [7, 6, 5, 2]
    elif gone[4]:
        path = [7, 6, 5, 2, 3]
    elif gone[7] and gone[6]:
        path = [5, 2, 3, 4]
    elif gone[7]:
        path = [6, 5, 2, 3, 4]
    else:
        path = [7, 6, 5, 2, 3, 4]
    canvas = Image.new("L", (width, height))
    stroke_width = int(90 / 512 * height) if name == "LIP20" else 45
    with np.errstate(invalid="ignore"):
        flat = np.array([p[k] for k in path]).astype(np.int64).astype(np.uint16).flatten().tolist()
    ImageDraw.Draw(canvas).line(flat, "white", stroke_width, "curve")
    stroke = np.array(canvas) > 0
    fixed, repaint, head = (np.isin(parse, list(ids)) for ids in (fixed_ids, repaint_ids, head_ids))
    if category != "lower_body":
        fixed = fixed | (np.isin(parse, [14, 15]) & ~stroke)
        repaint = repaint | stroke
    kept_head = head.copy()
    if name == "ATR18" and category != "lower_body":
        (rx, ry), (lx, ly) = p[2], p[5]
        m, c = np.linalg.lstsq(np.array([[rx, 1], [lx, 1]]), np.array([ry, ly]), rcond=None)[0]
        for i in range(width):
            kept_head[int(m * i + c - 20 * height / 512) :, i] = False
    fixed, repaint = fixed | kept_head, repaint | (head & ~kept_head)
    padded = np.pad(repaint, 10)
    dilated = np.zeros_like(repaint)
    for dy in range(21):
        for dx in range(21):
            dilated |= padded[dy : dy + height, dx : dx + width]
    return dilated & ~fixed


@pytest.mark.parametrize(
    "moved",
    [
        {},
        {"j4": (0, 0)},
        {"j4": (0, 0), "j3": (0.9, 1)},
        {"j7": (0, 0)},
        {"j7": (-1, -1), "j6": (-1, -1)},
        {"j4": (0, 0), "j7": (0, 0)},  # a streak to the corner
        {"j4": (-1, -1), "j7": (-1, -1)},  # a streak to (65535, 65535)
        {"j3": (0, 0)},
        {"j2": (0, 0)},
        {"j2": (40, 2), "j5": (60, 3)},  # the neck line leaves the picture at the top
        {"j2": (48, 20), "j5": (48, 44)},  # shoulders above each other
        {"j2": (20.7, 60.9), "j5": (80.2, 3.1)},  # a steep neck line
        {"j6": (-7.5, 50)},  # one negative coordinate wraps to the far right
    ],
    ids=lambda moved: "_".join(moved) or "all_joints",
)
@pytest.mark.parametrize(("name", "category"), list(PUBLISHED))
def test_the_mask_is_the_published_formula_step_by_step(name, category, moved):
    points = joints(**moved)
    parse = blocks(seed=len(moved) + len(category), labels=len(LABEL_SETS[name].labels))
    mask = agnostic_mask(parse, points, category, LABEL_SETS[name])
    assert np.array_equal(mask[0, 0].numpy() > 0, literal_mask(parse[0].numpy(), points[0].numpy(), name, category))


def test_a_batch_is_its_samples_one_by_one():
    parse = torch.cat([blocks(1), blocks(2)])
    points = torch.cat([joints(), joints(j4=(0, 0))])
    both = agnostic_mask(parse, points, "upper_body", LIP20)
    for i in range(2):
        assert torch.equal(both[i : i + 1], agnostic_mask(parse[i : i + 1], points[i : i + 1], "upper_body", LIP20))


def test_skipping_absent_joints_leaves_the_rest_of_the_stroke():
    nothing = torch.zeros(1, *SIZE, dtype=torch.int64)
    full = agnostic_mask(nothing, joints(), "upper_body", LIP20, missing_joints="skip")
    assert torch.equal(full, agnostic_mask(nothing, joints(), "upper_body", LIP20))
    part = agnostic_mask(nothing, joints(j4=(0, 0), j7=(0, 0)), "upper_body", LIP20, missing_joints="skip")
    assert part.sum() > 0 and part[..., 0, 0] == 0  # no streak to the corner
    assert torch.equal(part, part * full)
    one = agnostic_mask(
        nothing,
        joints(j2=(0, 0), j3=(0, 0), j4=(0, 0), j6=(0, 0), j7=(0, 0)),
        "upper_body",
        LIP20,
        missing_joints="skip",
    )
    assert one[0, 0, 38, 62] == 1  # around the only shoulder there is


def test_a_picture_without_a_shoulder_is_refused_by_name_only_where_arms_matter():
    parse = torch.cat([blocks(1, 18), blocks(2, 18)])
    points = torch.cat([joints(), torch.zeros(1, 18, 2)])
    with pytest.raises(ValueError, match="shoulder is known in picture 1"):
        agnostic_mask(parse, points, "upper_body", ATR18, missing_joints="skip")
    agnostic_mask(parse, points, "lower_body", ATR18, missing_joints="skip")


def test_one_known_shoulder_cuts_the_neck_level():
    parse = torch.full((1, *SIZE), ATR18.id("head"))
    mask = agnostic_mask(
        parse, joints(j5=(0, 0), j6=(0, 0), j7=(0, 0)), "upper_body", ATR18, missing_joints="skip", grow=0
    )
    first = 38 - 20 * SIZE[0] // 512
    assert mask[0, 0, first:].all() and not mask[0, 0, :first].any()


def test_options_do_what_their_names_say():
    parse, points = blocks(3, 18), joints()

    def area(**options):
        return agnostic_mask(parse, points, "upper_body", ATR18, **options).sum()

    published = area()
    assert area(grow=4) < published < area(grow=14)
    assert area(stroke_width=10) < published
    assert area(neck="keep") < published
    assert torch.equal(
        agnostic_mask(parse, points, "upper_body", ATR18, neck="cut"), agnostic_mask(parse, points, "upper_body", ATR18)
    )
    high = joints(j2=(34, 2), j5=(62, 2))  # Q7: published keeps the neck here, the honest cut does not
    head = torch.full((1, *SIZE), ATR18.id("head"))
    assert agnostic_mask(head, high, "upper_body", ATR18, neck="cut").all()
    assert not agnostic_mask(head, high, "upper_body", ATR18).all()


def test_a_skirt_survives_unless_asked_for():
    parse = torch.full((1, *SIZE), ATR18.id("skirt"))
    assert not agnostic_mask(parse, joints(), "lower_body", ATR18).any()  # Q9
    assert agnostic_mask(parse, joints(), "lower_body", ATR18, also_repaint=("skirt",)).all()
    # a label that was protected is no longer
    parse = torch.full((1, *SIZE), LIP20.id("pants"))
    assert agnostic_mask(parse, joints(), "upper_body", LIP20, also_repaint=("pants",)).all()


@pytest.mark.parametrize("labels", LABEL_SETS.values(), ids=str)
def test_every_category_repaints_its_garment(labels):
    for category, regions in labels.regions.items():
        for garment in regions.garment:
            parse = torch.zeros(1, *SIZE, dtype=torch.int64)
            parse[:, 90:120, 30:60] = labels.id(garment)
            mask = agnostic_mask(parse, joints(), category, labels)
            assert mask[0, 0, 90:120, 30:60].all(), (category, garment)


def test_growing_is_the_square_maximum():
    mask = (torch.rand(2, 1, 40, 30, generator=torch.Generator().manual_seed(0)) > 0.995).float()
    expected = torch.nn.functional.max_pool2d(mask, 21, stride=1, padding=10)
    assert torch.equal(grow_mask(mask, 10), expected) and torch.equal(grow_mask(mask, 0), mask)


def test_the_hole_of_the_agnostic_image_is_zero_and_the_rest_untouched():
    person = torch.rand(2, 3, *SIZE)
    mask = (torch.rand(2, 1, *SIZE) > 0.5).float()
    image = agnostic_image(person, mask)
    assert torch.equal(image, torch.where(mask.bool(), 0.0, person))
    with pytest.raises(ValueError, match=r"\(2, 3, 128, 96\)"):
        agnostic_image(person, mask[..., :-1])


def test_region_masks_follow_the_same_rule_as_labels():
    parse, points = blocks(5), joints()
    regions = LIP20.regions_of("upper_body")

    def where(names):
        return torch.isin(parse, torch.tensor(LIP20.ids(names)))[:, None].float()

    painted = region_mask(
        where(regions.repaint), arms=where(regions.arms), keep=where(regions.fixed + regions.head), keypoints=points,
        stroke_width=LIP20.stroke_width(SIZE[0]),
    )  # fmt: skip
    assert torch.equal(painted, agnostic_mask(parse, points, "upper_body", LIP20))


def test_without_joints_painted_arms_are_repainted_and_what_is_kept_wins():
    garment, arms, keep = (torch.zeros(1, 1, *SIZE) for _ in range(3))
    garment[..., 40:80, 30:60] = 1
    arms[..., 50:60, 5:10] = 1
    keep[..., :45, :] = 1
    mask = region_mask(garment, arms=arms, keep=keep, grow=0)
    assert mask[..., 50:60, 5:10].all() and not mask[..., :45, :].any() and mask[..., 45:80, 30:60].all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"parse": torch.zeros(1, *SIZE)}, "label"),
        ({"parse": torch.zeros(*SIZE, dtype=torch.int64)}, "expected integers"),
        ({"parse": torch.full((1, *SIZE), -1)}, "has the label -1, but LIP20 ends at 19"),
        ({"parse": torch.full((1, *SIZE), 255, dtype=torch.uint8)}, "has the label 255, but LIP20 ends at 19"),
        ({"keypoints": torch.zeros(2, 18, 2)}, r"\(2, 18, 2\)"),
        ({"category": "hats"}, "upper_body, lower_body, dresses"),
        ({"missing_joints": "guess"}, "published"),
        ({"neck": "off"}, "keep"),
        ({"grow": -1}, "-1"),
        ({"also_repaint": ("cape",)}, "cape"),
    ],
)
def test_bad_input_is_named(change, message):
    arguments = {"parse": blocks(1), "keypoints": joints(), "category": "upper_body", "labels": LIP20} | change
    with pytest.raises(ValueError, match=message):
        agnostic_mask(**arguments)


def test_a_lip_parse_map_in_dress_codes_vocabulary_has_dress_codes_roles():
    here = atr18_from_lip20(torch.arange(len(LIP20.labels)).view(4, 5))
    assert here.shape == (4, 5) and here.dtype == torch.int64
    names = [ATR18.labels[index] for index in here.flatten().tolist()]
    by_name = dict(zip(LIP20.labels, names, strict=True))
    assert all(by_name[name] == name for name in LIP20.labels if name in ATR18.labels)
    assert by_name["face"] == by_name["neck"] == "head" and by_name["coat"] == "upper_clothes"
