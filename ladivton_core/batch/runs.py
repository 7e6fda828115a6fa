"""The one path of every run: manifest, what is there already, plan, engine, index, page.

    from ladivton_core.batch import run

    report = run("out", persons="persons.csv", garments="garments.csv", engine="ray", workers=2)

Nothing is lost and nothing made twice: what counts as done is a picture that is there, whole, and says that it was made
of this item, these models and these options.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from ..disk.addresses import is_address
from ..disk.store import Store, open_store
from ..models import NOTE, OtherSettingsError, describe_differences, list_versions
from ..presets import PRESETS
from .delivery import Delivery, mark_item, resolve_options
from .encodings import way_of
from .engines import make_engine
from .engines.base import Engine, Needs, Spent, Work, group_items, leave_out
from .index import INPUTS, Index, discard, find_exchanged
from .items import Manifest, Options, Request, Settings
from .manifest import read_manifest
from .report import write_page

log = logging.getLogger(__name__)

SECONDS, ENCODINGS = "seconds.json", "encodings"
EVERY = 30.0
"""Seconds between lines on how far a run is, where there is no terminal."""


@dataclass
class RunReport:
    """What a run did.

    Attributes:
        made: pictures made now.
        kept: pictures that were there already, of the same.
        errors: why items have no picture, by id; also those that an earlier run found and this one did not retry.
        seconds: the run took.
        spent: work by stage: how many, and seconds of one worker in all.
        place: the run's folder.
    """

    made: int = 0
    kept: int = 0
    errors: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    spent: dict[str, tuple[int, float]] = field(default_factory=dict)
    place: str = ""


@dataclass
class Job:
    """A run that has been read and planned, and not begun.

    Attributes:
        manifest: with every item's mark.
        store, index: of the folder.
        work: for the engine: what is missing.
        report: what is there already, and errors of earlier runs that are not tried again.
        facts: of the engine.
    """

    manifest: Manifest
    store: Store
    index: Index
    work: Work
    report: RunReport
    facts: dict[str, Any]

    def count(self) -> dict[str, int]:
        """How much of what there is to do."""
        people = self.manifest.persons
        needs = Needs.of(self.work.batches, lambda item: way_of(people[item.person], item.category, self.facts))
        return {
            "people": len({person for person, _ in needs.persons}),
            "encodings of people": len(needs.persons),
            "garments": len(needs.garments),
            "pictures": len(self.work.items),
        }

    def describe(self) -> list[str]:
        """What is to be done, in lines."""
        told = self.count()
        return [
            f"{len(self.manifest.items)} pictures wanted: {self.report.kept} there, {len(self.report.errors)} errors "
            f"of earlier runs, {told['pictures']} to make in {len(self.work.batches)} batches",
            f"{told['people']} people ({told['encodings of people']} encodings, one a category) and "
            f"{told['garments']} garments are prepared and encoded once each",
        ]


class FolderNote(BaseModel):
    """`settings.json` of a run's folder: what its pictures were made with."""

    settings: dict[str, Any]
    versions: dict[str, str] = {}


def run(
    out: str | Path,
    *,
    engine: str | Engine = "local",
    settings: Settings | None = None,
    retry_errors: bool = False,
    force: bool = False,
    page: bool = True,
    progress: bool = True,
    encodings: str | Path | None = None,
    **wanted: Any,
) -> RunReport:
    """Dress a catalogue.

    Args:
        out: folder of the pictures, a path or an address; a run that was stopped goes on there.
        engine: `local`, `ray`, `comfyui`, or one that was made already (and is then not closed).
        settings: models, seed, steps; see `Settings`.
        retry_errors: try items again that an earlier run could not make.
        force: discard what other models or settings left in `out`.
        page: write `index.html`.
        progress: show how far it is.
        encodings: folder for encodings; `<out>/encodings` when None, or a temporary one where `out` is an address.
        wanted: `persons`, `garments`, `pairs`, `rule`, `sample`, `category`, `template`, `look` of `Request`, and sizes
            of the engine; see `LocalEngine`, `RaySizes`, `ServerOptions`.

    Returns:
        `RunReport`. An item that cannot be made is in its errors and in the index.

    Raises:
        ManifestError: every problem of the manifest.
        OtherSettingsError: `out` holds pictures of other models or settings.
        OSError: no room is left, or `out` cannot be written. The same call goes on from there.
        RuntimeError: another run works in `out`; or the engine cannot.
        ImportError: a package is missing; says how to install it.
    """
    settings = settings or Settings()
    fields = [field.name for field in dataclasses.fields(Request)]
    named = {name: value for name, value in wanted.items() if name in fields and value is not None}
    sizes = {name: value for name, value in wanted.items() if name not in fields}
    manifest, store = read_manifest(Request(**{"seed": settings.seed} | named)), open_store(out)
    with store.hold(), _encodings_folder(store, encodings) as folder:
        working = engine
        if isinstance(engine, str):
            encodes = engine in ("local", "ray")
            working = make_engine(engine, **({"folder": folder} if encodes else {}), **sizes)
        try:
            job = plan_run(manifest, store, working, settings, retry_errors=retry_errors, force=force)
            report = run_job(job, working, progress=progress)
            if page:
                write_page(job.store, job.manifest, job.index)
        finally:
            if isinstance(engine, str):
                working.close()
    return report


