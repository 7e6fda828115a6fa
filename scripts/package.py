"""What the ComfyUI registry gets: `python scripts/package.py check | pack ARCHIVE | version | notes`.

`check` runs comfy-cli's checks for publishing, `pack` writes the archive that installers unpack (what git tracks,
without what `.comfyignore` lists), `version` prints that of pyproject.toml, `notes` its changelog. To test an archive:
LADIVTON_PACK=ARCHIVE python scripts/test.py tests/host. Nothing is sent anywhere.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

from hosting import installation
from hosting.places import REPOSITORY

MADE = REPOSITORY / "node.zip"
"""Where comfy-cli puts the archive."""


class PackagingError(RuntimeError):
    """The pack cannot be published as it is; the message says what to do."""


def check() -> str:
    """What comfy-cli's `node validate` says of the checkout.

    Raises:
        PackagingError: it found something, be it a warning that the registry does not act upon yet.
    """
    said = _comfy_cli("node", "validate")
    if "warning" in said.lower() or "All validation checks passed" not in said:
        raise PackagingError(f"comfy-cli's checks for publishing found something:\n{said}")
    return said


def pack(archive: Path) -> list[str]:
    """Write the archive of the registry to `archive`; names of the files in it.

    Raises:
        PackagingError: comfy-cli failed, or took files that git does not track.
    """
    tracked = set(_run("git", "-C", str(REPOSITORY), "-c", "core.quotePath=off", "ls-files").splitlines())
    try:
        said = _comfy_cli("node", "pack")
        with zipfile.ZipFile(MADE) as made:
            names = made.namelist()
        foreign = sorted(set(names) - tracked)
        if foreign:  # comfy-cli packs every file it finds when git does not answer
            raise PackagingError(f"the archive has files that git does not track, such as {foreign[0]}:\n{said}")
        archive.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(MADE, archive)
    finally:
        MADE.unlink(missing_ok=True)
    return names


def notes() -> str:
    """The section of CHANGELOG.md on the version in pyproject.toml, without its heading.

    Raises:
        PackagingError: there is none, or it is empty.
    """
    version = released_version()
    text = (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {re.escape(version)}\b[^\n]*\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    if not section or not section[1].strip():
        raise PackagingError(f"CHANGELOG.md says nothing of {version}, the version in pyproject.toml; write a section")
    return section[1].strip() + "\n"


def released_version() -> str:
    """`version` of pyproject.toml."""
    text = (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")
    return re.search(r'^version = "([^"]+)"$', text, re.MULTILINE)[1]


def _comfy_cli(*arguments: str) -> str:
    return _run(str(installation.comfy_cli_python()), "-m", "comfy_cli", "--skip-prompt", *arguments)


def _run(*command: str) -> str:
    environment = {**os.environ, "DO_NOT_TRACK": "1", "PYTHONUTF8": "1"}
    result = subprocess.run(
        command, cwd=REPOSITORY, env=environment, stdin=subprocess.DEVNULL, capture_output=True, encoding="utf-8"
    )
    if result.returncode:
        raise PackagingError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
    return result.stdout + result.stderr


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("check", help="comfy-cli's checks for publishing")
    commands.add_parser("pack", help="write the archive").add_argument("archive", type=Path, metavar="ARCHIVE")
    commands.add_parser("version", help="print the version in pyproject.toml")
    commands.add_parser("notes", help="print what CHANGELOG.md says of this version")
    chosen = parser.parse_args()
    try:
        if chosen.command == "check":
            print(check(), end="")
        elif chosen.command == "version":
            print(released_version())
        elif chosen.command == "notes":
            print(notes(), end="")
        else:
            print(f"{chosen.archive}: {len(pack(chosen.archive))} files")
    except (installation.InstallationError, PackagingError, OSError) as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
