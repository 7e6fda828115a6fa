"""Train the embedded default anew and write it to `ladivton_core/embedded`: `make train-embedded`, or this file.

Runs `python -m ladivton_core.training all --preset embedded` in ComfyUI's interpreter, which gets the test tools'
requirements: training's are among them. It starts from the shipped weights (`--init scratch`: from nothing), takes
about the minutes it is given, and goes on where it was stopped when it is called again. Further arguments go to the
training command, e.g. `--device cpu` or `--set seed=1`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from hosting import installation
from hosting.places import REPOSITORY


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, help="for everything; 0 takes the stages' own steps")
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "embedded", help="folder of the recipe")
    parser.add_argument("--to", type=Path, default=REPOSITORY / "ladivton_core" / "embedded", help="where weights go")
    chosen, others = parser.parse_known_args()
    runs, target = chosen.runs.absolute(), chosen.to.absolute()
    try:
        host = installation.find_or_install(tests=True)
    except installation.InstallationError as error:
        sys.exit(str(error))
    training = [str(host.python), "-m", "ladivton_core.training"]
    train = ["all", "--preset", "embedded", "--out", str(runs), "--minutes", str(chosen.minutes), *others]
    code = subprocess.call([*training, *train], cwd=REPOSITORY)
    if code == STAGES_FAILED or code == 0:  # what the others made is worth having
        code = subprocess.call([*training, "export", str(runs), "--to", str(target)], cwd=REPOSITORY) or code
    sys.exit(code)


STAGES_FAILED = 3
"""Exit status of a recipe of which some stages failed and the others ran to their end."""


if __name__ == "__main__":
    main()
