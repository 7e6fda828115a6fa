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
from ..runtime.process import prepare_process
from .cost import describe_room, estimate_cost
from .engines import make_engine
from .items import ElsewhereOptions, EncodingLimits, RaySizes, Request, ServerOptions, Settings
from .manifest import read_manifest
from .report import PAGE
from .runs import plan_run, run, summarise

log = logging.getLogger(__name__)

ENGINES = {"local": EncodingLimits, "ray": RaySizes, "comfyui": ServerOptions, "elsewhere": ElsewhereOptions}
"""What each is made of."""


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
        cost = estimate_cost(job, engine)
        if cost is None:
            lines.append("no picture could be made to measure one" if job.work.batches else "nothing to do")
        else:
            lines += cost.describe(options.price)
        for line in lines:
            log.info("%s", line)
    finally:
        engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
