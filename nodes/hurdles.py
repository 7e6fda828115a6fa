"""What keeps a graph from running on this machine: files and packages that its nodes lack.

The node that meets the first hurdle tells all of them, so that nobody fetches one thing to be sent for the next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ladivton_core.preprocessing.people.blazepose import find_graphs
from .host.model_files import PUBLISHED_SETS, files_of, graph_folders
from .upstream import Graph, Node, in_running_graph


def _models(inputs: dict[str, Any]) -> None:
    group = PUBLISHED_SETS.get(str(inputs.get("models")))  # by wire: not known before it runs
    if group is not None:
        files_of(group)


LOOKS: dict[str, tuple[str, Callable[[dict[str, Any]], object]]] = {
    "LadiVTON_FindPerson": ("Find Person", lambda _: find_graphs(graph_folders())),
    "LadiVTON_LoadModels": ("Load Try-On Models", _models),
}
"""The nodes that may lack something: title, and what raises that by their inputs. Of such an error the first line names
all that is missing, the second ends in the command for it, after ': '."""


def stop_at_hurdles(hidden: Any) -> None:
    """Before a node of `LOOKS` takes its files: where it lacks some, say what others in the running graph lack as well.

    A node that lacks nothing, or alone does, passes: its own error says so.

    Args:
        hidden: the node's hidden inputs, `dynprompt` among them.

    Raises:
        ImportError, FileNotFoundError, ValueError: as the node itself. The first line names everything, the second is
            the command for everything; then each node's own advice.
    """

    def look(graph: Graph, node: str) -> None:
        here = _hurdle(graph(node))
        if here is None:
            return
        there = (_hurdle(graph(key)) for key in hidden.dynprompt.all_node_ids() if key != node)
        others = {str(error): (title, error) for title, error in filter(None, there)}
        others.pop(str(here[1]), None)
        if others:
            raise type(here[1])(_in_one([here, *others.values()]))

    in_running_graph(hidden, look)


def _hurdle(node: Node | None) -> tuple[str, Exception] | None:
    """Title of a node and what it would raise, if it lacks something."""
    title, look = LOOKS.get(node["class_type"] if node else "", ("", lambda _: None))
    try:
        look(node["inputs"] if node else {})
    except (ImportError, FileNotFoundError, ValueError) as error:
        return title, error
    return None


def _in_one(hurdles: list[tuple[str, Exception]]) -> str:
    """One text of the node's own hurdle and others'."""
    told = [(title, *str(error).split("\n")) for title, error in hurdles]
    (_, first, *_), *others = told
    return "\n".join(
        [
            " ".join([first, *(f"'{title}' as well: {named}" for title, named, *_ in others)]),
            "All of it at once: " + " && ".join(command.partition(": ")[2] for _, _, command, *_ in told),
            *("\n".join([f"'{title}':", *advice]) for title, _, _, *advice in told),
        ]
    )
