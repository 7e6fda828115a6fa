"""The report: JSON, the HTML page, contact sheets, and the whole evaluation as one command."""

import base64
import dataclasses
import io
import json
import shutil
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from PIL import Image
from torch import nn

from ladivton_core.disk.sheet import write_sheet
from ladivton_core.evaluation import __main__ as commands
from ladivton_core.evaluation import picture_metrics, report
from ladivton_core.evaluation.__main__ import main
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import TINY

TREES = Path(__file__).parents[1] / "golden" / "datasets"


class Grey:
    """Stands for a pipeline: every picture is grey."""

    preset = dataclasses.replace(TINY, size=(64, 48))
    unet = vae = text_encoder = vision = adapter = warper = emasc = nn.Identity()
    parts = TryOnPipeline.parts
    scheduler, speed, device, dtype = None, "exact", torch.device("cpu"), torch.float32

    def __call__(self, person, garment, **settings):
        return SimpleNamespace(images=torch.full_like(person, 0.5))


def measurement(order="paired", **changes):
    figures = {"pictures": 2032, "people": 2032, "ssim": 0.87, "lpips": 0.09, "fid": 6.5, "kid": 0.001}
    figures |= {"kid_x1000": 1.0, "is": 3.2}
    return {
        "dataset": "vitonhd",
        "order": order,
        "root": "/nowhere/data",
        "results": "/nowhere/results",
        "partial": False,
        "figures": {"upper_body": figures},
        "meaningless": [] if order == "paired" else ["ssim", "lpips"],
        "skipped": [],
        "failed": {},
        "protocol": {"ssim": "as measured"},
        "run": {"settings": {"seed": 1234}, "lists": {}, "versions": {}},
        "versions": {"torch": "2.0"},
    } | changes


class Page(HTMLParser):
    """Tags, text and addresses of a page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.addresses, self.texts, self.rows = [], [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.addresses += [value for name, value in attributes if name in ("src", "href", "srcset", "data")]
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th") and self.rows:
            self.rows[-1].append("")

    def handle_data(self, data):
        self.texts.append(data)
        if self.lasttag in ("td", "th"):
            self.rows[-1][-1] += data

    def handle_endtag(self, tag):
        self.lasttag = None


def page_of(*measurements, sheets=()):
    return Page(report.html_page(report.combine(measurements), sheets))


def test_our_row_stands_under_the_published_one():
    page = page_of(measurement("unpaired"), measurement("paired"))
    head, theirs, ours = page.rows[:3]
    assert [title[:-2] for title in head[1:]] == [column.title for column in report.COLUMNS]
    assert theirs == ["published", "0.8763", "0.0911", "6.60", "1.07", "9.41", "1.69", "–", "–"]
    assert ours == ["here, upper_body", "0.8700", "0.0900", "6.50", "1.00", "6.50", "1.00", "3.200", "3.200"]
    text = " ".join(page.texts)
    assert "2411.10499" in text and "Protocols differ between papers" in text
    assert "computed as the paper's code does, without meaning here" in text


def test_an_order_that_is_not_measured_stays_empty_and_nothing_is_minus_zero():
    run = measurement("unpaired")
    run["figures"]["upper_body"]["fid"] = -2e-10
    assert page_of(run).rows[2][1:6] == ["–"] * 4 + ["0.00"]


def test_the_published_figures_of_both_data_sets():
    assert report.FIGURES["dresscode"] == (0.9025, 0.0719, 4.86, 1.56, 6.84, 2.33)
    found = report.combine([measurement(dataset="dresscode")])["published"]["figures"]
    assert found["paired.ssim"] == 0.9025 and found["unpaired.kid_x1000"] == 2.33 and len(found) == 6


def test_names_cannot_break_out_of_the_page():
    evil = "<script>alert(1)</script>'\"&"
    sheet = report.Sheet("paired", (evil,), "data:image/jpeg;base64,")
    page = page_of(
        measurement(
            root=evil,
            failed={"fid": evil},
            run={"settings": {evil: evil}},
            figures={evil: {"pictures": 1, "people": 1}},
        ),
        sheets=[sheet],
    )
    assert "script" not in page.tags
    assert "".join(page.texts).count(evil) >= 6


def test_failed_skipped_and_incomplete_figures_are_said():
    run = measurement(failed={"fid": "the file is missing"}, skipped=["kid"])
    run["figures"] = {"dresses": {"pictures": 3, "people": 5}, "upper_body": {"pictures": 1, "people": 1}}
    lines = " ".join(report.faults(report.combine([run])))
    assert "FID failed: the file is missing" in lines and "left out: KID" in lines
    assert "3 results of 5 test people" in lines and "one picture has neither FID nor KID" in lines
    assert "say nothing about quality" in lines
    assert report.faults(report.combine([measurement()])) == []


@pytest.mark.parametrize(
    ("runs", "said"),
    [
        ([], "at least one"),
        ([measurement(), measurement()], "two measurements of one order"),
        ([measurement(), measurement("unpaired", dataset="dresscode")], "dresscode and vitonhd"),
    ],
)
def test_what_does_not_belong_together_is_refused(runs, said):
    with pytest.raises(ValueError, match=said):
        report.combine(runs)


def test_runs_of_both_orders_are_joined_by_the_command(tmp_path):
    files = [tmp_path / f"{order}.json" for order in ("unpaired", "paired")]
    for file in files:
        report.write_json(measurement(file.stem), file)
    command = ["report", *map(str, files), "--html", str(tmp_path / "page.html"), "--json", str(tmp_path / "all.json")]
    assert main(command) == 0
    both = json.loads((tmp_path / "all.json").read_text())
    assert [run["order"] for run in both["runs"]] == ["paired", "unpaired"]
    assert report.read_measurements([tmp_path / "all.json"]) == both["runs"]
    assert "img" not in Page((tmp_path / "page.html").read_text()).tags  # the data set is nowhere
    (tmp_path / "odd.json").write_text("[]")
    with pytest.raises(ValueError, match="odd.json is no file of measurements"):
        report.read_measurements([tmp_path / "odd.json"])


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Photos of the test people in place of results."""
    folder = tmp_path_factory.mktemp("results")
    for order in ("paired", "unpaired"):
        for category in ("dresses", "lower_body", "upper_body"):
            target = folder / order / category
            target.mkdir(parents=True)
            for person in (TREES / "dresscode" / category / "images").glob("*_0.jpg"):
                shutil.copy(person, target)
    return folder


