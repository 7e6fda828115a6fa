"""The blueprints: ComfyUI serves them, and each makes the very picture of the workflow it comes from."""

from __future__ import annotations

import io
import json

import make_subgraph
import numpy as np
import pytest
import requests
from hosting import pose
from hosting.conversion import ui_to_api
from hosting.graph import with_defaults, without_ids
from hosting.shipped import queue_file
from PIL import Image


def served(server, one: make_subgraph.Blueprint) -> dict:
    """What the page gets when someone picks the blueprint in the node search."""
    listed = requests.get(f"{server.url}/global_subgraphs", timeout=60).json()
    (key,) = [key for key, entry in listed.items() if entry["name"] == one.name]
    assert listed[key]["info"]["node_pack"].startswith("custom_nodes.")
    return json.loads(requests.get(f"{server.url}/global_subgraphs/{key}", timeout=60).json()["data"])


def one_node(server, one: make_subgraph.Blueprint) -> dict:
    """A workflow: the loaders of the blueprint's workflow, the one node (50), Save Image."""
    blueprint, workflow = served(server, one), one.source()
    nodes = {node["id"]: node for node in workflow["nodes"]}
    result = next(node for node in workflow["nodes"] if node["type"] == "SaveImage")
    (instance,) = blueprint["nodes"]
    instance = instance | {"id": 50}
    loaders = make_subgraph.loaders(workflow, one.roles)
    links = []
    for socket in instance["inputs"]:
        if socket["name"] in loaders:
            socket["link"] = len(links) + 1
            links.append([socket["link"], loaders[socket["name"]], 0, 50, len(links), socket["type"]])
    links.append([len(links) + 1, 50, 0, result["id"], 0, "IMAGE"])
    result["inputs"][0]["link"] = links[-1][0]
    return blueprint | {"nodes": [*map(nodes.get, loaders.values()), instance, result], "links": links}


def unpacks_into_the_same_picture(client, server, one: make_subgraph.Blueprint) -> None:
    whole = json.loads(queue_file(one.workflow).read_text(encoding="utf-8"))
    converted = ui_to_api(one_node(server, one), nodes := client.object_info())
    assert without_ids(converted) == without_ids(with_defaults(whole, nodes))

    pictures = []
    for graph in (whole, converted):
        client.free()  # the second run must compute its picture, not find the first one's
        run = client.run(graph).or_raise()
        assert "LadiVTON_TryOnSampler" in {graph[key]["class_type"] for key in run.executed}
        saved = next(key for key, node in graph.items() if node["class_type"] == "SaveImage")
        (image,) = run.outputs[saved]["images"]
        pictures.append(np.asarray(Image.open(io.BytesIO(client.view(image)))))
    assert np.array_equal(*pictures)


def test_virtual_try_on_unpacks_into_the_same_graph_and_gives_the_same_picture(client, comfy_server):
    unpacks_into_the_same_picture(client, comfy_server, make_subgraph.TRY_ON)


@pytest.mark.long
def test_photo_try_on_unpacks_into_the_same_graph_and_gives_the_same_picture(client, comfy_server, pose_graphs):
    pose.provide(comfy_server.base, pose_graphs)
    unpacks_into_the_same_picture(client, comfy_server, make_subgraph.PHOTO)


@pytest.mark.parametrize("one", make_subgraph.BLUEPRINTS, ids=lambda one: one.workflow)
def test_category_and_seed_of_the_one_node_reach_every_stage(client, comfy_server, one):
    graph = one_node(comfy_server, one)
    instance = next(node for node in graph["nodes"] if node["id"] == 50)
    instance["widgets_values"] = ["dresses", 77]
    set_by_it = {"category": "dresses", "framing": "dresses", "seed": 77}
    found = set()
    for node in ui_to_api(graph, client.object_info()).values():
        for name in set_by_it.keys() & node["inputs"].keys():
            assert node["inputs"][name] == set_by_it[name], (node["class_type"], name)
            found.add((node["class_type"].removeprefix("LadiVTON_"), name))
    expected = {("AgnosticPerson", "category"), ("TextualInversionEncoder", "category"), ("TryOnSampler", "seed")}
    if one is make_subgraph.PHOTO:
        expected |= {("CheckInputs", "category"), ("FitPerson", "framing")}
    assert found == expected
