"""The drawn world: reproducible, consistent with itself, and readable by the preprocessing."""

import pytest
import torch

from drawn_world.world.garments import PATTERNS
from drawn_world.world.scene import CYCLE, UNPAIRED_SHIFT, DrawnWorld
from ladivton_core.preprocessing.labels import CATEGORIES, LIP20
from ladivton_core.preprocessing.masks.agnostic import agnostic_mask

WORLD = DrawnWorld(77)
PICTURES = ("person", "garment", "worn")
NOSE, NECK, R_SHOULDER, L_SHOULDER, R_HIP, R_KNEE, R_ANKLE, L_HIP, L_KNEE, L_ANKLE = 0, 1, 2, 5, 8, 9, 10, 11, 12, 13


def of(category: str, count: int) -> list[int]:
    """The first indices of a category."""
    return [i for i in range(4 * count) if WORLD.category(i) == category][:count]


def labels(scene) -> set[str]:
    return {LIP20.labels[i] for i in scene.parse.unique().tolist()}


def test_a_mixed_batch_equals_drawing_alone():
    people, garments = [4, 5, 3], [8, 9, 7]
    together = WORLD.scene(people, garments)
    assert together.category == ("upper_body", "lower_body", "dresses")
    for row, (person, garment) in enumerate(zip(people, garments, strict=True)):
        alone = WORLD.scene([person], [garment])
        assert alone.category == together.category[row : row + 1]
        for name in (*PICTURES, "parse", "keypoints"):
            assert torch.equal(getattr(together, name)[row : row + 1], getattr(alone, name)), name


def test_people_and_garments_must_share_a_category():
    with pytest.raises(ValueError, match="categories must agree"):
        WORLD.scene([0, 1], [0, 2])
    with pytest.raises(ValueError, match="equally many"):
        WORLD.scene([0], [])


def test_the_unpaired_shift_keeps_the_category():
    assert set(CYCLE) == set(CATEGORIES)
    for index in range(8):
        assert WORLD.category(index) == WORLD.category(index + UNPAIRED_SHIFT) == WORLD.person(index)["category"]
        assert WORLD.garment(index)["category"] == WORLD.category(index)


@pytest.mark.parametrize("size", [(512, 384), (256, 192)])
def test_pictures_have_the_promised_shapes_and_ranges(size):
    scene = DrawnWorld(77, size).scene([0, 1, 3], [0, 1, 3])
    for name in PICTURES:
        picture = getattr(scene, name)
        assert picture.shape == (3, 3, *size) and picture.min() >= 0 and picture.max() <= 1
    assert scene.parse.shape == (3, *size) and scene.parse.dtype == torch.int64
    assert scene.keypoints.shape == (3, 18, 2)
    # the same scene at another size, up to the shift of pixel centres
    large = torch.nn.functional.interpolate(WORLD.scene([0, 1, 3], [0, 1, 3]).person, size=size, mode="area")
    assert (large - scene.person).abs().mean() < 0.02


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_has_its_labels(category):
    expected = {"upper_body": {"upper_clothes"}, "lower_body": {"pants", "skirt"}, "dresses": {"dress"}}[category]
    seen = set()
    for index in of(category, 5):
        found = labels(WORLD.scene([index], [index]))
        assert found & expected and {"left_arm", "right_arm"} & found
        assert {"face", "hair"} <= found or category == "lower_body"
        assert {"left_shoe", "right_shoe"} <= found or category == "upper_body"
        assert "upper_clothes" in found or category == "dresses"
        seen |= found
    assert expected <= seen


@pytest.mark.parametrize("category", CATEGORIES)
def test_joints_lie_on_the_body(category):
    for index in of(category, 2):
        scene = WORLD.scene([index], [index])
        head, feet = category != "lower_body", category != "upper_body"  # which the picture's edges leave
        joints = scene.keypoints[0]
        assert bool((joints[[R_ANKLE, L_ANKLE]] > 0).all()) == feet
        assert bool((joints[[NOSE, NECK, R_SHOULDER, L_SHOULDER]] > 0).all()) == head
        above, below = (NOSE, NECK, R_SHOULDER, L_SHOULDER), (R_KNEE, L_KNEE, R_ANKLE, L_ANKLE)
        for joint in (R_HIP, L_HIP, *(above if head else ()), *(below if feet else ())):
            x, y = joints[joint].round().long().tolist()
            assert scene.parse[0, y, x] != LIP20.id("background"), joint
        for row, inside in ((0, head), (-1, feet)):
            assert bool(scene.parse[0, row].eq(LIP20.id("background")).all()) == inside
        # the person's right is on the picture's left
        assert joints[R_HIP, 0] < joints[L_HIP, 0]


# Upper body: longer hems over trousers, which the published rules protect. Others: skirts wider than trousers.
# Measured over the first 12 people of each category: 0.011, 0.007 and 0.008.
@pytest.mark.parametrize(("category", "allowed"), [("upper_body", 0.06), ("lower_body", 0.06), ("dresses", 0.06)])
def test_another_garment_changes_the_person_inside_the_inpaint_mask(category, allowed):
    people = of(category, 4)
    before, after = WORLD.scene(people, people), WORLD.scene(people, [p + UNPAIRED_SHIFT for p in people])
    mask = agnostic_mask(before.parse, before.keypoints, category, LIP20, missing_joints="skip")
    changed = ((before.person - after.person).abs().amax(1, keepdim=True) > 0.1).float()
    assert changed.mean() > 0.02
    assert (changed * (1 - mask)).sum() < allowed * changed.sum()


@pytest.mark.parametrize("category", CATEGORIES)
def test_the_worn_garment_is_the_person_there_and_white_elsewhere(category):
    (index,) = of(category, 1)
    scene = WORLD.scene([index], [index])
    ids = LIP20.ids(LIP20.regions_of(category).garment)
    garment = torch.isin(scene.parse, torch.tensor(ids))[:, None].expand_as(scene.worn)
    inside = (scene.worn - scene.person).abs()[garment]
    assert inside.mean() < 0.01
    assert (scene.worn[~garment] > 0.9).float().mean() > 0.98


@pytest.mark.parametrize("category", CATEGORIES)
def test_flat_and_worn_garment_are_the_same_cloth(category):
    for index in of(category, 5):
        garment = WORLD.garment(index)
        scene = WORLD.scene([index], [index])
        colours = torch.stack([torch.from_numpy(garment[name]).float() for name in ("colour", "colour_2")])
        shares = []
        for picture in (scene.garment, scene.worn):
            cloth = picture[0].flatten(1).T
            cloth = cloth[(cloth < 0.999).any(1)]
            shares.append(float((torch.cdist(cloth, colours).argmin(1) == 0).float().mean()))
        assert abs(shares[0] - shares[1]) < 0.25, (index, shares)
        if PATTERNS[int(garment["pattern"])] not in ("solid", "gradient"):
            assert 0.02 < shares[1] < 0.99, (index, shares)  # both colours can be seen


def test_the_flat_garment_does_not_know_who_wears_it():
    for index in (0, 1, 3):
        assert torch.equal(WORLD.scene([index], [index]).garment, WORLD.scene([index + 4], [index]).garment)


def test_two_seeds_share_nobody():
    other = DrawnWorld(78)
    assert not torch.equal(WORLD.scene([0], [0]).person, other.scene([0], [0]).person)
