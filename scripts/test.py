"""Run every test: `make test`, or this file on any system. Further arguments go to pytest.

Installs ComfyUI and the test tools first (see `hosting/installation.py`), then runs pytest over `tests/` in ComfyUI's
interpreter. Unless arguments name files or folders, in two processes, which share the processor's cores and take the
files from both ends (`tests/conftest.py`); a file's tests, and what they share, stay in one of them.

`--newest` as the first argument (`make test-newest`) runs what touches the host on the newer ComfyUI of COMFYUI_PATH.
"""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path

from hosting import installation
from hosting.places import REPOSITORY
from hosting.progress import again

PROCESSES = 2
SERVED = ("browser", "host", "servers")
"""Folders of `tests/` that need servers; they come first, so that one process alone starts servers."""
TOUCHES_HOST = ("browser", "host", "nodes")
"""Folders of `tests/` whose outcome depends on the ComfyUI: what `--newest` runs."""


def main() -> None:
    newest = sys.argv[1:2] == ["--newest"]
    arguments = sys.argv[1 + newest :]
    try:
        host = installation.newest() if newest else installation.find_or_install(tests=True)
    except installation.InstallationError as error:
        sys.exit(str(error))
    command = [str(host.python), "-m", "pytest", *arguments]
    # Where the fixtures find the same ComfyUI again, however it was found here.
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfyui), "COMFYUI_PYTHON": str(host.python)}
    if not any((REPOSITORY / argument.partition("::")[0]).exists() for argument in arguments):
        command += ["-n", str(PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder"]
        others = {file.parent.name for file in (REPOSITORY / "tests").glob("*/test_*.py")}.difference(SERVED)
        folders = TOUCHES_HOST if newest else (*SERVED, *sorted(others, reverse=True))
        command += [str(Path("tests", folder)) for folder in folders]
        # Threads of two processes that want the same core wait for each other.
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // PROCESSES)))
    # What is compiled is kept: dozens of processes read the same files.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    print(f"[test] {shlex.join(command)}", file=sys.stderr, flush=True)
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
    # As Ctrl-C: pytest then tears its fixtures down, the server among them.
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM))
    while True:
        try:
            code = process.wait()
            break
        except KeyboardInterrupt:
            continue  # pytest got the same Ctrl-C and is tearing its fixtures down
    if code == 1:  # pytest's "tests failed"
        command = again(*{"--last-failed"}.difference(sys.argv))
        print(f"What failed is named above. To run just that again:\n  {command}")
    sys.exit(code)


if __name__ == "__main__":
    main()
