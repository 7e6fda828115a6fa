"""Train the embedded default anew and write it to `ladivton_core/embedded`: `make train-embedded`, or this file.

Runs `python -m ladivton_core.training all --preset synthetic` in ComfyUI's interpreter, which gets the test tools'
requirements: training's are among them. A second call goes on where the first was stopped. Further arguments go to
the training command, e.g. `--set seed=1`.
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
    parser.add_argument("--runs", type=Path, default=REPOSITORY / "runs" / "embedded", help="folder of the recipe")
    parser.add_argument("--to", type=Path, default=REPOSITORY / "ladivton_core" / "embedded", help="where weights go")
    chosen, others = parser.parse_known_args()
    runs, target = chosen.runs.absolute(), chosen.to.absolute()
    try:
        host = installation.find_or_install(tests=True)
    except installation.InstallationError as error:
        sys.exit(str(error))
    training = [str(host.python), "-m", "ladivton_core.training"]
    for command in (
        ["all", "--preset", "synthetic", "--out", str(runs), *others],
        ["export", str(runs), "--to", str(target)],
    ):
        code = subprocess.call([*training, *command], cwd=REPOSITORY)
        if code:
            sys.exit(code)


if __name__ == "__main__":
    main()
