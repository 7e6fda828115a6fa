"""What stands before a node in the running graph.

Tensors carry no record of the choices they were made with, and pass through other packs' nodes: the graph that runs is
the record. `conditioning.py` and `wardrobe.py` ask, and show the answers as notes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .host.listing import is_example

Node = dict[str, Any]
"""{"class_type", "inputs"} as in ComfyUI's API format; an input that is a list [node id, output] is a wire."""
Graph = Callable[[str], Node | None]
"""Gives a node of the running graph by its id, None for one that is not there."""
OUR_LOADERS = {"LadiVTON_LoadPicture": "image", "LadiVTON_DatasetSample": "root"}
"""The pack's nodes that bring pictures, and the input that names which."""
STITCHES = "LadiVTON_StitchPerson"
"""The pack's node that puts a result back into its photo."""
MASKERS = {"LadiVTON_AgnosticPerson": "Agnostic Person", "LadiVTON_BodyMask": "Body Mask"}
"""The pack's nodes that say what is repainted, by category."""


def in_running_graph(hidden: Any, look: Callable[[Graph, str], str | None]) -> str | None:
    """What `look` says of the node that runs now; None outside a running graph.

    Args:
        hidden: the node's hidden inputs, `dynprompt` among them.
    """
    from comfy_execution.utils import get_executing_context

    graph, here = None if hidden is None else hidden.dynprompt, get_executing_context()
    if graph is None or here is None:
        return None
    return look(lambda node: graph.get_node(node) if graph.has_node(node) else None, here.node_id)


def photo_for_drawn_models(vae: Any, hidden: Any) -> str | None:
    """A sentence where somebody's own picture meets models that know drawn people only (`Preset.drawn_only`).

    Args:
        vae: ComfyUI's VAE; one that this pack did not load is not known.
        hidden: the node's hidden inputs.
    """
    preset = getattr(getattr(vae, "first_stage_model", None), "preset", None)
    return in_running_graph(hidden, own_picture) if preset is not None and preset.drawn_only else None


def own_picture(graph: Graph, node: str) -> str | None:
    """Whether a node's `person` goes back to a picture that is none of the pack's drawn examples.

    Returns:
        A sentence that says what to expect, or None.
    """
    if all(map(_is_drawn, _nearest(graph, graph(node), "person", _brings_pictures))):
        return None
    return (
        "The embedded models know drawn people only: skin and folds of a photograph look drawn. "
        "The templates 'Photo, ... weights' take others."
    )


def _brings_pictures(node: Node) -> bool:
    from nodes import NODE_CLASS_MAPPINGS  # ComfyUI's

    kinds = getattr(NODE_CLASS_MAPPINGS.get(node["class_type"]), "RETURN_TYPES", ())
    return node["class_type"] in OUR_LOADERS or ("IMAGE" in kinds and not any(map(_is_wire, node["inputs"].values())))


def _is_drawn(node: Node) -> bool:
    choice = str(node["inputs"].get(OUR_LOADERS.get(node["class_type"], "image"), ""))
    return is_example(choice)


def _nearest(graph: Graph, node: Node, wire: str, meant: Callable[[Node], bool]) -> list[Node]:
    """The first nodes of a kind on every way upstream from an input.

    Args:
        graph: the running graph.
        node: whose input it is.
        wire: name of the input.
        meant: the kind looked for. What lies behind such a node is not looked at: a person who is dressed twice has two
            lanes, one after the other.
    """
    found, seen = [], set()
    waiting = [node["inputs"].get(wire)]
    while waiting:
        value = waiting.pop()
        if not _is_wire(value) or value[0] in seen:
            continue
        seen.add(value[0])
        there = graph(value[0])
        if there is None:  # ComfyUI says so itself
            continue
        if meant(there):
            found.append(there)
        else:
            waiting += there["inputs"].values()
    return found


def photo_stitched_into(graph: Graph, node: str) -> str | None:
    """The file of the photo that a node's `image` was stitched into, as 'Load Picture or Example' names it.

    Returns:
        None where nothing was stitched, into several photos, or into one that no such node brought: only that one turns
        a file's numbers into the colours that the file means.
    """

    def photos(stitch: Node) -> list[Node]:
        there = _nearest(graph, stitch, "photo", lambda found: _is_stitch(found) or _brings_pictures(found))
        return [photo for one in there for photo in (photos(one) if _is_stitch(one) else [one])]

    found = [photo for stitch in _nearest(graph, graph(node), "image", _is_stitch) for photo in photos(stitch)]
    if {photo["class_type"] for photo in found} != {"LadiVTON_LoadPicture"}:
        return None
    files = {str(photo["inputs"].get("image")) for photo in found}
    return files.pop() if len(files) == 1 else None


def _is_stitch(node: Node) -> bool:
    return node["class_type"] == STITCHES


def ground_is_turned_white(hidden: Any) -> bool:
    """Whether 'Prepare Garment' turns white the ground of the garment that the node looks at which runs now.

    Args:
        hidden: as for `in_running_graph`.
    """

    def looked_for(graph: Graph, node: str) -> str | None:
        here = graph(node)["inputs"].get("garment")
        others = (graph(key) for key in hidden.dynprompt.all_node_ids())
        turned = (one["inputs"] for one in others if one["class_type"] == "LadiVTON_PrepareGarment")
        return "white" if any((one.get("garment"), one.get("backdrop")) == (here, "white") for one in turned) else None

    return in_running_graph(hidden, looked_for) is not None


def categories_differ(graph: Graph, node: str) -> str | None:
    """Whether the mask and the words that meet in a Try-On Conditioning are for different garments.

    Only choices that are known before the run are compared: two set on the nodes, or two that come by the same wire.

    Returns:
        A sentence, or None.
    """
    masks = _nearest(graph, graph(node), "mask", lambda found: found["class_type"] in MASKERS)
    words = _nearest(
        graph, graph(node), "positive", lambda one: one["class_type"] == "LadiVTON_TextualInversionEncoder"
    )
    # A category says nothing beside a prompt of one's own, written or by wire.
    words = [encoder for encoder in words if not str(encoder["inputs"].get("prompt", "")).strip()]
    cut, said = ({_category_of(found) for found in lane} for lane in (masks, words))
    if not cut or not said or cut & said or not all(isinstance(choice, str) for choice in cut | said):
        return None
    return (
        f"'{MASKERS[masks[0]['class_type']]}' cuts out {' and '.join(sorted(cut))} and 'Textual Inversion Encoder' "
        f"describes {' and '.join(sorted(said))}. Choose the same 'category' in both."
    )


def _is_wire(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and isinstance(value[0], str)


def _category_of(node: Node) -> str | tuple:
    """What is chosen on a node, or the wire it comes by."""
    category = node["inputs"].get("category")
    return tuple(category) if _is_wire(category) else category
