"""A workflow in API format as a form: the part of it that makes the picture, and what it leaves open (slots).

A node's title says that it is filled in: `slot:person` for the node's one free input, `slot:seed.noise_seed` for a
named one, several with blanks between. What no title names is found by itself: a loader titled `Person` or `Garment`, a
loaded file called `person.png`, `lower_body_keypoints.json [example]` and so on, inputs called `category`, `seed`,
`steps`. Previews on the way to the result are left out, so that a server computes and keeps nothing that nobody
fetches.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...disk.documents import read_json
from ...disk.names import printable

Nodes = Mapping[str, dict[str, Any]]
"""API format: node id -> {"class_type", "inputs"}; an input that is a list [node id, output] is a wire."""

FILES = {
    "person": "person",
    "garment": "garment",
    "keypoints": "keypoints",
    "parse_map": "parse",
    "mask": "mask",
    "garment_mask": "garment_mask",
    "reference": "reference",
}
"""Slots that take a file, whose value is its name in ComfyUI's input folder; and what such a file is called."""

INPUTS = {
    "seed": ("seed", "noise_seed", "posterior_seed"),
    "guidance_scale": ("guidance", "guidance_scale", "cfg"),
}
"""Inputs that a slot finds by name; any other slot finds those of its own name. A picture of the core draws all its
noises from one seed (`denoising/noise.py`)."""

SAVERS = {"SaveImage": "images", "PreviewImage": "images", "LadiVTON_SaveResult": "image"}
"""Nodes that keep or show a picture, and the input it comes in by. A run shows it with PreviewImage: it lies in the
server's temporary folder, which ComfyUI empties when it starts, and not among the pictures of whoever owns it."""

HOLDERS = ("LadiVTON_Category", "PrimitiveInt")
"""Nodes that do nothing but hold the one value that their wires carry."""

FITTED = "fit"
"""Id of the node that `with_person_fitted` puts in."""

OF_EVERY_ITEM = ("category", "seed")
"""What every item has, and a workflow may have no place for; `Workflow.without` names it."""

_SHAPE = {str: {"class_type": str, "inputs": {str: object}, "_meta?": {"title?": str}}}
_MARK = re.compile(r"(?<!\S)slot:([A-Za-z_]\w*)(?:\.(\S+))?")
_LOADED = ("image", "file")


class WorkflowError(ValueError):
    """The workflow does not fit what is to be run; the message names the file, the nodes, and what to do."""


