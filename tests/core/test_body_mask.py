"""The body's mask; silhouettes as evidence: what is worn is repainted, what must stay stays, holes change nothing."""

import numpy as np
import pytest
import torch

from drawn_world.world.scene import DrawnWorld
from ladivton_core.mask_edges import grow_mask
from ladivton_core.preprocessing.labels import ATR18, LABEL_SETS, LIP20, atr18_from_lip20
from ladivton_core.preprocessing.masks.body_drawing import body_frame
from ladivton_core.preprocessing.masks.body_mask import bare_skin, body_mask, cloth_on_white
from ladivton_core.preprocessing.masks.body_region import body_region
from ladivton_core.preprocessing.masks.clothes_ends import clothes_ends
from ladivton_core.preprocessing.masks.ground import ground_behind
from ladivton_core.preprocessing.pose.dialects import KNUCKLES, POINTS

SIZE = (512, 384)


@pytest.fixture(scope="module")
def drawn():
    """Two people a category: (category, picture, labels, joints, where the worn garment is)."""
    world, people = DrawnWorld(seed=41), []
    for index in (2, 10, 1, 9, 3, 11):
        scene = world.scene([index], [index + 4])
        worn = (scene.worn < 1).any(1, keepdim=True).float()
        people.append((scene.category[0], scene.person, scene.parse, scene.keypoints.double(), worn))
    return people


def has(parse, names):
    return torch.isin(parse, torch.tensor(LIP20.ids(names)))[:, None]


def silhouette_of(parse):
    return (parse > 0)[:, None].float()


def region(category, joints, **given):
    return body_region(joints, category, SIZE, **given)


def body(category, joints, **given):
    return body_mask(category, SIZE, keypoints=joints, **given)


@pytest.mark.parametrize("rule", [region, body])
def test_a_hole_in_the_silhouette_changes_nothing(drawn, rule):
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    for category, _, parse, joints, _ in drawn:
        frame, whole = body_frame(joints[0]), silhouette_of(parse)
        spine = [frame.chest + (frame.waist - frame.chest) * share for share in (0.3, 0.6)]
        thighs = [(leg[0] + leg[1]) / 2 for leg in frame.legs] if category != "upper_body" else []
        expected = rule(category, joints, silhouette=whole)
        for x, y in [*spine, *thighs]:
            hole = (rows - y) ** 2 + (columns - x) ** 2 < (0.15 * frame.size) ** 2
            assert (whole[0, 0][hole] > 0).all()
            assert torch.equal(rule(category, joints, silhouette=whole * ~hole), expected), category


@pytest.mark.parametrize("rule", [region, body])
def test_pieces_elsewhere_and_lost_arms_change_little(drawn, rule):
    for category, _, parse, joints, _ in drawn:
        whole = silhouette_of(parse)
        speckled, armless = whole.clone(), whole * ~has(parse, ("left_arm", "right_arm"))
        places = ((slice(rows, rows + 30), slice(x, x + 25)) for rows in (0, 60, 480) for x in (0, 355))
        free = [place for place in places if not whole[0, 0][place].any()]
        speckled[0, 0][free[0]] = 1
        expected = rule(category, joints, silhouette=whole)
        assert torch.equal(rule(category, joints, silhouette=speckled), expected)
        assert (rule(category, joints, silhouette=armless) != expected).float().mean() < 0.04


@pytest.mark.parametrize("rule", [region, body])
def test_a_silhouette_that_contradicts_the_joints_is_dropped_and_said(drawn, rule):
    for category, _, parse, joints, _ in drawn:
        whole, said = silhouette_of(parse), []
        frame = body_frame(joints[0])
        legless = whole * torch.from_numpy(frame.depth(SIZE) < 0.1)
        mask = rule(category, joints, silhouette=legless, say=said.append)
        if category == "upper_body":
            assert not said, "nobody asks an upper body for legs"
        else:
            assert len(said) == 1 and "leaves out the legs" in said[0] and "not used" in said[0]
            assert torch.equal(mask, rule(category, joints))
            trousers = has(parse, LIP20.regions_of(category).garment)
            assert mask[trousers].mean() > 0.93
        said.clear()
        assert torch.equal(rule(category, joints, silhouette=1 - whole, say=said.append), rule(category, joints))
        assert len(said) == 1 and "the wrong way round" in said[0]


