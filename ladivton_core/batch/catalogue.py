"""The one path of every run: manifest, what is there already, plan, engine, index, page.

    from ladivton_core.batch import run

    report = run("out", persons="persons.csv", garments="garments.csv", engine="ray", workers=2)

Nothing is lost and nothing made twice: what counts as done is a picture that is there, whole, and says that it was made
of this item, these models and these options.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .engine import Engine, Spent, make_engine
from .items import Settings
from .job import Job, Report, plan_in_words, planned
from .manifest import Request, read_manifest
from .page import PAGE, write_page
from .progress import Progress, in_words
from .store import DiskStore, Store, open_store

log = logging.getLogger(__name__)

__all__ = ["PAGE", "Job", "Report", "carried_out", "measured", "plan_in_words", "planned", "run", "summary"]

SECONDS, ENCODINGS = "seconds.json", "encodings"


def run(
    out: str | Path,
    *,
    persons: str | Path | None = None,
    garments: str | Path | None = None,
    pairs: str | Path | None = None,
    engine: str | Engine = "local",
    settings: Settings | None = None,
    retry_errors: bool = False,
    force: bool = False,
    page: bool = True,
    progress: bool = True,
    encodings: str | Path | None = None,
    rule: str = "all",
    sample: int | None = None,
    category: str | None = None,
    template: str | None = None,
    look: bool = True,
    **sizes: Any,
) -> Report:
    """Dress a catalogue.

    Args:
        out: folder of the pictures, a path or an address; a run that was stopped goes on there.
        persons, garments, pairs, rule, sample, category, template, look: see `manifest.Request`.
        engine: `local`, `ray`, `comfyui`, or one that was made already (and is then not closed).
        settings: models, seed, steps; see `Settings`.
        retry_errors: try items again that an earlier run could not make.
        force: discard what other models or settings left in `out`.
        page: write `index.html`.
        progress: show how far it is.
        encodings: folder for encodings; `<out>/encodings` when None, or a temporary one where `out` is an address.
        sizes: of the engine; see `LocalEngine`, `RayEngine`, `ComfyEngine`.

    Returns:
        `Report`. An item that cannot be made is in its errors and in the index.

    Raises:
        ManifestError: every problem of the manifest.
        OtherSettingsError: `out` holds pictures of other models or settings.
        OSError: no room is left, or `out` cannot be written. The same call goes on from there.
        ImportError: a package is missing; says how to install it.
    """
    settings = settings or Settings()
    chosen = {} if template is None else {"template": template}
    request = Request(persons, garments, pairs, rule, sample, category, seed=settings.seed, look=look, **chosen)
    manifest, store = read_manifest(request), open_store(out)
    own = isinstance(engine, str)
    with _encodings_folder(store, encodings) as folder:
        if own:
            engine = make_engine(engine, **({"folder": folder} if engine != "comfyui" else {}), **sizes)
        try:
            job = planned(manifest, store, engine, settings, retry_errors=retry_errors, force=force)
            report = carried_out(job, engine, progress=progress)
            if page:
                write_page(job.store, job.manifest, job.index)
        finally:
            if own:
                engine.close()
    return report


def carried_out(job: Job, engine: Engine, *, progress: bool = True) -> Report:
    """Make what is missing.

    Raises:
        OSError: no room is left.
    """
    report, by_id = job.report, {item.id: item for item in job.work.items}
    bar = Progress(len(by_id), progress)
    try:
        for outcome in engine.run(job.work):
            if outcome.stop:
                raise OSError(outcome.error)
            item = by_id.pop(outcome.item, None)
            if item is None:  # never twice: an engine that retried something it had already told
                continue
            job.index.add(item, outcome)
            if outcome.error is not None:
                report.errors[item.id] = outcome.error
                log.error("%s is left out: %s", item.id, outcome.error)
            else:
                report.made += 1
            bar.add(outcome.error is not None)
        if by_id:
            raise RuntimeError(
                f"the engine {engine.name} told nothing about {len(by_id)} items, e.g. {next(iter(by_id))!r}; give the "
                "same command again"
            )
    finally:
        bar.close()
        report.seconds, report.spent = bar.seconds, dict(engine.spent.stages)
        with contextlib.suppress(OSError):  # a full disk has been told already
            job.index.finish()
            _note_seconds(job.store, engine.spent)
    return report


def measured(store: Store) -> Spent | None:
    """Seconds by stage that earlier runs in a folder noted; None where there are none."""
    spent = Spent()
    try:
        for stage, (count, seconds) in json.loads(store.read(SECONDS)).items():
            spent.add(str(stage), float(seconds), int(count))
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return spent


def summary(report: Report) -> list[str]:
    """What a run did, in lines."""
    lines = [f"{report.made} made, {report.kept} there already, {len(report.errors)} errors, in {report.place}"]
    if report.made:
        lines.append(
            f"{in_words(report.seconds)} in all, {report.made / max(report.seconds, 1e-9):.2f} pictures a second"
        )
    for stage, (count, seconds) in report.spent.items():
        lines.append(f"  {stage}: {count}, {in_words(seconds / max(count, 1))} each")
    return lines


def _note_seconds(store: Store, spent: Spent) -> None:
    if spent.stages:
        store.write(SECONDS, (json.dumps(spent.stages) + "\n").encode())


@contextlib.contextmanager
def _encodings_folder(store: Store, given: str | Path | None) -> Iterator[Path]:
    """The folder of encodings; it goes when all went well, and stays for the next start when not."""
    if given is None and not isinstance(store, DiskStore):
        with tempfile.TemporaryDirectory(prefix="ladivton-") as folder:
            yield Path(folder)
        return
    folder = Path(given) if given is not None else Path(store.root) / ENCODINGS
    yield folder
    if given is None:
        shutil.rmtree(folder, ignore_errors=True)
