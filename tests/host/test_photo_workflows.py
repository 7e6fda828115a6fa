"""The photo workflows through a real server: a photo in, the photo in another garment out, at its own size."""

from __future__ import annotations

import io
import json

import numpy as np
import pytest
from hosting import pose
from hosting.graph import with_value
from PIL import Image


@pytest.fixture(scope="module")
def finder(comfy_server, pose_graphs):
    """The server with BlazePose's graphs in its models folder."""
    pose.provide(comfy_server.base, pose_graphs)


def result(client, repository, name: str, **values) -> np.ndarray:
    text = (repository / "workflows" / "api" / f"{name}.json").read_text(encoding="utf-8")
    workflow = json.loads(text)
    for setting, number in {"steps": 1, "width": 192, "height": 256}.items():
        workflow = with_value(workflow, setting, number)
    for key, value in values.items():
        workflow["1"]["inputs"][key] = value
    run = client.run(workflow).or_raise()
    saved = next(key for key, node in workflow.items() if node["class_type"] == "SaveImage")
    picture = Image.open(io.BytesIO(client.view(run.outputs[saved]["images"][0])))
    assert not picture.getexif(), "nothing of the photo's camera or place goes along"
    return np.asarray(picture.convert("RGB"))


def test_a_photo_of_any_size_comes_back_at_its_size_and_only_the_garment_changes(client, finder, repository, tmp_path):
    data = pytest.importorskip("skimage.data")
    photo = np.full((700, 900, 3), 120, np.uint8)
    photo[150:662, 200:712] = data.astronaut()
    exif = Image.Exif()
    exif[0x8825] = {1: "N", 2: (48.0, 8.0, 0.0)}
    Image.fromarray(photo).save(tmp_path / "me.png", exif=exif)
    changed = result(client, repository, "tryon_photo", image=client.upload(tmp_path / "me.png"))
    assert changed.shape == photo.shape
    kept = (changed == photo).all(-1)
    assert 0.4 < kept.mean() < 0.95 and kept[:180].all() and not kept[430:520, 300:500].any()


@pytest.mark.parametrize("name", ["tryon_photo_outfit", "tryon_photo_pose_nodes"])
def test_the_examples_run(client, finder, repository, name):
    assert result(client, repository, name).std() > 20
