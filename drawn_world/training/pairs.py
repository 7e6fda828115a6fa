"""Pairs on disk, a row each: one person in two garments, with the rendered truth of both.

A world's folder holds `train/` and `held_out/`, each files `00000.safetensors`, `00001.safetensors`, ... of `PAIRS`
rows (the last one may have fewer) with

    persons    (2, 3, H, W) uint8      the person in the first and in the second garment
    garments   (2, 3, H, W) uint8      the garments laid flat
    worn       (2, 3, H, W) uint8      the garments as worn, on white
    masks      (2, H, W / 8) uint8     inpaint masks, a bit a pixel
    keypoints  (18, 2) float32         of the person, in pixels
    category   int64                   index of `CATEGORIES`
    refined    bool                    whether the workflows for such pictures refine the warped garment

and, where a world knows them, what `reading.py` teaches to read:

    patterns   (2,) int64              pattern class of the garments
    numbers    (2, NUMBERS) float32    their colours and cut

`world.py` renders such folders. Whoever keeps pairs in another form gives a `Source` that makes these fields of a row.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from ladivton_core.training.chunks import chunk_path, rows_in

PAIRS = 8
"""Rows a file."""
SPLITS = ("held_out", "train")
Fields = dict[str, Tensor]
"""Fields of a row by name; of N rows (N, ...) each."""


class Source(Protocol):
    """Rows of one world. More may come while they are read; rows keep their numbers."""

    def there(self, stop: int) -> int:
        """How many rows can be read, from the first on; `stop` at most."""

    def read(self, row: int) -> Fields:
        """One row that is there; the same fields, the same sizes and the same values every time."""


class Files:
    """The files of a folder, as above."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._there, self._path, self._file = 0, None, None

    def there(self, stop: int) -> int:
        while self._there < stop:
            rows = rows_in(chunk_path(self.folder, self._there // PAIRS))
            if rows < PAIRS:  # the last one, or not there yet
                return min(self._there + rows, stop)
            self._there += PAIRS
        return stop

    def read(self, row: int) -> Fields:
        from safetensors import safe_open

        if self._path != (path := chunk_path(self.folder, row // PAIRS)):
            self._path, self._file = path, safe_open(path, framework="pt")
        names = self._file.keys()
        return {name: self._file.get_slice(name)[row % PAIRS] for name in names}


def weave(shares: Sequence[float]) -> Iterator[tuple[int, int]]:
    """(source, its row) of row 0, 1, 2, ...: the source that is furthest behind its share comes next."""
    taken, whole = [0] * len(shares), sum(shares)
    for count in itertools.count(1):
        source = max(range(len(shares)), key=lambda one: shares[one] / whole * count - taken[one])
        yield source, taken[source]
        taken[source] += 1


class Pairs:
    """Rows of one or several sources in one order, of which any stretch has every source's share.

    Args:
        sources: to be woven into each other; fields that one of them lacks are left out.
        shares: of the rows, in any unit.
    """

    def __init__(self, sources: Sequence[Source], shares: Sequence[float] = (1.0,)):
        self.sources = list(sources)
        self._weave, self._places, self._there, self._names = weave(shares), [], 0, []

    def there(self, stop: int) -> int:
        """As `Source.there`; none before those ahead of it."""
        while self._there < stop:
            if self._there == len(self._places):
                self._places.append(next(self._weave))
            source, row = self._places[self._there]
            if self.sources[source].there(row + 1) <= row:
                break
            self._there += 1
        return min(self._there, stop)

    def read(self, start: int, stop: int) -> Fields:
        """Rows from `start` on, up to `stop` or to the first that is not there yet; empty where that is `start`."""
        if self.there(stop) <= start or any(source.there(1) < 1 for source in self.sources):
            return {}
        self._names = self._names or sorted(set.intersection(*(set(source.read(0)) for source in self.sources)))
        rows = [self.sources[source].read(row) for source, row in self._places[start : self.there(stop)]]
        return {name: torch.stack([row[name] for row in rows]) for name in self._names}
