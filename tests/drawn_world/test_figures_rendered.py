"""Figures on rendered photographs: points of a garment where the warp shows them, every figure, the command line."""

import dataclasses
import json
from types import SimpleNamespace

import pytest
import torch

pytestmark = pytest.mark.long

pytest.importorskip("cv2")
from drawn_world.figures import rendered  # noqa: E402
from drawn_world.photographs.store import path_of, read, render  # noqa: E402
from ladivton_core.pipeline import TryOnPipeline  # noqa: E402
from ladivton_core.warping.warper import sample_garment  # noqa: E402

SIZE = (128, 96)
FIGURES = {
    "ssim", "psnr_mask", "warp_l1", "collar", "landmarks", "coverage", "halo", "garment", "contrast", "skin",
    "white_garment",
}  # fmt: skip


@pytest.fixture(scope="module")
def pipeline():
    """The embedded models on small pictures, one sampling step."""
    whole = TryOnPipeline.from_embedded()
    return dataclasses.replace(whole, preset=dataclasses.replace(whole.preset, size=SIZE, steps=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photographs")
    render(folder, 2, seed=4999, size=SIZE)
    return folder


def test_points_lie_where_the_warp_shows_them():
    garment = torch.ones(1, 3, 64, 48)
    garment[..., 20:22, 30:32] = -1  # a button around (30.5, 20.5)
    y, x = torch.meshgrid(torch.linspace(-1, 1, 64), torch.linspace(-1, 1, 48), indexing="ij")
    warp = SimpleNamespace(grid=torch.stack([1.2 * x + 0.1, 0.9 * y - 0.2], -1)[None])
    shown = (1 - sample_garment(garment, warp.grid))[0, 0]
    rows, columns = torch.meshgrid(torch.arange(64.0), torch.arange(48.0), indexing="ij")
    there = (torch.stack([(columns * shown).sum(), (rows * shown).sum()]) / shown.sum()).tolist()
    points = torch.tensor([[[30.5, 20.5], [torch.nan, 0.0]], [there, [0.0, 0.0]]])
    off = rendered.landmarks_off(warp, SimpleNamespace(garment=garment, landmarks=points)) * 64 / 512
    assert off[0] <= 0.75 and off[1].isnan()  # the nearest pixel of a grid: half its diagonal
    points[1, 0] += torch.tensor([3.0, 4.0])
    off = rendered.landmarks_off(warp, SimpleNamespace(garment=garment, landmarks=points)) * 64 / 512
    assert off[0] == pytest.approx(5, abs=0.75)


def test_both_orders_of_a_pair_have_their_own_truth(folder):
    own, other = rendered.samples(read(path_of(folder, 0)))
    assert torch.equal(own.person, other.person) and torch.equal(own.truth, own.person)
    assert not torch.equal(other.truth, own.truth) and not torch.equal(other.garment, own.garment)
    known = own.landmarks[0].isfinite().all(-1)
    cloth = (own.garment[0] < 0.95).any(0)
    assert known.any()
    for x, y in own.landmarks[0][known].round().long().tolist():  # a garment's points lie on it
        assert cloth[max(0, y - 3) : y + 4, max(0, x - 3) : x + 4].any()


def test_every_figure_is_there_by_order_and_category(pipeline, folder, tmp_path):
    figures = rendered.evaluate(folder, 2, pipeline, sheet=tmp_path / "sheet.png")
    groups = {"", "paired.", "unpaired.", "upper_body.", "lower_body."}
    assert figures.keys() == {f"{group}{name}" for group in groups for name in FIGURES}
    assert 0 < figures["coverage"] < 1 and 0 < figures["ssim"] < 1
    assert (tmp_path / "sheet.png").is_file()


def test_the_command_takes_other_weights_for_the_parts_they_have(folder, tmp_path, monkeypatch):
    seen = {}

    def note(chosen, count, pipeline, refined, sheet):
        seen.update(count=count, pipeline=pipeline, refined=refined, sheet=sheet)
        return {"halo": None}

    monkeypatch.setattr(rendered, "evaluate", note)
    weights, target = tmp_path / "weights", tmp_path / "out.json"
    weights.mkdir()
    (weights / "warping.safetensors").write_bytes(rendered.embedded_path("emasc").read_bytes())
    with pytest.raises(ValueError, match="warping"):
        rendered.main([str(folder), "--weights", str(weights)])
    (weights / "warping.safetensors").unlink()
    rendered.main([str(folder), "--count", "2", "--weights", str(weights), "--refined", "--json", str(target)])
    assert seen["count"] == 2 and seen["refined"] and seen["sheet"] == target.with_suffix(".jpg")
    assert isinstance(seen["pipeline"], TryOnPipeline) and json.loads(target.read_text()) == {"halo": None}
