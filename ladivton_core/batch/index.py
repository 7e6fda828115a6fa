"""The index of a run: one row an item in Parquet, kept so that a crash loses rows only, and those are found again.

Rows go to small files in `index/` every few seconds, which the next start and the end of the run make into one
`index.parquet`. Of several rows of an item the last one counts. `disk/store.py` reads one.
"""

from __future__ import annotations

import io
import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ..disk.addresses import require_package
from ..disk.names import is_plain_name
from ..disk.store import INDEX, PARTS, Store, read_index

if TYPE_CHECKING:
    from .items import Item, Options, Outcome

FLUSH_SECONDS, FLUSH_ROWS = 5.0, 500

_TYPES = {
    "id": "string", "person": "string", "garment": "string", "category": "string", "seed": "int64", "steps": "int32",
    "guidance_scale": "float64", "file": "string", "bytes": "int64", "seconds": "float64", "check": "float64",
    "error": "string", "error_file": "string", "worker": "string", "mark": "string", "settings": "string",
    "models": "string", "written": "float64",
}  # fmt: skip
"""Columns: `settings` and `models` (hashes of the weights) are JSON, `written` is a time in seconds since 1970,
`mark` stands for everything the picture depends on."""


class Index:
    """Rows by item id.

    Args:
        store: the run's folder.
        facts: of the engine; `weights of ...` are the models' hashes.

    Raises:
        ImportError: pyarrow is missing.
        ValueError: the folder's index is no index.
    """

    def __init__(self, store: Store, facts: Mapping[str, Any]) -> None:
        self.store = store
        self.models = json.dumps({k: v for k, v in facts.items() if k.startswith("weights of ")}, sort_keys=True)
        self.told = json.dumps({k: v for k, v in facts.items() if not k.startswith("weights of ")}, sort_keys=True)
        self.rows = {row["id"]: row for row in read_index(store)}
        self._new: list[dict[str, Any]] = []
        self._flushed = time.monotonic()
        self._name = f"{int(time.time()):010d}-{os.getpid()}-{uuid.uuid4().hex[:6]}"
        self._part = 0

    def add(self, item: Item, options: Options, outcome: Outcome) -> None:
        """Note an outcome, made with these options; written in a while.

        Raises:
            OSError: the disk is full.
        """
        row = {
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
            # another run's too, if it shares the folder
            self.rows = {row["id"]: row for row in read_index(self.store)} | self.rows
            self.store.write(INDEX, _bytes(self.rows.values()))
            for name in parts:
                self.store.delete(f"{PARTS}/{name}")


def discard(store: Store) -> None:
    """Delete a folder's pictures, as far as its index knows them, and the index."""
    for row in read_index(store):
        if row["file"] and all(map(is_plain_name, row["file"].split("/"))):
            store.delete(row["file"])
    for name in [*store.names(PARTS)]:
        store.delete(f"{PARTS}/{name}")
    store.delete(INDEX)


def _bytes(rows: Iterable[Mapping[str, Any]]) -> bytes:
    pyarrow = require_package("pyarrow", "the index of a run", "pyarrow")
    import pyarrow.parquet as parquet

    schema = pyarrow.schema([(name, getattr(pyarrow, kind)()) for name, kind in _TYPES.items()])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([*rows], schema), buffer, compression="zstd")
    return buffer.getvalue()
