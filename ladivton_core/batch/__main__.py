"""A whole catalogue on the command line; see docs/catalogue.md.

  python -m ladivton_core.batch --persons persons.csv --garments garments.csv --out OUT
  python -m ladivton_core.batch --pairs pairs.jsonl --out OUT --engine ray --workers 2
  python -m ladivton_core.batch --persons ... --out OUT --dry-run

The same command goes on where the last one was stopped. OUT/index.html shows what came out, errors first.
"""

from __future__ import annotations

import argparse
import logging
import sys

from ..disk.terminal import to_terminal, unwinding_on_terminate
from ..embedded import PARTS
from ..models import DTYPES
from ..preprocessing.labels import CATEGORIES
from ..presets import PRESETS
from ..runtime.freed_memory import ask_for_large_pages
from .catalogue import PAGE, plan_in_words, planned, run, summary
from .cost import cost_in_words, cost_of, room_in_words
from .engine import make_engine
from .items import Options, Settings
from .manifest import Request, read_manifest
from .naming import FIELDS, TEMPLATE
from .rules import RULES
from .store import open_store

log = logging.getLogger(__name__)

ENGINES = ("local", "ray", "comfyui")


def arguments() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        "python -m ladivton_core.batch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    wanted = parser.add_argument_group("what is wanted; tables are CSV, JSONL or Parquet, paths or addresses")
    wanted.add_argument("--persons", metavar="TABLE", help="people: photo, keypoints, parse_map, mask, category, id")
    wanted.add_argument("--garments", metavar="TABLE", help="garments: picture, category, and mask, prompt, id")
    wanted.add_argument("--pairs", metavar="TABLE", help="who wears what: ids of both tables, or files without them")
    wanted.add_argument("--rule", choices=RULES, default="all", help="category: their own (%(default)s)")
    wanted.add_argument("--sample", type=int, metavar="N", help="so many pairs of the rule, drawn with --seed")
    wanted.add_argument("--category", choices=CATEGORIES, help="of garments whose line says none")
    wanted.add_argument("--no-look", action="store_true", help="do not look whether every file is there first")

    result = parser.add_argument_group("what comes out")
    result.add_argument("--out", required=True, metavar="FOLDER", help="a path, or an address that can be written")
    result.add_argument(
        "--name", default=TEMPLATE, metavar="TEMPLATE", help=f"of pictures, with {', '.join(FIELDS)} (%(default)s)"
    )
    result.add_argument("--retry-errors", action="store_true", help="try items again that could not be made")
    result.add_argument("--force", action="store_true", help="discard what other models or settings left in --out")
    result.add_argument("--no-page", action="store_true", help="write no index.html")
    result.add_argument("--dry-run", action="store_true", help="say what would be done and how long it takes")
    result.add_argument("--price", type=float, help="of an hour of all workers, for --dry-run")

    models = parser.add_argument_group("models and sampling")
    models.add_argument("--models", default="embedded", metavar="FOLDER", help="search weights here (%(default)s)")
    models.add_argument(
        "--weights", action="append", default=[], metavar="PART=FILE", help=f"one part's file; {', '.join(PARTS)}"
    )
    models.add_argument("--preset", choices=tuple(PRESETS), help="sizes (sd2 where weights are given, else tiny)")
    models.add_argument("--device", default="cpu", help="any torch device (%(default)s)")
    models.add_argument("--dtype", choices=tuple(DTYPES), default="float32", help="of the models (%(default)s)")
    models.add_argument("--height", type=int, help="people are dressed at (the preset's); with --width")
    models.add_argument("--width", type=int, help="people are dressed at (the preset's); with --height")
    models.add_argument("--steps", type=int, help="sampling steps (the preset's)")
    models.add_argument("--guidance-scale", type=float, help="guidance (the preset's)")
    models.add_argument("--seed", type=int, default=1234, help="of the run (%(default)s)")
    models.add_argument("--batch", type=int, default=1, metavar="N", help="pictures at a time (%(default)s)")
    models.add_argument("--exact", action="store_true", help="every picture alone, whatever --batch says")
    models.add_argument("--paste-back", action="store_true", help="with parse maps: keep the photo outside the mask")
    models.add_argument(
        "--pose", action="append", metavar="FOLDER", help="BlazePose's graphs (models/ladi_vton/pose); repeatable"
    )
    models.add_argument("--threads", type=int, help="CPU threads of a worker (torch's; 1 with ray)")

    work = parser.add_argument_group("who works")
    work.add_argument("--engine", choices=ENGINES, default="local", help="(%(default)s)")
    work.add_argument("--workers", type=int, metavar="N", help="ray: sampling actors (one a GPU or CPU)")
    work.add_argument("--encoders", type=int, metavar="N", help="ray: encoding actors (as many)")
    work.add_argument("--preparers", type=int, metavar="N", help="ray: actors that read files (a quarter of the CPUs)")
    work.add_argument("--cpus", type=float, help="ray: what it counts for an actor (a fraction that fits)")
    work.add_argument("--gpus", type=float, help="ray: the same for GPUs, e.g. 0.5 for two actors on one")
    work.add_argument("--address", help="ray: of a cluster (a Ray is started here)")
    work.add_argument(
        "--object-store", type=float, metavar="GB", help="of a Ray started here (a tenth of the memory, at most 2)"
    )
    work.add_argument("--dashboard", action="store_true", help="ray started here: with its dashboard, on port 8265")
    work.add_argument("--hosts", metavar="A,B,C", help="comfyui: addresses of its servers")
    work.add_argument(
        "--workflow", action="append", metavar="FILE", help="comfyui: in API format, the first that fits; repeatable"
    )
    work.add_argument("--queue", type=int, metavar="N", help="comfyui: prompts at a server at once (2)")
    work.add_argument("--patience", type=float, metavar="S", help="comfyui: seconds a picture may take (1800)")
    work.add_argument("--encodings", metavar="FOLDER", help="of encodings (OUT/encodings, gone when all is done)")
    work.add_argument("--memory", type=float, metavar="GB", help="most of encodings in a process")
    work.add_argument("--disk", type=float, metavar="GB", default=20.0, help="most of encodings in files (%(default)s)")
    return parser


