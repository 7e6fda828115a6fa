"""A second, larger pass over the first one's result: the shipped workflow at 96 x 128 and 120 x 160."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hosting.graph import the
from PIL import Image

SMALL, LARGE = {"width": 96, "height": 128}, {"width": 120, "height": 160}


@pytest.fixture
def two_passes(repository) -> dict:
    """`workflows/api/second_pass.json` at a quarter of its sizes; `first` and `result` show the passes."""
    workflow = json.loads((repository / "workflows" / "api" / "second_pass.json").read_text(encoding="utf-8"))
    for node in workflow.values():
        inputs = node["inputs"]
        if "width" in inputs:
            inputs |= {384: SMALL, 480: LARGE}[inputs["width"]]
        inputs |= {name: inputs[name] / 4 for name in ("sigma",) if name in inputs}
        inputs |= {name: inputs[name] // 4 for name in ("grow",) if name in inputs}
    for key, node in list(workflow.items()):
        if node["class_type"] in ("PreviewImage", "SaveImage"):
            del workflow[key]
            show = {"class_type": "PreviewImage", "inputs": {"images": node["inputs"]["images"]}}
            workflow["result" if node["class_type"] == "SaveImage" else "first"] = show
    return workflow


def second(workflow: dict) -> dict:
    """Inputs of the second pass's sampler."""
    (found,) = (node["inputs"] for node in workflow.values() if node["inputs"].get("denoise", 1.0) < 1)
    return found


def enlarged(picture: np.ndarray) -> np.ndarray:
    (one,) = picture.astype(np.uint8)
    return np.asarray(Image.fromarray(one).resize((120, 160), Image.BICUBIC)).astype(float)[None]


def test_the_second_pass_repaints_the_first_ones_picture_larger(shown, two_passes):
    first, result = shown(two_passes, "first"), shown(two_passes)
    assert first.shape == (1, 128, 96, 3) and result.shape == (1, 160, 120, 3)
    distance = np.abs(result - enlarged(first)).mean()
    assert 0.5 < distance < 25
    second(two_passes)["denoise"] = 1.0
    anew = shown(two_passes)
    assert np.abs(anew - result).mean() > 0.2, "the first pass does not matter"


def test_pixels_work_in_place_of_latents(shown, two_passes):
    latent = shown(two_passes)
    decoded = two_passes["first"]["inputs"]["images"]
    vae = [the(two_passes, "LadiVTON_LoadModels"), 2]
    scale = {"image": decoded, "upscale_method": "bicubic", "crop": "disabled"} | LARGE
    two_passes["scale"] = {"class_type": "ImageScale", "inputs": scale}
    two_passes["encode"] = {"class_type": "VAEEncode", "inputs": {"pixels": ["scale", 0], "vae": vae}}
    second(two_passes)["latent"] = ["encode", 0]
    assert np.abs(shown(two_passes) - latent).mean() < 15


def test_a_latent_of_the_other_size_is_refused(failure, two_passes):
    second(two_passes)["latent"] = [the(two_passes, "LatentUpscale"), 0]
    two_passes[the(two_passes, "LatentUpscale")]["inputs"] |= SMALL
    message = failure(two_passes, "LadiVTON_TryOnSampler")
    assert "(16, 12)" in message and "(20, 15)" in message and "Try-On Conditioning" in message
