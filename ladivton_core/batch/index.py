"""The index of a run: one row an item in Parquet, kept so that a crash loses rows only, and those are found again.

Rows go to small files in `index/` every few seconds, which the next start and the end of the run make into one
`index.parquet`. Of several rows of an item the last one counts.
"""

from __future__ import annotations

import io
import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import Any

from .items import Item, Outcome, Settings
from .results import options_of
from .store import Store
from .tables import require_pyarrow

INDEX, PARTS = "index.parquet", "index"
FLUSH_SECONDS, FLUSH_ROWS = 5.0, 500

_TYPES = {
    "id": "string", "person": "string", "garment": "string", "category": "string", "seed": "int64", "steps": "int32",
    "guidance_scale": "float64", "file": "string", "bytes": "int64", "seconds": "float64", "check": "float64",
    "error": "string", "error_file": "string", "worker": "string", "mark": "string", "settings": "string",
    "models": "string", "written": "float64",
}  # fmt: skip
COLUMNS = tuple(_TYPES)
"""Of the index: `settings` and `models` (hashes of the weights) are JSON, `written` is a time in seconds since 1970,
`mark` stands for everything the picture depends on."""

Row = dict[str, Any]


class Index:
    """Rows by item id.

    Args:
        store: the run's folder.
        facts: of the engine; `weights of ...` are the models' hashes.
        settings: of the run.

    Raises:
        ImportError: pyarrow is missing.
        ValueError: the folder's index is no index.
    """

    def __init__(self, store: Store, facts: Mapping[str, Any], settings: Settings) -> None:
        require_pyarrow("the index of a run")
        self.store, self.settings = store, settings
        self.models = json.dumps({k: v for k, v in facts.items() if k.startswith("weights of ")}, sort_keys=True)
        self.told = json.dumps({k: v for k, v in facts.items() if not k.startswith("weights of ")}, sort_keys=True)
        self.rows: dict[str, Row] = {}
        self._new: list[Row] = []
        self._flushed = time.monotonic()
        self._name = f"{int(time.time()):010d}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._part = 0
        for row in read_rows(store):
            self.rows[row["id"]] = row

    def add(self, item: Item, outcome: Outcome) -> None:
        """Note an outcome; written in a while.

        Raises:
            OSError: the disk is full.
        """
        options = options_of(item, self.settings)
        row: Row = {
            "id": item.id, "person": item.person, "garment": item.garment, "category": item.category,
            "seed": item.seed, "steps": options.steps, "guidance_scale": options.guidance_scale,
            "file": outcome.file, "bytes": self.store.size(outcome.file) if outcome.file else None,
            "seconds": outcome.seconds, "check": outcome.check, "error": outcome.error,
            "error_file": outcome.error_file, "worker": outcome.worker, "mark": item.mark, "settings": self.told,
            "models": self.models, "written": time.time(),
        }  # fmt: skip
        self.rows[item.id] = row
        self._new.append(row)
        if len(self._new) >= FLUSH_ROWS or time.monotonic() - self._flushed > FLUSH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Write the rows that are not written yet."""
        if self._new:
            self._part += 1
            self.store.write(f"{PARTS}/{self._name}-{self._part:06d}.parquet", _bytes(self._new))
            self._new = []
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """Everything into one file; the small ones go."""
        self.flush()
        parts = [*self.store.names(PARTS)]
        if parts:
            rows = {row["id"]: row for row in read_rows(self.store)}  # another run's too, if it shares the folder
            self.rows = rows | self.rows
            self.store.write(INDEX, _bytes(self.rows.values()))
            for name in parts:
                self.store.delete(f"{PARTS}/{name}")


def read_rows(store: Store) -> list[Row]:
    """Rows of a folder's index, the newest of an item last.

    Raises:
        ValueError: a file is no index; names it.
    """
    names = [INDEX] if store.size(INDEX) is not None else []
    names += [f"{PARTS}/{name}" for name in store.names(PARTS) if name.endswith(".parquet")]
    pyarrow = require_pyarrow("the index of a run")
    import pyarrow.parquet as parquet

    rows: list[Row] = []
    for name in names:
        try:
            table = parquet.read_table(pyarrow.BufferReader(store.read(name)))
            if missing := [column for column in ("id", "mark", "file", "error") if column not in table.column_names]:
                raise ValueError(f"it lacks the columns {', '.join(missing)}")
            rows += table.to_pylist()
        except (pyarrow.ArrowException, ValueError) as error:
            raise ValueError(
                f"{store.root}/{name} is no index of a run ({error}). Delete it: the pictures tell what they are"
            ) from error
    once: dict[str, str] = {}
    for row in rows:  # a million rows hold a few of these, not a million copies
        row |= {
            name: once.setdefault(row[name], row[name]) for name in ("settings", "models", "worker") if row.get(name)
        }
    return sorted(rows, key=lambda row: row.get("written") or 0.0)


def discard(store: Store) -> None:
    """Delete a folder's pictures, as far as its index knows them, and the index."""
    for row in read_rows(store):
        if row["file"]:
            store.delete(row["file"])
    for name in [*store.names(PARTS)]:
        store.delete(f"{PARTS}/{name}")
    store.delete(INDEX)


def _bytes(rows: Iterable[Row]) -> bytes:
    pyarrow = require_pyarrow("the index of a run")
    import pyarrow.parquet as parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in _TYPES.items()])
    rows = [{name: row.get(name) for name in COLUMNS} for row in rows]
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(rows, schema), buffer, compression="zstd")
    return buffer.getvalue()