@dataclass(frozen=True)
class Place:
    """An input of a node, and what the file has there."""

    node: str
    input: str
    value: Any = field(compare=False)


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
    slots: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class FilledForm:
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
        marked = _find_marks(document, name)
        results = {place.node for place in marked.pop("result", ())}
        branches = _find_branches(document, results, name)
        self.forms = {category: self._form(branch, marked) for category, branch in branches.items()}

    @property
    def classes(self) -> set[str]:
        """Class types of all nodes that are run."""
        return {node["class_type"] for form in self.forms.values() for node in form.nodes.values()}

    @property
    def drawn_only(self) -> bool:
        """Whether a result comes out of the pack's embedded models."""
        return any(uses_embedded(form.nodes) for form in self.forms.values())

    @property
    def without(self) -> list[str]:
        """Those of `OF_EVERY_ITEM` that find no place: all items are made alike in it."""
        known = [self._known(form) for form in self.forms.values()]
        return [name for name in OF_EVERY_ITEM if not all(name in slots for slots in known)]

    def slots(self, category: str | None = None) -> list[str]:
        """Names of the slots that are found without knowing which options a run sets."""
        return self._known(self._form_for(category))

    def check(self, needed: Iterable[str], category: str | None = None) -> None:
        """Raise the `WorkflowError` that `fill` would for values of these names."""
        self._places(self._form_for(category), list(needed))

    def fill(self, values: Mapping[str, Any]) -> FilledForm:
        """The nodes with every slot's value in its places.

        Args:
            values: slot -> value. Files are names in ComfyUI's input folder.

        Raises:
            WorkflowError: a value finds no place, or several that hold different things; or a file slot stays open,
                so that the file's own example would be taken for the item's.
        """
        form = self._form_for(values.get("category"))
        places = self._places(form, list(values))
        nodes = fill_in(form.nodes, {place: values[name] for name in places for place in places[name]})
        filled = {(place.node, place.input): name for name in places for place in places[name]}
        return FilledForm(nodes, form.result, filled)

    def _form_for(self, category: str | None) -> Form:
        if "" in self.forms:
            return self.forms[""]
        if category not in self.forms:
            known = ", ".join(self.forms)
            raise WorkflowError(f"{self.name} has a result for each of {known}, and the category is {category!r}.")
        return self.forms[category]

    def _places(self, form: Form, names: list[str]) -> dict[str, tuple[Place, ...]]:
        found = {name: form.slots.get(name) or _find_by_name(form.nodes, name) for name in names}
        found = {name: places for name, places in found.items() if places or name not in OF_EVERY_ITEM}
        for name, places in found.items():
            if not places:
                self._lack(form, name, f"Title the node that takes it slot:{name} (or slot:{name}.input), "
                           "or leave it out of the manifest and the settings.")  # fmt: skip
            if name not in form.slots and name != "seed":
                self._require_equal(form, name, places)
        if missing := [name for name in FILES if name in form.slots and name not in names]:
            place = form.slots[missing[0]][0]
            raise WorkflowError(
                f"{self.name} loads {printable(repr(place.value))} in {name_node(form.nodes, place.node)}, "
                f"and the item gives no {missing[0]}: another one's would be taken. "
                f"Give the manifest a column {missing[0]}, or take that node out of the workflow."
            )
        return found

    def _known(self, form: Form) -> list[str]:
        found = [name for name in ("category", "seed") if name not in form.slots and _find_by_name(form.nodes, name)]
        return [*form.slots, *found]

    def _form(self, branch: Form, marked: Mapping[str, tuple[Place, ...]]) -> Form:
        slots = {}
        for name, places in marked.items():
            if here := tuple(place for place in places if place.node in branch.nodes):
                slots[name] = here
        taken = {place.node for places in slots.values() for place in places}
        free = {key: node for key, node in branch.nodes.items() if key not in taken}
        for name in FILES:
            if name not in slots and (places := find_loaders(free, name)):
                slots[name] = places
                self._require_equal(branch, name, places)
        order = {name: place for place, name in enumerate(FILES)}
        slots = dict(sorted(slots.items(), key=lambda item: order.get(item[0], len(order))))
        form = Form(branch.nodes, branch.result, slots)
        samples = [key for key, node in form.nodes.items() if node["class_type"] == "LadiVTON_DatasetSample"]
        told = "".join(
            f"{name_node(form.nodes, key)} takes people from a data set; a catalogue's come from its manifest."
            for key in samples[:1]
        )
        for name in ("person", "garment"):
            if name not in slots:
                self._lack(form, name, f"Title the node that loads the {name} slot:{name}, or {name.title()}. {told}")
        if told:
            raise WorkflowError(f"{self.name} makes more than one person in one garment. {told}")
        return form

    def _lack(self, form: Form, name: str, advice: str) -> None:
        slots = ", ".join(self._known(form)) or "none"
        raise WorkflowError(f"{self.name} has no slot {name!r}; its slots: {slots}. {advice}".rstrip())

    def _require_equal(self, form: Form, name: str, places: Iterable[Place]) -> None:
        """Raise where it is not clear which of several places is meant."""
        if len({repr(place.value) for place in places}) > 1:
            told = ", ".join(
                f"{name_node(form.nodes, place.node)} has {printable(repr(place.value))}" for place in places
            )
            raise WorkflowError(
                f"{self.name} has several places for {name!r} that differ: {told}. "
                f"Title the one that is filled in slot:{name}; a catalogue's item has one {name}."
            )


def uses_embedded(nodes: Nodes) -> bool:
    """Whether pictures come out of the pack's embedded models: something takes their VAE."""
    loaders = [nodes[key] for node in nodes.values() if (key := source_of(node["inputs"].get("vae"))) in nodes]
    embedded = ("LadiVTON_LoadEmbedded", None), ("LadiVTON_LoadModels", "embedded")
    return any((loader["class_type"], loader["inputs"].get("models")) in embedded for loader in loaders)


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


def source_of(value: Any) -> str | None:
    """Id of the node that a wire comes from, which a file may lack; None of a value, which may be a list too."""
    wire = isinstance(value, list) and len(value) == 2 and isinstance(value[0], str | int) and isinstance(value[1], int)
    return str(value[0]) if wire else None


def name_node(nodes: Nodes, key: str) -> str:
    """A node as messages call it."""
    title = _title_of(nodes[key])
    return printable(f"node {key} ({nodes[key]['class_type']}{f', {title!r}' if title else ''})")


def fill_in(nodes: Nodes, values: Mapping[Place, Any]) -> dict[str, dict[str, Any]]:
    """A copy of the nodes with other values in some places."""
    result = copy.deepcopy(dict(nodes))
    for place, value in values.items():
        result[place.node]["inputs"][place.input] = value
    return result


