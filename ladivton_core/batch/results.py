"""Finished pictures: each tells what it is, so that a killed run loses nothing that is written.

A picture carries its item's id, seed and the mark of what it was made of. `index.py` keeps the rows; where it lacks one
because the run was killed a moment earlier, the picture is asked. `catalogue.py` uses both.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..datasets.results import JPEG_QUALITY
from .items import Item, Manifest, Options, Outcome, Settings
from .store import Store

KEY = "ladi_vton"
"""Name of the note in a PNG; a JPEG has it as its comment."""


def mark_of(item: Item, manifest: Manifest, facts: dict[str, Any], settings: Settings) -> str:
    """What a picture depends on, in 16 characters: another seed, file name, option or model gives another.

    What stands in the files is not looked at: a photo exchanged under the same name goes unnoticed.
    """
    parts = [dataclasses.asdict(manifest.persons[item.person]), dataclasses.asdict(manifest.garments[item.garment])]
    for part in parts:
        del part["where"]
    options = dataclasses.astuple(options_of(item, settings))
    told = json.dumps([item.id, item.category, item.seed, options, parts, facts], sort_keys=True)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def options_of(item: Item, settings: Settings) -> Options:
    """Options of an item: its own, else the run's."""
    own, run = dataclasses.asdict(item.options), dataclasses.asdict(settings.options)
    return Options(**{name: run[name] if value is None else value for name, value in own.items()})


@dataclass(frozen=True)
class Results:
    """Delivery into a folder.

    Attributes:
        store: the run's folder.
    """

    store: Store

    def there(self, item: Item) -> Outcome | None:
        """The outcome told by the picture itself, when it is whole and made of the same."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(self.store.read(item.file)), formats=["PNG", "JPEG"]) as picture:
                note = picture.info.get(KEY) or picture.info.get("comment") or "{}"
                told = json.loads(note)
                if told["id"] != item.id or told["mark"] != item.mark:
                    return None
                picture.load()
        except Exception:  # not there, not whole, another program's: it is made again
            return None
        return Outcome(item.id, item.file, seconds=told["seconds"], check=told["check"], worker=told["worker"])

    def picture(
        self, item: Item, pixels: np.ndarray, *, seconds: float, check: float | None = None, worker: str = ""
    ) -> Outcome:
        """See `Delivery`."""
        seconds, check = round(seconds, 4), None if check is None else round(check, 3)
        note = {"id": item.id, "mark": item.mark, "seed": item.seed, "seconds": seconds, "check": check,
                "worker": worker}  # fmt: skip
        content = encoded(pixels, item.file, json.dumps(note))
        try:
            self.store.write(item.file, content)
        except OSError as error:
            return Outcome(item.id, error=_said(error, self.store.root), worker=worker, stop=True)
        return Outcome(item.id, item.file, seconds=seconds, check=check, worker=worker)


def encoded(pixels: np.ndarray, name: str, note: str = "") -> bytes:
    """Bytes of a PNG or JPEG by the name's ending.

    Args:
        pixels: (H, W, 3) uint8.
        note: text that the file carries.
    """
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    buffer, picture = io.BytesIO(), Image.fromarray(np.ascontiguousarray(pixels))
    if name.endswith(".png"):
        info = PngInfo()
        info.add_text(KEY, note)
        picture.save(buffer, "PNG", pnginfo=info, compress_level=4)
    else:
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, comment=note.encode())
    return buffer.getvalue()


def _said(error: OSError, root: str) -> str:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        return f"no room is left for {root} ({error.strerror or error}); make room and give the same command again"
    return f"{root} cannot be written: {error}"
