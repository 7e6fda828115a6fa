"""What a run took and what looks wrong is in ComfyUI's history and log, for whoever uses the API."""

from __future__ import annotations

import io
import json

from hosting.graph import the, with_value
from PIL import Image

from ladivton_core.presets import TINY

ASKING = {
    "steps": (0, TINY.steps), "guidance": (0, TINY.guidance_scale), "skip_grow": (-257, TINY.skip_grow),
    "skip_feather": (-1, TINY.skip_feather),
}  # fmt: skip
"""Input -> what leaves it to the models, and their number."""


def text(run, workflow: dict, node: str) -> list[str]:
    """The lines a node left in the history."""
    return run.or_raise().outputs[the(workflow, f"LadiVTON_{node}")]["text"]


def test_settings_left_to_the_models_give_the_picture_of_their_numbers_and_are_said(client, comfy_server, small):
    asking = told = small
    for name, (value, recommended) in ASKING.items():
        asking, told = with_value(asking, name, value), with_value(told, name, recommended)
    left, given = client.run(asking).or_raise(), client.run(told).or_raise()
    pictures = [client.view(*run.images("temp")) for run in (left, given)]
    pixels = [Image.open(io.BytesIO(picture)).convert("RGB").tobytes() for picture in pictures]
    assert pixels[0] == pixels[1]

    sampled = f"steps {TINY.steps}, guidance {TINY.guidance_scale:g} (recommended)"
    assert text(left, asking, "TryOnSampler") == [sampled]
    decoded = f"skip_grow {TINY.skip_grow}, skip_feather {TINY.skip_feather} (recommended)"
    assert text(left, asking, "EMASCDecoder") == [decoded]
    assert f"Try-On Sampler: {sampled}" in comfy_server.log()
    assert f"EMASC Decoder: {decoded}" in comfy_server.log()


def test_numbers_in_the_file_win_and_the_recommended_ones_are_said(client, quick):
    (line,) = text(client.run(quick), quick, "TryOnSampler")
    assert line == f"steps 2 (recommended: {TINY.steps}), guidance 1"


def test_what_looks_wrong_is_said_once_where_it_shows_and_goes_when_it_is_mended(
    client, comfy_server, quick, node, repository
):
    before = json.loads(json.dumps(quick))
    node(quick, "LadiVTON_LoadParseMap")["file"] = client.upload(repository / "samples" / "parse_atr18.png", "atr.png")
    node(quick, "LadiVTON_AgnosticPerson")["category"] = "dresses"
    run = client.run(quick)
    (labels,) = text(run, quick, "AgnosticPerson")
    assert labels.startswith("Warning: ") and "read as ATR18 it makes sense" in labels
    category, own = text(run, quick, "TryOnConditioning")
    assert "know drawn people only" in own  # the small picture is no example of the pack
    assert category.startswith("Warning: ") and "cuts out dresses" in category and "describes upper_body" in category
    assert f"Try-On Conditioning: {category.removeprefix('Warning: ')}" in comfy_server.log()

    mended = client.run(with_value(before, "posterior_seed", 77))
    assert text(mended, before, "TryOnConditioning") == [own]


def test_joints_that_count_other_pixels_are_said(client, quick, node, repository, tmp_path):
    document = json.loads((repository / "samples" / "keypoints.json").read_text("utf-8"))
    for key in ("canvas_width", "canvas_height"):
        document.pop(key, None)
    file = tmp_path / "large.json"  # those of the whole picture
    file.write_text(json.dumps(document), encoding="utf-8")
    node(quick, "LadiVTON_LoadKeypoints")["file"] = client.upload(file)
    run = client.run(quick)
    for name in ("PoseMap", "AgnosticPerson"):
        assert "lie outside picture 0 of 96 x 128 pixels" in text(run, quick, name)[0]
