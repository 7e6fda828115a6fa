"""Reading the index of a catalogue: which pictures a run made of whom in what, and why others failed.

`batch/index.py` writes it. Batch and evaluation read it here, below both.
"""

from __future__ import annotations

from typing import Any

from .addresses import require_package
from .store import Store

INDEX, PARTS = "index.parquet", "index"
"""The file in a run's folder, and the folder of rows that are not in it yet."""


def read_index(store: Store) -> list[dict[str, Any]]:
    """Rows of a folder's index, the newest of an item last.

    Raises:
        ValueError: a file is no index; names it.
    """
    names = [INDEX] if store.size(INDEX) is not None else []
    names += [f"{PARTS}/{name}" for name in store.names(PARTS) if name.endswith(".parquet")]
    pyarrow = require_package("pyarrow", "the index of a run", "pyarrow")
    import pyarrow.parquet as parquet

    rows: list[dict[str, Any]] = []
    for name in names:
        try:
            table = parquet.read_table(pyarrow.BufferReader(store.read(name)))
            if missing := [column for column in ("id", "mark", "file", "error") if column not in table.column_names]:
                raise ValueError(f"it lacks the columns {', '.join(missing)}")
            rows += table.to_pylist()
        except (pyarrow.ArrowException, ValueError) as error:
            raise ValueError(
                f"{store}/{name} is no index of a run ({error}). Delete it: the pictures tell what they are"
            ) from error
    once: dict[str, str] = {}
    for row in rows:  # a million rows hold a few of these, not a million copies
        row |= {
            name: once.setdefault(row[name], row[name]) for name in ("settings", "models", "worker") if row.get(name)
        }
    return sorted(rows, key=lambda row: row.get("written") or 0.0)
