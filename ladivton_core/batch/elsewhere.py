"""A catalogue whose pictures another pipeline makes: its inputs prepared, its results brought home.

    python -m ladivton_core.batch --persons ... --garments ... --out INPUTS --prepare
    (whatever it is reads INPUTS/pairs.csv, and writes a picture for each line under the name in `result`)
    python -m ladivton_core.batch --persons ... --garments ... --out OUT --stitch RESULTS

Both go on where they were stopped. Results have any size of the framed person's proportions. docs/catalogue.md.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..disk.pictures import endings
from ..disk.store import Store, open_store
from ..preprocessing.masks.parts import face_and_hands
from ..preprocessing.pictures import over_white, read_picture
from ..preprocessing.pose.keypoints import keypoints_from_people
from ..preprocessing.pose.pose_map import skeleton
from ..presets import PRESETS
from .delivery import KEY, encode_picture
from .engines.base import Spent, Work
from .items import ElsewhereOptions, Garment, Item, Outcome, Person, Request, Settings
from .manifest import Template, read_manifest
from .preparation import FileError, PreparedPerson, finder_in, into_photo, prepare_garment, prepare_person
from .runs import RunReport
from .worker import explain, require_graphs

log = logging.getLogger(__name__)

PAIRS = "pairs.csv"
COLUMNS = ("id", "person", "mask", "pose", "keypoints", "garment", "reference", "category", "seed", "prompt", "result")
"""Of `PAIRS`; files are named from its own folder, `reference` as in the table of garments."""
_PERSON, _GARMENT = Template("people/{category}/{person}/person.png"), Template("garments/{garment}.png")
_PARTS = ("mask.png", "pose.png", "keypoints.json")
"""Beside a person's picture, which is written last."""


def write_inputs(out: str | Path, *, settings: Settings | None = None, **wanted: Any) -> RunReport:
    """Prepare everything a catalogue needs, once each, for another pipeline.

    Written are the framed person, the mask (white is repainted), the pose as a picture and as OpenPose's JSON for each
    person and category, each garment on white, and `pairs.csv` with a line a picture that is wanted.

    Args:
        out: folder, a path or an address; what is there and was made of the same files stays.
        settings: `size` ((512, 384) where it says none) and where BlazePose is.
        wanted: `persons`, `garments`, `pairs`, ... of `Request`.

    Returns:
        What was written and kept, of people and garments; and why something could not be: its pairs are left out.

    Raises:
        ManifestError: every problem of the manifest.
        RuntimeError: somebody must be found in a photo and BlazePose is missing, or another run works in the folder.
        OSError: it cannot be written.
    """
    settings, start = settings or Settings(), time.monotonic()
    manifest = read_manifest(Request(**{"seed": settings.seed} | {k: v for k, v in wanted.items() if v is not None}))
    store, size = open_store(out), _size_of(settings)
    people = {(item.person, item.category): manifest.persons[item.person] for item in manifest.items}
    clothes = {item.garment: manifest.garments[item.garment] for item in manifest.items}
    require_graphs([*people.values()], settings)
    report, finder = RunReport(place=str(store)), finder_in(settings.pose, settings.threads or 2)

    def once(name: str, thing: Person | Garment, category: str, place: str, write: Callable[[str], None]) -> None:
        """What cannot be prepared is told and noted, and the others go on."""
        try:
            if _is_there(store, place, mark := _mark(thing, category, size)):
                report.kept += 1
                return
            write(mark)
            report.made += 1
        except Exception as error:  # whatever a damaged file leads to
            report.errors[name] = explain(error, thing)[0]
            log.error("%s is left out: %s", name, report.errors[name])

    def write_person(person: Person, category: str, place: str, mark: str) -> None:
        _write_person(store, place, prepare_person(person, category, size, finder), size, mark)

    def write_garment(garment: Garment, place: str, mark: str) -> None:
        store.write(place, encode_picture(_pixels(prepare_garment(garment, size).garment / 2 + 0.5), place, mark))

    with store.hold():
        for (name, category), person in people.items():
            place = _PERSON.name(category=category, person=name)
            once(f"{category}/{name}", person, category, place, partial(write_person, person, category, place))
        for name, garment in clothes.items():
            place = _GARMENT.name(garment=name)
            once(name, garment, garment.category, place, partial(write_garment, garment, place))
        lines = io.StringIO()
        table = csv.DictWriter(lines, COLUMNS, lineterminator="\n")
        table.writeheader()
        table.writerows(
            _line(item, clothes[item.garment]) for item in manifest.items
            if not {f"{item.category}/{item.person}", item.garment} & report.errors.keys()
        )  # fmt: skip
        store.write(PAIRS, lines.getvalue().encode("utf-8", "backslashreplace"))
    report.seconds = time.monotonic() - start
    return report


