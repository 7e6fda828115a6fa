"""What only newer versions of ComfyUI have, on one of them: `make test-newest`."""

from __future__ import annotations

import json

import pytest
import requests
from hosting.places import REPOSITORY


@pytest.fixture
def ours(newer, client) -> dict[str, dict]:
    """The pack's entries of `/object_info`."""
    return {name: node for name, node in client.object_info().items() if name.startswith("LadiVTON_")}


def test_marks_to_fold_widgets_away_reach_the_page_and_what_everybody_sets_stays_in_sight(ours):
    folded = {
        (name, widget)
        for name, node in ours.items()
        for group in ("required", "optional")
        for widget, spec in node["input"].get(group, {}).items()
        if spec[1].get("advanced")
    }
    pose_map = {widget for name, widget in folded if name == "LadiVTON_PoseMap"}
    assert pose_map == {"width", "height", "sigma", "person_index", "mode", "nobody"}
    assert {"image", "category", "seed", "garment"}.isdisjoint(widget for _, widget in folded)


def test_nodes_stay_in_the_pages_extensions(ours):
    """The page takes whatever names an essentials category out of its extensions, the search's filter included.

    It shows a list of its own as essentials (frontends 1.49 and 1.58): there is nothing to be had for it.
    """
    assert [name for name, node in ours.items() if node["essentials_category"]] == []


def test_nothing_of_ours_needs_a_replacement(ours, comfy_server):
    """Every id that was ever released is still there, and no shipped graph has a node that this ComfyUI replaces."""
    replaced = requests.get(f"{comfy_server.url}/node_replacements", timeout=60).json()
    read = lambda pattern: [json.loads(file.read_text("utf-8")) for file in REPOSITORY.glob(pattern)]  # noqa: E731
    released = {name for nodes in read("tests/promises/*/nodes.json") for name in nodes}
    queued = {node["class_type"] for graph in read("workflows/api/*.json") for node in graph.values()}
    blueprints = {
        node["type"]
        for file in read("subgraphs/*.json")
        for graph in file["definitions"]["subgraphs"]
        for node in graph["nodes"]
    }
    assert released and queued and blueprints and replaced, "something was not found"
    assert released <= ours.keys()
    assert not (released | ours.keys() | queued | blueprints) & replaced.keys()
