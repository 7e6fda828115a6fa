"""The folder a run writes into: on a disk, or behind an address through fsspec. Files are whole or not there.

A folder on a disk goes through `disk/writing.py`. Behind an address a file is written under another name and moved,
which object stores do at once; tested with `memory://`.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .addresses import fault_of_address, is_address, open_filesystem, require_package
from .locking import Locked, locked
from .names import hide_secrets, is_hidden, printable
from .writing import clean, write_bytes

LOCK = ".lock"
"""The file that a run holds."""


@dataclass(frozen=True)
class Store:
    """A folder on a disk: files by name, with `/` between folders. It can be sent to other processes."""

    root: str

    def __str__(self) -> str:
        return printable(hide_secrets(self.root))

    def write(self, name: str, content: bytes) -> None:
        """Write a file, whole or not at all.

        Raises:
            OSError: the disk is full or the folder closed; what was there before is untouched.
        """
        write_bytes(Path(self.root, name), content)

    def read(self, name: str) -> bytes:
        """Content of a file; FileNotFoundError where there is none."""
        return Path(self.root, name).read_bytes()

    def size(self, name: str) -> int | None:
        """Bytes of a file; None where there is none."""
        try:
            return os.stat(os.path.join(self.root, name)).st_size
        except OSError:
            return None

    def names(self, folder: str) -> Iterator[str]:
        """Names of the files right in a folder; what killed runs left unfinished goes."""
        place = Path(self.root, folder)
        clean(place)
        if place.is_dir():
            with os.scandir(place) as entries:
                yield from sorted(entry.name for entry in entries if entry.is_file() and not is_hidden(entry.name))

    def delete(self, name: str) -> None:
        """Take a file away; nothing happens where there is none."""
        Path(self.root, name).unlink(missing_ok=True)

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """While the block lasts no other run works in the folder; behind an address nobody can tell.

        Raises:
            RuntimeError: another one does; says which.
        """
        Path(self.root).mkdir(parents=True, exist_ok=True)
        try:
            with locked(Path(self.root, LOCK)):
                yield
        except Locked as error:
            raise RuntimeError(
                f"another command works in {self} ({error.strerror}); wait for it to end, or choose another folder"
            ) from error


@dataclass(frozen=True)
class AddressStore(Store):
    """A folder behind an address; the same in all else."""

    def write(self, name: str, content: bytes) -> None:
        system, path = open_filesystem(f"{self.root}/{name}")
        part = f"{path}.{uuid.uuid4().hex[:8]}.part"
        try:
            system.makedirs(posixpath.dirname(path), exist_ok=True)
            system.pipe_file(part, content)
            system.mv(part, path)
        except OSError:
            raise
        except Exception as error:  # every store has errors of its own
            raise OSError(f"{self}/{name} could not be written: {error or type(error).__name__}") from error

    def read(self, name: str) -> bytes:
        system, path = open_filesystem(f"{self.root}/{name}")
        return system.cat_file(path)

    def size(self, name: str) -> int | None:
        system, path = open_filesystem(f"{self.root}/{name}")
        try:
            return int(system.info(path)["size"])
        except FileNotFoundError:
            return None

    def names(self, folder: str) -> Iterator[str]:
        system, path = open_filesystem(f"{self.root}/{folder}")
        if system.isdir(path):
            for entry in sorted(system.ls(path, detail=False)):
                if not entry.endswith(".part"):
                    yield posixpath.basename(entry)

    def hold(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def delete(self, name: str) -> None:
        system, path = open_filesystem(f"{self.root}/{name}")
        if system.exists(path):
            system.rm_file(path)


def open_store(place: str | Path) -> Store:
    """The folder of a run, by its path or address.

    Raises:
        ValueError: an address that cannot be.
        ImportError: fsspec is missing.
    """
    text = str(place)
    if not is_address(text):
        return Store(str(Path(text).expanduser().absolute()))
    if fault := fault_of_address(text):
        raise ValueError(f"the folder {hide_secrets(text)!r} cannot be written: {fault}")
    if text.lower().startswith("http"):
        raise ValueError(f"{hide_secrets(text)}: a web server cannot be written to; name a folder or an object store")
    open_filesystem(text)
    return AddressStore(text.rstrip("/"))


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
