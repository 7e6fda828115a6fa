"""The blueprint in `subgraphs/` is today's `tryon_embedded`, and a file that every system reads."""

from __future__ import annotations

import json

import make_subgraph


def test_the_blueprint_is_made_from_the_workflow_of_today():
    workflow = json.loads(make_subgraph.SOURCE.read_text(encoding="utf-8"))
    made = make_subgraph.as_text(make_subgraph.blueprint(workflow))
    assert make_subgraph.FILE.read_text(encoding="utf-8") == made, "run python scripts/make_subgraph.py"


def test_it_asks_for_what_a_try_on_needs_and_gives_the_picture():
    graph = json.loads(make_subgraph.FILE.read_bytes().decode("ascii"))
    (definition,) = graph["definitions"]["subgraphs"]
    (instance,) = graph["nodes"]
    assert instance["type"] == definition["id"]
    for inputs in (instance["inputs"], definition["inputs"]):
        names = [socket["name"] for socket in inputs]
        assert names == ["person", "garment", "keypoints", "parse_map", "category", "seed"]
    assert [output["type"] for output in instance["outputs"]] == ["IMAGE"]
    assert all(socket["linkIds"] for socket in definition["inputs"] + definition["outputs"])


def test_the_blueprint_is_found_by_the_words_people_search():
    graph = json.loads(make_subgraph.FILE.read_text(encoding="utf-8"))
    assert make_subgraph.FILE.stem == make_subgraph.NAME == "Virtual Try-On"
    assert set(graph["extra"]["BlueprintSearchAliases"]) >= {"vton", "clothes", "dress", "outfit", "wardrobe"}
