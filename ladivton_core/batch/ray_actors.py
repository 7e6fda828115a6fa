"""The classes Ray Data runs: preparation, encoding and sampling of a catalogue, and one for a pipeline of one's own.

Plain classes that take and give rows (dictionaries) and import no Ray, so they also run without it:

    import ray
    from ladivton_core.batch import Settings
    from ladivton_core.batch.ray_actors import DressRows

    rows = ray.data.read_parquet("pairs.parquet")  # person, garment, category, ...: the columns of a list of pairs
    pool = ray.data.ActorPoolStrategy(size=2)
    dressed = rows.map(DressRows, fn_constructor_kwargs={"settings": Settings()}, compute=pool, num_cpus=0.5)
    dressed.write_parquet("dressed")

`ray_engine.py` puts the others together. What goes between them is pickled by Ray or here, and only ever between
processes of one run.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from .dressing import Clock, Dresser, facts_of, needs_the_machine, prepare, why
from .encodings import Encodings
from .engine import Batch, Delivery, Spent
from .items import Garment, Item, Manifest, Outcome, Person, Settings
from .maker import Maker
from .preparation import finder_in


class PreparePeopleAndGarments:
    """Reads files on the CPU: rows `key`, `thing`, `category` in, and `prepared` or `fault` beside them out.

    Args:
        settings: of the run.
        size: (height, width) people are dressed at.
    """

    def __init__(self, settings: Settings, size: tuple[int, int]) -> None:
        torch.set_num_threads(settings.threads or 1)
        self.size, self.finder = size, finder_in(settings.pose, settings.threads or 1)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Prepare one person or garment."""
        spent, thing = Spent(), pickle.loads(row["thing"])
        result, fault = b"", ""
        try:
            with Clock(spent.add, f"prepare {_kind(thing)}"):
                result = pickle.dumps(prepare(thing, row["category"], self.size, self.finder))
        except Exception as error:
            if needs_the_machine(error):
                raise
            fault = json.dumps(why(error, thing))
        return row | {"prepared": result, "fault": fault, "spent": json.dumps(spent.stages)}


class EncodePeopleAndGarments:
    """Runs the models that do not depend on the other: prepared rows in, `key`, `fault`, `spent` out.

    The encoding goes into the folder of encodings, where every sampler of the machine maps it.

    Args:
        settings: of the run.
        facts: of the engine; this process must have the same.
        folder: of the encodings.
        disk: most bytes of them.
    """

    def __init__(self, settings: Settings, facts: dict[str, Any], folder: str, disk: int) -> None:
        self.dresser = _dresser(settings, facts)
        self.encodings = Encodings(Path(folder), memory=0, disk=disk, through=True)

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Encode one person or garment."""
        spent, fault, thing = Spent(), row["fault"], pickle.loads(row["thing"])
        for stage, (count, seconds) in json.loads(row["spent"]).items():
            spent.add(stage, seconds, count)
        if not fault and not self.encodings.there(row["key"]):
            try:
                with Clock(spent.add, f"encode {_kind(thing)}"):
                    encoded = self.dresser.encode(pickle.loads(row["prepared"]), thing)
                self.encodings.put(row["key"], encoded)
            except OSError:
                raise
            except Exception as error:
                if needs_the_machine(error):
                    raise
                fault = json.dumps(why(error, thing))
        return {"key": row["key"], "fault": fault, "spent": json.dumps(spent.stages)}


class SampleBatches:
    """Makes pictures: a row `work` (a batch with what it needs to know) in, a row `told` with its outcomes out.

    An encoding that is not in the folder (a machine that does not share it, or it was given up) is made here.

    Args:
        settings, facts, folder, disk: as in `EncodePeopleAndGarments`.
        delivery: takes the pictures.
        memory: most bytes of encodings in this process.
    """

    def __init__(
        self, settings: Settings, facts: dict[str, Any], folder: str, delivery: Delivery, memory: int, disk: int
    ) -> None:
        self.dresser, self.delivery = _dresser(settings, facts), delivery
        self.maker = Maker(self.dresser, Encodings(Path(folder), memory, disk, through=True), facts, self._note, {})
        self._spent = Spent()

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Make one batch."""
        work: BatchWork = pickle.loads(row["work"])
        self._spent, self.maker.faults = Spent(), dict(work.faults)
        outcomes = [*self.maker.outcomes(work.batch, work.manifest, self.delivery, look=True)]
        told = {"outcomes": [dataclasses.asdict(one) for one in outcomes], "spent": self._spent.stages}
        return {"told": json.dumps(told)}

    def _note(self, stage: str, seconds: float, count: int = 1) -> None:
        self._spent.add(stage, seconds, count)


@dataclasses.dataclass(frozen=True)
class BatchWork:
    """A batch on its way to a sampler.

    Attributes:
        batch: what to make.
        manifest: its people and garments alone.
        faults: of those of them that cannot be had.
    """

    batch: Batch
    manifest: Manifest
    faults: Mapping[str, tuple[str, str | None]]


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
        settings = settings or Settings(threads=1)
        self.dresser = Dresser(settings)
        facts = facts_of(self.dresser.pipeline, settings)
        self.delivery = _Caught()
        self.spent = Spent()
        encodings = Encodings(None, int(memory * 1e9), 0)
        self.maker = Maker(self.dresser, encodings, facts, self.spent.add, {})

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Dress one person.

        Raises:
            ManifestError: a column is missing or holds what it cannot.
        """
        import numpy as np

        from .manifest import read_rows

        manifest = read_rows([row])
        (item,) = manifest.items
        (outcome,) = self.maker.outcomes(Batch((item,), frozenset({item.id})), manifest, self.delivery)
        pixels = self.delivery.pixels if outcome.error is None else np.zeros((0, 0, 3), np.uint8)
        return row | {
            "picture": pixels, "error": outcome.error or "", "error_file": outcome.error_file or "",
            "check": float("nan") if outcome.check is None else outcome.check,
        }  # fmt: skip


class _Caught:
    """A delivery that keeps the last picture."""

    def there(self, item: Item) -> None:
        return None

    def picture(self, item: Item, pixels, *, seconds: float, check: float | None = None, worker: str = "") -> Outcome:
        self.pixels = pixels
        return Outcome(item.id, item.file, seconds=seconds, check=check, worker=worker)


def outcome_of(told: dict[str, Any]) -> Outcome:
    """An outcome from its JSON."""
    return Outcome(**told)


def part_of(manifest: Manifest, batch: Batch) -> Manifest:
    """The people and garments of one batch."""
    persons = {item.person: manifest.persons[item.person] for item in batch.items}
    garments = {item.garment: manifest.garments[item.garment] for item in batch.items}
    return Manifest(persons, garments, ())


def _dresser(settings: Settings, facts: dict[str, Any]) -> Dresser:
    """Models in this process, the same as the driver's.

    Raises:
        RuntimeError: this machine has other ones.
    """
    dresser = Dresser(settings, worker=f"{socket.gethostname()} {os.getpid()}")
    here = json.loads(json.dumps(facts_of(dresser.pipeline, settings)))
    differences = [
        f"{name} is {here[name]} here, {facts.get(name)} there" for name in here if here[name] != facts.get(name)
    ]
    if differences:
        raise RuntimeError(f"{socket.gethostname()} has other models than the machine that started the run: "
                           + "; ".join(differences))  # fmt: skip
    return dresser


def _kind(thing: Person | Garment) -> str:
    return "person" if isinstance(thing, Person) else "garment"
