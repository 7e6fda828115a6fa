"""Make the blueprints in `subgraphs/`, one node each for the hurried, from the workflows they unpack into.

python scripts/make_subgraph.py

`BLUEPRINTS` says which is made from which. A blueprint holds the workflow's graph without its loaders, notes, previews
and the saved picture, so that it unpacks into the same nodes with the same settings. Run it after a change of those
workflows; `tests/nodes/test_subgraph.py` compares.

ComfyUI lists `subgraphs/*.json` under `/global_subgraphs`; the page offers each by its file name. The format is the
one in which the page saves subgraphs: one node whose type is the id of `definitions.subgraphs[0]`.
"""

from __future__ import annotations

import json
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hosting.places import REPOSITORY
from hosting.shipped import page_file

PREVIEWS = ("PreviewImage", "MaskPreview")
LEFT_OUT = ("MarkdownNote", "Note", "SaveImage", *PREVIEWS)
"""The page shows inner previews on the one node, in the place of the result that is connected behind it."""
INPUT_ID, OUTPUT_ID = -10, -20
"""The frames of a subgraph, as the page numbers them."""
KINDS = {"category": "COMBO", "seed": "INT", "person_index": "INT"}
"""Widgets that the one node shows, and their types."""
ALIASES = ["vton", "clothes", "clothing", "garment", "dress", "outfit", "fashion", "wardrobe"]

Json = dict[str, Any]


