"""A workflow in API format as a form: what it leaves open (slots), filled in for one picture at a time.

`slots.py` says where something is filled in, `branches.py` what of the workflow makes the picture; `server.py` queues
the result.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...disk.documents import read_json
from ...disk.names import printable
from .branches import Branch, Nodes, WorkflowError, branches_of, named
from .slots import FILES, Place, loader_places, marked_places, named_places

_SHAPE = {str: {"class_type": str, "inputs": {str: object}, "_meta?": {"title?": str}}}


@dataclass(frozen=True)
class Form:
    """What one result needs: its nodes, and the places of each slot.

    Attributes:
        nodes: node id -> {"class_type", "inputs"}: the result's own and all that feed it.
        result: id of the node that shows the picture.
        slots: slot -> its places; those of `INPUTS` and of options only where a title names them.
    """

    nodes: Nodes
    result: str
    slots: Mapping[str, tuple[Place, ...]]


@dataclass(frozen=True)
class Filled:
    """A form with its slots filled in, ready to be queued.

    Attributes:
        nodes: node id -> {"class_type", "inputs"}.
        result: id of the node that shows the picture.
        places: (node id, input) of everything that was filled in, and the slot it was filled from.
    """

    nodes: Nodes
    result: str
    places: Mapping[tuple[str, str], str]

    def file_of(self, node: str | None) -> str:
        """Slot of the file that a node loads; empty where it loads none."""
        return next((slot for (key, _), slot in self.places.items() if key == node and slot in FILES), "")


class Workflow:
    """A workflow with slots.

    Args:
        document: node id -> {"class_type", "inputs"}, as `read_nodes` gives it.
        name: what messages call it.

    Attributes:
        forms: category -> form, for a workflow that has a result a category; else one form under "".

    Raises:
        WorkflowError: it cannot be a catalogue's; the message names nodes and what to do.
    """

    def __init__(self, document: Nodes, name: str):
        self.document, self.name = document, name
        marked = marked_places(document, name)
        result = marked.pop("result", ())
        branches = branches_of(self.document, {place.node for place in result}, self.name)
        self.forms = {category: self._form(branch, marked) for category, branch in branches.items()}

    @property
    def classes(self) -> set[str]:
        """Class types of all nodes that are run."""
        return {node["class_type"] for form in self.forms.values() for node in form.nodes.values()}

    def slots(self, category: str | None = None) -> list[str]:
        """Names of the slots that are found without knowing which options a run sets."""
        return self._known(self._form_for(category))

    def check(self, needed: Iterable[str], category: str | None = None) -> None:
        """Raise the `WorkflowError` that `filled` would for values of these names."""
        self._places(self._form_for(category), list(needed))

    def filled(self, values: Mapping[str, Any]) -> Filled:
        """The nodes with every slot's value in its places.

        Args:
            values: slot -> value. Files are names in ComfyUI's input folder.

        Raises:
            WorkflowError: a value finds no place, or several that hold different things; or a file slot stays open,
                so that the file's own example would be taken for the item's.
        """
        form = self._form_for(values.get("category"))
        nodes = copy.deepcopy(dict(form.nodes))
        filled = {}
        for name, places in self._places(form, list(values)).items():
            for place in places:
                nodes[place.node]["inputs"][place.input] = values[name]
                filled[place.node, place.input] = name
        return Filled(nodes, form.result, filled)

    def _form_for(self, category: str | None) -> Form:
        if "" in self.forms:
            return self.forms[""]
        if category not in self.forms:
            known = ", ".join(self.forms)
            raise WorkflowError(f"{self.name} has a result for each of {known}, and the category is {category!r}.")
        return self.forms[category]

    def _places(self, form: Form, names: list[str]) -> dict[str, tuple[Place, ...]]:
        found = {name: form.slots.get(name) or named_places(form.nodes, name) for name in names}
        for name, places in found.items():
            if not places:
                raise WorkflowError(
                    f"{self.name} has no slot {name!r}; its slots: {_listed(self._known(form))}. "
                    f"Title the node that takes it slot:{name} (or slot:{name}.input), "
                    "or leave it out of the manifest and the settings."
                )
            if name not in form.slots and name != "seed":
                self._all_equal(form, name, places)
        if missing := [name for name in FILES if name in form.slots and name not in names]:
            place = form.slots[missing[0]][0]
            raise WorkflowError(
                f"{self.name} loads {printable(repr(place.value))} in {named(form.nodes, place.node)}, "
                f"and the item gives no {missing[0]}: another one's would be taken. "
                f"Give the manifest a column {missing[0]}, or take that node out of the workflow."
            )
        return found

    def _known(self, form: Form) -> list[str]:
        found = [name for name in ("category", "seed") if name not in form.slots and named_places(form.nodes, name)]
        return [*form.slots, *found]

    def _form(self, branch: Branch, marked: Mapping[str, tuple[Place, ...]]) -> Form:
        slots = {
            name: tuple(place for place in places if place.node in branch.nodes) for name, places in marked.items()
        }
        slots = {name: places for name, places in slots.items() if places}
        taken = {place.node for places in slots.values() for place in places}
        free = {key: node for key, node in branch.nodes.items() if key not in taken}
        for name, called in FILES.items():
            if name not in slots and (places := loader_places(free, name, called)):
                slots[name] = places
                self._all_equal(Form(branch.nodes, branch.result, slots), name, places)
        order = {name: place for place, name in enumerate(FILES)}
        slots = dict(sorted(slots.items(), key=lambda item: order.get(item[0], len(order))))
        form = Form(branch.nodes, branch.result, slots)
        for name in ("person", "garment"):
            if name not in slots:
                told = (
                    f"{self.name} has no slot {name!r}; its slots: {_listed(self._known(form))}. "
                    f"Title the node that loads the {name} slot:{name}, or {name.title()}. {_of_data_set(form)}"
                )
                raise WorkflowError(told.rstrip())
        if told := _of_data_set(form):
            raise WorkflowError(f"{self.name} makes more than one person in one garment. {told}")
        return form

    def _all_equal(self, form: Form, name: str, places: Iterable[Place]) -> None:
        """Raise where it is not clear which of several places is meant."""
        if len({repr(place.value) for place in places}) > 1:
            told = ", ".join(f"{named(form.nodes, place.node)} has {printable(repr(place.value))}" for place in places)
            raise WorkflowError(
                f"{self.name} has several places for {name!r} that differ: {told}. "
                f"Title the one that is filled in slot:{name}; a catalogue's item has one {name}."
            )


def read_nodes(file: Path | str) -> Nodes:
    """A workflow file in API format.

    Raises:
        FileNotFoundError, ValueError: it cannot be read, or is none.
    """
    file, expected = Path(file), "a workflow in API format: File > Export (API) of ComfyUI's page"
    document = read_json(file, expected=expected)
    if isinstance(document, dict) and isinstance(document.get("nodes"), list):
        raise WorkflowError(
            f"{file} is a workflow of the page; servers take the API format. "
            "Open it in ComfyUI and save it with File > Export (API)."
        )
    return read_json(file, shape=_SHAPE, expected=expected)


def _listed(names: list[str]) -> str:
    return ", ".join(names) or "none"


def _of_data_set(form: Form) -> str:
    for key, node in form.nodes.items():
        if node["class_type"] == "LadiVTON_DatasetSample":
            return f"{named(form.nodes, key)} takes people from a data set; a catalogue's come from its manifest."
    return ""
