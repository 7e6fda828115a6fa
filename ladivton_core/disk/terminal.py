"""Commands at a terminal: options made of settings' own fields, what they print, and how they end.

What is printed are log records, with everything escaped that a terminal would obey. Names of files, tensors and people
come from anywhere; a file called `\\x1b[2J.jpg` must not clear the screen, and half of a surrogate pair must not end a
report that is nearly finished.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import signal
import sys
import types
import typing
from collections.abc import Iterator
from typing import IO, Any, Literal, TypeVar

from .names import hide_secrets_in, printable
from .structure import explain_validation

Kind = TypeVar("Kind")


class PlainText(logging.Formatter):
    """A formatter whose lines hold no orders to a terminal, and no secrets of addresses."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter`, then escaped."""
        return printable(hide_secrets_in(super().format(record)))


def to_terminal(stream: IO[str] | None = None, form: str = "%(message)s") -> None:
    """Show log records of INFO and above, unless the caller has set logging up already.

    Args:
        stream: standard error when None.
        form: of a line, as `logging` takes it.
    """
    stream = stream or sys.stderr
    if hasattr(stream, "reconfigure"):
        stream.reconfigure(errors="backslashreplace")  # a terminal without UTF-8 shows the rest of the line
    handler = logging.StreamHandler(stream)
    handler.setFormatter(PlainText(form))
    logging.basicConfig(level=logging.INFO, handlers=[handler])


@contextlib.contextmanager
def unwinding_on_terminate() -> Iterator[None]:
    """SIGTERM ends the run as Ctrl-C does, so that no unfinished file stays behind; where signals can be caught."""
    try:
        before = signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    except ValueError:  # not the main thread
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def option(default: Any, words: str, *, flag: str = "", metavar: str | None = None, **limits: Any) -> Any:
    """A field of a pydantic dataclass that the command line has an option for.

    Args:
        default: what it is when nobody says.
        words: what the help says of it.
        flag: what the option is called where that is not the field's name.
        metavar: what the help calls its value.
        limits: of the value, as pydantic takes them: `ge`, `le`, ...
    """
    from pydantic import Field

    return Field(default, description=words, json_schema_extra={"flag": flag, "metavar": metavar}, **limits)


def add_options(parser: argparse._ActionsContainer, kind: type) -> None:
    """Add an option for every field of a pydantic dataclass made by `option`, and for those of dataclasses in it."""
    for name, field in kind.__pydantic_fields__.items():
        if dataclasses.is_dataclass(field.annotation):
            add_options(parser, field.annotation)
        elif field.description is not None:
            how: dict[str, Any] = {"dest": name, "help": field.description.replace("%", "%%")}
            union = typing.get_origin(field.annotation) in (typing.Union, types.UnionType)
            alternatives = typing.get_args(field.annotation) if union else (field.annotation,)
            choices = [value for one in alternatives if typing.get_origin(one) is Literal for value in one.__args__]
            if isinstance(field.default, bool):
                how |= {"action": "store_const", "const": not field.default}
            else:
                many = any(typing.get_origin(one) is tuple for one in alternatives)
                how |= {"action": "append"} if many else {"choices": choices or None}
                how["metavar"] = field.json_schema_extra["metavar"]
                if field.default not in (None, (), ""):
                    told = ", ".join(field.default) if many else str(field.default)
                    how["help"] += f" ({told})".replace("%", "%%")
            parser.add_argument(_flag_of(name, field), **how)


def read_options(kind: type[Kind], given: argparse.Namespace, parser: argparse.ArgumentParser, **more: Any) -> Kind:
    """A pydantic dataclass from options that `add_options` made; ends the command where one holds what it cannot.

    Args:
        more: fields without an option.
    """
    from pydantic import ValidationError

    values: dict[str, Any] = dict(more)
    for name, field in kind.__pydantic_fields__.items():
        if dataclasses.is_dataclass(field.annotation):
            values[name] = read_options(field.annotation, given, parser)
        elif getattr(given, name, None) is not None and field.description is not None:
            values[name] = getattr(given, name)
    try:
        return kind(**values)
    except ValidationError as error:
        name, words = explain_validation(error)[0]
        parser.error(f"argument {_flag_of(name, kind.__pydantic_fields__[name])}: {words}")


def _flag_of(name: str, field: Any) -> str:
    how = field.json_schema_extra or {}
    return how.get("flag") or f"--{'no-' if field.default is True else ''}{name.replace('_', '-')}"
