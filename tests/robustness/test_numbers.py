"""NaN and infinity in weights, joints and stages: refused or reported, with the place named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ladivton_core.checkpoints import build
from ladivton_core.checkpoints.__main__ import main
from ladivton_core.checkpoints.inventory import verify as verify_weights
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.datasets.verification import verify
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.runtime.finite import all_finite, require_finite

TREES = Path(__file__).parents[1] / "golden" / "datasets"


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float8_e4m3fn, torch.int64])
def test_one_value_among_many_is_found_and_large_ones_are_no_fault(dtype):
    values = torch.ones(100_003).to(dtype)
    assert all_finite(values) and all_finite(values[:0])
    if dtype.is_floating_point:
        assert dtype == torch.float8_e4m3fn or all_finite(torch.full((100_003,), torch.finfo(dtype).max, dtype=dtype))
        for wrong in (float("nan"),) if dtype == torch.float8_e4m3fn else (float("nan"), float("inf"), float("-inf")):
            values[71] = wrong
            assert not all_finite(values)


def test_half_precision_is_named_with_what_helps():
    with pytest.raises(
        ValueError, match="The UNet gave .*It ran in float16, which large values overflow. Take float32"
    ):
        require_finite(torch.tensor([float("inf")]), "The UNet", "Take float32.", torch.float16)


@pytest.mark.parametrize("part", PARTS)
def test_weights_that_are_no_numbers_are_refused_by_name(tmp_path, part, caplog):
    state = {key: tensor.clone() for key, tensor in read_state_dict(embedded_path(part)).items()}
    key = next(key for key, tensor in state.items() if tensor.is_floating_point() and tensor.itemsize > 1)
    state[key].view(-1)[-1] = float("nan")
    save_file(state, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match="nan.safetensors holds values that are no numbers.*first in"):
        build.load(part, tmp_path / "nan.safetensors")
    with pytest.raises(CheckpointError, match="no numbers"):
        verify_weights(tmp_path / "nan.safetensors")
    assert main(["verify", str(tmp_path / "nan.safetensors")]) == 1
    assert "WRONG" in caplog.text and "no numbers" in caplog.text


@pytest.fixture(scope="module")
def pipeline():
    return TryOnPipeline.from_embedded()


def test_the_pipeline_names_the_stage(pipeline):
    size = (128, 96)
    person, mask, pose = torch.zeros(1, 3, *size), torch.zeros(1, 1, *size), torch.zeros(1, 18, *size)
    mask[..., 40:80, 30:60] = 1
    stages = {"warper": "The garment warper", "vision": "The vision tower", "adapter": "The inversion adapter",
              "text_encoder": "The text encoder", "unet": "The try-on UNet", "emasc": "EMASC"}  # fmt: skip
    for name, stage in stages.items():
        weight = next(p for p in getattr(pipeline, name).parameters() if p.ndim > 1)
        kept = weight.data.clone()
        weight.data.fill_(float("nan"))
        try:
            with pytest.raises(ValueError, match=f"^{stage} gave values that are no numbers"):
                pipeline(person, person, mask=mask, pose_map=pose, steps=1, guidance_scale=1.0)
        finally:
            weight.data.copy_(kept)


@pytest.mark.parametrize(("dataset", "file"), [
    ("vitonhd", "test/openpose_json/00001_00_keypoints.json"),
    ("dresscode", "dresses/keypoints/000301_2.json"),
])  # fmt: skip
def test_verify_reports_joints_that_are_no_numbers(tmp_path, dataset, file):
    root = tmp_path / dataset
    shutil.copytree(TREES / dataset, root)
    assert not any(found.kind == "joints that are no numbers" for found in verify(dataset, root).findings)
    document = json.loads((root / file).read_text(encoding="utf-8"))
    if dataset == "vitonhd":
        document["people"][0]["pose_keypoints_2d"][12] = float("nan")
    else:
        document["keypoints"][4][1] = float("inf")
    (root / file).write_text(json.dumps(document))
    report = verify(dataset, root)
    (found,) = (found for found in report.findings if found.kind == "joints that are no numbers")
    assert found.broken and found.path == root / file and "1 coordinates are no numbers" in found.message
    assert report.broken


def test_one_file_never_ends_the_walk(tmp_path, monkeypatch):
    """A bomb, a decoder's odd error, a dangling link: findings with their files' names, and the rest is looked at."""
    from PIL import Image, PngImagePlugin

    root = tmp_path / "vitonhd"
    shutil.copytree(TREES / "vitonhd", root)
    images = sorted((root / "test" / "image").glob("*.jpg"))
    Image.new("1", (20_000, 10_000)).save(images[0], "PNG")
    images[1].unlink()
    images[1].symlink_to(root / "nowhere.jpg")
    (root / "test" / "openpose_json" / "00005_00_keypoints.json").write_text("[" * 5000 + "]" * 5000)
    monkeypatch.setattr(PngImagePlugin.PngImageFile, "load_prepare", lambda self: 1 / 0)  # any decoder, any error
    report = verify("vitonhd", root)
    said = {finding.path.name: finding.message for finding in report.findings if finding.broken}
    assert "megapixels" in said[images[0].name] and "pair list names it" in said[images[1].name]
    assert "nested" in said["00005_00_keypoints.json"]
    assert any("division by zero" in message for message in said.values())  # every parse map, a PNG
    assert report.people == 3
