"""Write `workflows/api/` from `workflows/*.json`, which are drawn in ComfyUI and are the source, notes included.

Draw in the page (`make serve`), save over the file in `workflows/`, then

    python scripts/make_workflows.py [--only NAME ...]

It first brings the page's file into one form, so that a change can be read: a node or a wire a line, sockets in the
order of the node's definition with widgets that have come since at their defaults, and nothing of the page's own state.
ComfyUI's own nodes are without the optional widgets that are last and at their defaults: newer versions have more.
Pack and version of every node and the files that the models need are entered. Then it writes what that file queues.
Run it after a change of a node's inputs as well. What needs a newer ComfyUI is written where COMFYUI_PATH names one; a
file is the same from every version. `make_pictures.py` makes the thumbnails, `make_subgraph.py` the blueprints.
"""

from __future__ import annotations

import argparse
import json
import re
from typing import Any

from hosting import installation
from hosting.graph import default_of, is_widget, options_of, ui_to_api
from hosting.places import REPOSITORY
from hosting.server import ComfyServer, exit_on_terminate
from hosting.shipped import NEWER, NOTE, TITLES, lacking, page_file, queue_file

SOURCES = REPOSITORY / "ladivton_core" / "checkpoints" / "sources.json"
SETS = {"VITON-HD": "vitonhd", "Dress Code": "dresscode"}
"""Choices of Load Try-On Models that need files -> their group in `sources.json`."""
KEPT = ("ds", "linearMode", "linearData")
"""Of a file's `extra`: the view it opens with, and app mode."""

NOTE_TEXT = {"ladi_vton_text_size": 14}
"""Properties of a note: what size in pixels `web/js/note_text.js` is to give its text."""

BUTTON = "upload"
"""A widget that the page adds to a list of pictures, behind the node's own."""

Json = dict[str, Any]


def in_form(workflow: Json, definitions: Json, version: str = installation.COMFYUI_VERSION) -> Json:
    """A workflow as the page saved it, in the form in which it lies in `workflows/`.

    Args:
        workflow: UI format.
        definitions: `/object_info` of a server with the pack.
        version: of the ComfyUI that has all of its nodes.

    Raises:
        ValueError: a node's values are not those of its definition; open the file in the page and save it again.
    """
    saved = {node["id"]: node for node in workflow["nodes"]}
    nodes = {key: dict(node) for key, node in saved.items()}
    for node in nodes.values():
        if node["type"] == NOTE:
            node |= {"inputs": [], "outputs": [], "properties": NOTE_TEXT}
        else:
            node |= _in_form(node, definitions[node["type"]], version)
    links = []
    for number, start, slot, end, into, kind in sorted(workflow["links"]):
        sockets, name = nodes[end]["inputs"], saved[end]["inputs"][into]["name"]
        into = next(place for place, socket in enumerate(sockets) if socket["name"] == name)
        sockets[into]["link"] = number
        nodes[start]["outputs"][slot]["links"].append(number)
        links.append([number, start, slot, end, into, kind])
    for key, name in workflow["extra"].get("linearData", {}).get("inputs", ()):  # what app mode calls it
        key = next(one for one in saved if str(one) in str(key).split(":"))  # newer pages: graph:node:widget
        if label := next(socket for socket in saved[key]["inputs"] if socket["name"] == name).get("label"):
            next(socket for socket in nodes[key]["inputs"] if socket["name"] == name)["label"] = label
    models = _models(workflow)
    whole = {key: workflow[key] for key in ("id", "revision", "last_node_id", "last_link_id")}
    whole |= {"nodes": list(nodes.values()), "links": links, "groups": workflow["groups"], "config": {}}
    extra = {key: workflow["extra"][key] for key in KEPT if key in workflow["extra"]}
    return whole | ({"models": models} if models else {}) | {"extra": extra, "version": workflow["version"]}


