"""The photographs' world: the same from the same numbers, true to its own warp, and like photographs."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("cv2")

from drawn_world.photographs import colours, fabrics, inputs, store  # noqa: E402
from drawn_world.photographs.__main__ import main  # noqa: E402
from drawn_world.photographs.frames import Tube  # noqa: E402
from drawn_world.photographs.garments import sample_garment  # noqa: E402
from drawn_world.photographs.noise import dead_leaves, fractal  # noqa: E402
from drawn_world.photographs.scene import LANDMARKS, Pair, draw_pair, pair, sample_pair  # noqa: E402
from ladivton_core.preprocessing.labels import LIP20  # noqa: E402

SMALL = (256, 192)
GARMENT = {"upper_body": ("upper_clothes",), "lower_body": ("pants", "skirt"), "dresses": ("dress",)}


@pytest.fixture(scope="module")
def pairs() -> list[Pair]:
    return [pair(1234, index, SMALL) for index in range(7)]


def _same(first: Pair, second: Pair) -> bool:
    names = (
        "persons",
        "garments",
        "worn",
        "warped",
        "parse",
        "garment_masks",
        "silhouettes",
        "fields",
        "landmarks",
        "joints",
        "detected",
    )
    return all(
        np.array_equal(getattr(first, n), getattr(second, n), equal_nan=getattr(first, n).dtype.kind == "f")
        for n in names
    )


def _falloff(picture: np.ndarray) -> float:
    """Exponent of a picture's power over frequency, between 1/64 and 1/5 of a cycle a pixel."""
    grey = picture.mean(-1)
    window = np.hanning(grey.shape[0])[:, None] * np.hanning(grey.shape[1])
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window)) ** 2
    frequency = np.hypot(*np.meshgrid(*(np.fft.fftfreq(n) for n in grey.shape), indexing="ij"))
    edges = np.geomspace(1 / 64, 1 / 5, 8)
    bands = [(frequency >= low) & (frequency < high) for low, high in zip(edges, edges[1:], strict=False)]
    return -np.polyfit([np.log(frequency[b].mean()) for b in bands], [np.log(power[b].mean()) for b in bands], 1)[0]


def test_a_pair_is_a_function_of_seed_and_index(pairs):
    pair(1234, 5, (128, 96))  # whatever was drawn before, and at whatever size
    assert _same(pair(1234, 3, SMALL), pairs[3])
    assert not _same(pair(1235, 3, SMALL), pairs[3])


def test_the_numbers_do_not_depend_on_the_size():
    """The same scene at twice the size: reduced, it is the picture that was drawn small."""
    numbers = sample_pair(77, 6)
    numbers["camera"] |= {"noise": 0.0, "quality": 0, "sharpen": 0.0, "shrink": 1.0}
    numbers["border"] = 0.0
    small, large = draw_pair(numbers, (128, 96)), draw_pair(numbers, SMALL)
    reduced = large.persons[0].reshape(128, 2, 96, 2, 3).mean((1, 3))
    assert np.abs(reduced - small.persons[0]).mean() < 7
    assert (large.parse[0][::2, ::2] == small.parse[0]).mean() > 0.96
    assert np.nanmedian(np.abs(large.landmarks / 2 - small.landmarks)) < 1.5
    assert np.allclose(large.joints[:, :2] / 2, small.joints[:, :2], atol=0.01)


def test_another_proportion_is_refused():
    with pytest.raises(ValueError, match="4 to 3"):
        draw_pair(sample_pair(1, 0), (512, 512))
    with pytest.raises(ValueError, match="unknown category"):
        sample_pair(1, 0, "hats")


def test_the_flat_cloth_warped_by_the_true_field_is_the_worn_cloth(pairs):
    """Where a pattern tells: warped and worn agree up to light, and much better than when the field is shifted."""
    told = []
    for made in pairs:
        for which in (0, 1):
            seen = np.isfinite(made.fields[which]).all(-1)
            warped, worn = (getattr(made, n)[which][2::4, 2::4].astype(float).mean(-1) for n in ("warped", "worn"))
            inner = seen & (made.worn[which][2::4, 2::4].min(-1) < 245)
            if inner.sum() < 60 or warped[inner].std() < 25:
                continue
            right = np.corrcoef(warped[inner], worn[inner])[0, 1]
            wrong = np.corrcoef(np.roll(warped, 5, 0)[inner], worn[inner])[0, 1]
            assert right > 0.6 and right > wrong + 0.2
            told.append(right)
    assert len(told) >= 3 and np.median(told) > 0.85


