"""One ComfyUI server with this pack linked in, on a free port, in a base folder of its own.

`ComfyServer` is a context manager: on leaving it the server is down and the base folder gone, also after
Ctrl-C. Nothing of the user's ComfyUI (models, other packs, settings) is read or changed. Standard library
only. Read `client.py` next.
"""

from __future__ import annotations

import ctypes
import functools
import json
import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from ladivton_core.runtime.process import ALLOCATOR

from .installation import Host
from .places import PACK, PACK_NAME

_HERE = urllib.request.build_opener(urllib.request.ProxyHandler({}))
"""Asks this machine itself: a proxy that the environment names knows nothing of its servers."""

BASE_PREFIX = "ladivton-comfyui-"
READY_SECONDS = 300  # 7 to 15 s on two idle cores; a cold disk or a busy machine takes much longer
BASE_FOLDERS = ("models", "custom_nodes", "input", "output", "temp", "user/default")
# Without this the page opens with a dialog that swallows the first clicks.
SETTINGS = {"Comfy.TutorialCompleted": True}
NOT_IN_A_COPY = (".git", ".host", ".venv", "output", "runs", "__pycache__")


class ServerError(RuntimeError):
    """The server did not start, or stopped by itself; the message ends with its log."""


class ComfyServer:
    """A running ComfyUI.

    Args:
        host: from `installation.find_or_install`.
        arguments: further command-line arguments for ComfyUI's main.py; those of the environment variable
            COMFYUI_ARGS are appended.
        pack: folder to link into custom_nodes, or .zip to unpack there; None starts a ComfyUI without the pack.
        environment: environment variables to set for the server.
        log: file for what the server prints, which stays; without it one in the base folder.

    Attributes:
        url: such as `http://127.0.0.1:40123`.
        base: the base folder, with `input`, `output`, `models`, ... inside.
    """

    def __init__(
        self,
        host: Host,
        arguments: tuple[str, ...] = (),
        pack: Path | None = PACK,
        environment: dict[str, str] | None = None,
        log: Path | None = None,
    ):
        self.host = host
        self.arguments = (*arguments, *shlex.split(os.environ.get("COMFYUI_ARGS", "")))
        self.pack = pack
        # What a CPU is faster with (docs/performance.md).
        self.environment = {**ALLOCATOR, **os.environ, "PYTHONUNBUFFERED": "1", "PYTHONUTF8": "1"}
        self.environment |= environment or {}
        self._log = log
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> ComfyServer:
        _remove_left_behind()
        self.base = Path(tempfile.mkdtemp(prefix=f"{BASE_PREFIX}{os.getpid()}-"))
        try:
            self._start()
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_) -> None:
        try:
            self._stop()
        finally:
            if self.pack:
                _unlink(self.base / "custom_nodes" / PACK_NAME)
            shutil.rmtree(self.base, ignore_errors=True)

    @property
    def pid(self) -> int:
        return self.process.pid

    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def log(self) -> str:
        """Everything the server has printed so far."""
        return self._log_file.read_text(encoding="utf-8", errors="replace")

    def failed_imports(self) -> list[str]:
        """Node packs and node files that ComfyUI could not import, one line of its log each."""
        return re.findall(r"^.*IMPORT FAILED.*$", self.log(), re.MULTILINE)

    def _start(self) -> None:
        for folder in BASE_FOLDERS:
            (self.base / folder).mkdir(parents=True, exist_ok=True)
        (self.base / "user/default/comfy.settings.json").write_text(json.dumps(SETTINGS), encoding="utf-8")
        if self.pack:
            _place(self.pack, self.base / "custom_nodes" / PACK_NAME)
        port = _free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log_file = self._log or self.base / "server.log"
        command = [
            str(self.host.python), str(self.host.comfyui / "main.py"),
            "--listen", "127.0.0.1", "--port", str(port),
            "--base-directory", str(self.base),
            "--database-url", f"sqlite:///{(self.base / 'user/comfyui.db').as_posix()}",
            "--disable-auto-launch", "--disable-api-nodes",
            *([] if accelerator(self.host.python) else ["--cpu"]),
            *self.arguments,
        ]  # fmt: skip
        # A group of its own: Ctrl-C reaches only this process, which then stops the server in order.
        if os.name == "nt":
            own_group = {"creationflags": subprocess.CREATE_NEW_PROCESS_GROUP}
        else:
            own_group = {"start_new_session": True}
            if sys.platform == "linux":
                own_group["preexec_fn"] = _die_with_parent
        with self._log_file.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=self.host.comfyui, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                env=self.environment, **own_group,
            )  # fmt: skip

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            if not self.alive():
                code = self.process.returncode
                raise ServerError(f"ComfyUI stopped with exit code {code} while starting.\n{self._tail()}")
            try:
                _HERE.open(f"{self.url}/system_stats", timeout=5).close()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        raise ServerError(f"ComfyUI did not answer on {self.url} within {READY_SECONDS} s.\n{self._tail()}")

    def _stop(self) -> None:
        if not self.alive():
            return
        # ComfyUI has nothing to save: its base folder goes with it. SIGINT would wait for the step being computed.
        for name in ("CTRL_BREAK_EVENT",) if os.name == "nt" else ("SIGTERM", "SIGKILL"):
            try:
                if os.name == "nt":
                    self.process.send_signal(getattr(signal, name))
                else:
                    os.killpg(self.process.pid, getattr(signal, name))
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                continue
            except ProcessLookupError:
                return
        if self.alive():
            self.process.kill()
            self.process.wait(10)

    def _tail(self, lines: int = 40) -> str:
        return "\n".join(self.log().splitlines()[-lines:])


