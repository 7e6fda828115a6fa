"""The blueprints in `subgraphs/` are today's workflows, and files that every system reads."""

from __future__ import annotations

import json

import make_subgraph
import pytest

SOCKETS = {
    "Virtual Try-On": ["person", "garment", "keypoints", "parse_map", "category", "seed"],
    "Photo Try-On": ["photo", "garment", "category", "person_index", "seed"],
    "Photo Outfit Try-On": ["photo", "top", "trousers", "person_index", "seed"],
    "Photo Try-On with Joints": ["photo", "garment", "keypoints", "category", "person_index", "seed"],
}

every_blueprint = pytest.mark.parametrize("one", make_subgraph.BLUEPRINTS, ids=lambda one: one.workflow)


def test_nothing_else_lies_in_the_folder(repository):
    there = {file.stem for file in (repository / "subgraphs").iterdir()}
    assert there == set(SOCKETS) == {one.name for one in make_subgraph.BLUEPRINTS}


@every_blueprint
def test_a_blueprint_is_made_from_the_workflow_of_today(one):
    made = make_subgraph.as_text(make_subgraph.blueprint(one))
    assert one.file.read_text(encoding="utf-8") == made, "run python scripts/make_subgraph.py"


@every_blueprint
def test_it_asks_for_what_a_try_on_needs_and_gives_the_picture(one):
    graph = json.loads(one.file.read_bytes().decode("ascii"))
    (definition,) = graph["definitions"]["subgraphs"]
    (instance,) = graph["nodes"]
    assert instance["type"] == definition["id"]
    for inputs in (instance["inputs"], definition["inputs"]):
        assert [socket["name"] for socket in inputs] == SOCKETS[one.name]
    assert [output["type"] for output in instance["outputs"]] == ["IMAGE"]
    assert all(socket["linkIds"] for socket in definition["inputs"] + definition["outputs"])


@every_blueprint
def test_nothing_inside_shows_a_picture_in_the_place_of_the_result(one):
    (definition,) = json.loads(one.file.read_text(encoding="utf-8"))["definitions"]["subgraphs"]
    assert not [node for node in definition["nodes"] if node["type"] in ("PreviewImage", "MaskPreview", "SaveImage")]
    ends = {link["target_id"] for link in definition["links"]}
    assert ends <= {node["id"] for node in definition["nodes"]} | {make_subgraph.OUTPUT_ID}


@every_blueprint
def test_a_blueprint_is_found_by_the_words_people_search(one):
    graph = json.loads(one.file.read_text(encoding="utf-8"))
    assert one.file.stem == graph["nodes"][0]["title"]
    assert set(graph["extra"]["BlueprintSearchAliases"]) >= {"vton", "clothes", "dress", "outfit", "wardrobe"}


def test_no_two_blueprints_share_an_identifier():
    graphs = [json.loads(one.file.read_text(encoding="utf-8")) for one in make_subgraph.BLUEPRINTS]
    ids = [key for graph in graphs for key in (graph["id"], graph["definitions"]["subgraphs"][0]["id"])]
    assert len(set(ids)) == len(ids)


def test_the_two_garments_of_an_outfit_stay_apart():
    graph = make_subgraph.blueprint(make_subgraph.OUTFIT)["definitions"]["subgraphs"][0]
    titles = {node["id"]: node["title"] for node in graph["nodes"] if node["type"] == "LadiVTON_Category"}
    category = {node["id"]: node["widgets_values"][0] for node in graph["nodes"] if node["id"] in titles}
    links = {link["id"]: link for link in graph["links"]}
    behind = {link["origin_id"]: set() for link in links.values()}
    for link in links.values():
        behind[link["origin_id"]].add(link["target_id"])
    for role, worn in (("top", "upper_body"), ("trousers", "lower_body")):
        (socket,) = (socket for socket in graph["inputs"] if socket["name"] == role)
        (prepare,) = (links[number]["target_id"] for number in socket["linkIds"])
        words = {node["id"] for node in graph["nodes"] if node["type"].endswith("TextualInversionEncoder")}
        (encoder,) = behind[prepare] & words
        assert {category[key] for key in titles if encoder in behind[key]} == {worn}
