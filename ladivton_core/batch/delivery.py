"""Finished pictures on their way into the run's folder: each tells what it is, so that a killed run loses none.

A picture carries its item's id, seed and the mark of what it was made of. `index.py` keeps the rows; where it lacks one
because the run was killed a moment earlier, the picture is asked.
"""

from __future__ import annotations

import dataclasses
import errno
import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from ..datasets.results import JPEG_QUALITY
from ..disk.store import Store
from ..preprocessing.pictures import as_file
from .items import Item, Manifest, Options, Outcome, Settings

if TYPE_CHECKING:
    import numpy as np

KEY = "ladi_vton"
"""Name of the note in a PNG; a JPEG has it as its comment."""


class PictureNote(BaseModel):
    """What a picture tells of itself."""

    id: str
    mark: str
    seed: int | None = None
    seconds: float | None
    check: float | None
    worker: str


@dataclass(frozen=True)
class Delivery:
    """Pictures into the run's folder. It travels to the workers, which write where they run: none passes the driver.

    Attributes:
        store: the folder.
        photos: paths of photos that results go back into, by person: a result has its photo's colours and profile.
    """

    store: Store
    photos: Mapping[str, str] = field(default_factory=dict)

    def there(self, item: Item) -> Outcome | None:
        """The outcome of an item whose picture is already there, whole and made with this run's settings."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(self.store.read(item.file)), formats=["PNG", "JPEG"]) as picture:
                note = PictureNote.model_validate_json(picture.info.get(KEY) or picture.info.get("comment") or "{}")
                if (note.id, note.mark) != (item.id, item.mark):
                    return None
                picture.load()
        except Exception:  # not there, not whole, another program's: it is made again
            return None
        return Outcome(item.id, item.file, seconds=note.seconds, check=note.check, worker=note.worker)

    def picture(
        self, item: Item, pixels: np.ndarray, *, seconds: float, check: float | None = None, worker: str = ""
    ) -> Outcome:
        """Write a picture (H, W, 3) uint8 in sRGB, whole or not at all.

        Returns:
            The item's outcome; with `stop` when the disk is full or the folder closed.
        """
        seconds, check = round(seconds, 4), None if check is None else round(check, 3)
        note = PictureNote(id=item.id, mark=item.mark, seed=item.seed, seconds=seconds, check=check, worker=worker)
        root, profile = str(self.store), None
        if photo := self.photos.get(item.person):
            try:
                pixels, profile = as_file(Path(photo), pixels)
            except (OSError, ValueError) as error:  # gone since it was framed
                return Outcome(item.id, error=str(error), error_file=photo, worker=worker)
        try:
            self.store.write(item.file, encode_picture(pixels, item.file, json.dumps(note.model_dump()), profile))
        except OSError as error:
            words = f"{root} cannot be written: {error}"
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                why = error.strerror or error
                words = f"no room is left for {root} ({why}); make room and give the same command again"
            return Outcome(item.id, error=words, worker=worker, stop=True)
        return Outcome(item.id, item.file, seconds=seconds, check=check, worker=worker)


class LastPicture:
    """In place of a delivery: keeps the pixels of the last picture alone, for trials and pipelines of one's own."""

    pixels: np.ndarray

    def there(self, item: Item) -> None:
        """Nothing is."""

    def picture(self, item: Item, pixels: np.ndarray, **told: Any) -> Outcome:
        """Keep it."""
        self.pixels = pixels
        return Outcome(item.id, item.file, **told)


def encode_picture(pixels: np.ndarray, name: str, note: str = "", profile: bytes | None = None) -> bytes:
    """Bytes of a PNG or JPEG by the name's ending.

    Args:
        pixels: (H, W, 3) uint8.
        note: text that the file carries.
        profile: ICC profile of the colours; sRGB without one.
    """
    import numpy as np
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    buffer, picture = io.BytesIO(), Image.fromarray(np.ascontiguousarray(pixels))
    if name.endswith(".png"):
        info = PngInfo()
        info.add_text(KEY, note)
        picture.save(buffer, "PNG", pnginfo=info, compress_level=4, icc_profile=profile)
    else:
        picture.save(buffer, "JPEG", quality=JPEG_QUALITY, comment=note.encode(), icc_profile=profile)
    return buffer.getvalue()


def mark_item(
    item: Item, manifest: Manifest, facts: dict[str, Any], settings: Settings, exchanged: Mapping[str, str],
    result: str = "",
) -> str:  # fmt: skip
    """What a picture depends on, in 16 characters: another seed, file, option or model gives another.

    Args:
        exchanged: hashes of files that are not what they were when the folder first knew them.
        result: file of what another pipeline made of the item, where that is there.
    """
    things = manifest.persons[item.person], manifest.garments[item.garment]
    parts = [dataclasses.asdict(thing) for thing in things]
    for part in parts:
        del part["where"]
        if part.get("reference", "") is None:  # pictures of before there was one stay what they are
            del part["reference"]
    options = dataclasses.astuple(resolve_options(item, settings))
    told = [item.id, item.category, item.seed, options, parts, facts]
    if others := [exchanged[file] for thing in things for file in thing.files if file in exchanged]:
        told.append(others)
    if result:
        told.append({"result": exchanged.get(result)})
    return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:16]


def resolve_options(item: Item, settings: Settings) -> Options:
    """Options of an item: its own, else the run's."""
    own, run = dataclasses.asdict(item.options), dataclasses.asdict(settings.options)
    return Options(**{name: run[name] if value is None else value for name, value in own.items()})