def test_the_field_points_into_the_garment(pairs):
    for made in pairs:
        for which in (0, 1):
            places = made.fields[which][np.isfinite(made.fields[which]).all(-1)].round().astype(int)
            if not len(places):
                continue
            inside = (places >= 0).all(1) & (places < (SMALL[1], SMALL[0])).all(1)
            assert inside.mean() > 0.98
            x, y = places[inside].T
            assert (made.garment_masks[which][y, x] > 100).mean() > 0.96


def test_landmarks_lie_on_the_garment_in_both_pictures(pairs):
    for made in pairs:
        for which in (0, 1):
            flat, worn = made.landmarks[which]
            known = np.isfinite(flat).all(1)
            assert known.sum() >= 4
            near = [made.garment_masks[which][max(int(y) - 2, 0) : int(y) + 3, max(int(x) - 2, 0) : int(x) + 3]
                    for x, y in flat[known].round()]  # fmt: skip
            assert np.mean([(n > 100).any() if n.size else False for n in near]) > 0.85
            for x, y in worn[np.isfinite(worn).all(1)]:
                assert LIP20.labels[made.parse[which][int(y), int(x)]] in GARMENT[made.category]
    assert len(LANDMARKS) == made.landmarks.shape[2]


def test_only_the_garment_differs_between_the_two_photographs(pairs):
    """Far from both garments, and from the shadows beside them, the two photographs are one."""
    compared = 0
    for made in pairs:
        same = (made.worn.min(-1) > 250).all(0) & (made.parse[0] == made.parse[1]) & (made.parse[0] == LIP20.id("face"))
        if same.sum() > 200:
            compared += 1
            difference = made.persons[0][same].astype(int) - made.persons[1][same]
            assert np.abs(difference).mean() < 4
    assert compared >= 2


def test_worn_cloth_is_labelled_as_the_garment_and_inside_the_silhouette(pairs):
    for made in pairs:
        ids = LIP20.ids(GARMENT[made.category])
        for which in (0, 1):
            seen = np.isfinite(made.fields[which]).all(-1)
            assert np.isin(made.parse[which][2::4, 2::4][seen], ids).mean() > 0.98
            assert (made.silhouettes[which][made.parse[which] > 0] > 100).mean() > 0.99


def test_joints_lie_on_the_person(pairs):
    names = {2: "shoulder", 3: "elbow", 5: "shoulder", 6: "elbow", 9: "knee", 12: "knee"}
    on = [made.silhouettes[0][int(y), int(x)] > 100
          for made in pairs for number in names for x, y, seen in [made.joints[number]] if seen]  # fmt: skip
    assert len(on) > 15 and np.mean(on) > 0.9
    for made in pairs:
        found = made.detected[:, 2] > 0
        assert (made.detected[~found] == 0).all() and (made.joints[:, 2] >= found).all()


def test_dead_leaves_and_fractals_fall_off_like_photographs():
    palette = colours.scenery(np.random.default_rng(0))
    leaves = [_falloff(dead_leaves(seed, (256, 256), palette)) for seed in range(6)]
    assert 1.6 < np.median(leaves) < 2.7
    for exponent in (0.6, 1.0, 1.4):
        made = _falloff(np.mean([_rgb(fractal(seed, (256, 256), exponent)) for seed in (1,)], 0))
        assert made == pytest.approx(2 * exponent, abs=0.6)


def _rgb(field: np.ndarray) -> np.ndarray:
    return np.repeat(field[..., None], 3, -1)


def test_a_larger_field_of_the_same_seed_only_adds_detail():
    small, large = fractal(5, (96, 72), 1.2), fractal(5, (192, 144), 1.2)
    reduced = large.reshape(96, 2, 72, 2).mean((1, 3))
    assert np.corrcoef(small.ravel(), reduced.ravel())[0, 1] > 0.9