def _remove_left_behind() -> None:
    """Delete the base folders of runs that were killed outright: the number in the folder's name is nobody's now."""
    if os.name == "nt":  # where asking for a process can end it
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{BASE_PREFIX}[0-9]*-*"):
        try:
            os.kill(int(folder.name.removeprefix(BASE_PREFIX).split("-")[0]), 0)
        except ProcessLookupError:
            if not folder.is_symlink() and folder.stat().st_uid == os.getuid():
                _unlink(folder / "custom_nodes" / PACK_NAME)
                shutil.rmtree(folder, ignore_errors=True)
        except (OSError, ValueError):  # somebody else's, and alive
            continue


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@functools.cache
def accelerator(python: Path) -> str | None:
    """Torch's name for the accelerator that the interpreter sees, such as `cuda`; None where it sees none.

    ComfyUI must then be told `--cpu`.
    """
    code = (
        "import torch\n"
        "a = getattr(torch, 'accelerator', None)\n"
        "there = a.is_available() if a else torch.cuda.is_available()\n"
        "print(a.current_accelerator().type if there and a else 'cuda' if there else '')"
    )
    result = subprocess.run([str(python), "-c", code], capture_output=True, text=True)
    return (result.stdout.split() or [None])[-1] if not result.returncode else None


def _die_with_parent() -> None:
    """In the child, before it becomes ComfyUI: have Linux end it should this process be killed outright."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)


def _place(pack: Path, target: Path) -> None:
    """The pack at `target`: a folder is linked, an archive unpacked, as the registry's installer does."""
    if pack.is_dir():
        _link(pack, target)
    elif zipfile.is_zipfile(pack):
        with zipfile.ZipFile(pack) as archive:
            archive.extractall(target)
    else:
        raise ServerError(f"the pack to run, {pack}, is neither a folder nor a .zip; LADIVTON_PACK names it when set")


def _link(source: Path, link: Path) -> None:
    """Make `source` appear at `link`: a symlink, on Windows a junction (needs no rights), else a copy."""
    try:
        if os.name == "nt":
            import _winapi

            _winapi.CreateJunction(str(source), str(link))
        else:
            link.symlink_to(source, target_is_directory=True)
    except OSError:
        shutil.copytree(source, link, ignore=shutil.ignore_patterns(*NOT_IN_A_COPY))


def _unlink(link: Path) -> None:
    """Take the link away before the base folder is deleted, so that deleting cannot follow it."""
    if link.is_symlink():
        link.unlink()
    elif os.name == "nt" and link.exists():
        try:
            os.rmdir(link)  # removes a junction and leaves its target; fails on the filled folder of a copy
        except OSError:
            shutil.rmtree(link, ignore_errors=True)


def exit_on_terminate() -> None:
    """From now on SIGTERM (a CI time-out, `kill`) unwinds the stack as Ctrl-C does."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
