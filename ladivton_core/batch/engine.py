"""What makes the pictures: the interface that the plain loop, Ray and ComfyUI servers have in common.

`catalogue.py` reads and checks the manifest, looks at what is there, plans, and then asks one engine for outcomes. An
engine knows nothing of the index, of resuming or of names: it gets items, and hands every picture to a `Delivery`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from .items import Item, Manifest, Outcome, Settings

if TYPE_CHECKING:
    import numpy as np


@runtime_checkable
class Delivery(Protocol):
    """Where finished pictures go. It can be pickled: workers write where they run, pictures never pass the driver."""

    def there(self, item: Item) -> Outcome | None:
        """The outcome of an item whose picture is already there, whole and made with this run's settings."""

    def picture(
        self, item: Item, pixels: np.ndarray, *, seconds: float, check: float | None = None, worker: str = ""
    ) -> Outcome:
        """Write a picture, whole or not at all.

        Args:
            pixels: (H, W, 3) uint8.

        Returns:
            The item's outcome; with `stop` when the disk is full or the folder closed.
        """


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
    delivery: Delivery

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


def make_engine(name: str, **sizes: Any) -> Engine:
    """An engine by its name.

    Args:
        name: `local`, `ray` or `comfyui`.
        sizes: what it is made of, as on the command line: `workers`, `address` (Ray), `hosts` (ComfyUI), ...

    Raises:
        ValueError: there is no such engine.
    """
    if name == "local":
        from .local import LocalEngine

        return LocalEngine(**sizes)
    if name == "ray":
        from .ray_engine import RayEngine

        return RayEngine(**sizes)
    if name == "comfyui":
        from .comfyui import ComfyEngine

        return ComfyEngine(**sizes)
    raise ValueError(f"the engine is {name!r}; expected local, ray or comfyui")
