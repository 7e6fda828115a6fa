"""Evaluation on the command line: the paper's figures, on VITON-HD or Dress Code; see docs/evaluation.md.

    python -m ladivton_core.evaluation paper --dataset vitonhd --root VITON-HD --out RESULTS --models MODELS
    python -m ladivton_core.evaluation compare A B --dataset vitonhd --root VITON-HD --out COMPARED

`generate`, `metrics` and `report` are the steps of `paper`. `compare` takes anyone's results.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from .. import start
from ..disk.terminal import to_terminal
from ..runtime.process import prepare_process
from . import commands

MOVED = {"synthetic": "", "ablations": " ablations", "train-classifier": " train-classifier"}
"""Commands that are `python -m drawn_world.figures` now."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, `arguments` in place of the command line's; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if arguments and arguments[0] in MOVED:
        moved = f"python -m drawn_world.figures{MOVED[arguments[0]]}"
        sys.exit(f"{arguments[0]} is now `{moved}`, with the same options, in a checkout of the repository.")
    parser = start.make_parser("evaluation", __doc__)
    commands.add(parser.add_subparsers(dest="command", required=True))
    chosen = parser.parse_args(arguments)
    prepare_process()
    to_terminal()
    return commands.run(chosen)


if __name__ == "__main__":
    sys.exit(main())
