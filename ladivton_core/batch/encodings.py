"""People and garments once encoded: kept in memory up to a limit, and in files up to another.

A person with EMASC's features takes 120 MB with the embedded models and 250 MB with the published ones, so few fit in
memory. Files are safetensors, written whole, mapped by every worker of a machine, and named by what they were made of:
one that is there is right, after a crash too.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ..disk.tensors import write_tensors
from ..encodings import GarmentEncoding, PersonEncoding
from ..preprocessing.framing.fitting import Fit
from ..preprocessing.garment.backdrop import CENTRED
from ..preprocessing.garment.collar import COLLARED
from ..preprocessing.prepare import FramedPerson
from .items import Garment, Person

BODY, DETAIL = "photographs", "garment detail"
"""What of a run's facts says that photographs are dressed by the body's mask (`Preset.photographs`), and get the
garment's own detail."""
Encoding = PersonEncoding | GarmentEncoding | FramedPerson
_KINDS = {kind.__name__: kind for kind in (PersonEncoding, GarmentEncoding, FramedPerson)}


@dataclass(frozen=True)
class KeptEncoding:
    """An encoding with what its pictures need beside it.

    Attributes:
        encoding: of one person or one garment, on the CPU or on the models' device; a `FramedPerson` where the mask,
            and with it all that is encoded, depends on the garment.
        cost: what the checks of the photo take off the score of 1.
        fit, photo: how the person was framed and what they go back into; see `PreparedPerson`. Of a garment `photo` is
            `PreparedGarment.large`.
    """

    encoding: Encoding
    cost: float = 0.0
    fit: Fit | None = None
    photo: Tensor | None = None

    @property
    def bytes(self) -> int:
        """Of all tensors."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors().values())

    def tensors(self) -> dict[str, Tensor]:
        """Every tensor by name."""
        found = {} if self.photo is None else {"photo": self.photo}
        for field in dataclasses.fields(self.encoding):
            value = getattr(self.encoding, field.name)
            if isinstance(value, tuple):
                found |= {f"{field.name}.{place}": tensor for place, tensor in enumerate(value)}
            elif value is not None:
                found[field.name] = value
        return found

    def to(self, device: torch.device) -> KeptEncoding:
        """The same with the encoding on a device; the photo stays where it is, and joints, which no model sees."""
        tensors = {name: tensor for name, tensor in self.tensors().items() if name != "photo"}
        tensors |= {name: tensor.to(device) for name, tensor in tensors.items() if name != "people"}
        return dataclasses.replace(self, encoding=_encoding(type(self.encoding), tensors))

    def write(self, path: Path) -> None:
        """Write to a safetensors file, whole or not at all."""
        told = {"kind": type(self.encoding).__name__, "cost": self.cost}
        told["fit"] = None if self.fit is None else dataclasses.asdict(self.fit)
        write_tensors(path, {k: v.contiguous() for k, v in self.tensors().items()}, {"ladi_vton": json.dumps(told)})

    @classmethod
    def read(cls, path: Path) -> KeptEncoding | None:
        """From such a file, its tensors mapped; None where there is none, or another."""
        from safetensors import safe_open

        try:
            with safe_open(path, "pt") as file:
                told = json.loads(file.metadata()["ladi_vton"])
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 no dictionary
            photo = tensors.pop("photo", None)
            fit = told["fit"] and Fit(**{name: v if name == "turns" else tuple(v) for name, v in told["fit"].items()})
            return cls(_encoding(_KINDS[told["kind"]], tensors), told["cost"], fit, photo)
        except Exception:  # safetensors has errors of its own; whatever it is, the encoding is made again
            return None


def _encoding(kind: type, tensors: dict[str, Tensor]) -> Encoding:
    values: dict[str, Tensor | tuple | None] = dict.fromkeys(field.name for field in dataclasses.fields(kind))
    for name in sorted(tensors):
        plain, dot, _ = name.partition(".")
        values[plain] = (*(values[plain] or ()), tensors[name]) if dot else tensors[name]
    return kind(**values)


def way_of(person: Person, category: str, facts: dict) -> str:
    """How a garment is prepared for a person: `centred` for photographs on models that ask for it, else `whole`; with
    `, open` behind it where those get tops and dresses without the inside of their collars, and with `, large` for
    photographs that get the garment's detail.
    """
    photograph = person.parse_map is None
    asked = BODY in facts and photograph
    way = "centred" if asked and category in CENTRED else "whole"
    way = f"{way}, open" if asked and category in COLLARED else way
    return f"{way}, large" if DETAIL in facts and photograph else way


def key_of(thing: Person | Garment, way: str, facts: dict) -> str:
    """Name of an encoding: a hash of what it is made of.

    Args:
        way: a person has an encoding for each category they wear, a garment one for each `way_of`.
    """
    told = dataclasses.asdict(thing)
    del told["where"]
    told["files"] = []
    for file in thing.files:  # another one under its name has another encoding
        try:
            found = Path(file).stat()
            told["files"].append([found.st_size, found.st_mtime_ns])
        except (OSError, ValueError):  # an address, or not there
            told["files"].append([])
    text = json.dumps([thing.kind, told, way, facts], sort_keys=True)
    return f"{thing.kind}-{hashlib.sha256(text.encode()).hexdigest()[:24]}"


class Encodings:
    """Encodings by key, the least recently used given up first.

    Args:
        folder: of the files; None keeps nothing on the disk.
        memory: most bytes in memory.
        disk: most bytes in files of the folder, as far as this process knows them: what it found and what it writes.
        through: write every encoding to its file at once, for others to read; else only what memory has no room for.
    """

    def __init__(self, folder: Path | None, memory: int, disk: int, *, through: bool = False) -> None:
        self.folder, self.memory, self.disk, self.through = folder, memory, disk, through
        self._held: OrderedDict[str, KeptEncoding] = OrderedDict()
        found = []
        for path in folder.glob("[!.]*.safetensors") if folder is not None else ():
            with contextlib.suppress(OSError):  # another worker has just given it up
                found.append((path.stat().st_mtime_ns, path.stem, path.stat().st_size))
        self._files: OrderedDict[str, int] = OrderedDict((key, size) for _, key, size in sorted(found))

    def get(self, key: str) -> KeptEncoding | None:
        """An encoding, from memory or its file; None where there is neither."""
        found = self._held.get(key)
        if found is not None:
            self._held.move_to_end(key)
        elif self.folder is not None and (found := KeptEncoding.read(self.path(key))) is not None:
            if key in self._files:
                self._files.move_to_end(key)
            self._hold(key, found)
        return found

    def there(self, key: str) -> bool:
        """Whether it is there, without reading it."""
        return key in self._held or (self.folder is not None and self.path(key).is_file())

    def put(self, key: str, encoded: KeptEncoding) -> None:
        """Keep an encoding.

        Raises:
            OSError: no room on the disk.
        """
        if self.through:
            self._write(key, encoded)
        self._hold(key, encoded)

    def drop(self, key: str) -> None:
        """Give an encoding up that is not needed any more."""
        self._held.pop(key, None)
        self._files.pop(key, None)
        if self.folder is not None:
            with contextlib.suppress(OSError):  # Windows: mapped by a worker that is about to end
                self.path(key).unlink(missing_ok=True)

    def path(self, key: str) -> Path:
        """Its file."""
        return self.folder / f"{key}.safetensors"

    def _hold(self, key: str, encoded: KeptEncoding) -> None:
        self._held[key] = encoded
        self._held.move_to_end(key)
        while len(self._held) > 1 and sum(held.bytes for held in self._held.values()) > self.memory:
            old, given_up = self._held.popitem(last=False)
            if self.folder is not None and not self.path(old).is_file():
                self._write(old, given_up)

    def _write(self, key: str, encoded: KeptEncoding) -> None:
        size = encoded.bytes
        while self._files and sum(self._files.values()) + size > self.disk:
            old, _ = self._files.popitem(last=False)
            self.path(old).unlink(missing_ok=True)
        if size <= self.disk:
            self.folder.mkdir(parents=True, exist_ok=True)
            encoded.write(self.path(key))
            self._files[key] = size