def _in_form(node: Json, definition: Json, version: str) -> Json:
    """Sockets, values and properties of a node; its wires are to be entered."""
    ours, named = node["type"].startswith("LadiVTON_"), {socket["name"] for socket in node["inputs"]}
    every = [
        (name, definition["input"][part][name])
        for part in ("required", "optional")
        for name in definition["input_order"].get(part, ())
        if part == "required" or ours or name in named  # of ComfyUI's own newer versions have more
    ]
    specs = dict(sorted(every, key=lambda entry: is_widget(entry[1])))  # as the page has them: sockets, then widgets
    given, rest = {}, list(node.get("widgets_values", ()))  # newer pages leave an empty list out
    buttons = ["image"] * sum(bool(options_of(spec).get("image_upload")) for spec in specs.values())
    for name in [socket["widget"]["name"] for socket in node["inputs"] if "widget" in socket]:
        if name != BUTTON:
            size = 1 + bool(options_of(specs.get(name, [])).get("control_after_generate"))  # what becomes of a seed
            given[name], rest = rest[:size], rest[size:]
    if rest != buttons or not all(given.values()) or not given.keys() <= specs.keys():
        raise ValueError(f"node {node['id']}, {node['type']}, has values that its definition does not know")
    wired = {socket["name"] for socket in node["inputs"] if socket["link"] is not None}
    for name in [] if ours else [*reversed(specs)]:  # the last, so that no other's value takes another place
        optional = is_widget(specs[name]) and name in definition["input"].get("optional", ())
        if not optional or name in wired or given.get(name) != [default_of(specs[name])]:
            break
        del specs[name]
    sockets, values = [], []
    for name, spec in specs.items():
        kind = "COMBO" if isinstance(spec[0], list) else spec[0]
        sockets.append({"name": name, "type": kind, "link": None})
        if is_widget(spec):
            sockets[-1] = {"name": name, "type": kind, "widget": {"name": name}, "link": None}
            values += given.get(name) or [default_of(spec)]
    kinds = ["COMBO" if isinstance(kind, list) else kind for kind in definition["output"]]
    outputs = [
        {"name": name, "type": kind, "links": []} for name, kind in zip(definition["output_name"], kinds, strict=True)
    ]
    if definition["output_node"] and not ours:
        outputs = []  # newer versions hand on what they save or show
    pack = "comfy-core"
    if ours:
        text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        pack, version = (re.search(rf'^{key} = "([^"]*)"', text, re.MULTILINE).group(1) for key in ("name", "version"))
    properties = {"Node name for S&R": node["type"], "cnr_id": pack, "ver": version}
    if models := node["properties"].get("models"):  # others' files, which that loader loads
        properties["models"] = models
    return {"inputs": sockets, "outputs": outputs, "properties": properties, "widgets_values": values + buttons}


def _models(workflow: Json) -> list[Json]:
    """The files that a workflow needs, for the page's list of what is missing: it fetches those it is allowed to and
    says of the others why it is not.
    """
    loaders = [node["widgets_values"] for node in workflow["nodes"] if node["type"] == "LadiVTON_LoadModels"]
    groups = {group for values in loaders for value in values if value in SETS for group in (SETS[value], "sd2")}
    files = json.loads(SOURCES.read_text(encoding="utf-8"))["files"] if groups else []
    wanted = [file for file in files if file["group"] in groups]
    return [{"name": file["name"], "url": file["urls"][0], "directory": file["folder"]} for file in wanted]


def version_of(name: str) -> str:
    """The ComfyUI that a workflow's stock nodes are said to be of."""
    return NEWER.get(name, installation.COMFYUI_VERSION)


def as_text(workflow: Json) -> str:
    """The file for the page, one node or wire a line."""
    parts = []
    for key, value in workflow.items():
        if isinstance(value, list) and value:
            lines = ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in value)
            parts.append(f'"{key}": [\n{lines}\n]')
        else:
            parts.append(f'"{key}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def queued(workflow: Json, definitions: Json) -> str:
    """The file for the queue: what the page would send for this one; what it does not name is left to the server.

    So is a socket without a wire: comfy-cli would send a default that the page has no widget for, such as a box.
    """
    named = {
        str(node["id"]): {socket["name"] for socket in node["inputs"] if "widget" in socket or socket["link"]}
        for node in workflow["nodes"]
    }
    whole = ui_to_api(workflow, definitions)
    for key, node in whole.items():
        node["inputs"] = {name: value for name, value in node["inputs"].items() if name in named[key]}
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=TITLES, help="some of them")
    wanted = parser.parse_args().only or list(TITLES)
    exit_on_terminate()
    host = installation.find_or_install()
    installation.run_inside(host)
    from hosting.client import ComfyClient

    from ladivton_core.disk.writing import write_text

    with ComfyServer(host) as server:
        definitions = ComfyClient(server.url).object_info()
    for name in wanted:
        if there_not := ", ".join(lacking(name, definitions)):
            print(f"{page_file(name).name} stays: COMFYUI_PATH has to name a newer ComfyUI, with {there_not}")
            continue
        workflow = in_form(json.loads(page_file(name).read_text("utf-8")), definitions, version_of(name))
        queue = queued(workflow, definitions)
        write_text(page_file(name), as_text(workflow))
        write_text(queue_file(name), queue)
        print(page_file(name).name)


if __name__ == "__main__":
    main()
