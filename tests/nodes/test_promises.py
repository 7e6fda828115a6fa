"""What a release promised still holds: ids, order, wire types, defaults, limits and choices of every node.

`scripts/freeze_promises.py` wrote `tests/promises/<release>/`: `nodes.json` is `promised(schema)` of each node of that
release, the other files are the workflows it shipped (`tests/host/test_promises.py` loads and runs them). Nothing there
is ever edited: a promise that has to be broken is named in `BROKEN` and in the changelog.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from freeze_promises import promised
from hosting.shipped import TITLES, page_file, queue_file

PROMISES = Path(__file__).parents[1] / "promises"
RELEASES = sorted(file.parent.name for file in PROMISES.glob("*/nodes.json"))

_FROM_THE_MODEL = "0.2.0: new nodes take what the model recommends; 50 steps and 7.5 burn the embedded models"
_TOGETHER = "0.2.0: new loaders start with examples that belong together; a dress wore a dress"
BROKEN: dict[str, str] = {
    "LadiVTON_LoadPicture.image.default": _TOGETHER,
    "LadiVTON_LoadKeypoints.file.default": _TOGETHER,
    "LadiVTON_LoadParseMap.file.default": _TOGETHER,
    "LadiVTON_TryOnSampler.steps.default": _FROM_THE_MODEL,
    "LadiVTON_TryOnSampler.guidance.default": _FROM_THE_MODEL,
    "LadiVTON_EMASCDecoder.skip_grow.default": _FROM_THE_MODEL,
    "LadiVTON_EMASCDecoder.skip_feather.default": _FROM_THE_MODEL,
    "LadiVTON_AgnosticPerson.missing_joints.default":
        "0.2.0: on real photos joints are missing, and 'published' draws the arms' stroke through the picture's corner",
}  # fmt: skip
"""`node.input.field` that holds no longer -> release and reason."""


@pytest.fixture(params=RELEASES)
def release(request) -> dict[str, Any]:
    """Nodes of one release."""
    return json.loads((PROMISES / request.param / "nodes.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def today(nodes) -> dict[str, Any]:
    """Nodes of this checkout."""
    return {name: promised(node.define_schema()) for name, node in nodes.items()}


def test_no_node_has_gone(release, today):
    assert today.keys() >= release.keys()


def test_inputs_keep_their_place_and_new_ones_are_optional_and_last(release, today):
    for name, node in release.items():
        inputs = today[name]["inputs"]
        assert [part["id"] for part in inputs[: len(node["inputs"])]] == [part["id"] for part in node["inputs"]], name
        assert all(part["optional"] for part in inputs[len(node["inputs"]) :]), name


def test_inputs_keep_type_default_and_choices_and_take_every_value_they_took(release, today):
    for name, node in release.items():
        for then, now in zip(node["inputs"], today[name]["inputs"], strict=False):
            where = f"{name}.{then['id']}"
            assert now["type"] == then["type"], where
            assert now["optional"] >= then["optional"], where
            if f"{where}.default" not in BROKEN:
                assert now.get("default") == then.get("default"), where
            assert now.get("min", -float("inf")) <= then.get("min", -float("inf")), where
            assert now.get("max", float("inf")) >= then.get("max", float("inf")), where
            assert set(now.get("options", [])) >= set(then.get("options", [])), where


def test_outputs_keep_their_place_name_and_type(release, today):
    for name, node in release.items():
        assert today[name]["outputs"][: len(node["outputs"])] == node["outputs"], name


def test_broken_promises_say_when_and_why():
    assert all(len(reason.split()) > 4 for reason in BROKEN.values())


def test_a_default_that_asks_the_model_was_no_number_a_file_could_hold(release, today):
    """So that an explicit number in an old file, whatever it is, keeps its meaning."""
    asked = [where.removesuffix(".default") for where, reason in BROKEN.items() if reason == _FROM_THE_MODEL]
    for name, part in (where.rsplit(".", 1) for where in asked):
        then, now = (next(p for p in nodes[name]["inputs"] if p["id"] == part) for nodes in (release, today))
        assert now["default"] < then["min"], f"{name}.{part}"


def test_a_release_is_frozen_once_with_todays_nodes_and_workflows(nodes, today, tmp_path):
    from freeze_promises import freeze

    freeze(nodes, tmp_path / "1.2.3")
    assert json.loads((tmp_path / "1.2.3" / "nodes.json").read_text("utf-8")) == json.loads(json.dumps(today))
    for place, shipped in (("{}.json", page_file), ("api/{}.json", queue_file)):
        copies = {name: (tmp_path / "1.2.3" / place.format(name)).read_bytes() for name in TITLES}
        assert copies == {name: shipped(name).read_bytes() for name in TITLES}
    with pytest.raises(FileExistsError):
        freeze(nodes, tmp_path / "1.2.3")
