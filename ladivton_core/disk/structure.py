"""A bounded walk through nested content that somebody else made, and the check of its shape.

A few kilobytes can describe a structure that takes for ever to visit (a dictionary shared by two keys, thirty levels
deep) or that ends in itself. `documents.py` and `checkpoints/reading.py` walk nothing by any other way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from .names import hide_secrets_in

if TYPE_CHECKING:
    from pydantic import ValidationError

MAX_DEPTH = 64
"""Levels of nesting; documents of the field have fewer than ten."""
MAX_ENTRIES = 200_000
"""Entries of mappings that are visited; a checkpoint with everything a training leaves in it has some thousands."""
MAX_VALUES = 2_000_000
"""Values of a document; an hour of one person's joints has a million."""


class StructureError(ValueError):
    """Content that is nested too deep, too large, or of another shape than expected; the message says where."""


def walk(
    content: Mapping[Any, Any],
    *,
    skip: tuple[str, ...] = (),
    max_depth: int = MAX_DEPTH,
    max_entries: int = MAX_ENTRIES,
) -> Iterator[tuple[str, Any]]:
    """Every value that is no mapping, with the dotted path that leads to it, in the content's order.

    Args:
        content: mappings in each other.
        skip: an entry whose name starts so is not entered.

    Raises:
        StructureError: deeper than `max_depth`, or more than `max_entries` values on the way; a structure that holds
            itself is both.
    """
    pending: list[tuple[Iterator[tuple[Any, Any]], str]] = [(iter(content.items()), "")]
    seen = 0
    while pending:
        entries, prefix = pending[-1]
        for key, value in entries:
            seen += 1
            if seen > max_entries:
                raise StructureError(f"it holds more than {max_entries:,} values, or values that hold each other")
            if not isinstance(value, Mapping):
                yield f"{prefix}{key}", value
            elif not (skip and str(key).startswith(skip)):
                if len(pending) >= max_depth:
                    raise StructureError(f"it is nested more than {max_depth} levels deep, or holds itself")
                pending.append((iter(value.items()), f"{prefix}{key}."))
                break
        else:
            pending.pop()


def check_depth(content: Any) -> None:
    """Raise the `StructureError` that `walk` would; faster, as it makes no paths."""
    level, depth, seen = [content], 0, 0
    while level:
        depth += 1
        if depth > MAX_DEPTH + 1:
            raise StructureError(f"it is nested more than {MAX_DEPTH} levels deep, or holds itself")
        below = []
        for value in level:
            entries = value.values() if isinstance(value, Mapping) else value if isinstance(value, list | tuple) else ()
            seen += len(entries)
            if seen > MAX_VALUES:
                raise StructureError(f"it holds more than {MAX_VALUES:,} values, or values that hold each other")
            below += [entry for entry in entries if isinstance(entry, Mapping | list | tuple)]
        level = below


def check_shape(content: Any, shape: Any, where: str = "") -> None:  # noqa: C901 - a case a kind of shape
    """Compare JSON's types with what is expected.

    Args:
        content: what was read.
        shape: a type (`float` also takes whole numbers, `int` no booleans); `None`; a tuple of shapes, any of which
            will do; `[shape]` for a list; `{str: shape}` for an object of any names; `{"name": shape}` for an object
            with these names, of which those that end in `?` may be missing. Further names are let through.
        where: path of the content, for the message.

    Raises:
        StructureError: something else; the message names the field, what it holds and what was expected.
    """
    if isinstance(shape, tuple):
        if not any(_fits(content, choice) for choice in shape):
            simple = [choice for choice in shape if isinstance(choice, dict | list)]
            for choice in simple:
                if isinstance(content, type(choice)):
                    check_shape(content, choice, where)
            raise _wrong(content, shape, where)
    elif isinstance(shape, list):
        if not isinstance(content, list):
            raise _wrong(content, shape, where)
        for place, value in enumerate(content):
            check_shape(value, shape[0], f"{where}[{place}]")
    elif isinstance(shape, dict):
        if not isinstance(content, dict):
            raise _wrong(content, shape, where)
        if list(shape) == [str]:
            for name, value in content.items():
                check_shape(value, shape[str], f"{where}.{name}" if where else name)
            return
        for name, inner in shape.items():
            plain = name.removesuffix("?")
            path = f"{where}.{plain}" if where else plain
            if plain in content:
                check_shape(content[plain], inner, path)
            elif plain == name:
                raise StructureError(f"{path!r} is missing")
    elif not _is(content, shape):
        raise _wrong(content, shape, where)


def explain_validation(error: ValidationError) -> list[tuple[str, str]]:
    """What pydantic found wrong: each field once, with what it holds and what was expected, in words."""
    found: dict[str, str] = {}
    for fault in error.errors():
        field, said = str(next(iter(fault["loc"]), "")), fault["msg"]
        held = _shown(fault["input"])
        if fault["type"] == "missing":
            words = "is empty"
        elif fault["type"] == "value_error":
            words = f"is {held}: {fault['ctx']['error']}"
        elif fault["type"] == "literal_error":
            words = f"is {held}; expected one of {fault['ctx']['expected']}"
        else:
            words = f"is {held}; {said[:1].lower()}{said[1:]}".replace("input should be", "expected")
        found.setdefault(field, words)
    return [*found.items()]


def _shown(content: Any) -> str:
    text = hide_secrets_in(repr(content))
    return text if len(text) <= 60 else f"{text[:60]}..."


def _fits(content: Any, shape: Any) -> bool:
    try:
        check_shape(content, shape)
    except StructureError:
        return False
    return True


def _is(content: Any, kind: Any) -> bool:
    if kind is None:
        return content is None
    if isinstance(content, bool):
        return kind in (bool, object)
    return isinstance(content, int | float) if kind is float else isinstance(content, kind)


def _wrong(content: Any, shape: Any, where: str) -> StructureError:
    return StructureError(f"{where or 'the whole of it'!r} is {_shown(content)}; expected {_called(shape)}")


_NAMES = {str: "a text", int: "a whole number", float: "a number", bool: "true or false", dict: "an object",
          list: "a list", None: "nothing"}  # fmt: skip


def _called(shape: Any) -> str:
    if isinstance(shape, tuple):
        return " or ".join(dict.fromkeys(map(_called, shape)))
    if isinstance(shape, list | dict):
        return _NAMES[type(shape)]
    return _NAMES[shape]
