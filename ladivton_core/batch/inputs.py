"""Whether a catalogue's files are those that its pictures were made of: by size and time, where these differ by hash.

`inputs.parquet` in the run's folder keeps what each file was when a run first took it and when the last one did. A
picture's mark holds the hash of a file that was exchanged under its old name (`delivery.mark_item`). What lies behind
an address is not looked at.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ..checkpoints.download import file_sha256
from ..disk.addresses import is_address, require_package
from ..disk.store import Store

INPUTS = "inputs.parquet"
_READERS = 4
"""Files hashed at a time."""

_Seen = tuple[int, int, str, str]
"""Size, time in nanoseconds and hash when it was seen last, hash when it was seen first."""


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
        _write(store, known)
    return {file: known[file][2] for file in found if file in known and known[file][2] != known[file][3]}


def _hash(file: str) -> str:
    try:
        return file_sha256(Path(file))
    except OSError:
        return ""


def _read(store: Store) -> dict[str, _Seen]:
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


def _write(store: Store, known: dict[str, _Seen]) -> None:
    import pyarrow
    import pyarrow.parquet as parquet

    names = [os.fsencode(file) for file in known]  # not every name on a disk is text
    columns = zip(*known.values(), strict=True)
    table = pyarrow.table(dict(zip(("file", "size", "time", "sha256", "first"), (names, *columns), strict=True)))
    buffer = io.BytesIO()
    parquet.write_table(table, buffer, compression="zstd")
    store.write(INPUTS, buffer.getvalue())
