"""The blueprints: ComfyUI serves them, and each makes the very picture of the workflow it comes from."""

from __future__ import annotations

import io
import json

import make_subgraph
import numpy as np
import pytest
import requests
from hosting import pose
from hosting.graph import ui_to_api, with_defaults, with_value, without_ids
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


every_blueprint = pytest.mark.parametrize(
    "one",
    [
        pytest.param(one, marks=pytest.mark.long) if one == make_subgraph.OUTFIT else one
        for one in make_subgraph.BLUEPRINTS
    ],
    ids=lambda one: one.workflow,
)


@every_blueprint
def test_a_blueprint_unpacks_into_the_graph_of_its_workflow(client, comfy_server, one):
    whole = json.loads(queue_file(one.workflow).read_text(encoding="utf-8"))
    whole = {key: node for key, node in whole.items() if node["class_type"] not in make_subgraph.PREVIEWS}
    converted = ui_to_api(one_node(comfy_server, one), nodes := client.object_info())
    assert without_ids(converted) == without_ids(with_defaults(whole, nodes))


LONG = (make_subgraph.PHOTO, make_subgraph.OUTFIT, make_subgraph.WITH_JOINTS)


@pytest.mark.parametrize(
    "one",
    [pytest.param(one, marks=pytest.mark.long) if one in LONG else one for one in make_subgraph.BLUEPRINTS],
    ids=lambda one: one.workflow,
)
def test_it_gives_the_picture_of_its_workflow(client, comfy_server, pose_graphs, smaller, one):
    pose.provide(comfy_server.base, pose_graphs)
    whole = json.loads(queue_file(one.workflow).read_text(encoding="utf-8"))
    converted = ui_to_api(one_node(comfy_server, one), client.object_info())
    pictures = []
    for graph in (whole, converted):
        client.free()  # the second run must compute its picture, not find the first one's
        if one == make_subgraph.TRY_ON:
            graph = smaller(graph)
        else:  # these fit the photo themselves
            graph = with_value(with_value(graph, "width", 96), "height", 128)
        run = client.run(graph).or_raise()
        assert "LadiVTON_TryOnSampler" in {graph[key]["class_type"] for key in run.executed}
        saved = next(key for key, node in graph.items() if node["class_type"] == "SaveImage")
        (image,) = run.outputs[saved]["images"]
        pictures.append(np.asarray(Image.open(io.BytesIO(client.view(image)))))
    assert np.array_equal(*pictures)


@every_blueprint
def test_what_the_one_node_shows_reaches_every_stage(client, comfy_server, one):
    graph = one_node(comfy_server, one)
    instance = next(node for node in graph["nodes"] if node["id"] == 50)
    set_by_it = {"category": "dresses", "person_index": 3, "seed": 77}
    instance["widgets_values"] = [set_by_it[name] for name in one.widgets]
    unpacked = ui_to_api(graph, client.object_info())
    # the inputs that each of them sets: the value stands in the node, or comes by a wire from the one that has it
    names = {"category": ("category", "framing"), "person_index": ("person_index",), "seed": ("seed",)}
    for widget in one.widgets:
        asking = [node["inputs"] for node in unpacked.values() if node["inputs"].keys() & set(names[widget])]
        assert asking
        for inputs in asking:
            for name in inputs.keys() & set(names[widget]):
                given = inputs[name]
                if isinstance(given, list):
                    (given,) = unpacked[given[0]]["inputs"].values()
                assert given == set_by_it[widget], (inputs, name)
