"""`python -m ladivton_core.evaluation synthetic --seed 999 --count 20 --order unpaired --json out.json`."""

from __future__ import annotations

import argparse
import json
import logging
from pathlib import Path

from .synthetic import ORDERS, evaluate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m ladivton_core.evaluation", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    synthetic = commands.add_parser(
        "synthetic", help="figures and a contact sheet of the embedded default on unseen samples"
    )
    synthetic.add_argument("--seed", type=int, default=999, help="seed of the world; 1 is the one it was trained on")
    synthetic.add_argument("--count", type=int, default=20)
    synthetic.add_argument("--order", choices=ORDERS, default="unpaired")
    synthetic.add_argument("--steps", type=int, help="sampling steps (the preset's)")
    synthetic.add_argument("--guidance-scale", type=float, help="guidance (the preset's)")
    synthetic.add_argument("--json", type=Path, help="write the figures here")
    synthetic.add_argument("--sheet", type=Path, help="write a contact sheet here (PNG or JPEG)")
    chosen = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    figures = evaluate(
        chosen.seed,
        chosen.count,
        chosen.order,
        sheet=chosen.sheet,
        steps=chosen.steps,
        guidance_scale=chosen.guidance_scale,
    )
    text = json.dumps(figures, indent=1)
    if chosen.json:
        chosen.json.write_text(text + "\n", encoding="utf-8")
    logging.getLogger(__name__).info("%s", text)


if __name__ == "__main__":
    main()