@pytest.mark.parametrize(("order", "columns"), [("paired", 4), ("unpaired", 3)])
def test_a_sheet_shows_people_of_every_category(results, order, columns):
    run = measurement(order, dataset="dresscode", root=str(TREES / "dresscode"), results=str(results))
    run["figures"] = dict.fromkeys(("dresses", "lower_body", "upper_body"), {"pictures": 1, "people": 1})
    sheet = report.contact_sheet(run, rows=3, height=64)
    assert {name.split("/")[0] for name in sheet.names} == {"dresses", "lower_body", "upper_body"}
    with Image.open(io.BytesIO(base64.b64decode(sheet.address.partition(",")[2]))) as picture:
        assert picture.format == "JPEG" and picture.width == columns * 48 and picture.height > 3 * 64
    run["figures"].pop("dresses")
    assert all("dresses" not in name for name in report.contact_sheet(run, rows=3, height=64).names)
    assert report.contact_sheet(run | {"root": "/nowhere"}) is None


def test_one_command_generates_measures_and_reports(tmp_path, monkeypatch):
    monkeypatch.setattr(commands, "choose_pipeline", lambda *chosen, **how: Grey())
    monkeypatch.setattr(picture_metrics, "SIZE", (64, 48))
    command = ["paper", "--dataset", "vitonhd", "--root", str(TREES / "vitonhd"), "--out", str(tmp_path)]
    command += ["--batch", "3", "--skip", "lpips", "is", "fid", "kid"]
    assert main(command) == 0
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")}
    assert len(made) == 6
    both = json.loads((tmp_path / "report.json").read_text())
    assert [run["order"] for run in both["runs"]] == ["paired", "unpaired"]
    assert 0 < both["runs"][0]["figures"]["upper_body"]["ssim"] < 1
    assert both["runs"][1]["run"]["settings"]["seed"] == 1234
    page = Page((tmp_path / "report.html").read_text())
    assert page.tags.count("img") == 2
    assert all(address.startswith("data:") for address in page.addresses)  # nothing from elsewhere
    assert not {"script", "link", "iframe"} & set(page.tags)
    assert main(command) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.jpg")} == made


def test_a_sheet_needs_a_title_for_every_column(tmp_path):
    with pytest.raises(ValueError, match="titles"):
        write_sheet([torch.zeros(2, 3, 8, 8)], tmp_path / "sheet.png", titles=("one",))


@pytest.mark.parametrize("command", ["synthetic", "ablations", "train-classifier"])
def test_a_command_that_went_to_the_drawn_world_says_where(command):
    with pytest.raises(SystemExit, match=f"{command} is now `python -m drawn_world.figures"):
        main([command, "--seed", "999"])