def find_inputs(nodes: Nodes, names: Collection[str], *, held: bool = False) -> list[Place]:
    """Inputs of these names that no wire feeds.

    Args:
        held: also what a node of `HOLDERS` holds that feeds such an input.
    """
    found = []
    for key, node in nodes.items():
        for name, value in node["inputs"].items():
            source = source_of(value)
            if name in names and source is None:
                found.append(Place(key, name, value))
            elif name in names and held and source in nodes and nodes[source]["class_type"] in HOLDERS:
                found += [Place(source, own, kept) for own, kept in nodes[source]["inputs"].items()]
    return found


def find_loaders(nodes: Nodes, slot: str) -> tuple[Place, ...]:
    """Places of a slot's file: loaders with the slot's name as title, else those that load a file called so."""
    by_title = [
        place for key, node in nodes.items() if _title_of(node).strip().lower().replace(" ", "_") == slot
        for place in find_inputs({key: node}, _LOADED) if isinstance(place.value, str)
    ]  # fmt: skip
    file = re.compile(rf"(.*[/ _])?{FILES[slot]}(_atr18)?( \[example\])?\.\w+( \[\w+\])?")
    texts = [Place(key, name, node["inputs"][name]) for key, node in nodes.items() for name in _free_inputs(node)]
    return tuple(by_title or (place for place in texts if isinstance(place.value, str) and file.fullmatch(place.value)))


def with_person_fitted(nodes: Nodes) -> dict[str, dict[str, Any]]:
    """The workflow with 'Fit Person' behind the person's loaders: any photo comes down to the models' 384 x 512.

    Raises:
        ValueError: the workflow does not have exactly one 'Agnostic Person' that is fed by wires.
    """
    result = dict(copy.deepcopy(nodes))
    agnostic = [node["inputs"] for node in result.values() if node["class_type"] == "LadiVTON_AgnosticPerson"]
    if len(agnostic) != 1:
        raise ValueError(f"the workflow has {len(agnostic)} nodes LadiVTON_AgnosticPerson; exactly one was expected")
    sources = [agnostic[0].get(name) for name in ("person", "keypoints", "parse_map")]
    if None in map(source_of, sources):
        raise ValueError("person, keypoints and parse_map of 'Agnostic Person' must be wires to fit a photo")
    fitted = {tuple(source): [FITTED, output] for output, source in enumerate(sources)}
    for node in result.values():
        for name, value in node["inputs"].items():
            if source_of(value) is not None:
                node["inputs"][name] = fitted.get(tuple(value), value)
    options = {"width": 384, "height": 512, "fit": "pad", "border": "edge", "person_index": 0}
    wires = dict(zip(("photo", "keypoints", "parse_map"), sources, strict=True))
    result[FITTED] = {"class_type": "LadiVTON_FitPerson", "inputs": wires | options}
    return result


def with_cores_fitting(nodes: Nodes) -> Nodes:
    """A shipped workflow with people fitted and garments padded on white, as `preparation.py` does it for the core.

    It leaves that to whoever loads the pictures. A workflow that somebody names is run as it is.

    Raises:
        ValueError: see `with_person_fitted`.
    """
    result = dict(copy.deepcopy(nodes))
    if not any(node["class_type"] == "LadiVTON_FitPerson" for node in result.values()):
        result = with_person_fitted(result)
    for node in result.values():
        if node["class_type"] == "LadiVTON_PrepareGarment":
            node["inputs"] |= {"fit": "pad", "backdrop": "white"}
    return result


def _title_of(node: Mapping[str, Any]) -> str:
    """What the page shows above the node; empty when the file does not say."""
    return str(node.get("_meta", {}).get("title", ""))


def _free_inputs(node: Mapping[str, Any]) -> list[str]:
    """Inputs that no wire feeds."""
    return [name for name, value in node["inputs"].items() if source_of(value) is None]


def _find_by_name(nodes: Nodes, slot: str) -> tuple[Place, ...]:
    """Places of a value that are found by the name of their input."""
    found = find_inputs(nodes, INPUTS.get(slot, (slot,)))
    if slot == "category" and len({repr(place.value) for place in found}) == 1:
        # The framing of a photo follows what is worn, unless it is the whole photo's.
        found += [place for place in find_inputs(nodes, ("framing",)) if place.value == found[0].value]
    return tuple(found)


