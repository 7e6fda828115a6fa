"""The interface of engines, and the order of their work: people one after the other, in batches, in waves that fit.

`runs.py` reads and checks the manifest, looks at what is there, plans, and then asks one engine for outcomes. An engine
knows nothing of the index, of resuming or of names: it gets items, and hands every picture to a `Delivery`. A person is
encoded once for each category they wear and a garment once: N + M encodings for N x M pictures. A photograph on models
that ask for the body's mask is prepared once, and goes through the VAE with each garment, on which that mask depends.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from ..items import Item, Manifest, Options, Outcome, Settings

if TYPE_CHECKING:
    from ...presets import Preset
    from ..delivery import Delivery, LastPicture

GB = 10**9


@dataclass(frozen=True)
class Batch:
    """Items that share person, category and options, in the plan's order.

    Attributes:
        items: all that belong together, also those that are done: a batch is always computed whole, so that a pixel
            never depends on what an earlier run had finished.
        wanted: ids to deliver.
    """

    items: tuple[Item, ...]
    wanted: frozenset[str]


@dataclass(frozen=True)
class Work:
    """What an engine is to do.

    Attributes:
        manifest: everything, to look people and garments up.
        batches: what to make, people one after the other: a person's items stand together.
        settings: of the run.
        delivery: takes the pictures.
    """

    manifest: Manifest
    batches: Sequence[Batch]
    settings: Settings
    delivery: Delivery | LastPicture

    @property
    def items(self) -> tuple[Item, ...]:
        """Items that are wanted, in order; for engines that make one picture at a time."""
        return tuple(item for batch in self.batches for item in batch.items if item.id in batch.wanted)


class Spent:
    """Seconds of work by stage, for `--dry-run` and the end of a run; `prepare person`, `sample` and so on."""

    def __init__(self) -> None:
        self.stages: dict[str, tuple[int, float]] = {}

    def add(self, stage: str, seconds: float, count: int = 1) -> None:
        """Note that `count` more were done in so many seconds of one worker."""
        before, spent = self.stages.get(stage, (0, 0.0))
        self.stages[stage] = (before + count, spent + seconds)

    def add_all(self, other: Spent) -> None:
        """Note everything that another one noted."""
        for stage, (count, seconds) in other.stages.items():
            self.add(stage, seconds, count)

    @contextlib.contextmanager
    def clock(self, stage: str) -> Iterator[None]:
        """Note one, and the seconds of the block, when it ends well."""
        start = time.perf_counter()
        yield
        self.add(stage, time.perf_counter() - start)

    def each(self, stage: str) -> float | None:
        """Seconds of one worker for one; None where none was done."""
        count, seconds = self.stages.get(stage, (0, 0.0))
        return seconds / count if count else None

    def count(self, stage: str) -> int:
        """How many were done."""
        return self.stages.get(stage, (0, 0.0))[0]


@runtime_checkable
class Engine(Protocol):
    """A way of making pictures.

    One whose pictures come from files of its own also has `result_of(item)`, the file or "": a run makes an item again
    when that file was exchanged (`elsewhere.py`). One whose models no setting says has `drawn_only`, as a `Preset` has.

    Attributes:
        name: as on the command line: `local`, `ray`, `comfyui`.
        workers: how many work at a time, for the plan's cost; known after `prepare`.
        spent: work by stage. The core engines note `prepare person`, `prepare garment`, `encode person`,
            `encode garment` and `sample` (a picture); one that cannot tell them apart notes `sample` alone.
    """

    name: str
    workers: int
    spent: Spent

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """Make sure that it can work, before anything starts, and say what decides its pictures.

        Returns:
            Names and values (JSON's types) for the folder's note and the index: the engine's name, sizes, the models'
            hashes (`weights of unet`, ...), sampler, number format, but nothing like a host's name or a number of
            workers, on which pictures must not depend.

        Raises:
            OSError, RuntimeError, ValueError: it cannot work: no server, no weights; says what to do.
            ImportError: a package is missing; says how to install it.
        """

    def run(self, work: Work) -> Iterator[Outcome]:
        """Outcomes as they come, in any order, exactly one for every wanted item.

        What is wrong with one item (a damaged photo, nobody in it) is an outcome with an error and never raises. An
        exception ends the run: everything delivered stays, and the same command goes on from there.
        """

    def close(self) -> None:
        """Stop workers and let go of what `prepare` and `run` took; may be called twice."""


def group_items(items: Iterable[Item], size: int) -> list[Batch]:
    """Items in batches of at most `size` that share person, category and options; every item wanted.

    The same items in the same order give the same batches, whatever a run has done already.
    """
    groups: dict[tuple[str, str, Options], list[Item]] = {}
    for item in items:
        groups.setdefault((item.person, item.category, item.options), []).append(item)
    first = {person: place for place, (person, _, _) in reversed([*enumerate(groups)])}
    together = sorted(groups.items(), key=lambda group: first[group[0][0]])
    return [
        Batch(tuple(group[start : start + size]), frozenset(item.id for item in group[start : start + size]))
        for _, group in together
        for start in range(0, len(group), size)
    ]


def leave_out(batches: Iterable[Batch], done: set[str]) -> list[Batch]:
    """Batches without those that are done; one of which a part is missing is computed whole."""
    rest = (Batch(batch.items, batch.wanted - done) for batch in batches)
    return [batch for batch in rest if batch.wanted]


@dataclass(frozen=True)
class Needs:
    """What batches need encoded, each once.

    Attributes:
        persons: (id, category), in the order of the batches.
        garments: (id, way), in the order in which they are met first.
    """

    persons: tuple[tuple[str, str], ...]
    garments: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, batches: Iterable[Batch], way: Callable[[Item], str] = lambda _: "whole") -> Needs:
        """Those of some batches; `way` is the garment's, see `encodings.way_of`."""
        items = [item for batch in batches for item in batch.items]
        persons = dict.fromkeys((item.person, item.category) for item in items)
        return cls(tuple(persons), tuple(dict.fromkeys((item.garment, way(item)) for item in items)))


def split_waves(
    batches: Sequence[Batch], person_bytes: int, garment_bytes: int, limit: int, most: int
) -> Iterator[list[Batch]]:
    """Batches in waves whose encodings fit into `limit` bytes together, of at most `most` batches each.

    People of earlier waves are given up, garments are kept; a wave holds at least one batch.
    """
    wave: list[Batch] = []
    persons: set[tuple[str, str]] = set()
    garments: set[str] = set()
    for batch in batches:
        own = {(batch.items[0].person, batch.items[0].category)}
        garments = garments | {item.garment for item in batch.items}
        size = len(persons | own) * person_bytes + len(garments) * garment_bytes
        if wave and (len(wave) >= most or size > limit):
            yield wave
            wave, persons = [], set()
        wave.append(batch)
        persons = persons | own
    if wave:
        yield wave


def count_bytes(preset: Preset, size: tuple[int, int], dtype_bytes: int = 4) -> tuple[int, int]:
    """Bytes of one encoded person (without a photo to go back into) and of one encoded garment."""
    area = size[0] * size[1]
    levels = (1, 1, 4, 16, 64)  # of f1' ... f5': full size twice, then halved in both directions
    skips = sum(channels * area // level for channels, level in zip(preset.emasc["out_channels"], levels, strict=True))
    moments = 8 * area // 64
    person = (3 + 1 + 18) * area * 4 + (skips + moments) * dtype_bytes
    words = (preset.num_words + 77) * preset.text.hidden_size
    return person, 3 * area * 4 + words * dtype_bytes
