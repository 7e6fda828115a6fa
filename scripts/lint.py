"""Check style and format of every Python file with the pinned ruff, and that imports only go down a floor.

`make lint`, or this file on any system.

`python scripts/lint.py --fix` mends what can be mended instead.
"""

from __future__ import annotations

import subprocess
import sys

from hosting import installation
from hosting.places import REPOSITORY
from hosting.progress import again


def main() -> None:
    fix = sys.argv[1:] == ["--fix"]
    if sys.argv[1:] and not fix:
        sys.exit(__doc__)
    try:
        python = str(installation.lint_python())
    except installation.InstallationError as error:
        sys.exit(str(error))
    commands = (["check", *(["--fix"] if fix else [])], ["format", *([] if fix else ["--check"])])
    codes = [subprocess.run([python, "-m", "ruff", *command, "."], cwd=REPOSITORY).returncode for command in commands]
    floors = [python, "-c", "from importlinter.cli import lint_imports_command as run; run()", "--no-cache"]
    done = subprocess.run(floors, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
    codes.append(done.returncode)
    if any(codes) and not fix:
        print(f"To mend what can be mended:\n  {again('--fix')}")
    sys.exit(max(codes))


if __name__ == "__main__":
    main()
