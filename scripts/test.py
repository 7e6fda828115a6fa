"""Run every test: `make test`, or this file on any system. Further arguments go to pytest.

Installs ComfyUI and the test tools first (see `hosting/installation.py`), then runs pytest over
`tests/` in ComfyUI's interpreter: core, nodes, host, browser.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from hosting import installation
from hosting.places import REPOSITORY


def main() -> None:
    try:
        host = installation.find_or_install(tests=True)
    except installation.InstallationError as error:
        sys.exit(str(error))
    command = [str(host.python), "-m", "pytest", *sys.argv[1:]]
    # Where the fixtures find the same ComfyUI again, however it was found here.
    environment = {**os.environ, "COMFYUI_PATH": str(host.comfyui), "COMFYUI_PYTHON": str(host.python)}
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
