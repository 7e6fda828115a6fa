"""Run every test: `make test`, or this file on any system. Further arguments go to pytest.

Installs ComfyUI and the test tools first (see `hosting/installation.py`), then runs pytest over
`tests/` in ComfyUI's interpreter: core, nodes, host, browser. Without arguments in two processes, which share the
processor's cores; a file's tests, and what they share, stay in one of them.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from hosting import installation
from hosting.places import REPOSITORY

PROCESSES = 2


def main() -> None:
    try:
        host = installation.find_or_install(tests=True)
    except installation.InstallationError as error:
        sys.exit(str(error))
    command = [str(host.python), "-m", "pytest", *sys.argv[1:]]
    # Where the fixtures find the same ComfyUI again, however it was found here.
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfyui), "COMFYUI_PYTHON": str(host.python)}
    if not sys.argv[1:]:
        command += ["-n", str(PROCESSES), "--dist", "loadfile", "--no-loadscope-reorder"]
        # Threads of two processes that want the same core wait for each other.
        environment.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // PROCESSES)))
    process = subprocess.Popen(command, cwd=REPOSITORY, env=environment)
    # As Ctrl-C: pytest then tears its fixtures down, the server among them.
    signal.signal(signal.SIGTERM, lambda *_: process.send_signal(signal.SIGINT if os.name != "nt" else signal.SIGTERM))
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            continue  # pytest got the same Ctrl-C and is tearing its fixtures down


if __name__ == "__main__":
    main()
