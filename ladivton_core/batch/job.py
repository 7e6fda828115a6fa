"""A run that has been read and planned and not begun: what is there already, and what is missing.

`catalogue.py` carries it out.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any

from ..models import OtherSettingsError, list_versions
from .engine import Engine, Work
from .index import Index, discard
from .items import Manifest, Options, Settings
from .plan import batches_of, counts, remaining
from .results import Results, mark_of
from .store import Store

NOTE = "settings.json"


@dataclass
class Report:
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
        report: what is there already.
        again: errors of earlier runs that are not tried again.
        facts: of the engine.
    """

    manifest: Manifest
    store: Store
    index: Index
    work: Work
    report: Report
    again: int
    facts: dict[str, Any]


def planned(
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
    defaults = {name: facts.get(name) for name in ("steps", "guidance_scale")}
    settings = dataclasses.replace(settings, options=_options(settings.options, defaults))
    facts |= dataclasses.asdict(settings.options) | {"seed": settings.seed}
    items = tuple(
        dataclasses.replace(item, mark=mark_of(item, manifest, facts, settings)) for item in manifest.items
    )  # fmt: skip
    manifest = dataclasses.replace(manifest, items=items)
    if claim:
        _claim(store, facts, force)
    index = Index(store, facts, settings)
    results, report = Results(store), Report(place=store.root)
    done, again = set(), 0
    for item in items:
        row = index.rows.get(item.id)
        if row is not None and row["mark"] == item.mark:
            if row["error"] is None and store.size(item.file) == row["bytes"] and row["file"] == item.file:
                report.kept += 1
                done.add(item.id)
                continue
            if row["error"] is not None and not retry_errors:
                report.errors[item.id] = row["error"]
                again += 1
                done.add(item.id)
                continue
        # a killed run's last pictures have no rows yet: they tell what they are
        if store.size(item.file) is not None and (found := results.there(item)) is not None:
            if claim:
                index.add(item, found)
            report.kept += 1
            done.add(item.id)
    size = 1 if settings.exact else max(1, settings.batch)
    batches = remaining(batches_of(items, size), done)
    return Job(manifest, store, index, Work(manifest, batches, settings, results), report, again, facts)


def plan_in_words(job: Job) -> list[str]:
    """What is to be done, in lines."""
    told = counts(job.manifest, job.work.batches)
    return [
        f"{told['items in all']} pictures wanted: {job.report.kept} there, {job.again} errors of earlier runs, "
        f"{told['pictures']} to make in {told['batches']} batches",
        f"{told['people']} people ({told['encodings of people']} encodings, one a category) and {told['garments']} "
        "garments are prepared and encoded once each",
    ]


def _options(given: Options, defaults: dict[str, Any]) -> Options:
    told = dataclasses.asdict(given)
    return Options(**{name: defaults.get(name) if value is None else value for name, value in told.items()})


def _claim(store: Store, facts: dict[str, Any], force: bool) -> None:
    """Make sure that a folder holds pictures of these facts only, and note them."""
    try:
        note = json.loads(store.read(NOTE))["settings"]
        before: dict[str, Any] | None = dict(note)
    except FileNotFoundError:
        before = None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise OtherSettingsError(f"{store.root}/{NOTE} is no note of a run ({error}); choose another folder") from error
    differences = [
        f"{name} was {before.get(name, 'not noted')}, is {facts.get(name, 'not given')}"
        for name in dict.fromkeys([*(before or {}), *facts])
        if before is not None and before.get(name) != facts.get(name)
    ]
    if differences and not force:
        raise OtherSettingsError(
            f"{store.root} holds pictures made otherwise: {'; '.join(differences)}. Use these settings, choose another "
            "folder, or discard those pictures with --force"
        )
    if differences:
        discard(store)
    if before is None or differences:
        store.write(NOTE, (json.dumps({"settings": facts, "versions": list_versions()}, indent=1) + "\n").encode())