def plan_run(
    manifest: Manifest, store: Store, engine: Engine, settings: Settings, *, retry_errors: bool = False,
    force: bool = False, claim: bool = True,
) -> Job:  # fmt: skip
    """What is there and what is to be made; the engine is ready, nothing is begun.

    Args:
        claim: note the settings in the folder; False leaves it untouched.

    Raises:
        OtherSettingsError: see `run`.
    """
    facts = json.loads(json.dumps(engine.prepare(settings)))
    given = dataclasses.asdict(settings.options)
    options = Options(**{name: facts.get(name) if value is None else value for name, value in given.items()})
    settings = dataclasses.replace(settings, options=options)
    facts |= dataclasses.asdict(options) | {"seed": settings.seed}
    if claim:
        _claim(store, facts, force)
    things = [manifest.persons[item.person] for item in manifest.items]
    things += [manifest.garments[item.garment] for item in manifest.items]
    results = {item.id: engine.result_of(item) for item in manifest.items} if hasattr(engine, "result_of") else {}
    files = [file for thing in things for file in thing.files] + [file for file in results.values() if file]
    exchanged = find_exchanged(store, files, note=claim)
    items = tuple(
        dataclasses.replace(
            item, mark=mark_item(item, manifest, facts, settings, exchanged, results.get(item.id, ""))
        )
        for item in manifest.items
    )  # fmt: skip
    manifest = dataclasses.replace(manifest, items=items)
    photos = {
        key: one.photo for key, one in manifest.persons.items() if one.parse_map is None and not is_address(one.photo)
    }
    index, delivery = Index(store, facts), Delivery(store, photos)
    report, done = RunReport(place=str(store)), set()
    for item in items:
        row = index.rows.get(item.id)
        if row is not None and row["mark"] == item.mark:
            if row["error"] is None and store.size(item.file) == row["bytes"] and row["file"] == item.file:
                report.kept += 1
                done.add(item.id)
                continue
            if row["error"] is not None and not retry_errors:
                report.errors[item.id] = row["error"]
                done.add(item.id)
                continue
        # a killed run's last pictures have no rows yet: they tell what they are
        if store.size(item.file) is not None and (found := delivery.there(item)) is not None:
            if claim:
                index.add(item, resolve_options(item, settings), found)
            report.kept += 1
            done.add(item.id)
    batches = leave_out(group_items(items, 1 if settings.exact else max(1, settings.batch)), done)
    people = {item.person for batch in batches for item in batch.items}
    photographs = sum(manifest.persons[name].parse_map is None for name in people)
    own = "preset" in facts  # whose models a run's settings say; else a workflow loads them
    if photographs and (PRESETS[facts["preset"]].drawn_only if own else getattr(engine, "drawn_only", False)):
        log.warning(
            "The embedded models know drawn people only; skin and folds they draw on photographs (%d people) look "
            "drawn. %s (docs/models.md).",
            photographs,
            "--models and --weights take the published ones" if own
            else "Others are chosen in the workflow's 'Load Try-On Models', which --workflow names",
        )  # fmt: skip
    return Job(manifest, store, index, Work(manifest, batches, settings, delivery), report, facts)


