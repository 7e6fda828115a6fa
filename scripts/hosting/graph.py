"""Small edits of workflows in API format: a user's files in, another seed, who depends on whom; and from the page's.

The library's own way of filling a workflow in does it (`batch/comfyui/workflow.py`). Read `demo.py` for the whole way
to a picture.
"""

from __future__ import annotations

import copy
import json
import subprocess
from collections.abc import Callable, Container
from pathlib import Path
from typing import Any

from ladivton_core.batch.comfyui.workflow import (
    FILES,
    fill_in,
    find_inputs,
    find_loaders,
    read_nodes,
    source_of,
    uses_embedded,
    with_person_fitted,
)

from .installation import comfy_cli_python

__all__ = [
    "ROLES", "Workflow", "default_of", "downstream", "is_widget", "options_of", "read_nodes", "the", "ui_to_api",
    "upstream", "uses_embedded", "with_defaults", "with_embedded_models", "with_files", "with_person_fitted",
    "with_value", "without_ids",
]  # fmt: skip

ROLES = ("person", "garment", "keypoints", "parse")
"""The input files of the workflow. Its loader nodes name them `person.png`, `keypoints.json [example]` and so on."""

Workflow = dict[str, Any]
"""API format: node id -> {"class_type", "inputs"}; an input that is a list [node id, output] is a wire."""


def with_files(workflow: Workflow, files: dict[str, Path], upload: Callable[[Path, str], str]) -> Workflow:
    """The workflow with each loader's file name replaced by an uploaded file.

    Args:
        workflow: in API format.
        files: role -> file on this machine; every role of `ROLES` the workflow loads.
        upload: copies a file to the server under a name and returns the name there.

    Raises:
        ValueError: the workflow has no loader for a role given.
    """
    values = {}
    for role, file in files.items():
        places = find_loaders(workflow, next(slot for slot, called in FILES.items() if called == role))
        if not places:
            raise ValueError(f"the workflow has no node that loads a file called {role}.*, so {file} finds no place")
        # the role keeps person/1.png and garment/1.png apart
        values |= dict.fromkeys(places, upload(file, f"{role}_{file.name}"))
    return fill_in(workflow, values)


_EMBEDDED = {
    "LadiVTON_LoadTryOnModel": 0,
    "CLIPLoader": 1,
    "VAELoader": 2,
    "CLIPVisionLoader": 3,
    "LadiVTON_LoadWarper": 4,
    "LadiVTON_LoadInversionAdapter": 5,
    "LadiVTON_LoadEMASC": 6,
}
"""Loaders of model files, and the output of 'Load Embedded Try-On Models' that does their work."""


def with_embedded_models(workflow: Workflow, *, keep: Container[str] = ()) -> Workflow:
    """The workflow on the small shipped models: chosen where there is a choice, else by their loader in the place of
    every loader of a model file.

    Args:
        workflow: in API format.
        keep: class types of loaders to leave as they are.
    """
    result = copy.deepcopy(workflow)
    replaced = {key: result[key]["class_type"] for key in workflow if result[key]["class_type"] in _EMBEDDED}
    replaced = {key: kind for key, kind in replaced.items() if kind not in keep}
    for node in result.values():
        for name, value in node["inputs"].items():
            if (source := source_of(value)) in replaced:
                node["inputs"][name] = ["embedded", _EMBEDDED[replaced[source]]]
    for key in replaced:
        del result[key]
    for node in result.values():
        if node["class_type"] == "LadiVTON_LoadModels":
            node["inputs"]["models"] = "embedded"
    if not replaced:
        return result
    result["embedded"] = {"class_type": "LadiVTON_LoadEmbedded", "inputs": {"precision": "float32"}}
    return result


def with_value(workflow: Workflow, name: str, value: Any) -> Workflow:
    """The workflow with every input called `name` set to `value`, except where a wire feeds it.

    A wire from a node that only holds a value (Garment Category, Int) is followed, and the value is set there.

    Raises:
        ValueError: no node has such an input.
    """
    places = find_inputs(workflow, (name,), held=True)
    if not places:
        raise ValueError(f"no node of the workflow has an input {name!r}")
    return fill_in(workflow, dict.fromkeys(places, value))


