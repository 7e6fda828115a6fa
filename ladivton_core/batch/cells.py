"""One line of a table, read cell by cell: what is wrong is noted with file, line and column, and never raised alone.

`tables.py` makes the lines, `lines.py` knows what the columns mean.
"""

from __future__ import annotations

import math
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..disk.names import in_one_line

if TYPE_CHECKING:
    from .tables import Table

MAX_CELL = 8192
_SHOWN = 200

Cell = str | int | float | bool | None


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
class Row:
    """One line; reading a cell wrongly notes a problem and gives None.

    Attributes:
        table: it stands in.
        line: counted from 1.
        cells: by column; empty ones are left out.
    """

    table: Table
    line: int
    cells: dict[str, Cell]

    @property
    def where(self) -> str:
        """File and line, for messages."""
        return f"{posixpath.basename(self.table.name)}, line {self.line}"

    def wrong(self, column: str, text: str) -> None:
        """Note a problem."""
        self.table.problems.append(Problem(self.table.name, self.line, column, text))

    def text(self, column: str, *, needed: bool = False) -> str | None:
        """A cell as text."""
        value = self.cells.get(column)
        if value is None:
            if needed:
                self.wrong(column, "is empty")
            return None
        if isinstance(value, bool | float) and not (isinstance(value, float) and value.is_integer()):
            self.wrong(column, f"is {value!r}; expected a text")
            return None
        value = str(int(value)) if isinstance(value, float) else str(value)
        if len(value) > MAX_CELL:
            self.wrong(column, f"is {len(value)} characters long; {MAX_CELL} are the most")
            return None
        return value

    def choice(self, column: str, choices: Iterable[str], *, needed: bool = False) -> str | None:
        """A cell that is one of several words."""
        value = self.text(column, needed=needed)
        if value is not None and value not in (choices := tuple(choices)):
            self.wrong(column, f"is {value!r}; expected one of {', '.join(choices)}")
            return None
        return value

    def number(self, column: str, low: float, high: float, *, whole: bool = False) -> float | int | None:
        """A cell that is a number from `low` to `high`, both included."""
        value = self.cells.get(column)
        if value is None:
            return None
        expected = f"expected a {'whole ' * whole}number from {low:g} to {high:g}"
        try:
            if isinstance(value, bool):
                raise ValueError
            number = (int(value) if isinstance(value, str) else value) if whole else float(value)
            if isinstance(number, float) and (not math.isfinite(number) or (whole and not number.is_integer())):
                raise ValueError
        except ValueError:
            self.wrong(column, f"is {value!r}; {expected}")
            return None
        if not low <= number <= high:
            self.wrong(column, f"is {value!r}; {expected}")
            return None
        return int(number) if whole else number
