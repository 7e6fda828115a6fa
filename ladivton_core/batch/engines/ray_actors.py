"""The classes Ray Data runs: preparation, encoding and sampling of a catalogue, and one for a pipeline of one's own.

Plain classes that take and give rows (dictionaries) and import no Ray, so they also run without it:

    import ray
    from ladivton_core.batch import DressRows, Settings

    rows = ray.data.read_parquet("pairs.parquet")  # person, garment, category, ...: the columns of a list of pairs
    pool = ray.data.ActorPoolStrategy(size=2)
    dressed = rows.map(DressRows, fn_constructor_kwargs={"settings": Settings()}, compute=pool, num_cpus=0.5)
    dressed.write_parquet("dressed")

`ray.py` puts the others together. The rows between them hold one thing, `item`, which Ray carries as it carries any
object between processes of one run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..delivery import Delivery, LastPicture
from ..encodings import Encodings
from ..items import Garment, Manifest, Outcome, Person, Settings
from ..preparation import PreparedGarment, PreparedPerson, finder_in
from ..worker import Dresser, Faults, Maker, explain, prepare
from .base import Batch, Spent

RayRow = dict[str, Any]


@dataclass
class EncodingTask:
    """A person or garment on its way through preparation and encoding.

    Attributes:
        key: of its encoding.
        way: it is prepared and encoded in, see `key_of`.
        prepared: its inputs to the models; None before they are made and after they were used.
        fault: what is wrong with it, as in `worker.Faults`.
        spent: what it took so far.
    """

    key: str
    thing: Person | Garment
    way: str
    prepared: PreparedPerson | PreparedGarment | None = None
    fault: tuple[str, str | None] | None = None
    spent: Spent = field(default_factory=Spent)


@dataclass
class SamplingTask:
    """A batch on its way to a sampler, and what came of it.

    Attributes:
        batch: what to make.
        manifest: its people and garments alone.
        faults: of those of them that cannot be had.
    """

    batch: Batch
    manifest: Manifest
    faults: Faults
    outcomes: Sequence[Outcome] = ()
    spent: Spent = field(default_factory=Spent)


class PreparePeopleAndGarments:
    """Reads files on the CPU: an `EncodingTask` in, and the same prepared, or with its fault, out.

    Args:
        settings: of the run.
        size: (height, width) people are dressed at.
    """

    def __init__(self, settings: Settings, size: tuple[int, int]) -> None:
        torch.set_num_threads(settings.threads or 1)
        self.size, self.finder = size, finder_in(settings.pose, settings.threads or 1)

    def __call__(self, row: RayRow) -> RayRow:
        """Prepare one person or garment."""
        task: EncodingTask = row["item"]
        try:
            with task.spent.clock(f"prepare {task.thing.kind}"):
                task.prepared = prepare(task.thing, task.way, self.size, self.finder)
        except Exception as error:
            task.fault = explain(error, task.thing)
        return {"item": task}


class EncodePeopleAndGarments:
    """Runs the models that do not depend on the other: a prepared `EncodingTask` in, and the same without inputs out.

    The encoding goes into the folder of encodings, where every sampler of the machine maps it.

    Args:
        settings: of the run.
        facts: of the engine; this process must have the same.
        folder: of the encodings.
        disk: most bytes of them.
    """

    def __init__(self, settings: Settings, facts: dict[str, Any], folder: str, disk: int) -> None:
        self.dresser = load_same(settings, facts)
        self.encodings = Encodings(Path(folder), memory=0, disk=disk, through=True)

    def __call__(self, row: RayRow) -> RayRow:
        """Encode one person or garment."""
        task: EncodingTask = row["item"]
        prepared, task.prepared = task.prepared, None
        if prepared is not None and not self.encodings.there(task.key):
            try:
                with task.spent.clock(f"encode {task.thing.kind}"):
                    encoded = self.dresser.encode(prepared, task.thing)
                self.encodings.put(task.key, encoded)
            except OSError:
                raise
            except Exception as error:
                task.fault = explain(error, task.thing)
        return {"item": task}


class SampleBatches:
    """Makes pictures: a `SamplingTask` in, and the same with its outcomes out.

    An encoding that is not in the folder (a machine that does not share it, or it was given up) is made here.

    Args:
        settings, facts, folder, disk: as in `EncodePeopleAndGarments`.
        delivery: takes the pictures.
        memory: most bytes of encodings in this process.
    """

    def __init__(
        self, settings: Settings, facts: dict[str, Any], folder: str, disk: int, delivery: Delivery, memory: int
    ) -> None:
        self.delivery = delivery
        encodings = Encodings(Path(folder), memory, disk, through=True)
        self.maker = Maker(load_same(settings, facts), encodings, Spent(), {})

    def __call__(self, row: RayRow) -> RayRow:
        """Make one batch."""
        task: SamplingTask = row["item"]
        self.maker.spent, self.maker.faults = task.spent, dict(task.faults)
        task.outcomes = [*self.maker.make(task.batch, task.manifest, self.delivery, look=True)]
        return {"item": dataclasses.replace(task, manifest=Manifest({}, {}, ()))}


def load_same(settings: Settings, facts: dict[str, Any]) -> Dresser:
    """Models in this process, the same as the driver's.

    Raises:
        RuntimeError: this machine has other ones.
    """
    dresser = Dresser(settings, worker=f"{socket.gethostname()} {os.getpid()}")
    here = json.loads(json.dumps(dresser.facts))
    if differences := [
        f"{name} is {here[name]} here, {facts.get(name)} there" for name in here if here[name] != facts.get(name)
    ]:
        raise RuntimeError(f"{socket.gethostname()} has other models than the machine that started the run: "
                           + "; ".join(differences))  # fmt: skip
    return dresser


def narrow(manifest: Manifest, batch: Batch) -> Manifest:
    """The people and garments of one batch."""
    persons = {item.person: manifest.persons[item.person] for item in batch.items}
    garments = {item.garment: manifest.garments[item.garment] for item in batch.items}
    return Manifest(persons, garments, ())


class DressRows:
    """For a Ray Data pipeline, or any loop, of one's own: a row in, the same row with its picture out.

    Columns in: `person` and `garment` (paths or addresses), `category`, and what else a list of pairs may hold
    (`person_keypoints`, `person_parse_map`, `garment_mask`, `prompt`, `seed`, `steps`, `guidance_scale`, ...). Columns
    out, beside them: `picture` (H, W, 3) uint8 (empty with an error), `error` and `error_file` (empty when all went
    well), `check`. People and garments that come again are encoded once in each actor while `memory` has room: sort the
    rows by person.

    Args:
        settings: models and how they run.
        memory: most gigabytes of encodings.
    """

    def __init__(self, settings: Settings | None = None, memory: float = 2.0) -> None:
        self.delivery, self.spent = LastPicture(), Spent()
        dresser = Dresser(settings or Settings(threads=1))
        self.maker = Maker(dresser, Encodings(None, int(memory * 1e9), 0), self.spent, {})

    def __call__(self, row: RayRow) -> RayRow:
        """Dress one person.

        Raises:
            ManifestError: a column is missing or holds what it cannot.
        """
        import numpy as np

        from ..manifest import read_rows

        manifest = read_rows([row])
        (item,) = manifest.items
        (outcome,) = self.maker.make(Batch((item,), frozenset({item.id})), manifest, self.delivery)
        pixels = self.delivery.pixels if outcome.error is None else np.zeros((0, 0, 3), np.uint8)
        return row | {
            "picture": pixels, "error": outcome.error or "", "error_file": outcome.error_file or "",
            "check": float("nan") if outcome.check is None else outcome.check,
        }  # fmt: skip
