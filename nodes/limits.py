"""What comes over a wire, or from a program instead of the page, is held to what the node's own inputs allow.

ComfyUI checks the values of widgets, and lets a wire bring anything: a width of a million million, a choice that is
none. Its checks let NaN pass, and a text where a picture belongs. `extension.py` puts this before every node's
`execute`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping
from numbers import Real
from typing import Any

from torch import Tensor

from .listing import Listed
from .types import ParseMap, io

SLACK = 1e-6
"""Share of a limit by which a computed number may pass it: 0.1 + 0.2 + 0.7 is above 1."""

_ON_WIRES = {
    "IMAGE": Tensor, "MASK": Tensor, "LADI_POSE_MAP": Tensor, "LADI_PSEUDO_WORDS": Tensor, "LADI_PARSE_MAP": ParseMap,
    "CONDITIONING": list, "LATENT": dict,
}  # fmt: skip
_JSON = (str, int, float, list, dict)
"""What a program can write where a wire belongs."""
_OF_JSON = ("POSE_KEYPOINT", "BOUNDING_BOX", "CONDITIONING", "LATENT")
"""Types that are lists or objects themselves; their nodes look into them."""


def held_to_its_limits(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, whose `execute` first refuses what its inputs do not allow, with a ValueError."""
    execute = node.execute.__func__
    signature = inspect.signature(execute)

    @functools.cache
    def schema() -> tuple[dict[str, Any], bool]:
        made = node.define_schema()
        return {box.id: box for box in made.inputs}, bool(getattr(made, "is_input_list", False))

    @functools.wraps(execute)
    def checked(cls, *args: Any, **given: Any) -> io.NodeOutput:
        bound = signature.bind(cls, *args, **given)
        bound.apply_defaults()
        values = bound.arguments | given  # `**images` by their own names
        if found := fault(*schema(), values):
            raise ValueError(found)
        try:
            return execute(cls, *args, **given)
        except (AttributeError, KeyError, TypeError) as error:
            if found := missing(schema()[0], values):  # as a program can write it; the page does not
                raise ValueError(found) from error
            raise

    node.execute = classmethod(checked)
    return node


def fault(boxes: Mapping[str, Any], lists: bool, given: Mapping[str, Any]) -> str | None:
    """What is wrong with the first value its input does not allow; None when all are, or are not there.

    Args:
        boxes: the node's inputs by id.
        lists: the node gets its inputs as lists of batches.
        given: values by id; a file is not looked for in a list here, its node knows more of where it may lie.
    """
    for name, value in given.items():
        if name in boxes:
            for one in value if lists and isinstance(value, list) else [value]:
                if found := _fault(boxes[name], one):
                    return found
    return None


def missing(boxes: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """Which required input has no value, with what to do; None when all have one."""
    for name, box in boxes.items():
        if not box.optional and given.get(name) is None:
            widget = isinstance(box, io.Int.Input | io.Float.Input | io.Combo.Input | io.String.Input)
            return f"'{name}' is missing; {'choose one' if widget else f'connect {_kind(box)}'}."
    return None


def _fault(box: Any, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(box, io.Int.Input | io.Float.Input):
        return None if _is_within(value, box.min, box.max) else f"'{box.id}' is {value!r}; give {_words(box)}."
    if isinstance(box, io.Combo.Input):
        if isinstance(box.options, Listed) or value in box.options:
            return None
        return f"'{box.id}' cannot be {value!r}; choose one of {', '.join(map(str, box.options))}."
    if isinstance(box, io.String.Input | io.Boolean.Input):
        return None
    kind = box.get_io_type()
    plain = _JSON[:3] if kind in _OF_JSON else _JSON
    right = not isinstance(value, plain) and isinstance(value, _ON_WIRES.get(kind, object))
    if not right or (kind == "LATENT" and not isinstance(value.get("samples"), Tensor)):
        return f"'{box.id}' is {_shown(value)}; connect {_kind(box)}."
    return None


def _kind(box: Any) -> str:
    return f"an output of the type {box.get_io_type()}"


def _shown(value: Any) -> str:
    return f"{value!r:.60}" if isinstance(value, _JSON) else f"of the type {type(value).__name__}"


def _is_within(value: Any, least: float, most: float) -> bool:
    if not isinstance(value, Real) or not math.isfinite(value):
        return False
    return least - SLACK * abs(least) <= value <= most + SLACK * abs(most)


def _words(box: Any) -> str:
    return f"{box.min:g} to {box.max:g}" if box.max <= 10**6 else f"{box.min} to {box.max}"