def test_it_covers_the_garment_and_little_else(drawn):
    for category, picture, parse, joints, _ in drawn:
        mask = body(category, joints, silhouette=silhouette_of(parse), picture=picture).bool()
        stroke = region(category, joints, silhouette=silhouette_of(parse), picture=picture).bool()
        garment, background = has(parse, LIP20.regions_of(category).garment), (parse == 0)[:, None]
        assert mask[garment].float().mean() > 0.96, category
        assert (mask & has(parse, ("face",))).sum() <= 0.04 * has(parse, ("face",)).sum()
        if category == "upper_body":
            assert (mask & background).sum() < 0.6 * (stroke & background).sum()


@pytest.mark.parametrize("by_labels", [False, True])
def test_what_is_kept_stays_and_the_cloth_is_covered(drawn, by_labels):
    for category, _, parse, joints, worn in drawn:
        labels = {"parse": parse, "labels": LIP20} if by_labels else {"silhouette": silhouette_of(parse)}
        everywhere = body(category, joints, cloth=torch.ones_like(worn), **labels).bool()
        keep = torch.zeros_like(worn)
        keep[..., 200:300, 150:190] = 1
        cloth = torch.roll(worn, (-15, 20), (2, 3))
        mask = body(category, joints, cloth=cloth, keep=keep, **labels).bool()
        assert not mask[keep > 0].any()
        assert mask[(cloth > 0) & everywhere & (keep == 0)].all()
        assert not everywhere[has(parse, ("face",))].any() or not by_labels
        if by_labels:
            kept = has(parse, LIP20.regions_of(category).fixed) & ~has(parse, ("pants", "skirt"))
            old = has(parse, LIP20.regions_of(category).repaint)
            assert not everywhere[kept].any() and mask[old & (keep == 0)].all()


def test_hair_beside_the_neck_stays_where_the_silhouette_shows_it(drawn):
    category, _, parse, joints, _ = drawn[0]
    frame = body_frame(joints[0])
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    away = np.stack([columns, rows], -1) - frame.chest
    beside, above = away @ frame.across / frame.size, -(away @ frame.down) / frame.size
    hair = torch.from_numpy((beside > 0.1) & (beside < 0.6) & (above > 0.48) & (above < 0.75))[None, None]
    free = torch.from_numpy(beside > 0.35) & hair  # neither neck nor the face's drawn surroundings
    given = {"cloth": torch.ones(1, 1, *SIZE)}
    told = body(category, joints, silhouette=(silhouette_of(parse) + hair).clamp(0, 1), **given)
    inner = torch.from_numpy((beside > 0.3) & (beside < 0.55) & (above > 0.54) & (above < 0.7))
    assert not told[0, 0][inner].any(), "also where the garment would lie over it"
    assert body(category, joints, silhouette=silhouette_of(parse) * ~hair, **given)[free].all()


def test_a_larger_margin_only_adds_and_a_batch_is_its_items(drawn):
    for category in ("upper_body", "lower_body", "dresses"):
        people = [person for person in drawn if person[0] == category]
        pictures, parse, joints, worn = (torch.cat([person[part] for person in people]) for part in (1, 2, 3, 4))
        given = {"silhouette": silhouette_of(parse), "picture": pictures, "cloth": worn}
        before = torch.zeros(2, 1, *SIZE)
        for margin in (0, 3, 12, 30):
            mask = body(category, joints, margin=margin, **given)
            assert (mask >= before).all()
            before = mask
        alone = [
            body(category, joints[row : row + 1], margin=30, **{name: x[row : row + 1] for name, x in given.items()})
            for row in range(2)
        ]
        assert torch.equal(torch.cat(alone), before)


