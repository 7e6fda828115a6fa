"""A catalogue for another pipeline: inputs prepared once, its results of any size brought home."""

from __future__ import annotations

import csv
import json
import logging

import numpy as np
import pytest
import torch
from hosting.places import SAMPLES
from PIL import Image

from ladivton_core.batch import __main__ as command
from ladivton_core.batch.elsewhere import COLUMNS, PAIRS, ElsewhereEngine, write_inputs
from ladivton_core.batch.runs import run
from ladivton_core.disk import colours
from ladivton_core.models import OtherSettingsError
from ladivton_core.preprocessing.pose.keypoints import keypoints_from_people
from ladivton_core.preprocessing.pose.pose_map import skeleton

SIZE = {"size": (128, 96)}


@pytest.fixture
def shop(tmp_path):
    """Two people with joints, one of them larger and wide, and two garments, one with a second picture."""
    Image.open(SAMPLES / "person.png").convert("RGB").resize((768, 1024)).save(tmp_path / "wide.png")
    wide = Image.new("RGB", (1000, 1024), "grey")
    wide.paste(Image.open(tmp_path / "wide.png"), (100, 0))
    wide.save(tmp_path / "wide.png")
    document = json.loads((SAMPLES / "keypoints.json").read_text("utf-8"))
    flat = document["people"][0]["pose_keypoints_2d"]
    moved = [v if i % 3 == 2 or v <= 0 else 2 * v + 100 * (i % 3 == 0) for i, v in enumerate(flat)]
    (tmp_path / "wide.json").write_text(json.dumps({"people": [{"pose_keypoints_2d": moved}]}))
    (tmp_path / "persons.csv").write_text(
        f"id,photo,keypoints\nann,{SAMPLES}/person.png,{SAMPLES}/keypoints.json\nbea,wide.png,wide.json\n"
    )
    (tmp_path / "garments.csv").write_text(
        f"id,picture,category,reference\nshirt,{SAMPLES}/garment.png,upper_body,\n"
        f"dress,{SAMPLES}/dresses_garment.png,dresses,{SAMPLES}/garment.png\n"
    )
    return {"persons": tmp_path / "persons.csv", "garments": tmp_path / "garments.csv"}


def settings(**more):
    from ladivton_core.batch.items import Settings

    return Settings(**SIZE | more)


@pytest.fixture
def prepared(shop, tmp_path):
    return write_inputs(tmp_path / "inputs", settings=settings(), **shop), tmp_path / "inputs"


def lines(folder):
    with (folder / PAIRS).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def answer(folder, results, size=(256, 192), colour=(220, 30, 40)):
    """What another pipeline makes of the inputs: a whole picture, the mask filled with a colour."""
    for line in lines(folder):
        person = Image.open(folder / line["person"]).convert("RGB").resize(size[::-1], Image.BICUBIC)
        mask = Image.open(folder / line["mask"]).resize(size[::-1], Image.NEAREST)
        made = Image.composite(Image.new("RGB", person.size, colour), person, mask)
        file = (results / line["result"]).with_suffix(".webp")
        file.parent.mkdir(parents=True, exist_ok=True)
        made.save(file, lossless=True)


def test_everything_is_prepared_once_and_named_in_one_list(prepared, shop):
    report, folder = prepared
    assert (report.made, report.kept, report.errors) == (6, 0, {})  # two people in two categories, two garments
    told = lines(folder)
    assert len(told) == 4 and tuple(told[0]) == COLUMNS and len({line["result"] for line in told}) == 4
    for line in told:
        for name in ("person", "mask", "pose", "garment"):
            picture = Image.open(folder / line[name])
            assert picture.size == (96, 128), name
        mask = np.asarray(Image.open(folder / line["mask"]))
        assert set(np.unique(mask)) == {0, 255} and 0.05 < (mask > 0).mean() < 0.8
        assert np.asarray(Image.open(folder / line["pose"])).any()
        assert np.asarray(Image.open(folder / line["garment"]).convert("RGB"))[0, 0].min() > 250
        joints = keypoints_from_people(json.loads((folder / line["keypoints"]).read_text()), (128, 96))
        assert (joints[0].amax(0) < torch.tensor([97, 129])).all() and joints[0, 2].all()
    assert [bool(line["reference"]) for line in told] == [False, True] * 2
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*.png")}
    again = write_inputs(folder, settings=settings(), **shop)
    assert (again.made, again.kept) == (0, 6)
    assert before == {file: file.stat().st_mtime_ns for file in folder.rglob("*.png")}
    larger = write_inputs(folder, settings=settings(size=(256, 192)), **shop)
    assert larger.made == 6


def test_what_cannot_be_prepared_is_told_and_the_rest_is_written(shop, tmp_path):
    with shop["persons"].open("a") as file:
        file.write(f"nobody,{SAMPLES}/person.png,nobody.json\n")
    (tmp_path / "nobody.json").write_text('{"people": []}')
    report = write_inputs(tmp_path / "inputs", settings=settings(), **shop)
    assert report.made == 6 and report.errors.keys() == {"upper_body/nobody", "dresses/nobody"}
    assert {line["id"].split("/")[0] for line in lines(tmp_path / "inputs")} == {"ann", "bea"}


