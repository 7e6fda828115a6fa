"""A catalogue run in one process, on the embedded default at small size: once each, never twice, never lost."""

from __future__ import annotations

import dataclasses
import http.server
import json
import os
import re
import shutil
import threading
import uuid
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.batch import DressRows, Garment, Item, Manifest, Options, Person, Settings, run, worker
from ladivton_core.batch.__main__ import main
from ladivton_core.batch.engines.local import LocalEngine
from ladivton_core.batch.report import render_page
from ladivton_core.batch.runs import summarise
from ladivton_core.disk.store import open_store, read_index
from ladivton_core.models import OtherSettingsError
from ladivton_core.pipeline import TryOnPipeline

pytest.importorskip("pyarrow")
resource = pytest.importorskip("resource")  # not on Windows

SMALL = Settings(size=(64, 48), options=Options(steps=1), threads=1)


@pytest.fixture(scope="module")
def samples(repository) -> Path:
    """VITON-HD's layout with four people."""
    return repository / "samples" / "datasets" / "vitonhd" / "test"


@pytest.fixture(autouse=True)
def threads():
    """A run sets how many threads this process computes with; the next test computes with those of before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture
def catalogue(tmp_path, samples) -> dict:
    """Two people and three garments, one of them damaged."""
    folder = tmp_path / "in"
    shutil.copytree(samples, folder)
    (folder / "cut.jpg").write_bytes((folder / "cloth" / "00003_00.jpg").read_bytes()[:2000])
    persons = ["id,photo,keypoints,coordinates,parse_map"]
    persons += [
        f"p{n},image/0000{n}_00.jpg,openpose_json/0000{n}_00_keypoints.json,vitonhd,image-parse-v3/0000{n}_00.png"
        for n in (1, 2)
    ]
    (folder / "persons.csv").write_text("\n".join(persons))
    (folder / "garments.csv").write_text("id,picture\na,cloth/00001_00.jpg\ncut,cut.jpg\nb,cloth/00002_00.jpg\n")
    return {"persons": folder / "persons.csv", "garments": folder / "garments.csv", "category": "upper_body"}


@pytest.fixture
def dress(catalogue, embedded):
    """A run, with the encodings it made."""
    counted = {"encode_person": 0, "encode_garment": 0, "__call__": 0}

    def dress(out, **more):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(worker, "choose_pipeline", lambda *chosen, **how: embedded)
            for name in counted:
                counted[name] = 0
                patch.setattr(TryOnPipeline, name, _counting(getattr(TryOnPipeline, name), name, counted))
            report = run(out, **({"settings": SMALL, "progress": False} | catalogue | more))
        return report, dict(counted)

    return dress


def _counting(method, name, counted):
    def call(self, *given, **options):
        counted[name] += 1
        return method(self, *given, **options)

    return call


def pixels(out: Path, *names: str, category: str = "upper_body") -> list[np.ndarray]:
    return [np.asarray(Image.open(out / category / name)) for name in names]


MADE = ("p1/a.png", "p1/b.png", "p2/a.png", "p2/b.png")


def test_everything_is_encoded_once_and_a_bad_garment_is_a_row(dress, tmp_path, catalogue):
    out = tmp_path / "out"
    report, counted = dress(out)
    assert report.made == 4 and [*report.errors] == ["p1/cut", "p2/cut"] and not report.kept
    assert counted == {"encode_person": 2, "encode_garment": 2, "__call__": 4}
    assert report.spent["prepare garment"][0] == 2  # the damaged one is looked at once, and gives nothing
    rows = {row["id"]: row for row in read_index(open_store(out))}
    assert len(rows) == 6 and rows["p1/a"]["error"] is None and rows["p1/a"]["check"] > 0
    assert rows["p1/cut"]["error_file"].endswith("cut.jpg") and rows["p1/cut"]["file"] is None
    assert len(json.loads(rows["p1/a"]["models"])) == 7 and rows["p1/a"]["steps"] == 1
    page = (out / "index.html").read_text()
    assert page.index("cut.jpg") < page.index("upper_body/p1/a.png") and page.count("loading=lazy") == 4
    assert not (out / "encodings").exists() and "4 made" in summarise(report)[0]

    before = pixels(out, *MADE)
    report, counted = dress(out)
    assert (report.made, report.kept, len(report.errors)) == (0, 4, 2) and not any(counted.values())

    # the index gone, as if the run had been killed: the pictures tell what they are
    (out / "index.parquet").unlink()
    shutil.copy(catalogue["garments"].parent / "cloth" / "00003_00.jpg", catalogue["garments"].parent / "cut.jpg")
    (out / "upper_body" / MADE[1]).write_bytes((out / "upper_body" / MADE[1]).read_bytes()[:-1000])
    report, counted = dress(out)
    assert (report.made, report.kept, report.errors) == (3, 3, {})
    assert all(np.array_equal(a, b) for a, b in zip(before, pixels(out, *MADE), strict=True))


@pytest.mark.parametrize("category", [pytest.param("upper_body", marks=pytest.mark.long), "dresses"])
def test_a_photograph_goes_with_each_garment_and_leaves_the_data_sets_people_as_they_are(
    dress, tmp_path, catalogue, category, caplog
):
    """In one catalogue; garments are fitted as they are for the data set's person, without the inside of their collars
    for the photograph, and dresses centred.
    """
    catalogue["category"] = category
    dress(tmp_path / "alone")
    assert "drawn people only" not in caplog.text
    table = catalogue["persons"].read_text().splitlines()
    photo = table[2].replace("p2", "photo").rsplit(",", 1)[0] + ","  # no parse map
    catalogue["persons"].write_text("\n".join([*table[:2], photo]))
    out = tmp_path / "mixed"
    report, counted = dress(out)
    assert report.made == 4 and len(report.errors) == 2
    assert "drawn people only; skin and folds they draw on photographs (1 people)" in caplog.text
    assert counted == {"encode_person": 1 + 2, "encode_garment": 2 + 2, "__call__": 4}
    for a, b in zip(
        pixels(tmp_path / "alone", *MADE[:2], category=category), pixels(out, *MADE[:2], category=category), strict=True
    ):
        assert np.array_equal(a, b)
    before = pixels(out, "photo/a.png", "photo/b.png", category=category)
    assert before[0].shape == np.asarray(Image.open(catalogue["persons"].parent / photo.split(",")[1])).shape
    kept = tmp_path / "encodings"
    dress(tmp_path / "again", memory=1e-9, disk=1.0, encodings=kept)
    for a, b in zip(before, pixels(tmp_path / "again", "photo/a.png", "photo/b.png", category=category), strict=True):
        assert np.array_equal(a, b)


def test_errors_are_tried_again_when_asked_and_other_settings_are_refused(dress, tmp_path, catalogue):
    out = tmp_path / "out"
    dress(out, sample=3)
    assert dress(out, page=False)[1]["__call__"] > 0
    assert dress(out, page=False)[0].spent == {}
    report, _ = dress(out, retry_errors=True, page=False)
    assert report.spent["prepare person"][0] == 2 and len(report.errors) == 2  # tried, and as damaged as before
    shutil.copy(catalogue["garments"].parent / "cloth" / "00003_00.jpg", catalogue["garments"].parent / "cut.jpg")
    report, _ = dress(out, page=False)  # mended files need no option
    assert not report.errors and report.made + report.kept == 6
    for other in (Options(steps=2), Options(steps=1, guidance_scale=2.0)):
        with pytest.raises(OtherSettingsError, match="steps|guidance"):
            dress(out, settings=dataclasses.replace(SMALL, options=other))
    report, _ = dress(out, settings=dataclasses.replace(SMALL, options=Options(steps=2)), force=True, sample=1)
    assert report.made == 1 and len([*out.rglob("*.png")]) == 1


def test_a_photo_exchanged_under_its_old_name_is_noticed_and_one_that_was_touched_is_not(dress, tmp_path, catalogue):
    out, photo = tmp_path / "out", catalogue["persons"].parent / "image" / "00001_00.jpg"
    first, other = photo.read_bytes(), photo.with_name("00002_00.jpg").read_bytes()
    dress(out, sample=6)
    before = pixels(out, *MADE)
    os.utime(photo, ns=(1, 1))
    assert dress(out)[0].made == 0
    photo.write_bytes(other)
    report, _ = dress(out)
    assert (report.made, report.kept) == (2, 2)
    assert not np.array_equal(before[0], pixels(out, *MADE)[0]) and np.array_equal(before[2], pixels(out, *MADE)[2])
    assert dress(out)[0].made == 0
    photo.write_bytes(first)
    assert dress(out)[0].made == 2
    assert all(np.array_equal(a, b) for a, b in zip(before, pixels(out, *MADE), strict=True))


def test_a_second_command_in_a_folder_is_told_of_the_first(dress, tmp_path):
    out = tmp_path / "out"
    with open_store(out).hold():
        with pytest.raises(
            RuntimeError, match=rf"another command works in .*out \(process {os.getpid()} on .*\); wait"
        ):
            dress(out)
        assert [path.name for path in out.iterdir()] == [".lock"]
    assert dress(out, sample=1)[0].made == 1 and not (out / ".lock").exists()


def test_nothing_that_a_run_writes_or_prints_holds_what_is_secret_in_addresses(
    catalogue, embedded, tmp_path, monkeypatch, caplog, capfd
):
    """Tables and pictures behind a web server that wants a login and a signature; some pictures are damaged or away."""
    pytest.importorskip("fsspec")
    folder, secret = catalogue["persons"].parent, "s3cret"
    handler = lambda *given: _Quiet(*given, directory=str(folder))  # noqa: E731
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    web = f"http://shop:{secret}@127.0.0.1:{server.server_port}"
    clothes = {"a": "cloth/00001_00.jpg", "cut": "cut.jpg", "away": "nothing.jpg"}
    lines = [f"{name},{web}/{path}?sig={secret}#{secret}" for name, path in clothes.items()]
    (folder / "garments.csv").write_text("\n".join(["id,picture", *lines]))
    out, tables = tmp_path / "out", [f"--{name}={web}/{name}.csv?sig={secret}" for name in ("persons", "garments")]
    small = ["--category=upper_body", "--height=128", "--width=96", "--steps=1", "--threads=1", f"--out={out}"]
    monkeypatch.setattr(worker, "choose_pipeline", lambda *chosen, **how: embedded)
    caplog.set_level("INFO")
    try:
        assert main([*tables, *small]) == 1
        assert "there is no file" in caplog.text and not out.exists()
        assert main([*tables, *small, "--no-look"]) == 1
    finally:
        server.shutdown()
        server.server_close()
    assert "2 made" in caplog.text and "4 errors" in caplog.text, caplog.text
    rows = read_index(open_store(out))
    assert {row["error_file"] for row in rows} >= {f"http://127.0.0.1:{server.server_port}/cut.jpg"}
    written = [path.read_bytes() for path in out.rglob("*") if path.is_file()]
    assert len(written) == 6  # two pictures, index, page, settings, seconds: no file on a disk was taken
    assert secret not in "".join([*capfd.readouterr(), caplog.text, repr(rows)])
    assert not any(secret.encode() in content for content in written)


def test_a_full_disk_ends_the_run_and_the_next_goes_on(dress, tmp_path):
    out = tmp_path / "out"
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4000, before[1]))
        with pytest.raises(OSError, match="no room is left"):
            dress(out)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not [*out.rglob("*.png")] and not [*out.rglob(".*.part")]
    report, _ = dress(out)
    assert report.made == 4


def test_the_same_pixels_whatever_the_order_memory_and_interruption(dress, tmp_path):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    dress(whole)

    class Dies(LocalEngine):
        """Fails for good after two pictures."""

        def run(self, work):
            for place, outcome in enumerate(super().run(work)):
                if place == 2:
                    raise RuntimeError("the machine died")
                yield outcome

    engine = Dies(parts / "encodings", memory=1e-9)
    with pytest.raises(RuntimeError, match="died"):
        dress(parts, engine=engine)
    assert 1 <= len([*parts.rglob("*.png")]) <= 3
    report, counted = dress(parts, memory=1e-9, disk=1.0)
    assert report.kept and report.made + report.kept == 4 and counted["encode_garment"] <= 2
    for a, b in zip(pixels(whole, *MADE), pixels(parts, *MADE), strict=True):
        assert np.array_equal(a, b)


def test_batches_agree_within_a_level_and_exact_makes_none(dress, tmp_path):
    _, counted = dress(tmp_path / "one", settings=dataclasses.replace(SMALL, batch=3, exact=True))
    assert counted["__call__"] == 4
    _, counted = dress(tmp_path / "two", settings=dataclasses.replace(SMALL, batch=3))
    assert counted["__call__"] == 2
    for a, b in zip(pixels(tmp_path / "one", *MADE), pixels(tmp_path / "two", *MADE), strict=True):
        assert np.abs(a.astype(int) - b).max() <= 1


def test_results_go_behind_an_address_and_files_come_from_the_web(catalogue, dress):
    fsspec = pytest.importorskip("fsspec")
    folder = catalogue["persons"].parent
    handler = lambda *given: _Quiet(*given, directory=str(folder))  # noqa: E731
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    out = f"memory://{uuid.uuid4().hex}"
    try:
        web = f"http://127.0.0.1:{server.server_port}"
        given = {
            "persons": f"{web}/persons.csv",
            "garments": f"{web}/garments.csv",
            "sample": 2,
            "template": "{seed}.jpg",
        }
        report, _ = dress(out, **given)
        assert report.made + len(report.errors) == 2 and report.made
        assert dress(out, **given)[0].kept == report.made
    finally:
        server.shutdown()
        server.server_close()
    files = fsspec.filesystem("memory").ls(out.removeprefix("memory:/"), detail=False)
    assert {re.sub(r"\d+", "N", file.rsplit("/", 1)[1]) for file in files} >= {"N.jpg", "index.parquet", "index.html"}


def test_a_dry_run_says_what_there_is_to_do_and_makes_nothing(catalogue, tmp_path, caplog):
    caplog.set_level("INFO")
    threads = torch.get_num_threads()
    given = [f"--{name}={value}" for name, value in catalogue.items()]
    small = ["--height=64", "--width=48", "--steps=1", "--threads=1", f"--out={tmp_path / 'out'}"]
    assert main([*given, *small, "--dry-run", "--price=2"]) == 0
    torch.set_num_threads(threads)
    assert not (tmp_path / "out").exists()
    told = caplog.text
    assert "6 to make in 6 batches" in told and "2 people (2 encodings" in told and "3 garments" in told
    assert "one picture made just now" in told and re.search(r"sample: .* in all", told) and "at 2 an hour" in told


def test_faults_of_the_tables_end_the_command_before_anything(catalogue, tmp_path, caplog):
    catalogue["persons"].write_text("id,photo,seed\nx,nothing.jpg,1\n,,\n")
    given = [f"--{name}={value}" for name, value in catalogue.items()]
    assert main([*given, f"--out={tmp_path / 'out'}"]) == 1
    assert "persons.csv, line 2, column 'photo'" in caplog.text and not (tmp_path / "out").exists()


def test_nothing_on_the_page_is_code():
    item = Item("p/g", "p", "g", "dresses", 1, "<b>.png", where="<i>")
    people, clothes = {"p": Person("<p>", "nothing.jpg")}, {"g": Garment("g", "nothing.jpg", "dresses")}
    row = {
        "error": "<script>alert(1)</script>",
        "error_file": "'><img src=x>",
        "check": None,
        "settings": "",
        "models": "",
    }
    for error in (row["error"], None):
        page = render_page(Manifest(people, clothes, (item,)), {"p/g": row | {"error": error}})
        assert "<script" not in page and "<img src=x" not in page and "<b>" not in page and "<i>" not in page


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def test_rows_of_ones_own_pipeline_are_dressed_without_ray(samples):
    threads = torch.get_num_threads()
    dresser = DressRows(SMALL)
    torch.set_num_threads(threads)
    row = {
        "person": str(samples / "image" / "00001_00.jpg"), "garment": str(samples / "cloth" / "00002_00.jpg"),
        "category": "upper_body", "person_coordinates": "vitonhd", "sku": 5,
        "person_keypoints": str(samples / "openpose_json" / "00001_00_keypoints.json"),
        "person_parse_map": str(samples / "image-parse-v3" / "00001_00.png"),
    }  # fmt: skip
    out, again = dresser(row), dresser(row | {"seed": 3})
    assert out["picture"].shape == (64, 48, 3) and out["error"] == "" and out["sku"] == 5
    assert not np.array_equal(out["picture"], again["picture"])
    assert dresser.spent.count("encode person") == dresser.spent.count("encode garment") == 1
    broken = dresser(row | {"garment": str(samples / "nothing.jpg")})
    assert broken["picture"].size == 0 and "nothing.jpg" in broken["error_file"]
