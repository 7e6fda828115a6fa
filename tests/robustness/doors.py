"""The writers, run over and over in a process that is killed in the middle of it; and what must hold afterwards.

Each door has `work(folder, *given)`, which writes the same files with changing content, a pass at every `next`, and
`whole(folder)`, which fails where a file has its final name and is not complete.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch

TOUCHING = {"open", "write", "flush", "fsync", "close", "chmod", "replace", "unlink", "mkdir"}
"""What a writer does to the disk; a process can be killed before and after each."""


def until_killed(work: Callable, step: int, *given) -> None:
    """Work, and end without a word before the `step`-th touch of the disk."""
    left = step

    def touched(frame, event: str, called) -> None:
        nonlocal left
        if event == "c_call" and called.__name__ in TOUCHING and not isinstance(called.__self__, str | bytes):
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.setprofile(touched)
    for _ in work(*given):
        pass


def telling(work: Callable, each: Connection, *given) -> None:
    """Work until the parent ends it, and tell it of every pass."""
    for _ in work(*given):
        each.send(True)


def convert(folder: Path) -> Iterator[None]:
    from ladivton_core.checkpoints.conversion import DTYPES
    from ladivton_core.checkpoints.conversion import convert as run
    from ladivton_core.embedded import embedded_path

    for dtype in itertools.cycle(DTYPES.values()):
        run(embedded_path("emasc"), folder / "emasc.safetensors", dtype=dtype, overwrite=True)
        yield


def convert_whole(folder: Path) -> None:
    from ladivton_core.checkpoints.inventory import verify

    for path in folder.glob("*.safetensors"):
        assert "emasc of tiny" in verify(path)


def report(folder: Path) -> Iterator[None]:
    from ladivton_core.evaluation.report import write_report

    for count in itertools.count():
        figures = {f"category {number}": {"ssim": 0.5, "pictures": count, "people": count} for number in range(200)}
        run = {"dataset": "vitonhd", "order": "paired", "root": "", "results": "", "figures": figures, "failed": {},
               "skipped": [], "meaningless": [], "protocol": {}, "versions": {}, "run": None}  # fmt: skip
        write_report([run], folder / "report.html", folder / "report.json", rows=0)
        yield


def report_whole(folder: Path) -> None:
    for path in folder.glob("*.html"):
        assert path.read_text(encoding="utf-8").endswith("</html>\n")
    for path in folder.glob("*.json"):
        assert json.loads(path.read_text(encoding="utf-8"))["runs"]


def results(folder: Path) -> Iterator[None]:
    """As `generate` and Save Result write: batches of pictures."""
    from PIL import Image

    from ladivton_core.datasets.results import result_path, write_pictures

    paths = [result_path(folder, "paired", "dresses", f"{number}_0.jpg", "png") for number in range(3)]
    for shade in itertools.cycle(range(256)):
        write_pictures([Image.effect_noise((96, 128), shade + 1).convert("RGB")] * 3, paths, overwrite=True)
        yield


def results_whole(folder: Path) -> None:
    from ladivton_core.evaluation.items import is_whole

    assert all(is_whole(path, (128, 96)) for path in folder.rglob("*.png"))


def training(folder: Path) -> Iterator[None]:
    """What a stage leaves: weights, a chunk of rows, a sheet, the recipe and the model card."""
    from ladivton_core.checkpoints.build import build_emasc, save
    from ladivton_core.disk.sheet import write_sheet
    from ladivton_core.disk.writing import write_json
    from ladivton_core.presets import TINY
    from ladivton_core.training.chunks import write_chunk
    from ladivton_core.training.commands import note

    module = build_emasc(TINY)
    settings = {"models": "tiny", "seed": 1, "batch": 2, "steps": 3}
    for count in itertools.count():
        save("emasc", module, folder / "emasc.safetensors")
        write_chunk(folder, 0, {"rows": torch.full((50, 64), float(count))})
        write_sheet([torch.rand(2, 3, 64, 48)], folder / "sheet.png", 64)
        stage = {"seconds": count, "figures": {"l1": 0.1}, "settings": settings}
        recipe = {"preset": "vitonhd", "stages": {"emasc": stage}}
        write_json(recipe, folder / "recipe.json")
        note(folder / "CARD.md", recipe)
        yield


def training_whole(folder: Path) -> None:
    from ladivton_core.checkpoints.reading import read_state_dict
    from ladivton_core.disk.pictures import open_picture
    from ladivton_core.training.recipe import read_recipe

    for path in folder.glob("*.safetensors"):
        assert read_state_dict(path)
    for path in folder.glob("*.png"):
        open_picture(path)
    if (folder / "recipe.json").exists():
        read_recipe(folder)
    if (folder / "CARD.md").exists():
        text = (folder / "CARD.md").read_text(encoding="utf-8")
        assert text.startswith("# Model card") and text.rstrip().endswith("<!-- /recipe -->")


def download(folder: Path, url: str, content: bytes) -> Iterator[None]:
    from ladivton_core.checkpoints import download as module

    module.CHUNK = len(content) // 50  # killed in the middle of it as well
    while True:
        module.download([url], folder / "model.bin", sha256=hashlib.sha256(content).hexdigest(), progress=False)
        yield
        (folder / "model.bin").unlink()


DOORS = {"convert": (convert, convert_whole), "report": (report, report_whole), "results": (results, results_whole),
         "training": (training, training_whole)}  # fmt: skip
