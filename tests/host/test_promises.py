"""Workflow files of earlier releases load and run in today's ComfyUI with the meaning they had.

`tests/promises/<release>/` holds them as they were shipped; see `tests/nodes/test_promises.py`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hosting.graph import the, ui_to_api, with_embedded_models, with_value
from PIL import Image

PROMISES = Path(__file__).parents[1] / "promises"
FILES = sorted(f"{file.parent.name}/{file.stem}" for file in PROMISES.glob("*/*.json") if file.stem != "nodes")


def files(name: str) -> tuple[dict, dict]:
    """A shipped workflow in UI and in API format."""
    release, _, stem = name.partition("/")
    return tuple(
        json.loads((PROMISES / release / place).read_text("utf-8")) for place in (f"{stem}.json", f"api/{stem}.json")
    )


@pytest.mark.parametrize("name", FILES)
def test_an_old_file_of_the_page_means_what_it_meant(client, name):
    ui, api = files(name)
    info = client.object_info()
    converted = ui_to_api(ui, info)
    assert converted.keys() == api.keys()
    for key, node in api.items():
        now = converted[key]
        assert now["class_type"] == node["class_type"]
        assert {name: now["inputs"].get(name) for name in node["inputs"]} == node["inputs"], key
        # What has come since is optional, and the page leaves it at its default.
        optional = info[node["class_type"]]["input"].get("optional", {})
        for new in now["inputs"].keys() - node["inputs"].keys():
            assert now["inputs"][new] == optional[new][1].get("default"), f"{key}.{new}"


@pytest.mark.long  # the start workflow runs always, below; today's ablation in test_paper_workflows.py
@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.soak) if "ablation" in n else n for n in FILES])
def test_an_old_file_of_the_queue_runs(client, name):
    _, api = files(name)
    workflow = with_value(with_embedded_models(api), "steps", 1)
    for key in ("batch_size", "height", "width"):
        if any(key in node["inputs"] for node in workflow.values()):
            workflow = with_value(workflow, key, {"batch_size": 1, "height": 256, "width": 192}[key])
    assert client.run(workflow).or_raise().images()


def test_the_start_workflow_of_0_1_0_gives_the_cores_picture_for_the_numbers_in_its_file(shown, smaller, small_files):
    """Steps, guidance, joints and skip margin as the file has them, whatever a node's default has become."""
    import torch

    from ladivton_core.pipeline import TryOnPipeline
    from ladivton_core.preprocessing.labels import LIP20
    from ladivton_core.preprocessing.masks.agnostic import agnostic_mask
    from ladivton_core.preprocessing.pose.keypoints import keypoints_from_openpose
    from ladivton_core.preprocessing.pose.pose_map import pose_map

    workflow = smaller(files("0.1.0/tryon_embedded")[1])
    (graph,) = shown(workflow, the(workflow, "SaveImage"))

    size = (128, 96)
    read = {name: np.asarray(Image.open(small_files[name]).convert("RGB")) for name in ("person", "garment")}
    person, garment = (torch.tensor(read[name]).movedim(-1, 0)[None] / 127.5 - 1 for name in ("person", "garment"))
    joints = keypoints_from_openpose(json.loads(small_files["keypoints"].read_text("utf-8")), size, size)[None]
    parse = torch.tensor(np.array(Image.open(small_files["parse"]))).long()[None]
    mask = agnostic_mask(parse, joints, "upper_body", LIP20, missing_joints="skip", grow=2)
    pipeline = TryOnPipeline.from_embedded()
    encoded = pipeline.encode_person(person, mask, pose_map(joints, size, sigma=2.5), skip_grow=2, skip_feather=2)
    core = pipeline(encoded, garment, category="upper_body", seeds=1234, steps=5, guidance_scale=1.0)

    difference = np.abs(core.images[0].movedim(0, -1).numpy() * 255 - graph)
    assert difference.mean() < 0.5 and difference.max() < 4  # 8-bit rounding, and two engines in float32