def _find_marks(nodes: Nodes, name: str) -> dict[str, tuple[Place, ...]]:
    """Places that titles name, by slot; that of `result` is its node, without an input.

    Args:
        name: what messages call the file.

    Raises:
        WorkflowError: a title names an input that is not there, that a wire feeds, or not which of several.
    """
    found: dict[str, tuple[Place, ...]] = {}
    for key, node in nodes.items():
        for slot, input_ in _MARK.findall(_title_of(node)):
            free, value = _free_inputs(node), None
            if slot != "result":
                wanted = INPUTS.get(slot, (slot,)) if slot not in FILES else (slot, *_LOADED)
                meant = [one for one in wanted if one in free] or (free if len(free) == 1 else [])
                if not input_ and not meant:
                    raise WorkflowError(
                        f"{name}: {name_node(nodes, key)} is titled slot:{slot} and has several inputs "
                        f"({', '.join(free) or 'none that is free'}). "
                        f"Title it slot:{slot}.input, with the input that is meant."
                    )
                input_ = input_ or meant[0]
                if input_ not in free:
                    fault = "is fed by a wire" if input_ in node["inputs"] else "is not there"
                    raise WorkflowError(
                        f"{name}: {name_node(nodes, key)} is titled slot:{slot}.{input_}, "
                        f"but its input {input_!r} {fault}; free inputs: {', '.join(free) or 'none'}."
                    )
                value = node["inputs"][input_]
            found[slot] = (*found.get(slot, ()), Place(key, input_ if slot != "result" else "", value))
    return found


def _find_branches(nodes: Nodes, marked: set[str], name: str) -> dict[str, Form]:
    """The nodes that make the picture of each category, or the only ones under ""; their slots are not looked for yet.

    The result is the node titled `slot:result`, else the one titled `Result`, else the Save Result, else the only node
    that saves or shows a picture.

    Args:
        nodes: the whole workflow.
        marked: ids of the nodes titled `slot:result`.
        name: what messages call the file.

    Raises:
        WorkflowError: there is no result, or it is not clear which.
    """
    savers = [key for key, node in nodes.items() if node["class_type"] in SAVERS]
    choices: Sequence[list[str]] = (
        sorted(marked),
        [key for key in savers if _title_of(nodes[key]).strip().lower() == "result"],
        [key for key in savers if nodes[key]["class_type"] == "LadiVTON_SaveResult"],
        [key for key in savers if nodes[key]["class_type"] != "PreviewImage"],
        savers if len(savers) == 1 else [],
    )
    results = next(filter(None, choices), None)
    if results is None:
        raise WorkflowError(
            f"{name} saves no picture: it has no {' or '.join(SAVERS)}. "
            "Title the node that shows the result slot:result; it must list it under 'images' as Save Image does."
        )
    branches = {key: _follow_back(nodes, key, name) for key in results}
    if len(results) == 1:
        return {"": branches[results[0]]}
    worn = {
        key: {place.value for place in find_inputs(branch.nodes, ("category",)) if isinstance(place.value, str)}
        for key, branch in branches.items()
    }
    if all(len(found) == 1 for found in worn.values()) and len(set().union(*worn.values())) == len(results):
        return {found.pop(): branches[key] for key, found in worn.items()}
    told = ", ".join(name_node(nodes, key) for key in results)
    raise WorkflowError(f"{name} has several results: {told}. Title the one to keep slot:result.")


def _follow_back(nodes: Nodes, result: str, name: str) -> Form:
    """The result and its ancestors, with PreviewImage in place of a node that saves."""
    kept, open_ = {}, [result]
    while open_:
        key = open_.pop()
        if key in kept:
            continue
        kept[key] = copy.deepcopy(nodes[key])
        for value in nodes[key]["inputs"].values():
            source = source_of(value)
            if source is not None and source not in nodes:
                raise WorkflowError(
                    f"{name}: {name_node(nodes, key)} is fed by node {source!r}, which the file does not have."
                )
            open_ += [source] if source is not None else []
    if source := SAVERS.get(kept[result]["class_type"]):
        wire = kept[result]["inputs"].get(source)
        if source_of(wire) is None:
            raise WorkflowError(f"{name}: {name_node(nodes, result)} has nothing connected to {source!r}.")
        kept[result] |= {"class_type": "PreviewImage", "inputs": {"images": wire}}
        # What else fed the saving node (a name, a category) is needed no more, unless something else needs it.
        if source != "images":
            return _follow_back({**nodes, result: kept[result]}, result, name)
    return Form({key: kept[key] for key in nodes if key in kept}, result)  # in the file's order