def main(given: list[str] | None = None) -> int:
    """Run the command, `given` in place of the command line; the exit code, 1 also for items with errors."""
    from tqdm.contrib.logging import logging_redirect_tqdm

    parser = arguments()
    options = parser.parse_args(given)
    ask_for_large_pages()
    to_terminal()
    if (options.height is None) != (options.width is None):
        parser.error("give --height and --width together")
    with unwinding_on_terminate(), logging_redirect_tqdm():
        try:
            return _dry_run(options) if options.dry_run else _run(options)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            log.error("%s", error)
            return 1
        except KeyboardInterrupt:
            log.error("stopped; the same command goes on from here")
            return 130


def _settings(options: argparse.Namespace) -> Settings:
    return Settings(
        seed=options.seed,
        models=options.models,
        weights=tuple(options.weights),
        preset=options.preset,
        device=options.device,
        dtype=options.dtype,
        size=None if options.height is None else (options.height, options.width),
        options=Options(options.steps, options.guidance_scale),
        batch=options.batch,
        exact=options.exact,
        paste_back=options.paste_back,
        pose=tuple(options.pose or Settings.pose),
        threads=options.threads,
    )


def _sizes(options: argparse.Namespace) -> dict:
    """What the engine is made of."""
    names = {
        "local": ("memory", "disk"),
        "ray": ("workers", "encoders", "preparers", "cpus", "gpus", "address", "memory", "disk",
                "object_store", "dashboard"),
        "comfyui": ("hosts", "workflow", "queue", "patience"),
    }[options.engine]  # fmt: skip
    return {name: value for name in names if (value := getattr(options, name)) is not None}


def _run(options: argparse.Namespace) -> int:
    report = run(
        options.out,
        persons=options.persons,
        garments=options.garments,
        pairs=options.pairs,
        rule=options.rule,
        sample=options.sample,
        category=options.category,
        template=options.name,
        look=not options.no_look,
        engine=options.engine,
        settings=_settings(options),
        retry_errors=options.retry_errors,
        force=options.force,
        page=not options.no_page,
        encodings=options.encodings,
        **_sizes(options),
    )
    for line in summary(report):
        log.info("%s", line)
    if not options.no_page:
        log.info("%s/%s", report.place, PAGE)
    return 1 if report.errors else 0


def _dry_run(options: argparse.Namespace) -> int:
    request = Request(
        options.persons, options.garments, options.pairs, options.rule, options.sample, options.category, options.name,
        options.seed, not options.no_look,
    )  # fmt: skip
    manifest, settings = read_manifest(request), _settings(options)
    engine = make_engine(options.engine, **_sizes(options))
    try:
        job = planned(
            manifest, open_store(options.out), engine, settings, retry_errors=options.retry_errors, claim=False
        )
        for line in plan_in_words(job):
            log.info("%s", line)
        if options.engine != "comfyui":
            preset = PRESETS[job.facts["preset"]]
            log.info("%s", room_in_words(job, preset, tuple(job.facts["size"]), int(options.disk * 1e9)))
        for line in cost_in_words(job, cost_of(job, engine), options.price):
            log.info("%s", line)
    finally:
        engine.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
