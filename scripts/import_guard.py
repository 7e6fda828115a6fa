"""What the pack takes from ComfyUI's insides, held against the installed one: `python scripts/import_guard.py`.

comfy-import-guard reads both sources without running them: every import, call signature and patched attribute of the
pack must exist in ComfyUI, and none may stand in its list of what newer versions removed. Names that only newer
versions have are looked up in `nodes/host/versions.py`, with a way out; anywhere else they are a finding. Tests are
left out: those of newer versions build what only these have, and a test that asks for too much fails by itself.
Nothing is fetched but the tool itself, once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from hosting import installation
from hosting.places import PACK_NAME, REPOSITORY

LOOKED_UP = "nodes/host/versions.py"
"""The one file that may ask for what an older ComfyUI lacks."""


def main() -> None:
    try:
        host = installation.find_or_install()
        guard = installation.import_guard_python()
        report = _report(guard, host.comfyui)
    except (installation.InstallationError, GuardError) as error:
        sys.exit(str(error))
    (pack,) = report["packs"]
    found = findings(pack)
    print(f"{pack['references']} references into ComfyUI in {pack['python_files']} files, {len(found)} findings")
    for finding in found:
        print(json.dumps(finding))
    sys.exit(bool(found))


def findings(pack: dict) -> list[dict]:
    """What the report has against the pack, without the looked-up names of `LOOKED_UP`."""
    allowed = {(LOOKED_UP, "getattr")}
    missing = [found for found in pack["breaking"] if (found["file"], found["kind"]) not in allowed]
    return [
        *missing,
        *pack["signature_drift"],
        *pack["unresolvable"],
        *({"unparseable": file} for file in pack["unparseable"]),
    ]


class GuardError(RuntimeError):
    """The tool gave no report; the message has its own words."""


def _report(guard: Path, comfyui: Path) -> dict:
    """The tool's report, made of throw-away copies: it reads ComfyUI from a git clone, the pack from custom_nodes."""
    with tempfile.TemporaryDirectory(prefix="ladivton-guard-") as folder:
        clone, install = Path(folder, "clone", "ComfyUI"), Path(folder, "install")
        shutil.copytree(comfyui, clone, ignore=_all_but_python)
        for command in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "as installed")):
            _git(clone, *command)
        for name in _git(REPOSITORY, "ls-files", "-z", "*.py", ":!tests").split("\0")[:-1]:
            target = install / "custom_nodes" / PACK_NAME / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(REPOSITORY / name, target)
        command = ["--json", "--offline", "--cache-dir", str(clone.parent), "check", "--no-update", "--target", "HEAD"]
        run = subprocess.run(
            [str(guard), "-m", "comfy_import_guard.cli", *command, "--comfy-dir", str(install)],
            capture_output=True,
            text=True,
        )
    try:
        return json.loads(run.stdout)
    except ValueError as error:
        raise GuardError(f"comfy-import-guard gave no report:\n{run.stdout}{run.stderr}") from error


def _all_but_python(folder: str, names: list[str]) -> list[str]:
    kept = {name for name in names if name.endswith(".py") or os.path.isdir(os.path.join(folder, name))}
    return [name for name in names if name not in kept or name in ("custom_nodes", ".git")]


def _git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=guard", "-c", "user.email=guard@localhost", "-c", "commit.gpgsign=false")
    run = subprocess.run(["git", "-C", str(folder), *identity, *arguments], capture_output=True, text=True)
    if run.returncode:
        raise GuardError(f"git {arguments[0]} failed in {folder}:\n{run.stderr}")
    return run.stdout


if __name__ == "__main__":
    main()