class ElsewhereEngine:
    """Results that another pipeline made, back in their photos; an `engines.base.Engine`.

    People with a parse map are whole pictures, as in the paper: their results are taken as they are.

    Args:
        asked: of `ElsewhereOptions`.

    Raises:
        ValueError: the folder is not there.
    """

    name = "elsewhere"
    workers = 1

    def __init__(self, **asked: Any) -> None:
        self.asked, self.spent = ElsewhereOptions(**asked), Spent()
        self.folder = Path(self.asked.stitch).expanduser()
        if not self.asked.stitch or not self.folder.is_dir():
            raise ValueError(f"--stitch {self.asked.stitch}: there is no such folder of results")

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """See `Engine.prepare`.

        Raises:
            ImportError: `register` without OpenCV; says how to install it.
            ValueError: `detail`, which goes by these models' spline.
        """
        if settings.detail:
            raise ValueError(
                "--detail needs the spline that hung the garment, which --stitch does not know: leave it out"
            )
        from ..finishing.stitching import opencv

        if self.asked.register:
            opencv("--register", "leave it out")
        self.finder = finder_in(settings.pose, settings.threads or 2)
        how = {"register": self.asked.register, "only_changed": self.asked.only_changed}
        return {"engine": self.name, "size": list(_size_of(settings))} | how

    def result_of(self, item: Item) -> str:
        """The file of an item's result, whatever kind of picture it is; empty where there is none."""
        stem = self.folder / item.file.rpartition(".")[0]
        names = [self.folder / item.file, *(Path(f"{stem}{ending}") for ending in endings())]
        return next((str(name) for name in names if name.is_file()), "")

    def run(self, work: Work) -> Iterator[Outcome]:
        """See `Engine.run`.

        Raises:
            RuntimeError: somebody must be found in a photo and BlazePose is missing.
        """
        persons, size, last = work.manifest.persons, _size_of(work.settings), None
        require_graphs([persons[item.person] for item in work.items], work.settings)
        for item in work.items:
            start, person, worker = time.perf_counter(), persons[item.person], f"process {os.getpid()}"
            file = self.result_of(item)
            if not file:
                yield Outcome(item.id, error=f"{self.folder} has no {item.file}: nothing was made of it there yet")
                continue
            try:
                if last is None or last[0] != (item.person, item.category):
                    with self.spent.clock("prepare person"):
                        last = (item.person, item.category), prepare_person(person, item.category, size, self.finder)
                pixels = self._home(file, last[1], item)
            except Exception as error:  # whatever a damaged file leads to: this item fails, the others go on
                text, blamed = explain(error, person)
                yield Outcome(item.id, error=text, error_file=blamed, worker=worker)
                continue
            seconds = time.perf_counter() - start
            self.spent.add("sample", seconds)
            cost = min(1.0, sum(finding.cost for finding in last[1].findings))
            yield work.delivery.picture(item, pixels, seconds=seconds, check=1 - cost, worker=worker)

    def _home(self, file: str, person: PreparedPerson, item: Item) -> np.ndarray:
        try:
            colours, opaque = read_picture(Path(file))
        except (OSError, ValueError) as error:
            raise FileError(f"{file}: {error}", file) from error
        import torch

        result = over_white(torch.cat([colours, opaque]))
        if person.fit is not None:
            how: dict[str, Any] = {"register": self.asked.register, "only_changed": self.asked.only_changed}
            if self.asked.register:
                size = (person.framed.mask.shape[-2], person.framed.mask.shape[-1])
                how["person"] = face_and_hands(person.keypoints, size)[0]
            try:
                result = into_photo(
                    result,
                    person.fit,
                    person.photo,
                    person.framed.mask,
                    say=lambda text: log.info("%s: %s", item.id, text),
                    **how,
                )
            except ValueError as error:
                raise FileError(f"{file}: {error}", file) from error
        return _pixels(result[None])

    def close(self) -> None:
        """See `Engine.close`."""


def _size_of(settings: Settings) -> tuple[int, int]:
    return tuple(settings.size or PRESETS[settings.preset or "tiny"].size)


def _mark(thing: Person | Garment, category: str, size: tuple[int, int]) -> str:
    """What a prepared picture depends on: its files by size and time."""
    told = dataclasses.asdict(thing) | {"where": "", "category": category, "size": size}
    stats = [os.stat(file) for file in thing.files if os.path.exists(file)]
    seen = [told, [(stat.st_size, stat.st_mtime_ns) for stat in stats]]
    return hashlib.sha256(json.dumps(seen, sort_keys=True).encode()).hexdigest()[:16]


def _is_there(store: Store, place: str, mark: str) -> bool:
    from PIL import Image

    try:
        with Image.open(io.BytesIO(store.read(place)), formats=["PNG"]) as picture:
            return picture.info.get(KEY) == mark
    except Exception:  # not there, not whole: it is made again
        return False


def _write_person(store: Store, place: str, made: PreparedPerson, size: tuple[int, int], mark: str) -> None:
    joints = keypoints_from_people(made.keypoints, size)[0]
    parts = {
        "mask.png": encode_picture(_pixels(made.framed.mask)[..., 0], "mask.png"),
        "pose.png": encode_picture(np.asarray(skeleton(joints, size)), "pose.png"),
        "keypoints.json": json.dumps(made.keypoints[0]).encode(),
    }
    for name in _PARTS:
        store.write(place.replace("person.png", name), parts[name])
    store.write(place, encode_picture(_pixels(made.framed.person / 2 + 0.5), place, mark))


def _line(item: Item, garment: Garment) -> dict[str, Any]:
    person = _PERSON.name(category=item.category, person=item.person)
    mask, pose, keypoints = (f"{person.removesuffix('person.png')}{name}" for name in _PARTS)
    values = (
        item.id, person, mask, pose, keypoints, _GARMENT.name(garment=item.garment), garment.reference or "",
        item.category, item.seed, garment.prompt or "", item.file,
    )  # fmt: skip
    return dict(zip(COLUMNS, values, strict=True))


def _pixels(pictures: Tensor) -> np.ndarray:
    """One picture (1, C, H, W) in [0, 1] as (H, W, C) uint8."""
    return (pictures[0].clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()
