"""Tables from anywhere: CSV, JSONL and Parquet as lines of cells, and everything wrong with them.

Faults are noted with file, line and column and never raised one by one: a list of 20,000 garments is mended in one go.
`manifest.py` knows what the columns mean, `items.py` what may stand in them.
"""

from __future__ import annotations

import csv
import difflib
import functools
import io
import json
import logging
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter, ValidationError

from ..disk.addresses import is_address, read_bytes, require_package
from ..disk.documents import text_of
from ..disk.names import hide_secrets, hide_secrets_in, in_one_line
from ..disk.structure import explain_validation

log = logging.getLogger(__name__)

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MAX_BYTES = 1 << 30
_SHOWN = 200

Cell = str | int | float | bool | None
Value = TypeVar("Value")


@dataclass(frozen=True)
class Problem:
    """Something wrong in a manifest.

    Attributes:
        file: which one.
        line: counted from 1, a Parquet file's row counted from 1, or 0 for the file as a whole.
        column: its name, or empty for the whole line.
        text: what is wrong and what to do.
    """

    file: str
    line: int
    column: str
    text: str

    def __post_init__(self) -> None:
        for name in ("file", "text"):
            object.__setattr__(self, name, hide_secrets_in(getattr(self, name)))

    def __str__(self) -> str:
        place = f"{self.file}, line {self.line}" if self.line else self.file
        return in_one_line(f"{place}, column {self.column!r}: {self.text}" if self.column else f"{place}: {self.text}")


