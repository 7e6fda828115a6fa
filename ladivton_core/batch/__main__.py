"""A whole catalogue on the command line; see docs/catalogue.md.

  python -m ladivton_core.batch --persons persons.csv --garments garments.csv --out OUT
  python -m ladivton_core.batch --pairs pairs.jsonl --out OUT --engine ray --workers 2
  python -m ladivton_core.batch --persons ... --out OUT --dry-run
  python -m ladivton_core.batch --persons ... --out INPUTS --prepare
  python -m ladivton_core.batch --persons ... --out OUT --stitch RESULTS

The same command goes on where the last one was stopped. OUT/index.html shows what came out, errors first.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from typing import Any

from .. import start
from ..disk.store import open_store
from ..disk.terminal import add_options, read_options, to_terminal, unwinding_on_terminate
from ..presets import PRESETS
from ..runtime.process import prepare_process
from .delivery import LastPicture
from .engines import make_engine
from .engines.base import Batch, Engine, Spent, Work, count_bytes
from .items import ElsewhereOptions, EncodingLimits, RaySizes, Request, ServerOptions, Settings
from .manifest import read_manifest
from .report import PAGE
from .runs import Job, plan_run, read_spent, run, say_seconds, summarise

log = logging.getLogger(__name__)

ENGINES = {"local": EncodingLimits, "ray": RaySizes, "comfyui": ServerOptions, "elsewhere": ElsewhereOptions}
"""What each is made of."""

STAGES = {
    "prepare person": "encodings of people", "encode person": "encodings of people",
    "prepare garment": "garments", "encode garment": "garments", "sample": "pictures",
}  # fmt: skip
"""How often a stage runs, by the names in `Job.count`."""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = start.make_parser("batch", __doc__)
    add_options(
        parser.add_argument_group("what is wanted; tables are CSV, JSONL or Parquet, paths or addresses"), Request
    )
    result = parser.add_argument_group("what comes out")
    result.add_argument("--out", required=True, metavar="FOLDER", help="a path, or an address that can be written")
    result.add_argument("--retry-errors", action="store_true", help="try items again that could not be made")
    result.add_argument("--force", action="store_true", help="discard what other models or settings left in --out")
    result.add_argument("--no-page", dest="page", action="store_false", help="write no index.html")
    result.add_argument("--dry-run", action="store_true", help="say what would be done and how long it takes")
    result.add_argument("--price", type=float, help="of an hour of all workers, for --dry-run")
    models = parser.add_argument_group("models and sampling")
    add_options(models, Settings)
    models.add_argument("--height", type=int, help="people are dressed at (the preset's); with --width")
    models.add_argument("--width", type=int, help="people are dressed at (the preset's); with --height")
    work = parser.add_argument_group("who works")
    work.add_argument(
        "--engine", choices=[name for name in ENGINES if name != "elsewhere"], default="local", help="(%(default)s)"
    )
    work.add_argument("--encodings", metavar="FOLDER", help="of encodings (OUT/encodings, gone when all is done)")
    add_options(work, RaySizes)
    add_options(work, ServerOptions)
    others = parser.add_argument_group("another pipeline makes the pictures")
    others.add_argument(
        "--prepare", action="store_true", help="write pairs.csv, people, masks, poses and garments into --out for it"
    )
    add_options(others, ElsewhereOptions)
    return parser


def main(given: list[str] | None = None) -> int:
    """Run the command, `given` in place of the command line; the exit code, 1 also for items with errors."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    parser = make_parser()
    options = parser.parse_args(given)
    prepare_process()
    to_terminal()
    if (options.height is None) != (options.width is None):
        parser.error("give --height and --width together")
    size = {} if options.height is None else {"size": (options.height, options.width)}
    settings = read_options(Settings, options, parser, **size)
    request = read_options(Request, options, parser, seed=settings.seed)
    if options.prepare and options.stitch:
        parser.error("--prepare writes what a pipeline takes, --stitch brings home what it made: one after the other")
    options.engine = "elsewhere" if options.stitch else options.engine
    sizes = dataclasses.asdict(read_options(ENGINES[options.engine], options, parser))
    with unwinding_on_terminate(), logging_redirect_tqdm():
        try:
            if options.prepare:
                return _prepare(options, request, settings)
            return (_tell if options.dry_run else _run)(options, request, settings, sizes)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            log.error("%s", error)
            return 1
        except KeyboardInterrupt:
            log.error("stopped; the same command goes on from here")
            return 130