@dataclass(frozen=True)
class Blueprint:
    """One node, and the workflow it is made from.

    Attributes:
        name: its title, and its file's name.
        workflow: short name of the workflow in `hosting.shipped`.
        description: what the page says of it.
        roles: its sockets, each with the title of the workflow's loader that it takes the place of.
        widgets: what it shows, each with the names of the inputs that it sets on every node that has one.
        aliases: words that find it.
    """

    name: str
    workflow: str
    description: str
    roles: dict[str, str]
    widgets: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"category": ("category",), "seed": ("seed",)})
    aliases: tuple[str, ...] = tuple(ALIASES)

    @property
    def file(self) -> Path:
        return REPOSITORY / "subgraphs" / f"{self.name}.json"

    def source(self) -> Json:
        """The workflow in UI format."""
        return json.loads(page_file(self.workflow).read_text(encoding="utf-8"))

    def widget_of(self, name: str) -> str | None:
        """The widget that sets an input of this name."""
        return next((widget for widget, names in self.widgets.items() if name in names), None)

    def id(self, of: str) -> str:
        """The same identifier in every run."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"ladi-vton/{self.name}/{of}"))

    def socket(self, name: str, kind: str) -> Json:
        return {"id": self.id(f"socket {name}"), "name": name, "type": kind, "linkIds": [], "localized_name": name}


TRY_ON = Blueprint(
    name="Virtual Try-On",
    workflow="tryon_embedded",
    description="Puts a garment on a person: every stage of LaDI-VTON in one node, on the models that ship with the "
    "pack. Right-click and unpack it to see and rewire the stages.",
    roles={
        "person": "Person",
        "garment": "Garment",
        "keypoints": "The person's joints",
        "parse_map": "The person's parse map",
    },
)
_ONE_PERSON = {"person_index": ("value",), "seed": ("seed",)}
PHOTO = Blueprint(
    name="Photo Try-On",
    workflow="tryon_photo",
    description="Puts a garment on the person in a photo and gives the photo back at its own size: finds the person, "
    "frames, dresses and stitches, on the models that ship with the pack. "
    "Right-click and unpack it to see and rewire the stages.",
    roles={"photo": "Person", "garment": "Garment"},
    widgets={"category": ("category",), **_ONE_PERSON},
    aliases=(*ALIASES, "photo", "portrait"),
)
OUTFIT = Blueprint(
    name="Photo Outfit Try-On",
    workflow="tryon_photo_outfit",
    description="Puts trousers or a skirt on the person in a photo, then a top over them, and gives the photo back at "
    "its own size, on the models that ship with the pack. Right-click and unpack it to see and rewire the stages.",
    roles={"photo": "Person", "top": "Top", "trousers": "Trousers or skirt"},
    widgets=_ONE_PERSON,
    aliases=(*ALIASES, "photo", "portrait", "trousers", "skirt"),
)
WITH_JOINTS = Blueprint(
    name="Photo Try-On with Joints",
    workflow="tryon_photo_pose_nodes",
    description="Puts a garment on the person in a photo whose joints another pose detector has found, and gives the "
    "photo back at its own size, on the models that ship with the pack. "
    "Right-click and unpack it to see and rewire the stages.",
    roles={"photo": "Person", "garment": "Garment", "keypoints": "Joints: put a pose node here"},
    widgets={"category": ("category",), **_ONE_PERSON},
    aliases=(*ALIASES, "photo", "openpose", "dwpose", "sdpose"),
)
BLUEPRINTS = (TRY_ON, PHOTO, OUTFIT, WITH_JOINTS)


def blueprint(of: Blueprint) -> Json:
    """The workflow's stages as a subgraph blueprint."""
    workflow = _sockets_first(of.source())
    nodes = {node["id"]: node for node in workflow["nodes"]}
    wires = [
        link
        for link in workflow["links"]
        if nodes[link[1]]["type"] not in LEFT_OUT and nodes[link[3]]["type"] not in PREVIEWS
    ]
    loader_of = loaders(workflow, of.roles)
    results = {link[1]: link for link in wires if nodes[link[3]]["type"] == "SaveImage"}
    (result,) = results.values()
    inner = [node for node in nodes.values() if node["id"] not in loader_of.values() and node["type"] not in LEFT_OUT]
    inputs = [of.socket(name, "") for name in (*of.roles, *of.widgets)]
    links = []
    for number, start, slot, end, target, kind in wires:
        if start in loader_of.values():
            role = next(place for place, name in enumerate(of.roles) if loader_of[name] == start)
            start, slot = INPUT_ID, role
            inputs[role]["type"] = kind
            inputs[role]["linkIds"].append(number)
        elif (start, slot) == (result[1], result[2]) and end == result[3]:
            end, target = OUTPUT_ID, 0
        links.append(_link(number, start, slot, end, target, kind))
    number = workflow["last_link_id"]
    for node in inner:
        for target, socket in enumerate(node["inputs"]):
            name = of.widget_of(socket.get("widget", {}).get("name"))
            if name is not None and socket["link"] is None:
                number += 1
                slot = len(of.roles) + list(of.widgets).index(name)
                socket["link"] = number
                inputs[slot] |= {"type": KINDS[name], "linkIds": [*inputs[slot]["linkIds"], number]}
                links.append(_link(number, INPUT_ID, slot, node["id"], target, KINDS[name]))
    output = of.socket("image", "IMAGE") | {"linkIds": [result[0]]}
    definition = {
        "id": of.id("definition"),
        "version": 1,
        "state": {
            "lastGroupId": 0,
            "lastNodeId": workflow["last_node_id"],
            "lastLinkId": number,
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": of.name,
        "description": of.description,
        "category": "LaDI-VTON",
        "inputNode": {"id": INPUT_ID, "bounding": _frame(inner, -160)},
        "outputNode": {"id": OUTPUT_ID, "bounding": _frame(inner, 60)},
        "inputs": inputs,
        "outputs": [output],
        "widgets": [],
        "nodes": _without_outer_links(inner, {link["id"] for link in links}),
        "groups": [],
        "links": links,
        "extra": {},
    }
    return {
        "id": of.id("workflow"),
        "revision": 0,
        "last_node_id": 1,
        "last_link_id": 0,
        "nodes": [_instance(of, definition, inner)],
        "links": [],
        "groups": [],
        "definitions": {"subgraphs": [definition]},
        "config": {},
        "extra": {"BlueprintDescription": of.description, "BlueprintSearchAliases": list(of.aliases)},
        "version": 0.4,
    }


def _sockets_first(workflow: Json) -> Json:
    """The workflow with each node's sockets before its widgets.

    That is the order the page gives them when it loads a node. Wires of a workflow are renumbered then, those of a
    subgraph are not (frontend 1.32).
    """
    workflow = json.loads(json.dumps(workflow))
    moved = {}
    for node in workflow["nodes"]:
        before = node.get("inputs", [])
        node["inputs"] = sorted(before, key=lambda socket: "widget" in socket)
        moved[node["id"]] = [node["inputs"].index(socket) for socket in before]
    for link in workflow["links"]:
        link[4] = moved[link[3]][link[4]]
    return workflow


def loaders(workflow: Json, roles: dict[str, str]) -> dict[str, int]:
    """Role -> id of the node that loads it.

    Raises:
        ValueError: no node has the title of a role's loader, or several have.
    """
    found = {
        role: [node["id"] for node in workflow["nodes"] if node.get("title") == title] for role, title in roles.items()
    }
    wrong = {roles[role]: ids for role, ids in found.items() if len(ids) != 1}
    if wrong:
        raise ValueError(f"The workflow must have one node of each of these titles; it has {wrong}.")
    return {role: ids[0] for role, ids in found.items()}


def _instance(of: Blueprint, definition: Json, inner: list[Json]) -> Json:
    """The one node that a search puts on the canvas."""
    inputs = [
        {"name": socket["name"], "type": socket["type"], "link": None}
        | ({"widget": {"name": socket["name"]}} if socket["name"] in of.widgets else {})
        for socket in definition["inputs"]
    ]
    values = {}
    for node in inner:
        names = [socket["widget"]["name"] for socket in node["inputs"] if "widget" in socket]
        set_here = {of.widget_of(name): place for place, name in enumerate(names)}
        values |= {name: node["widgets_values"][set_here[name]] for name in of.widgets if name in set_here}
    return {
        "id": 1,
        "type": definition["id"],
        "pos": [0, 0],
        "size": [300, 220],
        "flags": {},
        "order": 0,
        "mode": 0,
        "inputs": inputs,
        "outputs": [{"name": "image", "type": "IMAGE", "links": []}],
        "title": of.name,
        "properties": {},
        "widgets_values": [values[name] for name in of.widgets],
    }


def _without_outer_links(inner: list[Json], inside: set[int]) -> list[Json]:
    """Nodes whose outputs name only wires of the subgraph, in the order in which they run."""
    for node in inner:
        for socket in node.get("outputs", ()):
            socket["links"] = [number for number in socket["links"] or () if number in inside]
    return sorted(inner, key=lambda node: node["order"])


def _link(number: int, start: int, slot: int, end: int, target: int, kind: str) -> Json:
    ends = {"origin_id": start, "origin_slot": slot, "target_id": end, "target_slot": target}
    return {"id": number, **ends, "type": kind}


def _frame(inner: list[Json], beside: int) -> list[float]:
    """Box of an input or output frame: left of the nodes (negative) or right of them, at half their height."""
    left = min(node["pos"][0] for node in inner)
    right = max(node["pos"][0] + node["size"][0] for node in inner)
    top = min(node["pos"][1] for node in inner)
    bottom = max(node["pos"][1] + node["size"][1] for node in inner)
    return [left + beside if beside < 0 else right + beside, (top + bottom) / 2 - 80, 120, 160]


def as_text(graph: Json) -> str:
    """The file's text; plain ASCII, since ComfyUI reads it in the system's own encoding."""
    return json.dumps(graph, indent=2) + "\n"


def main() -> None:
    for one in BLUEPRINTS:
        one.file.parent.mkdir(exist_ok=True)
        one.file.write_text(as_text(blueprint(one)), encoding="utf-8")
        print(one.file)


if __name__ == "__main__":
    main()
