"""A workflow in the format that ComfyUI's page saves and loads, from its API format and a layout.

Follows the page's own schema of version 0.4 (`zComfyWorkflow` in ComfyUI_frontend). `tests/browser` loads every file
with the page's validation switched on.
"""

from __future__ import annotations

import re
import uuid
from typing import Any

from hosting.installation import COMFYUI_VERSION
from hosting.places import REPOSITORY
from hosting.shipped import NEWER

from .layout import Page, is_widget, place
from .notes import model_files, stock_files_of

WINDOW = (1800, 920)  # what a browser of 1920 x 1080 leaves to the canvas
READABLE = 0.62  # below, the classic page draws nodes without any text
NOTE_COLORS = {"color": "#332a22", "bgcolor": "#211c18"}  # the page writes in grey on it
FIXED, RANDOM = "fixed", "randomize"
"""What happens to a seed after a run: nothing, so that a second Run changes nothing; or another one comes."""
PLAYED_WITH = ("tryon_embedded",)
"""Where a second Run, or a batch of them, gives another picture."""


def ui_workflow(name: str, api: dict[str, Any], page: Page, definitions: dict[str, dict]) -> dict[str, Any]:
    """The file for the page.

    Args:
        name: of the workflow; gives the file its identity.
        api: API format, with a title for each node in `_meta`.
        page: what stands where.
        definitions: `/object_info` of a server with the pack.
    """
    definitions = {node["class_type"]: _as_known(node, definitions[node["class_type"]]) for node in api.values()}
    placed = place(page, {int(key): node["class_type"] for key, node in api.items()}, definitions)
    after = RANDOM if name in PLAYED_WITH else FIXED
    nodes = {int(key): _node(name, node, definitions[node["class_type"]], after) for key, node in api.items()}
    links = _connect(nodes, api, definitions)
    for key, node in nodes.items():
        node["id"] = key
    for note, _ in placed.notes:
        key = max(nodes) + 1
        nodes[key] = {"id": key, **_note(note)}
    boxes = [*(placed.nodes[int(key)] for key in api), *(box for _, box in placed.notes)]
    for order, (node, (x, y, width, height)) in enumerate(zip(nodes.values(), boxes, strict=True)):
        node |= {"pos": [x, y], "size": [width, height], "flags": {}, "order": order, "mode": 0}
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"ladi_vton/workflows/{name}")),
        "revision": 0,
        "last_node_id": max(nodes),
        "last_link_id": len(links),
        "nodes": list(nodes.values()),
        "links": links,
        "groups": [
            {"id": i, "title": g.title, "bounding": box, "color": g.color, "font_size": 24, "flags": {}}
            for i, (g, box) in enumerate(placed.groups, 1)
        ],
        "config": {},
        **_models(api),
        "extra": {"ds": _view([box for _, box in placed.groups]), **_app(name, api)},
        "version": 0.4,
    }


def _view(groups: list[list[int]]) -> dict[str, Any]:
    """The view a file opens with: everything, or as much from the left as can be read."""
    width, height = max(box[0] + box[2] for box in groups), max(box[1] + box[3] for box in groups)
    scale = round(min(1.0, max(READABLE, min(WINDOW[0] / width, WINDOW[1] / height))), 2)
    return {"scale": scale, "offset": [round(70 / scale), round(130 / scale)]}


def _as_known(node: dict[str, Any], definition: dict[str, Any]) -> dict[str, Any]:
    """A node's entry without optional widgets of ComfyUI's own that the file does not name, as newer versions have."""
    if node["class_type"].startswith("LadiVTON_"):
        return definition
    optional = definition["input"].get("optional", {}).items()
    kept = {name: spec for name, spec in optional if name in node["inputs"] or not is_widget(spec)}
    return definition | {"input": definition["input"] | {"optional": kept}}


def _node(workflow: str, node: dict[str, Any], definition: dict[str, Any], after: str) -> dict[str, Any]:
    kind = node["class_type"]
    sockets, widgets, values, uploads = [], [], [], []
    for name, spec in inputs_of(definition):
        shown = "COMBO" if isinstance(spec[0], list) else spec[0]
        if not is_widget(spec):
            sockets.append({"name": name, "type": shown, "link": None})
            continue
        widgets.append({"name": name, "type": shown, "widget": {"name": name}, "link": None})
        options = spec[1] if len(spec) > 1 else {}
        given = node["inputs"].get(name, default_of(spec))
        values.append(default_of(spec) if isinstance(given, list) else given)
        values += [after] * bool(options.get("control_after_generate"))
        uploads += ["image"] * bool(options.get("image_upload"))  # the page's upload button is a widget, its last
    types = ["COMBO" if isinstance(t, list) else t for t in definition["output"]]
    outputs = [{"name": n, "type": t, "links": []} for n, t in zip(definition["output_name"], types, strict=True)]
    if definition["output_node"] and not kind.startswith("LadiVTON_"):
        outputs = []  # newer versions hand what they save or show on; a file for every version has no such outlet
    result: dict[str, Any] = {"type": kind, "inputs": sockets + widgets, "outputs": outputs}
    title = node["_meta"]["title"]
    if title != definition["display_name"]:  # a title of its own is not translated
        result["title"] = title
    return result | {"properties": _properties(workflow, node), "widgets_values": values + uploads}