def test_results_of_another_size_come_home_and_only_new_ones_are_made_again(prepared, shop, tmp_path):
    _, folder = prepared
    answer(folder, tmp_path / "results")

    def home(**more):
        return run(
            tmp_path / "out", engine="elsewhere", settings=settings(), stitch=str(tmp_path / "results"), **shop, **more
        )

    report = home()
    assert (report.made, report.errors) == (4, {})
    photo = np.asarray(Image.open(tmp_path / "wide.png").convert("RGB")).astype(int)
    made = np.asarray(Image.open(tmp_path / "out/upper_body/bea/shirt.png").convert("RGB")).astype(int)
    assert made.shape == photo.shape
    changed = (np.abs(made - photo) > 3).any(-1)
    assert 0.05 < changed.mean() < 0.5 and np.array_equal(made[~changed][:100], photo[~changed][:100])
    assert np.median(made[changed], 0)[0] > 150 and (made[:, :60] == photo[:, :60]).all()
    assert (home().made, home().kept) == (0, 4)
    Image.new("RGB", (192, 256), "blue").save(tmp_path / "results/upper_body/bea/shirt.webp")
    again = home()
    assert (again.made, again.kept) == (1, 3)
    assert (tmp_path / "out/index.html").is_file()


def test_whole_new_pictures_that_moved_are_taken_where_they_changed(shop, tmp_path, caplog):
    pytest.importorskip("cv2")
    folder = tmp_path / "inputs"
    given = {"settings": settings(size=(256, 192)), **shop}
    write_inputs(folder, **given)
    answer(folder, tmp_path / "results")
    for file in (tmp_path / "results").rglob("*.webp"):
        moved = np.roll(np.asarray(Image.open(file).convert("RGB")), (4, -3), (0, 1))
        Image.fromarray((moved * 0.97 + 2).astype(np.uint8)).save(file, lossless=True)
    caplog.set_level(logging.INFO)
    how = {"engine": "elsewhere", "stitch": str(tmp_path / "results"), "register": True, "only_changed": True}
    assert run(tmp_path / "out", **how, **given).errors == {}
    assert sum("moved back" in record.getMessage() for record in caplog.records) == 4
    photo = np.asarray(Image.open(tmp_path / "wide.png").convert("RGB")).astype(int)
    made = np.asarray(Image.open(tmp_path / "out/upper_body/bea/shirt.png").convert("RGB")).astype(int)
    changed = (np.abs(made - photo) > 20).any(-1)
    assert 0.05 < changed.mean() < 0.5 and np.median(made[changed], 0)[0] > 150
    with pytest.raises(OtherSettingsError, match="register"):
        run(tmp_path / "out", **how | {"register": False}, **given)


def test_a_photo_of_more_colours_than_srgb_keeps_them(shop, tmp_path):
    profile = colours._make_profile(colours._PRIMARIES[12], None, grey=False)  # Display P3
    Image.open(tmp_path / "wide.png").save(tmp_path / "wide.png", icc_profile=profile)
    photo = Image.open(tmp_path / "wide.png")
    write_inputs(tmp_path / "inputs", settings=settings(), **shop)
    answer(tmp_path / "inputs", tmp_path / "results")
    report = run(tmp_path / "out", engine="elsewhere", stitch=str(tmp_path / "results"), settings=settings(), **shop)
    assert report.errors == {}
    made = Image.open(tmp_path / "out/upper_body/bea/shirt.png")
    assert made.info["icc_profile"] == profile
    own, numbers = np.asarray(photo), np.asarray(made)
    touched = (own != numbers).any(-1)
    assert 0.02 < touched.mean() < 0.5  # elsewhere every number is the photo's
    shown = np.asarray(colours.colours_shown(made, "made"))[touched]
    assert np.abs(np.median(shown, 0) - (220, 30, 40)).max() < 25 and np.median(numbers[touched], 0)[0] < 215
    assert "icc_profile" not in Image.open(tmp_path / "out/upper_body/ann/shirt.png").info


def test_what_is_not_there_yet_or_another_shape_is_a_row_with_words(prepared, shop, tmp_path):
    _, folder = prepared
    answer(folder, tmp_path / "results")
    (tmp_path / "results/dresses/ann/dress.webp").unlink()
    Image.new("RGB", (192, 192)).save(tmp_path / "results/upper_body/ann/shirt.webp")
    given = {"engine": "elsewhere", "settings": settings(), "stitch": str(tmp_path / "results"), **shop}
    report = run(tmp_path / "out", **given)
    assert report.made == 2 and "nothing was made of it there yet" in report.errors["ann/dress"]
    assert "is 192 x 192 and its window 128 x 96" in report.errors["ann/shirt"]
    answer(folder, tmp_path / "results")
    assert (run(tmp_path / "out", **given).errors, run(tmp_path / "out", **given).kept) == ({}, 4)
    with pytest.raises(ValueError, match="no such folder of results"):
        ElsewhereEngine(stitch=str(tmp_path / "nowhere"))


def test_the_command_prepares_and_brings_home(shop, tmp_path, caplog):
    tables = [
        "--persons",
        str(shop["persons"]),
        "--garments",
        str(shop["garments"]),
        "--height",
        "128",
        "--width",
        "96",
    ]
    caplog.set_level(logging.INFO)
    assert command.main([*tables, "--out", str(tmp_path / "in"), "--prepare"]) == 0
    assert any(PAIRS in record.getMessage() for record in caplog.records)
    answer(tmp_path / "in", tmp_path / "results", size=(512, 384))
    home = [*tables, "--out", str(tmp_path / "out"), "--stitch", str(tmp_path / "results")]
    assert command.main([*home, "--dry-run"]) == 0
    assert command.main(home) == 0
    assert len(list((tmp_path / "out").rglob("*.png"))) == 4


def test_a_skeleton_joins_what_is_there():
    joints = torch.zeros(18, 2)
    joints[2], joints[3] = torch.tensor([20.0, 30.0]), torch.tensor([60.0, 90.0])
    drawn = np.asarray(skeleton(joints, (128, 96)))
    assert drawn[60, 40].any() and drawn[30, 20].max() == 255
    assert not drawn[:20].any() and not np.asarray(skeleton(torch.zeros(18, 2), (64, 48))).any()
