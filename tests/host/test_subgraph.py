"""The "Virtual Try-On" blueprint: ComfyUI serves it, and it makes the very picture of `tryon_embedded`."""

from __future__ import annotations

import io
import json

import make_subgraph
import numpy as np
import pytest
import requests
from hosting.conversion import ui_to_api
from hosting.graph import without_ids
from hosting.places import WORKFLOWS
from PIL import Image


@pytest.fixture
def blueprint(comfy_server) -> dict:
    """What the page gets when someone picks "Virtual Try-On" in the node search."""
    listed = requests.get(f"{comfy_server.url}/global_subgraphs", timeout=60).json()
    (key,) = [key for key, entry in listed.items() if entry["name"] == "Virtual Try-On"]
    assert listed[key]["info"]["node_pack"].startswith("custom_nodes.")
    return json.loads(requests.get(f"{comfy_server.url}/global_subgraphs/{key}", timeout=60).json()["data"])


@pytest.fixture
def one_node(blueprint) -> dict:
    """A workflow: the loaders of `tryon_embedded`, the one node, Save Image."""
    workflow = json.loads(make_subgraph.SOURCE.read_text(encoding="utf-8"))
    nodes = {node["id"]: node for node in workflow["nodes"]}
    result = next(node for node in workflow["nodes"] if node["type"] == "SaveImage")
    (instance,) = blueprint["nodes"]
    instance = instance | {"id": 50}
    loaders = make_subgraph.loaders(workflow)
    links = []
    for socket in instance["inputs"]:
        if socket["name"] in loaders:
            socket["link"] = len(links) + 1
            links.append([socket["link"], loaders[socket["name"]], 0, 50, len(links), socket["type"]])
    links.append([len(links) + 1, 50, 0, result["id"], 0, "IMAGE"])
    result["inputs"][0]["link"] = links[-1][0]
    return blueprint | {"nodes": [*map(nodes.get, loaders.values()), instance, result], "links": links}


def test_it_unpacks_into_the_same_graph_and_gives_the_same_picture(client, one_node):
    whole = json.loads((WORKFLOWS / "api" / "tryon_embedded.json").read_text(encoding="utf-8"))
    converted = ui_to_api(one_node, client.object_info())
    assert without_ids(converted) == without_ids(whole)

    pictures = []
    for graph in (whole, converted):
        client.free()  # the second run must compute its picture, not find the first one's
        run = client.run(graph).or_raise()
        assert "LadiVTON_TryOnSampler" in {graph[key]["class_type"] for key in run.executed}
        (image,) = run.images()
        pictures.append(np.asarray(Image.open(io.BytesIO(client.view(image)))))
    assert np.array_equal(*pictures)


def test_category_and_seed_of_the_one_node_reach_every_stage(client, one_node):
    instance = next(node for node in one_node["nodes"] if node["id"] == 50)
    instance["widgets_values"] = ["dresses", 77]
    converted = ui_to_api(one_node, client.object_info())
    inputs = {node["class_type"]: node["inputs"] for node in converted.values()}
    assert inputs["LadiVTON_AgnosticPerson"]["category"] == "dresses"
    assert inputs["LadiVTON_TextualInversionEncoder"]["category"] == "dresses"
    assert inputs["LadiVTON_TryOnSampler"]["seed"] == 77