def default_of(spec: list) -> Any:
    """What the page puts into a new widget."""
    options = spec[1] if len(spec) > 1 else {}
    choices = spec[0] if isinstance(spec[0], list) else options.get("options") or [""]
    return options.get("default", next(iter(choices), ""))


def inputs_of(definition: dict[str, Any]):
    """Name and entry of every input of a node, in the page's order."""
    for part in ("required", "optional"):
        specs = definition["input"].get(part, {})
        for name in definition["input_order"].get(part, specs):
            if name in specs:
                yield name, specs[name]


def _connect(nodes: dict[int, dict], api: dict[str, Any], definitions: dict[str, dict]) -> list[list]:
    """Draw the wires, in the order of the nodes they end in."""
    links: list[list] = []
    for key, node in api.items():
        for slot, socket in enumerate(nodes[int(key)]["inputs"]):
            wire = node["inputs"].get(socket["name"])
            if not isinstance(wire, list):
                continue
            source, output = int(wire[0]), wire[1]
            end = nodes[source]["outputs"][output]
            links.append([len(links) + 1, source, output, int(key), slot, end["type"]])
            end["links"].append(len(links))
            socket["link"] = len(links)
    return links


def _note(note) -> dict[str, Any]:
    return {
        "type": "MarkdownNote", "inputs": [], "outputs": [], "title": note.title, "properties": {},
        "widgets_values": [note.text], **NOTE_COLORS,
    }  # fmt: skip


def _properties(workflow: str, node: dict[str, Any]) -> dict[str, Any]:
    """Pack and version of a node, where the page and ComfyUI-Manager look for them, and its files where others made
    them.
    """
    kind = node["class_type"]
    if kind.startswith("LadiVTON_"):
        text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
        name, version = (re.search(rf'^{key} = "([^"]*)"', text, re.MULTILINE).group(1) for key in ("name", "version"))
    else:
        name, version = "comfy-core", NEWER.get(workflow, COMFYUI_VERSION)
    models = [{"name": f["name"], "url": f["url"], "directory": f["folder"]} for f in stock_files_of(node)]
    return {"Node name for S&R": kind, "cnr_id": name, "ver": version} | ({"models": models} if models else {})


APPS: dict[str, tuple[str, ...]] = {
    "tryon_embedded": ("Person", "Garment"), "tryon_photo": ("Person", "Garment"),
    "wardrobe": ("Person 1", "Garment 1"),
}  # fmt: skip
"""Workflows with something to show in app mode: titles of the pictures it asks for."""


def _app(name: str, api: dict[str, Any]) -> dict[str, Any]:
    """What newer pages show in app mode: pictures, category, seed, and the result; a file opens as a graph."""
    if name not in APPS:
        return {}
    titles = {node["_meta"]["title"]: int(key) for key, node in api.items()}
    inputs = [[titles[title], "image"] for title in APPS[name]]
    for widget in ("category", "seed"):
        asks = [key for key, node in api.items() if isinstance(node["inputs"].get(widget), int | str)]
        inputs += [[int(key), widget] for key in asks if api[key]["class_type"] != "LadiVTON_DatasetSample"]
    outputs = [int(key) for key, node in api.items() if node["class_type"] == "SaveImage"]
    return {"linearMode": False, "linearData": {"inputs": inputs, "outputs": outputs}}


SETS = {"VITON-HD": "vitonhd", "Dress Code": "dresscode"}
"""Choices of Load Try-On Models that need files -> their group in `sources.json`."""


def _models(api: dict[str, Any]) -> dict[str, Any]:
    """The files that a workflow needs, for the page's list of what is missing: it fetches those it is allowed to and
    says of the others why it is not.
    """
    chosen = {node["inputs"].get("models") for node in api.values() if node["class_type"] == "LadiVTON_LoadModels"}
    files = [file for choice in sorted(chosen & SETS.keys()) for file in model_files(SETS[choice])]
    models = [{"name": file["name"], "url": file["urls"][0], "directory": file["folder"]} for file in files]
    return {"models": models} if models else {}
