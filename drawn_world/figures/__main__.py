"""Figures of the embedded default on the drawn world; see drawn_world/README.md.

python -m drawn_world.figures --seed 999 --count 20 --order unpaired --json out.json
python -m drawn_world.figures ablations           the table in docs/ablations.md
python -m drawn_world.figures train-classifier    the weights that judge colour and pattern
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from ladivton_core.denoising.guidance import EVERYWHERE
from ladivton_core.denoising.schedule import SAMPLERS
from ladivton_core.disk.terminal import to_terminal
from ladivton_core.disk.writing import write_text
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.runtime.process import prepare_process

from . import ablations, classifier_training
from .classifier import PATH
from .evaluate import evaluate
from .truth import ORDERS
from .variants import PARTS, Variant

log = logging.getLogger(__name__)


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line says."""
    given = list(sys.argv[1:] if given is None else given)
    if not given or (given[0].startswith("-") and given[0] not in ("-h", "--help")):
        given.insert(0, "figures")
    parser = argparse.ArgumentParser(
        "python -m drawn_world.figures", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("figures", help="figures and a contact sheet; what is done without a command")
    _world(one, count=20)
    one.add_argument("--category", choices=CATEGORIES, help="only people of one category")
    one.add_argument("--withhold", choices=PARTS, action="append", default=[], help="leave a part out; repeatable")
    one.add_argument("--steps", type=int, help="sampling steps (the preset's)")
    one.add_argument("--guidance-scale", type=float, help="guidance (the preset's)")
    one.add_argument("--sampler", choices=SAMPLERS, default="ddim")
    one.add_argument(
        "--guidance-interval",
        type=float,
        nargs=2,
        default=EVERYWHERE,
        metavar=("START", "END"),
        help="share of the noise schedule that is guided, from its noisy end 0 to 1 (all)",
    )
    one.add_argument("--json", type=Path, help="write the figures here, and a contact sheet beside them")
    one.add_argument("--sheet", type=Path, help="write the contact sheet here instead (PNG or JPEG)")
    grid = commands.add_parser("ablations", help="the ablation table, as text and pictures")
    _world(grid, count=24)
    grid.add_argument("--out", type=Path, default=Path("docs"), help="folder of ablations.md and images/ablations.jpg")
    learn = commands.add_parser("train-classifier", help="train the classifier that judges colour and pattern")
    learn.add_argument("--steps", type=int, default=2400)
    learn.add_argument("--out", type=Path, default=PATH)

    chosen = parser.parse_args(given)
    prepare_process()
    to_terminal()
    if chosen.command == "ablations":
        ablations.write(chosen.out, chosen.seed, chosen.count, chosen.order, batch=chosen.batch)
    elif chosen.command == "train-classifier":
        log.info("right on held-out pictures: %s", classifier_training.train(chosen.out, steps=chosen.steps))
    else:
        _figures(chosen)


def _world(parser: argparse.ArgumentParser, count: int) -> None:
    parser.add_argument("--seed", type=int, default=999, help="of the world; one that nothing was trained on")
    parser.add_argument("--count", type=int, default=count, help="samples")
    parser.add_argument("--order", choices=ORDERS, default="unpaired")
    parser.add_argument("--batch", type=int, default=1, help="samples at a time; changes the speed, and rounding")


def _figures(chosen: argparse.Namespace) -> None:
    found = evaluate(
        chosen.seed,
        chosen.count,
        chosen.order,
        category=chosen.category,
        variant=Variant(
            tuple(chosen.withhold),
            chosen.sampler,
            chosen.steps,
            chosen.guidance_scale,
            guidance_interval=tuple(chosen.guidance_interval),
        ),
        batch=chosen.batch,
        sheet=chosen.sheet or (chosen.json and chosen.json.with_suffix(".jpg")),
    )
    text = json.dumps(found, indent=1)
    if chosen.json:
        write_text(chosen.json, text + "\n")
    log.info("%s", text)


if __name__ == "__main__":
    main()
