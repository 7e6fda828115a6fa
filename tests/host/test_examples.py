"""The pack's example pictures come from ComfyUI's own address for pictures, by the names that the lists give them."""

from __future__ import annotations

import io

import numpy as np
import pytest
import requests
from PIL import Image

PERSON = "person [example].png [temp]"


def view(server, file: str, place: str = "/api/view", **options) -> requests.Response:
    return requests.get(server.url + place, params={"filename": file, "type": "input", **options}, timeout=60)


@pytest.fixture
def offered(client) -> list[str]:
    """Every example that one of the lists with pictures offers."""
    info = client.object_info()
    lists = [("LadiVTON_LoadPicture", "image"), ("LadiVTON_LoadParseMap", "file")]
    options = {name for node, name in lists for name in info[node]["input"]["required"][name][1]["options"]}
    return sorted(name for name in options if " [example]" in name)


@pytest.mark.parametrize("place", ["/view", "/api/view"])
def test_every_picture_a_list_offers_is_shown(comfy_server, repository, offered, place):
    """As a node asks for the picture chosen and Nodes 2.0 for its list's thumbnails: the name, no subfolder."""
    assert PERSON in offered and "parse [example].png [temp]" in offered
    for file in offered:
        answer = view(comfy_server, file, place, rand="0.5")
        assert answer.status_code == 200, file
        assert (
            answer.content == (repository / "samples" / file.replace(" [example]", "")[: -len(" [temp]")]).read_bytes()
        )
        assert answer.headers["Content-Type"].startswith("image/")


def test_colours_and_opacity_come_apart_as_the_mask_editor_asks(comfy_server, repository):
    def channel(name: str) -> Image.Image:
        return Image.open(io.BytesIO(view(comfy_server, PERSON, channel=name).content))

    person = Image.open(repository / "samples" / "person.png")
    assert np.array_equal(channel("rgb").convert("RGB"), person.convert("RGB"))
    assert np.array_equal(channel("a").getchannel("A"), person.convert("RGBA").getchannel("A"))


def test_an_example_without_its_copy_runs_all_the_same_and_so_do_names_of_older_files(comfy_server, client, repository):
    """Somebody has emptied ComfyUI's temp folder; the page then shows no picture, and that is all."""
    copy = comfy_server.base / "temp" / PERSON.removesuffix(" [temp]")
    aside = copy.rename(copy.with_name("aside.png"))
    try:
        for name in (PERSON, "person.png [example]", "[example] person.png"):
            load = {"class_type": "LadiVTON_LoadPicture", "inputs": {"image": name}}
            show = {"class_type": "PreviewImage", "inputs": {"images": ["load", 0]}}
            run = client.run({"load": load, "show": show}).or_raise()
            shown = Image.open(io.BytesIO(client.view(run.outputs["show"]["images"][0])))
            assert np.array_equal(
                shown.convert("RGB"), Image.open(repository / "samples" / "person.png").convert("RGB")
            )
    finally:
        aside.rename(copy)