def the(workflow: Workflow, class_type: str) -> str:
    """Id of the one node of this type.

    Raises:
        ValueError: there is none, or more than one.
    """
    found = [key for key, node in workflow.items() if node["class_type"] == class_type]
    if len(found) != 1:
        raise ValueError(f"the workflow has {len(found)} nodes {class_type}; exactly one was expected")
    return found[0]


def downstream(workflow: Workflow, node: str) -> set[str]:
    """The node and every node that needs its results, directly or not."""
    reached = {node}
    while True:
        fed = {key for key, other in workflow.items() if reached & set(_sources(other))}
        if fed <= reached:
            return reached
        reached |= fed


def upstream(workflow: Workflow, node: str) -> set[str]:
    """The node and every node whose results it needs, directly or not."""
    return {node}.union(*(upstream(workflow, source) for source in _sources(workflow[node])))


def _sources(node: dict[str, Any]) -> list[str]:
    return [source for value in node["inputs"].values() if (source := source_of(value)) is not None]


def with_defaults(workflow: Workflow, object_info: dict) -> Workflow:
    """The workflow with the optional widgets that it leaves out at their defaults, as the page fills them in.

    A file of the queue may be older than an input; ComfyUI then takes the node's default.
    """
    result = copy.deepcopy(workflow)
    for node in result.values():
        for name, spec in object_info[node["class_type"]]["input"].get("optional", {}).items():
            if is_widget(spec):
                node["inputs"].setdefault(name, default_of(spec))
    return result


def is_widget(spec: list) -> bool:
    """Whether the page draws a widget for an input of `/object_info`."""
    drawn = isinstance(spec[0], list) or spec[0] in ("COMBO", "INT", "FLOAT", "STRING", "BOOLEAN")
    return drawn and not options_of(spec).get("forceInput")


def options_of(spec: list) -> dict[str, Any]:
    """What an input of `/object_info` says beside its type."""
    return spec[1] if len(spec) > 1 else {}


def default_of(spec: list) -> Any:
    """What the page puts into a new widget."""
    choices = spec[0] if isinstance(spec[0], list) else options_of(spec).get("options") or [""]
    return options_of(spec).get("default", next(iter(choices), ""))


def without_ids(workflow: Workflow) -> set:
    """What a workflow computes, whatever its nodes are numbered: each node with its settings, and those of all that
    feeds it. Two workflows with equal sets are the same graph.
    """

    def described(key: str) -> tuple:
        node = workflow[key]
        inputs = sorted(node["inputs"].items(), key=lambda item: item[0])
        wires = {name: (*described(value[0]), value[1]) for name, value in inputs if isinstance(value, list)}
        return node["class_type"], tuple((name, wires.get(name, value)) for name, value in inputs)

    return {described(key) for key in workflow}


_CODE = """
import json, sys
from comfy_cli.workflow_to_api import convert_ui_to_api
given = json.load(sys.stdin)
json.dump(convert_ui_to_api(given["workflow"], given["object_info"]), sys.stdout)
"""


def ui_to_api(workflow: dict[str, Any], object_info: dict[str, Any]) -> dict[str, Any]:
    """Convert a workflow saved by the web page to the format that /prompt takes, as the page does, with comfy-cli.

    Args:
        workflow: UI format: `nodes`, `links`, ...
        object_info: the server's `/object_info`; widgets are matched to inputs by it.

    Raises:
        RuntimeError: comfy-cli could not convert it; its message is included.
    """
    given = json.dumps({"workflow": workflow, "object_info": object_info})
    result = subprocess.run([str(comfy_cli_python()), "-c", _CODE], input=given, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"comfy-cli could not convert the workflow:\n{result.stderr}")
    return json.loads(result.stdout)
