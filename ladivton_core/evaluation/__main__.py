"""Evaluation on the command line: the paper's figures, on VITON-HD or Dress Code; see docs/evaluation.md.

    python -m ladivton_core.evaluation paper --dataset vitonhd --root VITON-HD --out RESULTS --models MODELS
    python -m ladivton_core.evaluation compare A B --dataset vitonhd --root VITON-HD --out COMPARED

`generate`, `metrics` and `report` are the steps of `paper`. `compare` takes anyone's results.
"""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .. import start
from ..datasets import DATASETS, open_dataset
from ..datasets.dresscode import ALL_CATEGORIES
from ..datasets.results import SUFFIXES
from ..disk.terminal import to_terminal, unwinding_on_terminate
from ..disk.writing import write_json, write_text
from ..embedded import PARTS
from ..models import DTYPES, EMBEDDED, choose_pipeline
from ..presets import PRESETS
from ..runtime.process import prepare_process
from .compare import COLUMNS, RESAMPLES, compare
from .compare import text_table as comparison_table
from .comparison_page import comparison_page
from .generate import SEED, generate
from .measure import METRICS, measure
from .report import faults, read_measurements, text_table, write_report
from .truth import MismatchError
from .votes import KEY, PAGE, count_votes, say_result, write_vote

log = logging.getLogger(__name__)

