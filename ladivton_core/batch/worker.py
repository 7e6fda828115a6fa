"""What the core's engines do in each worker: batches of items to pictures, with everything encoded once.

`Dresser` has the models, `Maker` a worker's encodings and errors; neither knows whether a loop, Ray's actors or
somebody's own pipeline calls it. `preparation.py` reads the files, `pipeline.py` runs the stages.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..datasets.results import to_picture
from ..encodings import joined
from ..models import choose_pipeline, describe_pipeline
from ..pipeline import TryOnPipeline
from .delivery import Delivery, resolve_options
from .encodings import BODY, DETAIL, Encodings, KeptEncoding, key_of, way_of
from .engines.base import Batch, Spent
from .items import Garment, Item, Manifest, Outcome, Person, Settings
from .preparation import (
    FileError,
    PreparedGarment,
    PreparedPerson,
    finder_in,
    into_photo,
    prepare_garment,
    prepare_person,
)

Faults = dict[str, tuple[str, str | None]]
"""What is wrong with a person or garment, in words and with the file to blame, by the key of its encoding."""


def load_pipeline(settings: Settings) -> TryOnPipeline:
    """The run's models; the number of CPU threads is set for the whole process.

    Raises:
        ValueError, OSError: see `models.choose_pipeline`; or a device that is not there.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    try:
        return choose_pipeline(
            "vitonhd", settings.models, settings.weights, settings.preset, device=settings.device, dtype=settings.dtype
        )
    except (RuntimeError, AssertionError) as error:  # torch's for a device that is not there
        raise ValueError(f"the models cannot be loaded on {settings.device!r}: {error}") from error


def describe_models(pipeline: TryOnPipeline, settings: Settings) -> dict[str, Any]:
    """What of models and settings decides pictures; see `Engine.prepare`."""
    facts = {"engine": "core"} | describe_pipeline(pipeline) | {"pasted back": settings.paste_back}
    if pipeline.preset.photographs == "body":
        facts[BODY] = "the body's mask, collars open"
    if settings.detail or BODY in facts:
        facts[DETAIL] = True
    facts["size"] = list(settings.size or pipeline.preset.size)
    return facts | {"steps": pipeline.preset.steps, "guidance_scale": pipeline.preset.guidance_scale}


def prepare(
    thing: Person | Garment, way: str, size: tuple[int, int], finder: Callable
) -> PreparedPerson | PreparedGarment:
    """Read a person or a garment from its files, in a way that `encodings.key_of` knows; see `preparation.py`.

    Raises:
        FileError: what is wrong with which file.
    """
    if isinstance(thing, Person):
        return prepare_person(thing, way, size, finder)
    kind, *more = way.split(", ")
    return prepare_garment(thing, size, centre=kind == "centred", open_collar="open" in more, large="large" in more)