def run_job(job: Job, engine: Engine, *, progress: bool = True) -> RunReport:
    """Make what is missing.

    Raises:
        OSError: no room is left.
    """
    report, by_id = job.report, {item.id: item for item in job.work.items}
    shown = _Progress(len(by_id), progress)
    try:
        for outcome in engine.run(job.work):
            if outcome.stop:
                raise OSError(outcome.error)
            item = by_id.pop(outcome.item, None)
            if item is None:  # never twice: an engine that retried something it had already told
                continue
            job.index.add(item, resolve_options(item, job.work.settings), outcome)
            if outcome.error is not None:
                report.errors[item.id] = outcome.error
                log.error("%s is left out: %s", item.id, outcome.error)
            else:
                report.made += 1
            shown.add(outcome.error is not None)
        if by_id:
            raise RuntimeError(
                f"the engine {engine.name} told nothing about {len(by_id)} items, e.g. {next(iter(by_id))!r}; give the "
                "same command again"
            )
    finally:
        shown.bar.close()
        report.seconds, report.spent = time.monotonic() - shown.start, dict(engine.spent.stages)
        with contextlib.suppress(OSError):  # a full disk has been told already
            job.index.finish()
            if engine.spent.stages:
                job.store.write(SECONDS, (json.dumps(engine.spent.stages) + "\n").encode())
    return report


def read_spent(store: Store) -> Spent | None:
    """Seconds by stage that earlier runs in a folder noted; None where there are none."""
    spent = Spent()
    try:
        for stage, (count, seconds) in json.loads(store.read(SECONDS)).items():
            spent.add(str(stage), float(seconds), int(count))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return spent


def summarise(report: RunReport) -> list[str]:
    """What a run did, in lines."""
    lines = [f"{report.made} made, {report.kept} there already, {len(report.errors)} errors, in {report.place}"]
    if report.made:
        each = report.made / max(report.seconds, 1e-9)
        lines.append(f"{say_seconds(report.seconds)} in all, {each:.2f} pictures a second")
    for stage, (count, seconds) in report.spent.items():
        lines.append(f"  {stage}: {count}, {say_seconds(seconds / max(count, 1))} each")
    return lines


def say_seconds(seconds: float) -> str:
    """A duration for people: 40 s, 12 min, 3.5 h, 12 days."""
    if seconds < 90:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 48 * 3600 else f"{seconds / 86400:.1f} days"


class _Progress:
    """How far a run is: a bar at a terminal, a line now and then in a log."""

    def __init__(self, total: int, show: bool) -> None:
        from tqdm import tqdm

        self.total, self.done, self.errors = total, 0, 0
        self.start = self.said = time.monotonic()
        terminal = show and total > 0 and sys.stderr.isatty()
        self.bar = tqdm(total=total, unit="picture", smoothing=0.05, disable=not terminal)
        self.lines = show and not terminal

    def add(self, failed: bool) -> None:
        """One more outcome."""
        self.done += 1
        self.errors += failed
        self.bar.update(1)
        if self.errors:
            self.bar.set_postfix(errors=self.errors, refresh=False)
        now = time.monotonic()
        if self.lines and now - self.said > EVERY:
            self.said, seconds = now, now - self.start
            left = say_seconds((self.total - self.done) * seconds / self.done)
            errors = f", {self.errors} errors" if self.errors else ""
            rate = self.done / seconds
            log.info("%d of %d pictures, %.2f a second, %s left%s", self.done, self.total, rate, left, errors)


def _claim(store: Store, facts: dict[str, Any], force: bool) -> None:
    """Make sure that a folder holds pictures of these facts only, and note them."""
    try:
        before: dict[str, Any] | None = FolderNote.model_validate_json(store.read(NOTE)).settings
    except FileNotFoundError:
        before = None
    except (OSError, ValidationError) as error:
        raise OtherSettingsError(f"{store}/{NOTE} is no note of a run ({error}); choose another folder") from error
    differences = [] if before is None else describe_differences(before, facts)
    if differences and not force:
        raise OtherSettingsError(
            f"{store} holds pictures made otherwise: {'; '.join(differences)}. Use these settings, choose another "
            "folder, or discard those pictures with --force"
        )
    if differences:
        discard(store)
        store.delete(INPUTS)
    if before is None or differences:
        note = FolderNote(settings=facts, versions=list_versions())
        store.write(NOTE, (json.dumps(note.model_dump(), indent=1) + "\n").encode())


@contextlib.contextmanager
def _encodings_folder(store: Store, given: str | Path | None) -> Iterator[Path]:
    """The folder of encodings; it goes when all went well, and stays for the next start when not."""
    if given is None and is_address(store.root):
        with tempfile.TemporaryDirectory(prefix="ladivton-") as folder:
            yield Path(folder)
        return
    folder = Path(given) if given is not None else Path(store.root) / ENCODINGS
    yield folder
    if given is None:
        shutil.rmtree(folder, ignore_errors=True)
