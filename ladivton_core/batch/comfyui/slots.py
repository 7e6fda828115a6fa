"""Where a workflow leaves something open: named by titles, or found as the shipped workflows have it.

A node's title says that it is filled in: `slot:person` for the node's one free input, `slot:seed.noise_seed` for a
named one, several with blanks between. What no title names is found by itself: a loader titled `Person` or `Garment`, a
loaded file called `person.png`, `[example] lower_body_keypoints.json` and so on, inputs called `category`, `seed`,
`steps`. `workflow.py` fills them in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .branches import Nodes, WorkflowError, named, title_of

FILES = {
    "person": "person",
    "garment": "garment",
    "keypoints": "keypoints",
    "parse_map": "parse",
    "mask": "mask",
    "garment_mask": "garment_mask",
}
"""Slots that take a file, whose value is its name in ComfyUI's input folder; and what such a file is called."""

SEEDS = ("seed", "noise_seed", "posterior_seed")
"""Inputs that the seed goes to. A picture of the core draws all its noises from one seed (`denoising/noise.py`)."""

INPUTS = {
    "seed": SEEDS,
    "guidance_scale": ("guidance", "guidance_scale", "cfg"),
}
"""Inputs that a slot finds by name; any other slot finds those of its own name."""

_MARK = re.compile(r"(?<!\S)slot:([A-Za-z_]\w*)(?:\.(\S+))?")
_LOADED = ("image", "file")


@dataclass(frozen=True)
class Place:
    """An input of a node, and what the file has there."""

    node: str
    input: str
    value: Any = field(compare=False)


def marked_places(nodes: Nodes, name: str) -> dict[str, tuple[Place, ...]]:
    """Places that titles name, by slot; that of `result` is its node, without an input.

    Args:
        name: what messages call the file.

    Raises:
        WorkflowError: a title names an input that is not there, that a wire feeds, or not which of several.
    """
    found: dict[str, list[Place]] = {}
    for key, node in nodes.items():
        for slot, wanted in _MARK.findall(title_of(node)):
            if slot == "result":
                found.setdefault(slot, []).append(Place(key, "", None))
                continue
            input_ = wanted or _the_input(nodes, key, slot, name)
            value = node["inputs"].get(input_)
            if input_ not in node["inputs"] or isinstance(value, list):
                fault = "is fed by a wire" if isinstance(value, list) else "is not there"
                inputs = ", ".join(free_inputs(node)) or "none"
                raise WorkflowError(
                    f"{name}: {named(nodes, key)} is titled slot:{slot}.{input_}, "
                    f"but its input {input_!r} {fault}; free inputs: {inputs}."
                )
            found.setdefault(slot, []).append(Place(key, input_, value))
    return {slot: tuple(places) for slot, places in found.items()}


def _the_input(nodes: Nodes, key: str, slot: str, name: str) -> str:
    """Which of a node's inputs a slot means that names none."""
    free = free_inputs(nodes[key])
    wanted = INPUTS.get(slot, (slot,)) if slot not in FILES else (slot, *_LOADED)
    if found := [one for one in wanted if one in free] or (free if len(free) == 1 else []):
        return found[0]
    raise WorkflowError(
        f"{name}: {named(nodes, key)} is titled slot:{slot} and has several inputs "
        f"({', '.join(free) or 'none that is free'}). Title it slot:{slot}.input, with the input that is meant."
    )


def named_places(nodes: Nodes, slot: str) -> tuple[Place, ...]:
    """Places of a value that are found by the name of their input."""
    names = INPUTS.get(slot, (slot,))
    found = [Place(key, name, node["inputs"][name]) for key, node in nodes.items() for name in free_inputs(node)
             if name in names]  # fmt: skip
    if slot == "category" and len({place.value for place in found}) == 1:
        # The framing of a photo follows what is worn, unless it is the whole photo's.
        found += [Place(key, "framing", found[0].value) for key, node in nodes.items()
                  if node["inputs"].get("framing") == found[0].value]  # fmt: skip
    return tuple(found)


def loader_places(nodes: Nodes, slot: str, called: str) -> tuple[Place, ...]:
    """Places of a file: loaders with the slot's name as title, else those that load a file called so."""
    loads = [
        (key, name, node["inputs"][name], title_of(node))
        for key, node in nodes.items()
        for name in free_inputs(node)
        if isinstance(node["inputs"][name], str)
    ]
    by_title = [
        Place(key, name, value) for key, name, value, title in loads
        if name in _LOADED and title.strip().lower().replace(" ", "_") == slot
    ]  # fmt: skip
    file = re.compile(rf"(.*[/ _])?{called}(_atr18)?\.\w+( \[\w+\])?")
    return tuple(by_title or (Place(key, name, value) for key, name, value, _ in loads if file.fullmatch(value)))


def free_inputs(node: Mapping[str, Any]) -> list[str]:
    """Inputs that no wire feeds."""
    return [name for name, value in node["inputs"].items() if not isinstance(value, list)]
