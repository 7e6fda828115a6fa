"""Numbers and choices that come over a wire are held to what the node's own widgets allow.

ComfyUI checks the values of widgets, and lets a wire bring anything: a width of a million million, a choice that is
none. Its checks also let NaN pass. `extension.py` puts this before every node's `execute`.
"""

from __future__ import annotations

import functools
import inspect
import math
from collections.abc import Mapping
from typing import Any

from .listing import Listed
from .types import io

SLACK = 1e-6
"""Share of a limit by which a computed number may pass it: 0.1 + 0.2 + 0.7 is above 1."""


def held_to_its_limits(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, whose `execute` first refuses what its widgets would not take, with a ValueError."""
    execute = node.execute.__func__
    signature = inspect.signature(execute)

    @functools.cache
    def widgets() -> dict[str, Any]:
        kinds = (io.Int.Input, io.Float.Input, io.Combo.Input)
        return {box.id: box for box in node.define_schema().inputs if isinstance(box, kinds)}

    @functools.wraps(execute)
    def checked(cls, *args: Any, **given: Any) -> io.NodeOutput:
        bound = signature.bind(cls, *args, **given).arguments
        if found := fault(widgets(), bound):
            raise ValueError(found)
        return execute(cls, *args, **given)

    node.execute = classmethod(checked)
    return node


def fault(widgets: Mapping[str, Any], given: Mapping[str, Any]) -> str | None:
    """What is wrong with the first value its widget would not take; None when all are in order.

    A file is not looked for in a list here: its node knows more of where it may lie.
    """
    entries = ((name, one) for name, value in given.items() for one in (value if isinstance(value, list) else [value]))
    for name, value in entries:  # a node that takes batches as lists gets its numbers so too
        box = widgets.get(name)
        if box is None or value is None:
            continue
        if isinstance(box, io.Combo.Input):
            if not isinstance(box.options, Listed) and value not in box.options:
                return f"'{name}' cannot be {value!r}; choose one of {', '.join(map(str, box.options))}."
        elif not _is_within(value, box.min, box.max):
            return f"'{name}' is {value!r}; give {_words(box.min, box.max)}. The number comes over a wire."
    return None


def _is_within(value: Any, least: float, most: float) -> bool:
    if not isinstance(value, int | float) or not math.isfinite(value):
        return False
    return least - SLACK * abs(least) <= value <= most + SLACK * abs(most)


def _words(least: float, most: float) -> str:
    return f"{least:g} to {most:g}" if most <= 10**6 else f"{least} to {most}"