def _run(options: argparse.Namespace, request: Request, settings: Settings, sizes: dict[str, Any]) -> int:
    report = run(
        options.out,
        engine=options.engine,
        settings=settings,
        retry_errors=options.retry_errors,
        force=options.force,
        page=options.page,
        encodings=options.encodings,
        **dataclasses.asdict(request),
        **sizes,
    )
    for line in summarise(report):
        log.info("%s", line)
    if options.page:
        log.info("%s/%s", report.place, PAGE)
    return 1 if report.errors else 0


def _prepare(options: argparse.Namespace, request: Request, settings: Settings) -> int:
    from .elsewhere import PAIRS, write_inputs

    report = write_inputs(options.out, settings=settings, **dataclasses.asdict(request))
    for line in summarise(report):
        log.info("%s", line)
    log.info("%s/%s", report.place, PAIRS)
    return 1 if report.errors else 0


def _tell(options: argparse.Namespace, request: Request, settings: Settings, sizes: dict[str, Any]) -> int:
    """What `_run` would do, and what it takes."""
    manifest, engine = read_manifest(request), make_engine(options.engine, **sizes)
    try:
        job = plan_run(
            manifest, open_store(options.out), engine, settings, retry_errors=options.retry_errors, claim=False
        )
        lines = job.describe()
        if "disk" in sizes:
            lines.append(describe_room(job, int(sizes["disk"] * 1e9)))
        for line in lines + describe_cost(job, engine, options.price):
            log.info("%s", line)
    finally:
        engine.close()
    return 0


def describe_cost(job: Job, engine: Engine, price: float | None = None) -> list[str]:
    """What a planned run takes, in lines, without the start of workers, which is not measured.

    From seconds of earlier runs in the folder, else of the first picture that can be made, which is made once.

    Args:
        price: of an hour of all workers together, in any currency.
    """
    if not job.work.batches:
        return ["nothing to do"]
    spent, source = read_spent(job.store), "earlier runs in this folder"
    if spent is None or not spent.count("sample"):
        spent, source = _try_one(job, engine), "one picture made just now"
    if spent is None:
        return ["no picture could be made to measure one"]
    told = job.count()
    seconds = {stage: each * told[of] for stage, of in STAGES.items() if (each := spent.each(stage)) is not None}
    wall = sum(seconds.values()) / max(engine.workers, 1)
    lines = [f"measured on {source}; seconds of one worker:"]
    lines += [f"  {stage}: {say_seconds(each)} in all" for stage, each in seconds.items()]
    several = "s" * (engine.workers != 1)
    lines.append(f"{say_seconds(wall)} with {engine.workers} worker{several}, starting them not counted")
    return lines if price is None else [*lines, f"{wall / 3600 * price:.2f} at {price:g} an hour"]


def _try_one(job: Job, engine: Engine, tries: int = 3) -> Spent | None:
    for batch in job.work.batches[:tries]:
        item = next(item for item in batch.items if item.id in batch.wanted)
        work = Work(job.manifest, [Batch((item,), frozenset({item.id}))], job.work.settings, LastPicture())
        if all(outcome.error is None for outcome in engine.run(work)) and engine.spent.count("sample"):
            return engine.spent
    return None


def describe_room(job: Job, disk: int) -> str:
    """How much the encodings take, and whether a limit in bytes holds them."""
    person, garment = count_bytes(PRESETS[job.facts["preset"]], tuple(job.facts["size"]))
    clothes = job.count()["garments"] * garment
    text = (
        f"encodings: {person / 1e6:.0f} MB a person, {garment / 1e6:.1f} MB a garment, {clothes / 1e9:.2f} GB of "
        f"garments; {disk / 1e9:g} GB are allowed"
    )
    if clothes + person > disk:
        text += ". That is too little: garments would be encoded again and again. Raise --disk"
    return text


if __name__ == "__main__":
    sys.exit(main())
