"""A ComfyUI server for a section, what it holds on the card, and a picture out of a run."""

from __future__ import annotations

import io
import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from hosting import pose
from hosting.client import ComfyClient, Run
from hosting.places import SAMPLES
from hosting.server import ComfyServer

from .page import Setting


@contextmanager
def serving(setting: Setting, arguments: tuple[str, ...], models: Path | None = None) -> Iterator[ComfyClient]:
    """A client of a new server with the samples in its input folder, and with BlazePose's graphs where they are here.

    Args:
        arguments: ComfyUI's, beside those that choose previews.
        models: folder of folders of files to link among its models.
    """
    cpu = ("--cpu",) if setting.rehearse else ()
    with ComfyServer(setting.host, ("--preview-method", "auto", *cpu, *arguments)) as server:
        shutil.copytree(SAMPLES, server.base / "input", dirs_exist_ok=True)
        for file in models.rglob("*.*") if models else ():
            place = server.base / "models" / file.relative_to(models)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(file.resolve())
        if all((pose.FOLDER / name).is_file() for name in pose.expected()):
            pose.provide(server.base, pose.FOLDER)
        yield ComfyClient(server.url)


class Held:
    """`with Held(url) as held: ...`, then `held.gib`: the most that torch held on the card, as ComfyUI says it."""

    gib = 0.0

    def __init__(self, url: str) -> None:
        self._url = f"{url}/system_stats"

    def __enter__(self) -> Held:
        self._stop = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._watcher.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop.set()
        self._watcher.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.2):
            try:
                with urllib.request.urlopen(self._url, timeout=5) as answer:
                    (device, *_) = json.load(answer)["devices"]
            except (OSError, ValueError):  # busy, or going down
                continue
            self.gib = max(self.gib, device["torch_vram_total"] / 2**30)


def picture(client: ComfyClient, run: Run):
    """The last picture a run saved, (H, W, 3) in 0...255."""
    import numpy as np
    from PIL import Image

    saved = run.images()[-1]
    return np.asarray(Image.open(io.BytesIO(client.view(saved))).convert("RGB")).astype(float)


def wait_for(files: list[Path], failed: Path, seconds: float) -> list[Path]:
    """Wait for files that another process is writing, until it leaves `failed`; those that are still missing."""
    deadline = time.monotonic() + seconds
    while True:
        missing = [file for file in files if not file.is_file()]
        if not missing or failed.is_file() or time.monotonic() > deadline:
            return missing
        time.sleep(0.5)
