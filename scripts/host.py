"""Install ComfyUI, or run it with this pack until Ctrl-C: `python scripts/host.py install | serve | python | run`.

`python` prints the path of the interpreter that has everything, for use in other commands. `run` runs it in the
repository, with what tests and training need as well: `python scripts/host.py run -m drawn_world.training --help`.
`serve` is for looking at the nodes in a browser: it prints the address, keeps models and results in a base folder of
its own, and deletes that folder at the end.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys

from hosting import installation
from hosting.places import REPOSITORY, SAMPLES
from hosting.server import ComfyServer, ServerError, exit_on_terminate


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=("install", "serve", "python", "run"))
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help="of `run`, for the interpreter")
    chosen = parser.parse_args()
    command = chosen.command
    if chosen.arguments and command != "run":
        parser.error(f"{command} takes no arguments")
    exit_on_terminate()
    try:
        host = installation.find_or_install(tests=command == "run")
        if command == "run":
            sys.exit(subprocess.call([str(host.python), *chosen.arguments], cwd=REPOSITORY))
        if command == "python":
            print(host.python)
            return
        print(f"ComfyUI: {host.comfyui}\nPython:  {host.python}")
        if command == "serve":
            serve(host)
    except KeyboardInterrupt:
        print("Stopped.")
    except (installation.InstallationError, ServerError) as error:
        sys.exit(str(error))


def serve(host: installation.Host) -> None:
    with ComfyServer(host) as server:
        if SAMPLES.is_dir():  # so that the shipped workflows find their pictures
            shutil.copytree(SAMPLES, server.base / "input", dirs_exist_ok=True)
        print("\n".join(server.failed_imports()))
        print(f"Open {server.url} in a browser. Ctrl-C stops it. Files: {server.base}", flush=True)
        code = server.process.wait()
        raise ServerError(f"ComfyUI stopped by itself with exit code {code}.")


if __name__ == "__main__":
    main()
