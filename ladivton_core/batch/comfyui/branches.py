"""The part of a workflow that makes the picture: its result, and every node that feeds it.

Previews on the way are left out, so that a server computes and keeps nothing that nobody fetches. `workflow.py` fills
the rest in.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ...disk.names import printable

Nodes = Mapping[str, dict[str, Any]]
"""API format: node id -> {"class_type", "inputs"}; an input that is a list [node id, output] is a wire."""

SAVERS = {"SaveImage": "images", "PreviewImage": "images", "LadiVTON_SaveResult": "image"}
"""Nodes that keep or show a picture, and the input it comes in by. A run shows it with PreviewImage: it lies in the
server's temporary folder, which ComfyUI empties when it starts, and not among the pictures of whoever owns it."""


class WorkflowError(ValueError):
    """The workflow does not fit what is to be run; the message names the file, the nodes, and what to do."""


@dataclass(frozen=True)
class Branch:
    """A result node and all that feed it."""

    nodes: Nodes
    result: str


def title_of(node: Mapping[str, Any]) -> str:
    """What the page shows above the node; empty when the file does not say."""
    return str(node.get("_meta", {}).get("title", ""))


def named(nodes: Nodes, key: str) -> str:
    """A node as messages call it."""
    title = title_of(nodes[key])
    return printable(f"node {key} ({nodes[key]['class_type']}{f', {title!r}' if title else ''})")


def branches_of(nodes: Nodes, marked: set[str], name: str) -> dict[str, Branch]:
    """The branch of each category, or the only one under "".

    The result is the node titled `slot:result`, else the one titled `Result`, else the Save Result, else the only node
    that saves or shows a picture.

    Args:
        nodes: the whole workflow.
        marked: ids of the nodes titled `slot:result`.
        name: what messages call the file.

    Raises:
        WorkflowError: there is no result, or it is not clear which.
    """
    results = sorted(marked) or _by_kind(nodes, name)
    branches = {key: _feeding(nodes, key, name) for key in results}
    if len(results) == 1:
        return {"": branches[results[0]]}
    worn = {key: _categories(branch) for key, branch in branches.items()}
    if all(len(found) == 1 for found in worn.values()) and len(set().union(*worn.values())) == len(results):
        return {found.pop(): branches[key] for key, found in worn.items()}
    told = ", ".join(named(nodes, key) for key in results)
    raise WorkflowError(f"{name} has several results: {told}. Title the one to keep slot:result.")


def _by_kind(nodes: Nodes, name: str) -> list[str]:
    savers = [key for key, node in nodes.items() if node["class_type"] in SAVERS]
    titled = [key for key in savers if title_of(nodes[key]).strip().lower() == "result"]
    of_pairs = [key for key in savers if nodes[key]["class_type"] == "LadiVTON_SaveResult"]
    saving = [key for key in savers if nodes[key]["class_type"] != "PreviewImage"]
    if found := titled or of_pairs or saving or (savers if len(savers) == 1 else []):
        return found
    raise WorkflowError(
        f"{name} saves no picture: it has no {' or '.join(SAVERS)}. "
        "Title the node that shows the result slot:result; it must list it under 'images' as Save Image does."
    )


def _feeding(nodes: Nodes, result: str, name: str) -> Branch:
    """The result and its ancestors, with PreviewImage in place of a node that saves."""
    kept, open_ = {}, [result]
    while open_:
        key = open_.pop()
        if key in kept:
            continue
        kept[key] = copy.deepcopy(nodes[key])
        for wire in _wires(nodes[key]):
            if wire not in nodes:
                raise WorkflowError(
                    f"{name}: {named(nodes, key)} is fed by node {wire!r}, which the file does not have."
                )
            open_.append(wire)
    if source := SAVERS.get(kept[result]["class_type"]):
        wire = kept[result]["inputs"].get(source)
        if not isinstance(wire, list):
            raise WorkflowError(f"{name}: {named(nodes, result)} has nothing connected to {source!r}.")
        kept[result] |= {"class_type": "PreviewImage", "inputs": {"images": wire}}
        # What else fed the saving node (a name, a category) is needed no more, unless something else needs it.
        if source != "images":
            return _feeding(nodes | {result: kept[result]}, result, name)
    return Branch({key: kept[key] for key in nodes if key in kept}, result)  # in the file's order


def _wires(node: Mapping[str, Any]) -> list[str]:
    return [str(value[0]) for value in node["inputs"].values() if isinstance(value, list) and len(value) == 2]


def _categories(branch: Branch) -> set[str]:
    """Categories that the branch's nodes name."""
    values = [node["inputs"].get("category") for node in branch.nodes.values()]
    return {value for value in values if isinstance(value, str)}
