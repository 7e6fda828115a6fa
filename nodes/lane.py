"""What stands before a node in the graph that runs: to tell whether two branches were set up for the same garment.

Tensors carry no record of the choices they were made with, and pass through other packs' nodes; the graph is the
record. `sampling.py`, where the branches meet, asks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Node = dict[str, Any]
"""{"class_type", "inputs"} as in ComfyUI's API format; an input that is a list [node id, output] is a wire."""
Graph = Callable[[str], Node | None]
"""Gives a node of the running graph by its id, None for one that is not there."""


def nearest(graph: Graph, node: str, wire: str, class_type: str) -> list[Node]:
    """The first nodes of a type on every way upstream from an input.

    Args:
        graph: the running graph.
        node: id of the node whose input it is.
        wire: name of the input.
        class_type: the type looked for. What lies behind such a node is not looked at: a person who is dressed twice
            has two lanes, one after the other.
    """
    found, seen = [], set()
    waiting = [graph(node)["inputs"].get(wire)]
    while waiting:
        value = waiting.pop()
        if not _is_wire(value) or value[0] in seen:
            continue
        seen.add(value[0])
        there = graph(value[0])
        if there is None:  # ComfyUI says so itself
            continue
        if there["class_type"] == class_type:
            found.append(there)
        else:
            waiting += there["inputs"].values()
    return found


def categories_differ(graph: Graph, node: str) -> str | None:
    """Whether the mask and the words that meet in a Try-On Conditioning are for different garments.

    Only choices that are known before the run are compared: two set on the nodes, or two that come by the same wire.

    Returns:
        A sentence, or None.
    """
    masks = nearest(graph, node, "mask", "LadiVTON_AgnosticPerson")
    words = nearest(graph, node, "positive", "LadiVTON_TextualInversionEncoder")
    words = [encoder for encoder in words if not _own_prompt(encoder)]
    cut, said = ({_choice(found) for found in lane} for lane in (masks, words))
    if not cut or not said or cut & said or not all(isinstance(choice, str) for choice in cut | said):
        return None
    return (
        f"'Agnostic Person' cuts out {' and '.join(sorted(cut))} and 'Textual Inversion Encoder' "
        f"describes {' and '.join(sorted(said))}. Choose the same 'category' in both."
    )


def _is_wire(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _choice(node: Node) -> str | tuple:
    category = node["inputs"].get("category")
    return tuple(category) if _is_wire(category) else category


def _own_prompt(node: Node) -> bool:
    """Whether the encoder's category does not count: the person wrote the prompt."""
    prompt = node["inputs"].get("prompt", "")
    return not isinstance(prompt, str) or bool(prompt.strip())