def test_skin_spans_the_scale_and_clothes_are_a_shop_s():
    rng = np.random.default_rng(3)
    light = np.array([colours.skin(rng) for _ in range(400)]).mean(1)
    assert light.min() < 0.25 and light.max() > 0.8
    assert (np.histogram(light, 8, (0.17, 0.87))[0] > 10).all()
    cloth = np.array([colours.cloth(rng) for _ in range(800)])
    white, black = (cloth.min(1) > 0.85).mean(), (cloth.max(1) < 0.18).mean()
    assert 0.12 < white < 0.35 and 0.1 < black < 0.3


def test_every_pattern_and_structure_can_be_drawn():
    rng = np.random.default_rng(4)
    for pattern in fabrics.PATTERNS:
        for structure in list(fabrics.STRUCTURES)[:: 3 if pattern != "plain" else 1]:
            fabric = fabrics.sample_fabric(rng) | {"pattern": pattern, "structure": structure}
            picture = fabrics.fabric_picture(fabric, (1.0, 0.7), 50)
            assert picture.shape == (50, 35, 3) and np.isfinite(picture).all()
            assert picture.min() >= 0 and picture.max() <= 1


def test_garments_come_in_every_kind():
    rng = np.random.default_rng(5)
    tops = [sample_garment(rng, "upper_body") for _ in range(160)]
    assert {top["neck"] for top in tops} >= {"crew", "v", "turtle", "shirt", "scoop"}
    sleeves = np.array([top["sleeve"] for top in tops])
    assert (
        (sleeves == 0).mean() > 0.15
        and (sleeves > 2.4).mean() > 0.12
        and ((sleeves > 0.4) & (sleeves < 1.1)).mean() > 0.2
    )
    assert any(top["graphic"] for top in tops) and any(top["open"] for top in tops)


def test_tube_coordinates_go_there_and_back():
    tube = Tube([[50, 20], [60, 120], [140, 180]], [0, 1, 2])
    along, across = np.meshgrid([0.1, 0.5, 1.0, 1.6, 2.2], [-8.0, 0.0, 9.0])
    points = tube.place(along, across)
    there, off = tube.locate(points[..., 0].astype(np.float32), points[..., 1].astype(np.float32))
    assert np.allclose(off, across, atol=1.5) and np.allclose(there, along, atol=0.06)


def test_ragged_silhouettes_keep_most_of_the_person(pairs):
    rng = np.random.default_rng(6)
    for made in pairs[:4]:
        whole = made.silhouettes[0] / np.float32(255)
        worse = inputs.ragged(rng, whole)
        both, either = ((worse > 0.5) & (whole > 0.5)).sum(), ((worse > 0.5) | (whole > 0.5)).sum()
        assert 0.75 < both / either < 1 and worse.min() >= 0 and worse.max() <= 1


def test_pairs_are_rendered_whole_and_gone_on_with(tmp_path, pairs):
    folder = tmp_path / "pairs"
    store.write(pairs[2], store.path_of(folder, 2))
    before = store.path_of(folder, 2).stat().st_mtime_ns
    assert store.render(folder, 3, 1234, SMALL, worker=0, workers=2) == 1  # 0 is new, 2 is there, 1 is another's
    assert store.path_of(folder, 2).stat().st_mtime_ns == before and not store.path_of(folder, 1).exists()
    got = store.read(store.path_of(folder, 0))
    assert got.category == pairs[0].category and np.array_equal(got.parse, pairs[0].parse)
    assert np.array_equal(got.joints, pairs[0].joints) and np.array_equal(got.garment_masks, pairs[0].garment_masks)
    assert np.abs(got.persons.astype(int) - pairs[0].persons).mean() < 2.5
    assert np.nanmax(np.abs(got.fields - pairs[0].fields)) <= 1 / 16
    assert (np.isfinite(got.fields) == np.isfinite(pairs[0].fields)).all()
    np.savez(tmp_path / "other.npz", x=1)
    with pytest.raises(ValueError, match="other.npz"):
        store.read(tmp_path / "other.npz")


def test_the_command_makes_a_sheet(tmp_path):
    main(["sheet", str(tmp_path / "sheet.png"), "--count", "1", "--size", "128", "96"])
    assert (tmp_path / "sheet.png").stat().st_size > 10_000
    with pytest.raises(SystemExit):
        main(["render", str(tmp_path), "--count", "0"])
