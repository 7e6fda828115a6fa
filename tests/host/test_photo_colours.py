"""A photo with a colour profile, framed, repainted in a hole and saved: its own numbers and profile around the hole."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hosting.client import ComfyClient
from PIL import Image

from ladivton_core.disk import colours

PROFILE = colours._make_profile(colours._PRIMARIES[12], None, grey=False)
"""Display P3."""


@pytest.fixture
def wide(comfy_server):
    """A photo and a mask in the server's input folder; the photo's own numbers."""
    numbers = np.random.default_rng(3).integers(0, 256, (160, 120, 3), np.uint8)
    Image.fromarray(numbers).save(comfy_server.base / "input" / "wide.png", icc_profile=PROFILE)
    hole = np.zeros((160, 120, 4), np.uint8)
    hole[40:80, 30:60, 3] = 255
    Image.fromarray(hole).save(comfy_server.base / "input" / "hole.png")
    return numbers


def graph(loader: str, saver: str) -> dict:
    nodes = {
        "photo": (loader, {"image": "wide.png"}),
        "hole": ("LadiVTON_LoadPicture", {"image": "hole.png"}),
        "fit": ("LadiVTON_FitPerson", {"photo": ["photo", 0], "width": 96, "height": 128, "fit": "pad",
                                       "border": "blur", "person_index": 0}),
        "red": ("EmptyImage", {"width": 96, "height": 128, "batch_size": 1, "color": 0xC82828}),
        "stitch": ("LadiVTON_StitchPerson", {"result": ["red", 0], "photo": ["photo", 0], "fit": ["fit", 4],
                                             "mask": ["hole", 1], "feather": 0}),
        "save": (saver, {"images": ["stitch", 0], "filename_prefix": "wide"} if saver == "SaveImage" else
                 {"image": ["stitch", 0], "name": "wide.png", "order": "paired", "category": "upper_body",
                  "folder": "wide", "format": "png", "overwrite": True}),
    }  # fmt: skip
    return {key: {"class_type": kind, "inputs": inputs} for key, (kind, inputs) in nodes.items()}


def saved(comfy_server, workflow: dict) -> bytes:
    client = ComfyClient(comfy_server.url)
    (image,) = client.run(workflow).or_raise().outputs["save"]["images"]
    return client.view(image)


def is_the_photos(content: bytes, numbers: np.ndarray) -> None:
    picture = Image.open(io.BytesIO(content))
    assert picture.info["icc_profile"] == PROFILE
    made, around = np.asarray(picture), np.ones((160, 120), bool)
    around[38:82, 28:62] = False
    assert (made[around] == numbers[around]).all()
    inside = np.asarray(colours.colours_shown(picture, "made"))[44:76, 34:56].reshape(-1, 3)
    assert np.abs(np.median(inside, 0) - (200, 40, 40)).max() <= 2 and np.median(made[44:76, 34:56, 0]) < 195


def test_save_result_writes_the_photos_colours(comfy_server, wide):
    is_the_photos(saved(comfy_server, graph("LadiVTON_LoadPicture", "LadiVTON_SaveResult")), wide)


def test_a_loader_that_reads_no_profile_gets_none_written(comfy_server, wide):
    """ComfyUI's Load Image takes the numbers as sRGB: what it brought is not what the photo's file means."""
    content = saved(comfy_server, graph("LoadImage", "LadiVTON_SaveResult"))
    assert "icc_profile" not in Image.open(io.BytesIO(content)).info


def test_the_demo_writes_what_a_server_saved_in_the_photos_colours(comfy_server, wide):
    from demo import in_colours_of

    content = saved(comfy_server, graph("LadiVTON_LoadPicture", "SaveImage"))
    assert "icc_profile" not in Image.open(io.BytesIO(content)).info
    photo = comfy_server.base / "input" / "wide.png"
    is_the_photos(in_colours_of(photo, content), wide)
    assert Image.open(io.BytesIO(in_colours_of(photo, content))).text == Image.open(io.BytesIO(content)).text
    assert in_colours_of(comfy_server.base / "input" / "hole.png", content) == content
