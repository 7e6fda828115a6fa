"""The index of a run: one row an item in Parquet, kept so that a crash loses rows only, and those are found again.
And whether a catalogue's files are those that its pictures were made of, by size and time, where these differ by hash.

Rows go to small files in `index/` every few seconds, which the next start and the end of the run make into one
`index.parquet`. Of several rows of an item the last one counts. `disk/store.py` reads one. `inputs.parquet` keeps what
each file was when a run first took it and when the last one did: a picture's mark holds the hash of a file that was
exchanged under its old name (`delivery.mark_item`). What lies behind an address is not looked at.
"""

from __future__ import annotations

import io
import json
import os
import time
import uuid
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..checkpoints.download import file_sha256
from ..disk.addresses import is_address, require_package
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
            _write(self.store, f"{PARTS}/{self._name}-{self._part:06d}.parquet", self._new, _TYPES)
            self._new = []
        self._flushed = time.monotonic()

    def finish(self) -> None:
        """Everything into one file; the small ones go."""
        self.flush()
        parts = [*self.store.names(PARTS)]
        if parts:
            # another run's too, if it shares the folder
            self.rows = {row["id"]: row for row in read_index(self.store)} | self.rows
            _write(self.store, INDEX, self.rows.values(), _TYPES)
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


INPUTS = "inputs.parquet"
_READERS = 4
"""Files hashed at a time."""

_SEEN = {"file": "binary", "size": "int64", "time": "int64", "sha256": "string", "first": "string"}
"""Columns: size, time in nanoseconds and hash when it was seen last, hash when it was seen first."""


def find_exchanged(store: Store, files: Iterable[str], *, note: bool = True) -> dict[str, str]:
    """Files that are not what a run first took under their names, with their hashes.

    Args:
        files: paths; addresses are passed over, and so is what cannot be read.
        note: keep what was found for the next run, also of new files, which are read once for it.

    Raises:
        ValueError: what the folder has kept cannot be read; says what to do.
        OSError: no room is left.
    """
    known = _read(store)
    found: dict[str, tuple[int, int]] = {}
    for file in dict.fromkeys(files):
        if not is_address(file):
            try:
                stat = os.stat(file)
            except (OSError, ValueError):  # told when it is read
                continue
            found[file] = (stat.st_size, stat.st_mtime_ns)
    other = [file for file, seen in found.items() if (file in known or note) and known.get(file, ())[:2] != seen]
    with ThreadPoolExecutor(_READERS) as threads:
        hashes = dict(zip(other, threads.map(_hash, other), strict=True))
    for file, digest in hashes.items():
        if digest:
            known[file] = (*found[file], digest, known[file][3] if file in known else digest)
    if note and any(hashes.values()):
        # not every name on a disk is text
        rows = (dict(zip(_SEEN, (os.fsencode(file), *seen), strict=True)) for file, seen in known.items())
        _write(store, INPUTS, rows, _SEEN)
    return {file: known[file][2] for file in found if file in known and known[file][2] != known[file][3]}


def _hash(file: str) -> str:
    try:
        return file_sha256(Path(file))
    except OSError:
        return ""


def _read(store: Store) -> dict[str, tuple[int, int, str, str]]:
    pyarrow = require_package("pyarrow", "the list of a run's files", "pyarrow")
    import pyarrow.parquet as parquet

    if store.size(INPUTS) is None:
        return {}
    try:
        rows = parquet.read_table(pyarrow.BufferReader(store.read(INPUTS))).to_pylist()
        return {os.fsdecode(row["file"]): (row["size"], row["time"], row["sha256"], row["first"]) for row in rows}
    except (pyarrow.ArrowException, KeyError, ValueError) as error:
        raise ValueError(
            f"{store}/{INPUTS} is no list of a run's files ({error}). Delete it: exchanged files are then taken for "
            "what they are now"
        ) from error


def _write(store: Store, name: str, rows: Iterable[Mapping[str, Any]], types: Mapping[str, str]) -> None:
    pyarrow = require_package("pyarrow", "the index of a run", "pyarrow")
    import pyarrow.parquet as parquet

    schema = pyarrow.schema([(column, getattr(pyarrow, kind)()) for column, kind in types.items()])
    buffer = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([*rows], schema), buffer, compression="zstd")
    store.write(name, buffer.getvalue())
