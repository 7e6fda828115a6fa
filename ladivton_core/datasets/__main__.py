"""Data sets on the command line; see docs/datasets.md.

python -m ladivton_core.datasets verify --dataset vitonhd --root VITON-HD       exit code 1 when something is broken
python -m ladivton_core.datasets verify --dataset dresscode --root DRESSCODE --split test --json report.json
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

from .. import start
from ..disk.terminal import to_terminal
from ..disk.writing import write_json
from .layouts import DATASETS
from .verification import verify

log = logging.getLogger(__name__)
WORKERS = min(os.cpu_count() or 1, 8)


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Parsed command line."""
    parser = start.make_parser("datasets", __doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("verify", help="is every file there, readable and of the right size and kind")
    check.add_argument("--dataset", choices=tuple(DATASETS), required=True)
    check.add_argument("--root", type=Path, required=True, metavar="FOLDER", help="where the data set lies")
    check.add_argument("--split", choices=("train", "test"), help="only this one (both, as far as they are there)")
    check.add_argument("--json", type=Path, metavar="FILE", help="write everything here")
    check.add_argument("--show", type=int, default=5, metavar="N", help="findings of a kind to print (%(default)s)")
    check.add_argument("--workers", type=int, default=WORKERS, metavar="N", help="threads (%(default)s)")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    options = arguments(given)
    to_terminal(sys.stdout)
    splits = (options.split,) if options.split else ("train", "test")
    try:
        report = verify(options.dataset, options.root, splits, options.workers, _bar)
        if options.json:
            write_json(report.as_json(), options.json)
    except (OSError, ValueError) as error:
        log.error("%s", error)
        return 1
    for line in report.lines(options.show):
        log.info("%s", line)
    return 1 if report.broken else 0


def _bar(results: Iterable, count: int) -> Iterable:
    """A progress bar over the checks; few lines where nobody watches."""
    from tqdm import tqdm

    return tqdm(results, total=count, unit="item", mininterval=0.1 if sys.stderr.isatty() else 30)


if __name__ == "__main__":
    sys.exit(main())