def test_twice_the_picture_has_about_the_same_mask(drawn):
    def twice(picture):
        return picture.repeat_interleave(2, -1).repeat_interleave(2, -2)

    for category, picture, parse, joints, worn in drawn:
        given = {"silhouette": silhouette_of(parse), "picture": picture, "cloth": worn}
        small = body(category, joints, **given)
        large = body_mask(category, (1024, 768), keypoints=joints * 2, **{name: twice(x) for name, x in given.items()})
        assert (twice(small) != large).float().mean() < 0.02, category


def test_a_dress_over_shirt_and_trousers_repaints_both_with_dress_codes_labels(drawn):
    _, _, parse, joints, _ = drawn[0]
    atr = atr18_from_lip20(parse)
    left = ATR18.left_in_place("dresses")
    assert set(left) == {"upper_clothes", "skirt", "pants"}
    worn = torch.isin(atr, torch.tensor(ATR18.ids(left)))[:, None]
    assert body("dresses", joints, parse=atr, labels=ATR18)[worn].mean() == 1
    for label in (-1, 18, 255):
        with pytest.raises(ValueError, match=f"has the label {label}, but ATR18 ends at 17"):
            body("dresses", joints, parse=torch.full_like(atr.int(), label), labels=ATR18)
    for labels in LABEL_SETS.values():  # whatever is worn is either repainted, kept, or named here
        for category in ("upper_body", "lower_body", "dresses"):
            rule = labels.regions_of(category)
            assert not set(labels.left_in_place(category)) & {*rule.repaint, *rule.fixed}


def test_without_joints_the_silhouette_counts_in_the_rows_of_the_cloth(drawn):
    _, _, parse, _, worn = drawn[0]
    rows = worn[0, 0].any(1)
    person = silhouette_of(parse).bool()
    mask = body_mask("upper_body", SIZE, cloth=worn, silhouette=person.float(), margin=0).bool()
    assert mask[0, 0][rows].equal((person | (worn > 0))[0, 0][rows]) and not mask[0, 0][~rows].any()
    with pytest.raises(ValueError, match="nothing tells where the garment goes"):
        body_mask("upper_body", SIZE, silhouette=person.float())
    with pytest.raises(ValueError, match="picture 7"):
        body_mask("upper_body", SIZE, keypoints=torch.zeros(1, 18, 2), numbers=[7])
    with pytest.raises(ValueError, match="'cloth' has the shape"):
        body_mask("upper_body", SIZE, keypoints=torch.ones(1, 18, 2) * 50, cloth=worn[..., :8])


def test_a_hand_is_kept_where_its_points_are(drawn):
    category, _, _, joints, _ = drawn[2]
    frame, points = body_frame(joints[0]), torch.zeros(1, POINTS, 2, dtype=torch.float64)
    points[:, :18] = joints
    wrist = frame.hips[1] - frame.across * 0.1 * frame.size
    points[0, 7] = torch.from_numpy(wrist)
    for place, along in zip(KNUCKLES, (0.0, 0.05, 0.1, 0.15), strict=True):  # pointing into the picture's left
        points[0, 18 + 21 + place] = torch.from_numpy(wrist + (frame.down * along - frame.across * 0.3) * frame.size)
    x, y = np.rint(wrist - frame.across * 0.45 * frame.size + frame.down * 0.1 * frame.size).astype(int)
    for rule in (region, body):
        assert rule(category, joints)[0, 0, y, x] and not rule(category, points)[0, 0, y, x]


@pytest.mark.parametrize("unit", [1, 2])
def test_waist_and_hems_are_found_where_the_colours_change(drawn, unit):
    frame = body_frame(drawn[2][3][0] * unit)
    depth = torch.from_numpy(frame.depth((512 * unit, 384 * unit)))[..., None]
    shirt, trousers = torch.tensor([0.8, 0.3, 0.2]), torch.tensor([0.3, 0.4, 0.9])
    plain = (shirt + 0 * depth).numpy()
    assert clothes_ends(plain, frame).waist is None and clothes_ends(plain, frame).hems == (None, None)
    for waist in (-0.5, 0.0, 0.25):
        found = clothes_ends(torch.where(depth < waist, shirt, trousers).numpy(), frame).waist
        assert found == pytest.approx((waist, waist), abs=0.06)
    belted = torch.where((depth < -0.6) | (depth > 0.0), trousers, shirt).numpy()  # skin between two of a colour
    assert clothes_ends(belted, frame).waist == pytest.approx((-0.6, 0.0), abs=0.06)


