"""BlazePose's graphs for the demo and the tests: taken out of the PyPI wheel `mediapipe` into `.host/pose`.

The wheel is a source of files only and is never installed: it wants an older numpy than ComfyUI. Users fetch the same
files with `python -m ladivton_core.checkpoints download pose`. Standard library only.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

from .installation import Host, InstallationError, alone, download
from .places import HOST, LOGS, REPOSITORY
from .progress import Step

WHEEL = "mediapipe==0.10.21"
# Any platform's wheel holds the same graphs; there is none for every Python.
_WHEEL_OF = ("--python-version", "3.12", "--implementation", "cp", "--platform", "manylinux_2_28_x86_64")
FOLDER = HOST / "pose"
SOURCES = REPOSITORY / "ladivton_core" / "checkpoints" / "sources.json"


def expected() -> dict[str, str]:
    """SHA-256 of every graph, by file name."""
    files = json.loads(SOURCES.read_text(encoding="utf-8"))["files"]
    return {file["name"]: file["sha256"] for file in files if file["group"] == "pose"}


def graphs(host: Host) -> Path:
    """Folder with the graphs, fetched when they are missing.

    Raises:
        InstallationError: they could not be had, or are other files than known.
    """
    wanted = expected()
    with alone():
        return _graphs(host, wanted)


def _graphs(host: Host, wanted: dict[str, str]) -> Path:
    if all(_sha256(FOLDER / name) == digest for name, digest in wanted.items()):
        return FOLDER
    title = f"[host] fetching BlazePose's graphs (36 MB, out of {WHEEL})"
    with tempfile.TemporaryDirectory() as folder, Step(title, LOGS / "pose.log") as step:
        advice = f", or put {', '.join(wanted)} into {FOLDER} yourself"
        download(step, host.python, Path(folder), "--only-binary=:all:", *_WHEEL_OF, WHEEL, advice=advice)
        with zipfile.ZipFile(next(Path(folder).glob("mediapipe-*.whl"))) as archive:
            inside = {Path(name).name: name for name in archive.namelist() if Path(name).name in wanted}
            FOLDER.mkdir(parents=True, exist_ok=True)
            for name in inside:
                part = FOLDER / f"{name}.part"
                part.write_bytes(archive.read(inside[name]))
                part.replace(FOLDER / name)
    wrong = [name for name, digest in wanted.items() if _sha256(FOLDER / name) != digest]
    if wrong:
        raise InstallationError(f"{', '.join(wrong)} in {FOLDER} is not the file that is known: its SHA-256 differs.")
    return FOLDER


def provide(base: Path, folder: Path) -> None:
    """Put the graphs where a server with this base folder looks for them."""
    target = base / "models" / "ladi_vton" / "pose"
    target.mkdir(parents=True, exist_ok=True)
    for name in expected():
        shutil.copyfile(folder / name, target / name)


@contextlib.contextmanager
def withheld(base: Path) -> Iterator[None]:
    """Meanwhile a server with this base folder has no graphs."""
    there, aside = (base / "models" / "ladi_vton" / name for name in ("pose", "pose_withheld"))
    provided = there.is_dir()
    if provided:
        there.rename(aside)
    try:
        yield
    finally:
        if provided:
            aside.rename(there)


def _sha256(file: Path) -> str | None:
    return hashlib.sha256(file.read_bytes()).hexdigest() if file.is_file() else None
