"""Rows of tensors on disk: a folder of `00000.safetensors`, `00001.safetensors`, ... of `CHUNK` rows each.

The rendered world and the extracted latents are kept so. A chunk has its name only once it is whole; rows
are read through the files' memory maps.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from ..disk.tensors import write_tensors

CHUNK = 50
_NAMES = "[0-9][0-9][0-9][0-9][0-9].safetensors"


def chunk_path(folder: Path, index: int) -> Path:
    """File of a chunk."""
    return folder / f"{index:05d}.safetensors"


def write_chunk(folder: Path, index: int, fields: dict[str, Tensor]) -> None:
    """Write `CHUNK` rows (fewer in the last chunk) of some fields, whole or not at all."""
    write_tensors(chunk_path(folder, index), fields)


def rows_in(path: Path) -> int:
    """Rows of a chunk's file; 0 where it is not there."""
    from safetensors import safe_open

    return _rows(safe_open(path, framework="pt")) if path.is_file() else 0


def has_chunk(folder: Path, index: int, rows: int) -> bool:
    """Whether a chunk is there with that many rows; the last one of a smaller count has fewer."""
    return rows_in(chunk_path(folder, index)) == rows


def trim(folder: Path, rows: int, chunk: int = CHUNK) -> None:
    """Delete the chunks (of `chunk` rows) beyond `rows` rows, which an earlier run with a larger count left."""
    for path in folder.glob(_NAMES):
        if int(path.stem) * chunk >= rows:
            path.unlink()


def _rows(file) -> int:
    return file.get_slice(next(iter(file.keys()))).get_shape()[0]


class Chunks:
    """Rows of a folder written by `write_chunk`.

    Args:
        folder: where the chunks are.
        made_by: stage that writes them, for the message.

    Raises:
        FileNotFoundError: there are none, or one is missing in the middle.
    """

    def __init__(self, folder: Path, made_by: str):
        self.paths = sorted(Path(folder).glob(_NAMES))
        if not self.paths or self.paths[-1] != chunk_path(Path(folder), len(self.paths) - 1):
            raise FileNotFoundError(f"{folder} holds no complete set of chunks: run the stage `{made_by}` first.")
        self._open: dict[int, object] = {}
        last = self._file(len(self.paths) - 1)
        self.fields = tuple(last.keys())
        self._length = CHUNK * (len(self.paths) - 1) + _rows(last)

    def __len__(self) -> int:
        return self._length

    def __getstate__(self) -> dict:  # memory maps do not travel to data workers
        return self.__dict__ | {"_open": {}}

    def _file(self, index: int):
        if index not in self._open:
            from safetensors import safe_open

            self._open[index] = safe_open(self.paths[index], framework="pt")
        return self._open[index]

    def read(self, row: int, field: str) -> Tensor:
        """One field of one row, as stored."""
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        return self._file(row // CHUNK).get_slice(field)[row % CHUNK]

    def stack(self, field: str, rows: Iterable[int]) -> Tensor:
        """One field of some rows (B, ...)."""
        return torch.stack([self.read(int(row), field) for row in rows])
