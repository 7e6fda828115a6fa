"""The pictures marked `[example]` come from the address at which ComfyUI's page looks for a chosen picture."""

from __future__ import annotations

import io

import numpy as np
import pytest
import requests
from PIL import Image

PLACES = ("/view", "/api/view")


def view(server, file: str, place: str = "/api/view", **options) -> requests.Response:
    return requests.get(server.url + place, params={"filename": file, "type": "input", **options}, timeout=60)


@pytest.fixture
def offered(client) -> list[str]:
    """Every sample that one of the lists with pictures offers."""
    info = client.object_info()
    lists = [("LadiVTON_LoadPicture", "image"), ("LadiVTON_LoadParseMap", "file")]
    options = {name for node, name in lists for name in info[node]["input"]["required"][name][1]["options"]}
    return sorted(name for name in options if name.startswith("[example] "))


@pytest.mark.parametrize("place", PLACES)
def test_every_picture_a_list_offers_is_there(comfy_server, repository, offered, place):
    assert "[example] person.png" in offered and "[example] parse.png" in offered
    for file in offered:
        answer = view(comfy_server, file, place, subfolder="", rand="0.5")
        assert answer.status_code == 200, file
        assert answer.content == (repository / "samples" / file.removeprefix("[example] ")).read_bytes()
        assert answer.headers["Content-Type"].startswith("image/")


@pytest.mark.parametrize(
    "file",
    [
        "[example] ",
        "[example] missing.png",
        "[example] keypoints.json",
        "[example] ../README.md",
        "[example] ../docs/images/demo.jpg",
        "[example] datasets/vitonhd/test/image/00001_00.jpg",
        "[example] /etc/passwd",
        "[example] person.png [output]",
    ],
)
def test_nothing_else_is(comfy_server, file):
    assert view(comfy_server, file).status_code == 404


def test_colours_and_opacity_come_apart_as_the_mask_editor_asks(comfy_server, repository):
    def channel(file: str, name: str) -> Image.Image:
        return Image.open(io.BytesIO(view(comfy_server, file, channel=name).content))

    person = Image.open(repository / "samples" / "person.png")
    assert np.array_equal(channel("[example] person.png", "rgb"), person.convert("RGB"))
    opacity = channel("[example] person.png", "a")
    assert opacity.mode == "RGBA" and np.array_equal(opacity.getchannel("A"), person.convert("RGBA").getchannel("A"))


def test_every_other_picture_stays_comfyuis_business(comfy_server, client, repository):
    name = client.upload(repository / "samples" / "garment.png", "[examples] mine.png")
    assert view(comfy_server, name).content == (repository / "samples" / "garment.png").read_bytes()
    assert view(comfy_server, "nowhere.png").status_code == 404
    assert requests.get(comfy_server.url + "/view", timeout=60).status_code == 404  # ComfyUI's own answer
