"""Evaluation on the command line; see docs/evaluation.md.

The paper's figures, on VITON-HD or Dress Code:
  python -m ladivton_core.evaluation paper --dataset vitonhd --root VITON-HD --out RESULTS --models MODELS
  (`generate`, `metrics` and `report` are its steps)

The embedded default on its own world:
  python -m ladivton_core.evaluation synthetic --seed 999 --count 20 --order unpaired --json out.json
  (`ablations` writes docs/ablations.md, `train-classifier` the weights that judge colour and pattern)
"""

from __future__ import annotations

import argparse
import json
import logging
import sys
from pathlib import Path

from drawn_world.figures import ablations, classifier_training, figures
from drawn_world.figures.classifier import PATH
from drawn_world.figures.truth import ORDERS
from drawn_world.figures.variants import PARTS, Variant

from ..denoising.guidance import EVERYWHERE
from ..denoising.schedule import SAMPLERS
from ..disk.terminal import to_terminal
from ..disk.writing import write_text
from ..preprocessing.labels import CATEGORIES
from ..runtime.freed_memory import ask_for_large_pages
from . import commands

log = logging.getLogger(__name__)


def main(arguments: list[str] | None = None) -> int:
    """Run one command, `arguments` in place of the command line's; the exit code."""
    parser = argparse.ArgumentParser(
        "python -m ladivton_core.evaluation", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    choices = parser.add_subparsers(dest="command", required=True)
    commands.add(choices)

    one = choices.add_parser("synthetic", help="figures and a contact sheet of the embedded default")
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

    grid = choices.add_parser("ablations", help="the ablation table, as text and pictures")
    _world(grid, count=24)
    grid.add_argument("--out", type=Path, default=Path("docs"), help="folder of ablations.md and images/ablations.jpg")

    learn = choices.add_parser("train-classifier", help="train the classifier that judges colour and pattern")
    learn.add_argument("--steps", type=int, default=2400)
    learn.add_argument("--out", type=Path, default=PATH)

    chosen = parser.parse_args(arguments)
    ask_for_large_pages()
    to_terminal()
    if chosen.command in commands.NAMES:
        return commands.run(chosen)
    if chosen.command == "synthetic":
        _synthetic(chosen)
    elif chosen.command == "ablations":
        ablations.write(chosen.out, chosen.seed, chosen.count, chosen.order, batch=chosen.batch)
    else:
        log.info("right on held-out pictures: %s", classifier_training.train(chosen.out, steps=chosen.steps))
    return 0


def _world(parser: argparse.ArgumentParser, count: int) -> None:
    parser.add_argument("--seed", type=int, default=999, help="seed of the world; 1 is the one it was trained on")
    parser.add_argument("--count", type=int, default=count, help="samples")
    parser.add_argument("--order", choices=ORDERS, default="unpaired")
    parser.add_argument("--batch", type=int, default=1, help="samples at a time; changes the speed, and rounding")


def _synthetic(chosen: argparse.Namespace) -> None:
    sheet = chosen.sheet or (chosen.json and chosen.json.with_suffix(".jpg"))
    variant = Variant(
        tuple(chosen.withhold),
        chosen.sampler,
        chosen.steps,
        chosen.guidance_scale,
        guidance_interval=tuple(chosen.guidance_interval),
    )
    found = figures.evaluate(
        chosen.seed,
        chosen.count,
        chosen.order,
        category=chosen.category,
        variant=variant,
        batch=chosen.batch,
        sheet=sheet,
    )
    text = json.dumps(found, indent=1)
    if chosen.json:
        write_text(chosen.json, text + "\n")
    log.info("%s", text)


if __name__ == "__main__":
    sys.exit(main())