def test_a_top_of_two_colours_ends_at_its_hem(drawn):
    _, _, _, joints, _ = drawn[0]
    frame = body_frame(joints[0])
    depth = torch.from_numpy(frame.depth(SIZE))[..., None]
    bright, dark, trousers = (torch.tensor(colour) for colour in ([0.9, 0.6, 0.2], [0.3, 0.1, 0.4], [0.4, 0.4, 0.35]))
    picture = torch.where(depth < -0.6, bright, torch.where(depth < 0.1, dark, trousers)).float()
    assert clothes_ends(picture.numpy(), frame).waist[1] == pytest.approx(0.1, abs=0.06)
    mask = region("upper_body", joints, picture=picture.movedim(-1, 0)[None])
    trunk = torch.from_numpy((frame.depth(SIZE) > -0.6) & (frame.depth(SIZE) < 0.08))
    middle = torch.from_numpy(np.abs(np.arange(SIZE[1]) - frame.waist[0]) < 0.2 * frame.size)
    assert mask[0, 0][trunk & middle].all()


def test_a_top_does_not_end_where_legs_come_out_of_shorts(drawn):
    frame = body_frame(drawn[0][3][0])
    depth = torch.from_numpy(frame.depth(SIZE))[..., None]
    shirt, shorts, legs = (torch.tensor(colour) for colour in ((0.1, 0.1, 0.1), (0.2, 0.3, 0.6), (0.6, 0.42, 0.34)))
    picture = torch.where(depth < -0.1, shirt, torch.where(depth < 0.3, shorts, legs)).float().numpy()
    skin = (depth[..., 0] >= 0.3).numpy()
    assert clothes_ends(picture, frame).waist[1] == pytest.approx(0.3, abs=0.06)
    assert clothes_ends(picture, frame, skin).waist[1] == pytest.approx(-0.1, abs=0.06)


def test_somebody_who_sits_has_no_waist_by_colour(drawn):
    _, _, _, joints, _ = drawn[0]
    frame, sitting = body_frame(joints[0]), joints[0].clone()
    depth = torch.from_numpy(frame.depth(SIZE))[..., None]
    picture = torch.where(depth < -0.5, torch.tensor([0.2, 0.2, 0.2]), torch.tensor([0.9, 0.4, 0.1])).numpy()
    assert clothes_ends(picture, frame).waist is not None
    for hip, knee in ((8, 9), (11, 12)):
        sitting[knee] = sitting[hip] + torch.from_numpy(frame.across * 0.8 * frame.size)
    assert clothes_ends(picture, body_frame(sitting)).waist is None