ORDERS = ("paired", "unpaired")
MOVED = {"synthetic": "", "ablations": " ablations", "train-classifier": " train-classifier"}
"""Commands that are `python -m drawn_world.figures` now."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, `arguments` in place of the command line's; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in MOVED:
        moved = f"python -m drawn_world.figures{MOVED[arguments[0]]}"
        sys.exit(f"{arguments[0]} is now `{moved}`, with the same options, in a checkout of the repository.")
    parser = start.make_parser("evaluation", __doc__)
    _add_commands(parser.add_subparsers(dest="command", required=True))
    chosen = parser.parse_args(arguments)
    prepare_process()
    to_terminal()
    return _run(chosen)


def _add_commands(commands: Any) -> None:
    make = commands.add_parser("generate", help="dress everyone on a data set's test list")
    _data(make)
    _order(make)
    _making(make)
    make.add_argument("--start", type=int, default=0, metavar="N", help="first item of the list (%(default)s)")
    make.add_argument("--limit", type=int, metavar="N", help="at most so many items")

    figures = commands.add_parser("metrics", help="SSIM, LPIPS, IS, FID and KID of generated pictures")
    _data(figures)
    _order(figures)
    figures.add_argument("--generated", type=Path, required=True, metavar="FOLDER", help="--out of `generate`")
    figures.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    figures.add_argument("--html", type=Path, metavar="FILE", help="write a page with tables and pictures here")
    _speed(figures, "pictures at a time; changes the speed, and rounding")
    _measuring(figures)

    page = commands.add_parser("report", help="one page out of the JSON files of `metrics`")
    page.add_argument("measurements", nargs="+", type=Path, metavar="FILE", help="at most one of each order")
    page.add_argument("--html", type=Path, required=True, metavar="FILE")
    page.add_argument("--json", type=Path, metavar="FILE", help="everything in one JSON file as well")
    page.add_argument("--rows", type=int, default=8, metavar="N", help="people on each contact sheet (%(default)s)")

    several = commands.add_parser(
        "compare", help="several systems on the same people: figures, intervals, a page, a vote"
    )
    several.add_argument(
        "systems", nargs="*", metavar="[NAME=]FOLDER", help="results in the data set's names, or a catalogue"
    )
    _data(several, required=False)
    several.add_argument("--order", choices=ORDERS, default="paired", help="own garments, or other ones (%(default)s)")
    several.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="compare.html and compare.json")
    several.add_argument("--features", type=Path, metavar="FOLDER", help="DINOv2 or CLIP, for the garment's similarity")
    several.add_argument("--skip", nargs="+", choices=COLUMNS, default=[], metavar="FIGURE", help=", ".join(COLUMNS))
    several.add_argument("--resamples", type=int, default=RESAMPLES, metavar="N", help="draws (%(default)s)")
    several.add_argument("--seed", type=int, default=SEED, help="of the draws, and of a vote (%(default)s)")
    several.add_argument("--people", type=int, default=40, metavar="N", help="shown on the page (%(default)s)")
    several.add_argument("--vote", type=int, metavar="N", help="write a blind vote on so many pairs: vote.html")
    several.add_argument("--votes", nargs="+", type=Path, metavar="FILE", help="count votes that were saved from it")
    several.add_argument("--download", action="store_true", help="fetch the metrics' networks where they are missing")
    _speed(several, "pictures at a time")

    whole = commands.add_parser("paper", help="both orders generated, measured and reported")
    _data(whole)
    _making(whole)
    _measuring(whole)


def _run(options: argparse.Namespace) -> int:
    from tqdm.contrib.logging import logging_redirect_tqdm

    commands = {
        "generate": lambda given: _generate(given, (given.order,), given.start, given.limit),
        "metrics": _metrics,
        "report": lambda given: _tell(read_measurements(given.measurements), given.html, given.json, given.rows),
        "compare": _compare,
        "paper": _paper,
    }
    work = commands[options.command]
    with unwinding_on_terminate(), logging_redirect_tqdm():
        try:
            return work(options)
        except (ImportError, OSError, RuntimeError, ValueError) as error:
            log.error("%s", error)
            return 1
        except KeyboardInterrupt:
            log.error("stopped; the same command goes on from here")
            return 130


def _data(parser: argparse.ArgumentParser, required: bool = True) -> None:
    parser.add_argument("--dataset", choices=tuple(DATASETS), required=required)
    parser.add_argument("--root", type=Path, required=required, metavar="FOLDER", help="where the data set lies")
    parser.add_argument(
        "--category", choices=("all", *ALL_CATEGORIES), default="all", help="of Dress Code (%(default)s)"
    )


def _order(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--order", choices=ORDERS, required=True, help="own garments, or other ones")


def _making(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="pictures: <order>/<category>/<name>")
    parser.add_argument("--models", metavar="FOLDER", help=f"search weights here, by content; or {EMBEDDED} (default)")
    parser.add_argument(
        "--weights", action="append", default=[], metavar="PART=FILE", help=f"one part's file; {', '.join(PARTS)}"
    )
    parser.add_argument("--preset", choices=tuple(PRESETS), help="sizes (sd2 where weights are given, else tiny)")
    parser.add_argument("--steps", type=int, help="sampling steps (the preset's)")
    parser.add_argument("--guidance-scale", type=float, help="guidance (the preset's)")
    parser.add_argument("--seed", type=int, default=SEED, help="of the run (%(default)s)")
    parser.add_argument("--format", choices=tuple(SUFFIXES), default="jpg", help="jpg of quality 95 (default), or png")
    parser.add_argument("--dtype", choices=tuple(DTYPES), default="float32", help="of the models (%(default)s)")
    parser.add_argument("--force", action="store_true", help="discard what other settings left in --out")
    _speed(parser, "pictures at a time, and lost at most when stopped")


def _speed(parser: argparse.ArgumentParser, batch: str) -> None:
    parser.add_argument("--batch", type=int, default=1, metavar="N", help=f"{batch} (%(default)s)")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="processes that read ahead (%(default)s)")
    parser.add_argument("--device", default="cpu", help="any torch device (%(default)s)")


def _measuring(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--skip", nargs="+", choices=METRICS, default=[], metavar="METRIC", help=", ".join(METRICS))
    parser.add_argument("--partial", action="store_true", help="measure the results there are")
    parser.add_argument("--download", action="store_true", help="fetch the metrics' networks where they are missing")


def _generate(options: argparse.Namespace, orders: tuple[str, ...], start: int = 0, limit: int | None = None):
    pipeline = choose_pipeline(
        options.dataset,
        options.models,
        options.weights,
        options.preset,
        device=options.device,
        dtype=options.dtype,
    )
    broken = 0
    for order in orders:
        data = open_dataset(options.dataset, options.root, "test", order, options.category, pipeline.preset.size)
        outcome = generate(
            data,
            options.out,
            pipeline,
            seed=options.seed,
            steps=options.steps,
            guidance_scale=options.guidance_scale,
            kind=options.format,
            batch=options.batch,
            workers=options.workers,
            start=start,
            limit=limit,
            force=options.force,  # what this run made has its settings, and stays
        )
        broken += len(outcome.broken)
        log.info("%s: %d made, %d there already, %d left out", order, outcome.made, outcome.kept, len(outcome.broken))
    return 1 if broken else 0


def _metrics(options: argparse.Namespace) -> int:
    measurement = _measure(options, options.order, options.generated)
    if options.json:
        write_json(measurement, options.json)
    return _tell([measurement], options.html)


def _measure(options: argparse.Namespace, order: str, results: Path) -> dict[str, Any]:
    return measure(
        options.dataset,
        options.root,
        results,
        order,
        options.category,
        skip=options.skip,
        partial=options.partial,
        device=options.device,
        batch=options.batch,
        workers=options.workers,
        download=options.download,
    )


def _compare(options: argparse.Namespace) -> int:
    votes = count_votes(options.out / KEY, options.votes) if options.votes else None
    if votes:
        write_json(votes, options.out / "votes.json")
        log.info("%d voters, %d of %d pairs", votes["voters"], votes["answered"], votes["pairs"])
        for row in votes["results"]:
            log.info("%s", say_result(row))
        if not options.systems:
            return 0
    if not options.systems or not options.dataset or not options.root:
        raise ValueError("compare needs folders of results, --dataset and --root; or --votes of an earlier --out")
    comparison = compare(
        options.systems,
        options.dataset,
        options.root,
        options.order,
        options.category,
        features=options.features,
        skip=options.skip,
        resamples=options.resamples,
        seed=options.seed,
        device=options.device,
        batch=options.batch,
        workers=options.workers,
        download=options.download,
    )
    write_json(comparison.report, options.out / "compare.json")
    write_text(options.out / "compare.html", comparison_page(comparison, options.people, votes))
    log.info("%s", comparison_table(comparison.report))
    for name, why in comparison.report["missing"].items():
        log.warning("%s has no value: %s", COLUMNS[name].title, why)
    log.info("%s", options.out / "compare.html")
    if options.vote:
        pairs = write_vote(comparison, options.out, options.vote, options.seed)
        log.info("%s: %d pairs; whose is whose is in %s", options.out / PAGE, pairs, options.out / KEY)
    return 1 if any(system["failed"] for system in comparison.report["systems"]) else 0


def _paper(options: argparse.Namespace) -> int:
    code = _generate(options, ORDERS)
    measurements = []
    for order in ORDERS:
        try:
            measurements.append(_measure(options, order, options.out))
        except MismatchError as error:  # items that could not be made; the other order still counts
            log.error("%s: %s", order, error)
            code = 1
            continue
        write_json(measurements[-1], options.out / f"metrics_{order}.json")
    if not measurements:
        return code
    return max(code, _tell(measurements, options.out / "report.html", options.out / "report.json"))


def _tell(measurements: list[dict[str, Any]], page: Path | None = None, data: Path | None = None, rows: int = 8) -> int:
    report = write_report(measurements, page, data, rows)
    log.info("%s", text_table(report))
    for line in faults(report):
        log.warning("%s", line)
    if page:
        log.info("%s", page)
    return 1 if any(run["failed"] for run in measurements) else 0


if __name__ == "__main__":
    sys.exit(main())