class ManifestError(ValueError):
    """A manifest that cannot be run.

    Attributes:
        problems: all of them.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        lines = [f"{len(self.problems)} problem{'s' * (len(self.problems) != 1)} in the manifest; nothing was started."]
        lines += [f"  {problem}" for problem in self.problems[:_SHOWN]]
        if len(self.problems) > _SHOWN:
            lines.append(f"  ... and {len(self.problems) - _SHOWN} more")
        super().__init__("\n".join(lines))


@dataclass
class Table:
    """A file of lines.

    Attributes:
        name: path or address.
        columns: in their order.
        lines: those that hold something.
        problems: found so far, in it and by whoever reads its lines.
    """

    name: str
    columns: tuple[str, ...] = ()
    lines: list[Line] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def blame(self, text: str, line: int = 0, column: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(self.name, line, column, text))

    def check_columns(self, known: Iterable[str], needed: Iterable[str]) -> None:
        """Note missing and misspelt columns; say which others are not used."""
        known, ignored = tuple(known), []
        for column in needed:
            if column not in self.columns:
                there = ", ".join(self.columns)
                self.blame(f"is missing; the columns are {there}, known are {', '.join(known)}", 1, column)
        for column in self.columns:
            if column in known:
                continue
            near = difflib.get_close_matches(column, [name for name in known if name not in self.columns], 1, 0.75)
            if near:
                self.blame(f"is unknown; did you mean {near[0]!r}?", 1, column)
            else:
                ignored.append(column)
        if ignored:
            log.warning("%s: the columns %s are not used", hide_secrets(self.name), ", ".join(map(repr, ignored)))


@dataclass
class Line:
    """One line of a table.

    Attributes:
        table: it stands in.
        number: counted from 1.
        cells: by column; empty ones are left out.
    """

    table: Table
    number: int
    cells: dict[str, Cell]

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{posixpath.basename(hide_secrets(self.table.name))}, line {self.number}"

    def blame(self, column: str, text: str) -> None:
        """Note a problem."""
        self.table.blame(text, self.number, column)

    def read(self, kind: type[Value], columns: Mapping[str, str] | None = None, **given: Any) -> Value | None:
        """The line as a value of a pydantic dataclass; None where a cell does not fit, which is noted.

        Args:
            columns: the column of each field; None is all by their own names.
            given: fields that the line need not say.
        """
        columns = columns or {name: name for name in kind.__pydantic_fields__}
        cells, odd = {}, False
        for name, column in columns.items():
            if isinstance(value := self.cells.get(column), bool):
                self.blame(column, f"is {value!r}; expected a text or a number")
                odd = True
            elif value is not None:
                cells[name] = value
        try:
            value = _adapter(kind).validate_python(given | cells, context=self.table.name)
        except ValidationError as error:
            for name, words in explain_validation(error):
                about = kind.__pydantic_fields__[name].description if words == "is empty" else None
                self.blame(columns[name], f"{words}: {about}" if about else words)
            return None
        return None if odd else value


_adapter = functools.lru_cache(TypeAdapter)


def read_table(name: str | Path) -> Table:
    """Lines of a CSV (`,`, `;` or tabs, with a head line), JSONL or Parquet file, by its ending.

    What is wrong is in `Table.problems`; nothing is raised but a missing package.

    Raises:
        ImportError: pyarrow (Parquet) or fsspec (an address) is missing.
    """
    table = Table(str(name) if is_address(str(name)) else str(Path(name).expanduser()))
    ending = posixpath.splitext(hide_secrets(table.name))[1].lower()
    if ending not in KINDS:
        table.blame(f"ends in {ending or 'nothing'!r}; expected one of {', '.join(KINDS)}")
        return table
    try:
        content = read_bytes(table.name, MAX_BYTES)
        if ending == ".parquet":
            found = _parquet(content, table)
        else:
            found = (_csv if ending in (".csv", ".tsv") else _jsonl)(text_of(content), table)
        for number, cells in found:
            kept = {column: value for column, value in cells.items() if value is not None and value != ""}
            if kept:
                table.lines.append(Line(table, number, kept))
    except OSError as error:
        table.blame(str(error))
    except csv.Error as error:
        table.blame(f"is no CSV ({error}); save it again as CSV in UTF-8")
    except ValueError as error:
        table.blame(f"is no text: {error}")
    if not table.lines and not table.problems:
        table.blame("has no lines")
    return table


def _csv(text: str, table: Table) -> Iterator[tuple[int, dict[str, Cell]]]:
    head = text.lstrip().split("\n", 1)[0].rstrip("\r")
    mark = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    number = 1
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if number == 1 and head.lower() == f"sep={mark}":  # as spreadsheets write it
            pass
        elif any(cells) and not table.columns:
            table.columns = tuple(cell.lower() for cell in cells[: max(i for i, cell in enumerate(cells) if cell) + 1])
            for name in sorted({name for name in table.columns if table.columns.count(name) > 1}):
                table.blame("stands twice in the head line", number, name)
            if table.problems:
                return
        elif len(cells) > len(table.columns) and any(cells[len(table.columns) :]):
            words = f"has {len(cells)} cells for {len(table.columns)} columns; quote cells that hold {mark!r}"
            table.blame(words, number)
        elif any(cells):
            yield number, dict(zip(table.columns, cells, strict=False))
        number = reader.line_num + 1


def _jsonl(text: str, table: Table) -> Iterator[tuple[int, dict[str, Cell]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            table.blame(f"is no JSON ({type(error).__name__}: {error})", number)
            continue
        if not isinstance(cells, dict):
            table.blame("is no object; expected one {...} a line", number)
            continue
        table.columns = tuple(dict.fromkeys([*table.columns, *cells]))
        yield number, _single_values(cells, table, number)


def _parquet(content: bytes, table: Table) -> Iterator[tuple[int, dict[str, Cell]]]:
    pyarrow = require_package("pyarrow", hide_secrets(table.name), "pyarrow")
    import pyarrow.parquet as parquet

    try:
        found = parquet.read_table(pyarrow.BufferReader(content))
        rows = found.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        table.blame(f"is no Parquet file ({error})")
        return
    table.columns = tuple(found.column_names)
    for number, cells in enumerate(rows, 1):
        yield number, _single_values(cells, table, number)


def _single_values(cells: dict[str, Any], table: Table, number: int) -> dict[str, Cell]:
    plain = {}
    for column, value in cells.items():
        if isinstance(value, str | int | float | bool) or value is None:
            plain[column] = value.strip() if isinstance(value, str) else value
        else:
            table.blame(f"holds {type(value).__name__}; expected one value", number, column)
    return plain