def test_cloth_is_what_is_not_the_white_around(drawn):
    _, _, parse, _, worn = drawn[0]
    garment = torch.where(worn > 0, 0.4, 1.0).expand(1, 3, *SIZE).clone()
    inner = (worn[0, 0] > 0).nonzero()
    y, x = inner[len(inner) // 2].tolist()
    garment[..., y - 4 : y + 4, x - 4 : x + 4] = 1  # a white print
    garment[..., 5:7, 5:7] = 0.9  # a smudge
    cloth = cloth_on_white(garment)
    assert cloth[..., y, x].all() and not cloth[..., :10, :10].any() and (cloth != worn).float().mean() < 0.002


def test_the_ground_is_as_white_as_the_border_so_that_white_stripes_are_cloth(drawn):
    worn = drawn[0][4]
    striped = torch.where(torch.arange(SIZE[0])[:, None] // 4 % 2 > 0, 0.975, 0.3)
    assert torch.equal(cloth_on_white(torch.where(worn > 0, striped, 1.0).expand(1, 3, *SIZE)), worn)
    noise = torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(1)) * 0.02
    noisy = torch.where(worn > 0, 0.3, 0.98 + noise - 0.01).expand(1, 3, *SIZE)
    assert (cloth_on_white(noisy) != worn).float().mean() < 0.002


def test_a_loose_silhouettes_wall_stays_the_photos(drawn):
    walls = torch.linspace(0.6, 0.9, SIZE[1]).expand(1, 3, *SIZE)
    for category, picture, parse, joints, worn in drawn:
        whole = silhouette_of(parse)
        photo, loose = torch.where(whole > 0, picture, walls), grow_mask(whole, 12)
        given = {"cloth": worn, "silhouette": loose, "picture": photo}
        repainted, pasted = body(category, joints, paste=True, **given).split(1, 1)
        assert torch.equal(repainted, body(category, joints, **given))
        wall = grow_mask(whole + worn, 3) == 0
        assert (repainted * wall).sum() > 500 and (pasted * wall).sum() < 0.1 * (repainted * wall).sum()
        mine = (pasted > 0) & (whole > 0) & (worn == 0)
        tight = body(category, joints, paste=True, **given | {"silhouette": whole})[:, 1:]
        assert mine.sum() > 0.8 * ((tight > 0) & (whole > 0) & (worn == 0)).sum()


def test_ground_is_told_from_what_lies_around():
    y, x = torch.meshgrid(torch.linspace(0, 1, 96), torch.linspace(0, 1, 64), indexing="ij")
    wall = torch.stack([0.3 + 0.4 * x, 0.5 + 0.3 * y, 0.6 - 0.2 * x * y])[None]
    person = ((x - 0.5).abs() < 0.2)[None, None].float() * (y > 0.2)
    filled = ground_behind(torch.where(person > 0, torch.rand_like(wall), wall), person)
    assert torch.allclose(filled * (1 - person), wall * (1 - person), atol=1e-6)
    assert (filled - wall).abs().max() < 0.1


def test_what_is_worn_below_a_bare_belly_is_not_the_top(drawn):
    category, picture, parse, joints, _ = drawn[0]
    assert category == "upper_body"
    frame = body_frame(joints[0])
    depth, face = torch.from_numpy(frame.depth(SIZE)), picture[0][:, has(parse, ("face",))[0, 0]].mean(1)
    black = torch.tensor([0.05, 0.05, 0.06])
    for belly in (False, True):
        photo = picture.clone()
        for channel in range(3):
            trunk = has(parse, ("upper_clothes", "pants", "skirt"))[0, 0]
            photo[0, channel][trunk] = black[channel]
            if belly:
                photo[0, channel][trunk & (depth > -0.5) & (depth < -0.3)] = face[channel]
        mask = body(category, joints, silhouette=silhouette_of(parse), picture=photo, margin=0)[0, 0]
        middle = torch.from_numpy(np.abs(np.arange(SIZE[1]) - frame.waist[0]) < 0.2 * frame.size)
        below = (depth > -0.2) & (depth < -0.1) & middle
        assert mask[(depth < -0.6) & (depth > -0.8) & middle].all() and bool(mask[below].any()) != belly


def test_bare_skin_has_the_faces_colour_in_any_light_and_stays_the_photos(drawn):
    arms, clothes = ("left_arm", "right_arm", "face"), ("upper_clothes", "dress", "pants", "skirt")
    for category, picture, parse, joints, worn in drawn:
        frame, pixels = body_frame(joints[0]), picture[0].movedim(0, -1).numpy()
        if category == "lower_body":  # from the waist down: no face tells its colour
            assert not bare_skin(pixels, frame).any()
            continue
        for light in (0.6, 1.0):
            skin = torch.from_numpy(bare_skin(pixels * light, frame))
            assert skin[has(parse, arms)[0, 0]].float().mean() > 0.9
            assert skin[has(parse, clothes)[0, 0]].float().mean() < 0.1
        repainted, pasted = body(
            category, joints, cloth=worn, silhouette=silhouette_of(parse), picture=picture, paste=True
        ).split(1, 1)
        inside = (worn > 0) & (repainted > 0)
        assert (pasted <= repainted).all() and pasted[inside].all()
        bare = (skin[None, None] & (worn == 0) & (repainted > 0)).float()
        assert not (bare * pasted).any() and bare.any()
        face = pixels[has(parse, ("face",))[0, 0].numpy()].mean(0)
        skin_coloured = np.where(has(parse, clothes)[0, 0].numpy()[..., None], face, pixels)
        assert not bare_skin(skin_coloured, frame).any()


def test_white_clothes_are_no_pale_skin(drawn):
    frame = body_frame(drawn[0][3][0])
    pale, white, tanned = (0.87, 0.73, 0.66), (0.97, 0.93, 0.9), (0.6, 0.42, 0.34)
    for face in (pale, tanned):
        picture = np.full((*SIZE, 3), face, np.float32)
        picture[frame.depth(SIZE) > -1.4] = white  # from below the shoulders on
        skin = bare_skin(picture, frame)
        assert skin[frame.depth(SIZE) < -1.5].all() and not skin[frame.depth(SIZE) > -1.3].any()


def test_a_silhouette_that_is_dropped_tells_no_ground(drawn):
    for category, _, parse, joints, worn in drawn:
        whole = silhouette_of(parse)
        elsewhere = torch.zeros_like(whole)
        elsewhere[..., :20, :20] = 1
        for silhouette, told in ((whole, True), (None, False), (whole * 0, False), (elsewhere, False)):
            given = {"cloth": worn, "silhouette": silhouette, "say": lambda _: None}
            repainted, pasted = body(category, joints, paste=True, **given).split(1, 1)
            assert torch.equal(repainted, body(category, joints, **given))
            assert torch.equal(repainted, pasted) != told


@pytest.mark.parametrize("rule", [region, body])
def test_a_hand_in_a_pocket_or_behind_the_back_keeps_no_cloth_and_a_bare_one_its_skin_alone(drawn, rule):
    category, _, parse, joints, _ = next(person for person in drawn if person[0] == "dresses")
    frame, silhouette = body_frame(joints[0]), silhouette_of(parse)
    points, cloth = torch.zeros(1, POINTS, 2).double(), torch.tensor([0.1, 0.3, 0.5])
    points[:, :18] = joints
    wrist = frame.waist + frame.down * 0.3 * frame.size
    points[0, 3], points[0, 4] = torch.from_numpy(frame.shoulders[0] + [0.0, 0.5 * frame.size]), torch.from_numpy(wrist)
    for knuckle, across in zip(KNUCKLES, np.linspace(-0.1, 0.1, len(KNUCKLES)), strict=True):
        points[0, 18 + knuckle] = torch.from_numpy(wrist + (frame.down * 0.15 + frame.across * across) * frame.size)
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")

    def disc(middle, reach):
        return np.hypot(columns - middle[0], rows - middle[1]) < reach * frame.size

    skin, picture = torch.tensor([0.8, 0.6, 0.5])[:, None], cloth[:, None, None].expand(3, *SIZE).clone()
    picture[:, disc(frame.head.mean(0), 0.3)] = skin
    arms = torch.zeros(SIZE, dtype=torch.bool)
    for share in np.linspace(0, 1, 40):
        arms |= disc(frame.shoulders[0] + share * (wrist - frame.shoulders[0]), 0.12)
    hand = wrist + frame.down * 0.2 * frame.size
    given = {"silhouette": silhouette, "picture": picture[None]}
    kept = rule(category, points, **given)[0, 0]
    assert kept[disc(hand, 0.04)].mean() == 0, "sleeve and glove"
    picture[:, arms & ~disc(hand, 0.2)] = skin
    assert rule(category, points, **given)[0, 0][disc(hand, 0.04)].mean() == 1, "a bare arm whose hand is not seen"
    beside = frame.across * 0.05 * frame.size
    picture[:, disc(hand + 2 * beside, 0.1)] = skin
    shown = rule(category, points, **given)[0, 0]
    assert shown[disc(hand + beside, 0.02)].mean() == 0
    assert shown[disc(hand - beside, 0.015)].mean() == 1, "cloth beside its skin"
    grey = picture.mean(0, keepdim=True).expand(3, -1, -1)[None]
    assert not bare_skin(grey[0].movedim(0, -1).numpy(), frame).any()
