"""What comes over a wire, or from a program instead of the page, is held to what the node's own inputs allow.

ComfyUI checks the values of widgets, and lets a wire bring anything: a width of a million million, a choice that is
none. It lets NaN pass, a text where a picture belongs, and every choice of a V3 node. A node declares its limits once,
in its schema; `extension.py` puts this before every `execute` and `validate_inputs`.
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
    "LADI_SPLINE": Tensor, "CONDITIONING": list, "LATENT": dict,
}  # fmt: skip
_JSON = (str, int, float, list, dict)
"""What a program can write where a wire belongs."""
_OF_JSON = ("POSE_KEYPOINT", "BOUNDING_BOX", "CONDITIONING", "LATENT")
"""Types that are lists or objects themselves; their nodes look into them."""


def hold_to_limits(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, which first refuses what its inputs do not allow: before a run in words, in one with a ValueError."""
    schema = node.define_schema()
    boxes, lists = {box.id: box for box in schema.inputs}, bool(getattr(schema, "is_input_list", False))
    execute = node.execute.__func__
    signature = inspect.signature(execute)

    @functools.wraps(execute)
    def checked(cls, *args: Any, **given: Any) -> io.NodeOutput:
        bound = signature.bind(cls, *args, **given)
        bound.apply_defaults()
        values = bound.arguments | given  # `**images` by their own names
        if found := fault(boxes, lists, values):
            raise ValueError(found)
        try:
            return execute(cls, *args, **given)
        except (AttributeError, KeyError, TypeError) as error:
            if found := missing(boxes, values):  # as a program can write it; the page does not
                raise ValueError(found) from error
            raise

    node.execute = classmethod(checked)
    _ask_for_choices(node, [box for box in boxes.values() if isinstance(box, io.Combo.Input)])
    return node


def _ask_for_choices(node: type[io.ComfyNode], choices: list[io.Combo.Input]) -> None:
    """Give the node a `validate_inputs` that asks its choices, then its own one.

    ComfyUI leaves an input to it that its signature names, and all of them where it takes any: the names are given.
    """
    own = node.validate_inputs if "validate_inputs" in node.__dict__ else None
    names = [] if own is None else list(inspect.signature(own).parameters)
    asked = {box.id: box for box in choices}
    if not asked and own is None:
        return

    def validate_inputs(cls, **given: Any) -> bool | str:
        for name, box in asked.items():
            value = given.get(name)  # None is a wire, not known yet
            listed = isinstance(box.options, Listed)
            if value is not None and (found := box.options.fault(value) if listed else _fault(box, value)):
                return found
        return True if own is None else own(**{name: given.get(name) for name in names})

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    optional = [inspect.Parameter(name, kind, default=None) for name in dict.fromkeys([*asked, *names])]
    validate_inputs.__signature__ = inspect.Signature([inspect.Parameter("cls", kind), *optional])
    node.validate_inputs = classmethod(validate_inputs)


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
        least, most = box.min - SLACK * abs(box.min), box.max + SLACK * abs(box.max)
        if isinstance(value, Real) and math.isfinite(value) and least <= value <= most:
            return None
        words = f"{box.min:g} to {box.max:g}" if box.max <= 10**6 else f"{box.min} to {box.max}"
        return f"'{box.id}' is {value!r}; give {words}."
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
        shown = f"{value!r:.60}" if isinstance(value, _JSON) else f"of the type {type(value).__name__}"
        return f"'{box.id}' is {shown}; connect {_kind(box)}."
    return None


def _kind(box: Any) -> str:
    return f"an output of the type {box.get_io_type()}"
