"""Training on the command line.

    python -m ladivton_core.training tps --preset vitonhd --data VITON-HD --out RUNS
    python -m ladivton_core.training tryon --preset vitonhd --out RUNS --init SD2-INPAINTING --set steps=100
    python -m ladivton_core.training all --preset dresscode --data DRESSCODE --out RUNS --init SD2-INPAINTING
    python -m ladivton_core.training export RUNS --to FOLDER

Several GPUs: `accelerate launch -m ladivton_core.training ...`. See docs/training.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from .. import start
from . import commands
from .recipe import RECIPES


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line says."""
    given = sys.argv[1:] if given is None else given
    preset = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    preset.add_argument("--preset", nargs="?")
    if preset.parse_known_args(given)[0].preset == "embedded":
        sys.exit(
            "The embedded default is trained by `python -m drawn_world.training`, in a checkout of the repository."
        )
    program = start.command("training")
    commands.main(given, program, __doc__.replace("python -m ladivton_core.training", program), RECIPES)


if __name__ == "__main__":
    main()
