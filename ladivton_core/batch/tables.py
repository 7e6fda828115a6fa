"""Tables from anywhere: CSV, JSONL and Parquet as rows of cells with their line, and everything wrong with them.

Faults are collected, not raised one by one: a list of 20,000 garments is mended in one go. `cells.py` reads a line,
`lines.py` knows what the columns mean.
"""

from __future__ import annotations

import csv
import io
import json
import posixpath
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..disk.documents import text_of
from .addresses import is_address, read_bytes
from .cells import Cell, Problem, Row

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
MAX_BYTES = 1 << 30


@dataclass
class Table:
    """A file of rows.

    Attributes:
        name: path or address.
        columns: in their order.
        rows: lines that hold something.
        problems: found so far, in it and by whoever reads its rows.
    """

    name: str
    columns: tuple[str, ...] = ()
    rows: list[Row] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)

    def wrong(self, text: str, line: int = 0, column: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(self.name, line, column, text))


def read_table(name: str | Path) -> Table:
    """Rows of a CSV (`,`, `;` or tabs, with a head line), JSONL or Parquet file, by its ending.

    What is wrong is in `Table.problems`; nothing is raised but a missing package.

    Raises:
        ImportError: pyarrow (Parquet) or fsspec (an address) is missing.
    """
    table = Table(str(name) if is_address(str(name)) else str(Path(name).expanduser()))
    ending = posixpath.splitext(table.name.split("?")[0])[1].lower()
    if ending not in KINDS:
        table.wrong(f"ends in {ending or 'nothing'!r}; expected one of {', '.join(KINDS)}")
        return table
    try:
        content = read_bytes(table.name, MAX_BYTES)
    except OSError as error:
        table.wrong(str(error))
        return table
    try:
        if ending == ".parquet":
            found = _parquet(content, table)
        else:
            try:
                text = text_of(content)
            except ValueError as error:
                table.wrong(f"is no text: {error}")
                return table
            found = _csv(text, table) if ending in (".csv", ".tsv") else _jsonl(text, table)
        for line, cells in found:
            kept = {column: value for column, value in cells.items() if value is not None and value != ""}
            if kept:
                table.rows.append(Row(table, line, kept))
    except csv.Error as error:
        table.wrong(f"is no CSV ({error}); save it again as CSV in UTF-8")
    if not table.rows and not table.problems:
        table.wrong("has no lines")
    return table


def _csv(text: str, table: Table) -> Iterator[tuple[int, dict[str, Cell]]]:
    head = text.lstrip().split("\n", 1)[0]
    mark = max(",;\t", key=head.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=mark, strict=True)
    line, columns = 1, None
    for cells in reader:
        cells = [cell.strip() for cell in cells]
        if any(cells):
            if columns is None:
                columns = _columns(cells, table, line)
                if columns is None:
                    return
            elif len(cells) > len(columns) and any(cells[len(columns) :]):
                table.wrong(f"has {len(cells)} cells for {len(columns)} columns; quote cells that hold {mark!r}", line)
            else:
                yield line, dict(zip(columns, cells, strict=False))
        line = reader.line_num + 1


def _columns(cells: list[str], table: Table, line: int) -> tuple[str, ...] | None:
    while cells and not cells[-1]:
        cells.pop()
    names = tuple(cell.lower() for cell in cells)
    for name in sorted({name for name in names if names.count(name) > 1}):
        table.wrong("stands twice in the head line", line, name)
    table.columns = names
    return None if table.problems else names


def _jsonl(text: str, table: Table) -> Iterator[tuple[int, dict[str, Cell]]]:
    columns: dict[str, None] = {}
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            cells = json.loads(line)
        except (ValueError, RecursionError) as error:
            table.wrong(f"is no JSON ({type(error).__name__}: {error})", number)
            continue
        if not isinstance(cells, dict):
            table.wrong("is no object; expected one {...} a line", number)
            continue
        columns |= dict.fromkeys(cells)
        yield number, _plain(cells, table, number)
    table.columns = tuple(columns)


def _parquet(content: bytes, table: Table) -> Iterator[tuple[int, dict[str, Cell]]]:
    pyarrow = require_pyarrow(table.name)
    import pyarrow.parquet as parquet

    try:
        found = parquet.read_table(pyarrow.BufferReader(content))
        rows = found.to_pylist()
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        table.wrong(f"is no Parquet file ({error})")
        return
    table.columns = tuple(found.column_names)
    for number, cells in enumerate(rows, 1):
        yield number, _plain(cells, table, number)


def _plain(cells: dict[str, Any], table: Table, line: int) -> dict[str, Cell]:
    """The cells that hold one value."""
    plain = {}
    for column, value in cells.items():
        if isinstance(value, str | int | float | bool) or value is None:
            plain[column] = value.strip() if isinstance(value, str) else value
        else:
            table.wrong(f"holds {type(value).__name__}; expected one value", line, column)
    return plain


def require_pyarrow(what: str):
    """The module, or an ImportError that says how to install it."""
    try:
        import pyarrow
    except ImportError as error:
        import sys

        raise ImportError(
            f"{what} needs pyarrow (extra `batch`). Install it with the Python that runs this: "
            f'"{sys.executable}" -m pip install pyarrow'
        ) from error
    return pyarrow
