"""The ablation table: every variant once, sentences that follow from the numbers."""

import dataclasses

import pytest

from drawn_world.figures import ablations
from drawn_world.figures.__main__ import main
from drawn_world.figures.variants import Variant
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import TINY

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def pipeline():
    whole = TryOnPipeline.from_embedded()
    return dataclasses.replace(whole, preset=dataclasses.replace(whole.preset, size=(128, 96), steps=2))


def test_the_grid_changes_one_thing_at_a_time():
    groups, default = ablations.grid(TINY), Variant().filled(TINY)
    assert all(default in variants for variants in groups.values())
    for variants in groups.values():
        for variant in variants:
            changed = [
                f.name for f in dataclasses.fields(Variant) if getattr(variant, f.name) != getattr(default, f.name)
            ]
            assert len(changed) <= 1
    assert {v.guidance_scale for v in groups["Guidance"]} >= {1, 2.5, 5, 7.5}
    assert {v.steps for v in groups["Steps"]} >= {4, 5, 8, 10, 20, 50}
    assert {v.skip_margin for v in groups["Skip margin"]} >= {(0, 0), default.skip_margin}
    assert {v.sampler for v in groups["Sampler"]} == {"ddim", "unipc", "dpmpp_2m"}


def test_one_command_writes_the_page_and_its_pictures(pipeline, tmp_path, monkeypatch):
    from PIL import Image

    monkeypatch.setattr(TryOnPipeline, "from_embedded", lambda: pipeline)
    monkeypatch.setattr(ablations, "STEPS", (1, 2))
    monkeypatch.setattr(ablations, "GUIDANCE", (2.5,))
    monkeypatch.setattr(ablations, "SKIP_MARGINS", ((0, 0),))
    main(["ablations", "--seed", "31", "--count", "1", "--out", str(tmp_path)])
    page = (tmp_path / "ablations.md").read_text()
    rows = [line for line in page.splitlines() if line.startswith("|")]
    names = [row.split("|")[1].strip() for row in rows[2:]]
    assert names[0] == "default" and len(names) == len(set(names)) == 1 + 4 + 1 + 1 + 2 + 1
    assert {"without EMASC", "guidance 2.5", "1 step", "UniPC", "skip margin 0/0"} <= set(names)
    assert rows[2].endswith("| 1.00 |")
    with Image.open(tmp_path / "images" / "ablations.jpg") as sheet:
        assert sheet.width == (len(names) + 3) * 144


def test_sentences_name_the_best_rows():
    groups = ablations.grid(TINY)
    default = Variant().filled(TINY)
    every = {variant for group in groups.values() for variant in group}
    figures = {v: dict.fromkeys(ablations.MEASURES, 0.5) | {"time": 1.0} for v in every}
    winner = next(v for v in groups["Steps"] if v.steps == 50)
    figures[winner]["ssim"] = 0.6
    line = ablations.best_rows("Steps", groups["Steps"], default, figures)
    assert "SSIM best at 50 (0.6000; default 0.5000)" in line and "colour right the same everywhere" in line