class Dresser:
    """Models and what prepares their inputs, in one process.

    Args:
        settings: of the run.
        worker: what outcomes call it; the process when empty.
    """

    def __init__(self, settings: Settings, worker: str = "") -> None:
        self.settings, self.pipeline = settings, load_pipeline(settings)
        self.facts = describe_models(self.pipeline, settings)
        self.size = tuple(self.facts["size"])
        self.finder = finder_in(settings.pose, settings.threads or 2)
        self.worker = worker or f"process {os.getpid()}"

    def encode(self, prepared: PreparedPerson | PreparedGarment, thing: Person | Garment) -> KeptEncoding:
        """A person or garment through the models that do not depend on the other; on the models' device."""
        cost = min(1.0, sum(finding.cost for finding in prepared.findings))
        if isinstance(prepared, PreparedPerson):
            encoding = prepared.framed
            if prepared.fit is None or BODY not in self.facts:
                encoding = self.pipeline.encode_person(encoding.person, encoding.mask, encoding.pose_map)
            return KeptEncoding(encoding, cost, prepared.fit, prepared.photo)
        encoding = self.pipeline.encode_garment(prepared.garment, thing.category, thing.prompt)
        return KeptEncoding(encoding, cost, photo=prepared.large)

    def sample(self, items: Sequence[Item], person: KeptEncoding, garments: Sequence[KeptEncoding]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 of items that share person and options, in their order."""
        options = resolve_options(items[0], self.settings)
        made = self.pipeline(
            person.to(self.pipeline.device).encoding,
            joined([garment.to(self.pipeline.device).encoding for garment in garments]),
            category=items[0].category,
            seeds=[item.seed for item in items],
            steps=options.steps,
            guidance_scale=options.guidance_scale,
            paste_back=self.settings.paste_back and person.fit is None,
        )
        pictures = [*made.images]
        if person.fit is not None:
            grids = made.grid if DETAIL in self.facts and made.grid is not None else [None] * len(pictures)
            laid = BODY in self.facts and made.grid is not None
            pictures = [
                into_photo(picture.cpu(), person.fit, person.photo, mask, garment=garment.photo, grid=grid, laid=laid)
                for picture, mask, garment, grid in zip(pictures, made.mask.split(1), garments, grids, strict=True)
            ]
        return [np.asarray(to_picture(picture)) for picture in pictures]


class Faulty(Exception):
    """A person or garment that cannot be had; its arguments are those of `Faults`."""


@dataclass
class Maker:
    """Makes batches.

    Attributes:
        dresser: the models.
        encodings: what is encoded already.
        spent: where work is noted.
        faults: known ones; a person that cannot be read is looked at once.
    """

    dresser: Dresser
    encodings: Encodings
    spent: Spent
    faults: Faults

    def make(self, batch: Batch, manifest: Manifest, delivery: Delivery, *, look: bool = False) -> Iterator[Outcome]:
        """Outcomes of the wanted items of a batch.

        Args:
            look: ask for every item whether it is there already: the batch may have been begun by a worker that died.
        """
        wanted = {item.id: item for item in batch.items if item.id in batch.wanted}
        for item in [*wanted.values()] if look else ():
            if found := delivery.there(item):
                yield found
                del wanted[item.id]
        if not wanted:
            return
        worn_by = manifest.persons[batch.items[0].person]
        try:
            person = self.encode(worn_by, batch.items[0].category)
        except Faulty as error:
            yield from (self._fail(item, *error.args) for item in wanted.values())
            return
        good: list[tuple[Item, KeptEncoding]] = []
        for item in batch.items:
            try:
                way = way_of(worn_by, item.category, self.dresser.facts)
                good.append((item, self.encode(manifest.garments[item.garment], way)))
            except Faulty as error:
                if item.id in wanted:
                    yield self._fail(item, *error.args)
        if any(item.id in wanted for item, _ in good):
            yield from self._sample(good, wanted, person, manifest, delivery)

    def encode(self, thing: Person | Garment, way: str) -> KeptEncoding:
        """A person or garment, encoded now or earlier, in a way that `key_of` knows.

        Raises:
            Faulty: it cannot be had.
        """
        key = key_of(thing, way, self.dresser.facts)
        if key in self.faults:
            raise Faulty(*self.faults[key])
        found = self.encodings.get(key)
        if found is None:
            try:
                with self.spent.clock(f"prepare {thing.kind}"):
                    prepared = prepare(thing, way, self.dresser.size, self.dresser.finder)
                with self.spent.clock(f"encode {thing.kind}"):
                    found = self.dresser.encode(prepared, thing)
            except Exception as error:  # whatever a damaged file leads to: this thing's items fail, the others go on
                self.faults[key] = explain(error, thing)
                raise Faulty(*self.faults[key]) from error
            self.encodings.put(key, found)
        return found

    def _sample(
        self,
        good: list[tuple[Item, KeptEncoding]],
        wanted: dict[str, Item],
        person: KeptEncoding,
        manifest: Manifest,
        delivery: Delivery,
    ) -> Iterator[Outcome]:
        start = time.perf_counter()
        try:
            pictures = self.dresser.sample([item for item, _ in good], person, [garment for _, garment in good])
        except Exception as error:
            words = explain(error, manifest.garments[good[0][0].garment])
            if len(good) == 1:
                yield self._fail(good[0][0], *words)
                return
            for one in good:  # one of them spoils the batch: it is found by making each alone
                if one[0].id in wanted:
                    yield from self._sample([one], wanted, person, manifest, delivery)
            return
        seconds = time.perf_counter() - start
        self.spent.add("sample", seconds, len(good))
        for (item, garment), pixels in zip(good, pictures, strict=True):
            if item.id in wanted:
                check = max(0.0, 1.0 - person.cost - garment.cost)
                yield delivery.picture(
                    item, pixels, seconds=seconds / len(good), check=check, worker=self.dresser.worker
                )

    def _fail(self, item: Item, text: str, file: str | None) -> Outcome:
        return Outcome(item.id, error=text, error_file=file, worker=self.dresser.worker)


def explain(error: Exception, thing: Person | Garment) -> tuple[str, str | None]:
    """An item's error in words, and the file that is to blame.

    Raises:
        Exception: the error itself, where it is the machine's and not the item's: a missing package or graph, no
            memory, a broken device.
    """
    machine = isinstance(error, ImportError | MemoryError | FileNotFoundError)
    if machine or type(error).__name__ in ("OutOfMemoryError", "AcceleratorError"):
        raise error
    if isinstance(error, FileError):
        return str(error), error.file
    text = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
    return text or type(error).__name__, thing.files[0]


def require_graphs(persons: Sequence[Person], settings: Settings) -> None:
    """Make sure that BlazePose can run, where somebody's joints must be found.

    Raises:
        RuntimeError: it cannot; says what mends it.
    """
    from ..preprocessing.people.blazepose import find_graphs

    wanted = [person for person in persons if person.keypoints is None]
    try:
        if wanted:
            find_graphs([Path(folder) for folder in settings.pose])
    except (ImportError, FileNotFoundError) as error:
        raise RuntimeError(
            f"{len(wanted)} people have no 'keypoints' (the first: {wanted[0].where}), and {error}"
        ) from error
