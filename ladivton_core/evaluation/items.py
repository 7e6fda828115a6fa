"""What a test run consists of: who wears what, the seed of each picture, its file, and whether that is whole.

Published §0.5. `generate.py` runs them, `truth.py` compares with them. A folder holds pictures of one set of settings
(`claim`).
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..datasets import DressCode, VitonHD
from ..datasets.results import SUFFIXES, result_path
from ..disk.names import is_hidden, same_everywhere
from ..disk.pictures import open_picture
from ..disk.writing import write_json
from ..models import NOTE, OtherSettingsError, describe_differences, list_versions, read_note

_KINDS = {".jpg": "JPEG", ".png": "PNG"}


@dataclass(frozen=True)
class Item:
    """One picture to make.

    Attributes:
        index: place in the data set.
        category: which garment is exchanged.
        person, garment: file names in the data set.
    """

    index: int
    category: str
    person: str
    garment: str

    @property
    def name(self) -> str:
        """What tells it from every other, wherever it stands in a list."""
        return f"{self.category}/{self.person}/{self.garment}"

    def path(self, out: Path, order: str, kind: str = "jpg") -> Path:
        """Where its picture goes: `<out>/<order>/<category>/<person>`."""
        return result_path(out, order, self.category, self.person, kind)


def items_of(data: VitonHD | DressCode) -> list[Item]:
    """Everything on a test list, in its order; a line that stands there twice counts once.

    Raises:
        ValueError: one person is to wear two garments: there is one file a person.
    """
    if isinstance(data, VitonHD):
        rows = [("upper_body", *pair) for pair in data.pairs]
    else:
        rows = [tuple(pair) for pair in data.pairs]
    first = {row: index for index, row in reversed(list(enumerate(rows)))}
    items = [Item(index, *row) for row, index in sorted(first.items(), key=lambda pair: pair[1])]
    (category, person), count = Counter((item.category, item.person) for item in items).most_common(1)[0]
    twins = Counter((item.category, same_everywhere(item.person)) for item in items)
    if count == 1 and len(twins) < len(items):
        names = [item.person for item in items if twins[item.category, same_everywhere(item.person)] > 1]
        raise ValueError(
            f"the {data.order} list of {data.root} has the people {' and '.join(map(repr, names[:2]))}, whose names "
            "differ in letter case or accents only: Windows and macOS take them for one file. Rename one"
        )
    if count > 1:
        raise ValueError(
            f"the {data.order} list of {data.root} gives {person} ({category}) {count} different garments; the paper's "
            "layout has one picture a person. Split the list over two runs with two folders"
        )
    return items


def item_seed(seed: int, item: Item) -> int:
    """Seed of one picture, below 2**63: a hash of the run's seed and the item's name, never of its place."""
    digest = hashlib.sha256(f"{seed}/{item.name}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def list_hash(items: list[Item]) -> str:
    """SHA-256 over who wears what; changes when a list does."""
    return hashlib.sha256("\n".join(sorted(item.name for item in items)).encode()).hexdigest()


def is_whole(path: Path, size: tuple[int, int]) -> bool:
    """Whether a result is there, of the kind its name says, of a size (height, width), and decodes to the end."""
    try:
        picture = open_picture(path)
    except (OSError, ValueError):
        return False
    return picture.format == _KINDS.get(path.suffix) and picture.size == (size[1], size[0])


def results_in(folder: Path) -> list[Path]:
    """Finished pictures of a folder, in the order of their names; neither leftovers nor notes."""
    return sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES.values() and not is_hidden(path.name))


def claim(out: Path, settings: Mapping[str, Any], lists: Mapping[str, str], *, force: bool = False) -> None:
    """Make sure that everything in a folder has been made with these settings, and note them.

    Args:
        out: folder of the results.
        settings: by name, JSON's types.
        lists: hash of every pair list of this run, by `<order>/<category>`.
        force: delete the pictures that other settings, or another pair list, made.

    Raises:
        OtherSettingsError: they differ, or pictures lie there without a note.
    """
    changed: list[str] = []
    try:
        note = read_note(out)
        if note:
            differences = describe_differences(note["settings"], settings)
        else:
            differences = ["they have no note"] if _pictures(out) else []
        changed = [name for name, mark in lists.items() if note and note["lists"].get(name, mark) != mark]
    except OtherSettingsError:
        if not force:
            raise
        note, differences = None, ["its note cannot be read"]
    if (differences or changed) and not force:
        said = [*differences, *(f"the pair list {name} has changed" for name in changed)]
        raise OtherSettingsError(
            f"{out} holds pictures made otherwise: {'; '.join(said)}. Use these settings, choose another "
            "folder, or discard those pictures with --force"
        )
    # the pictures first: stopped in between, the old note still refuses them
    for picture in _pictures(out) if differences else [p for name in changed for p in results_in(out / name)]:
        picture.unlink()
    if differences:
        note = None
    lists = (note["lists"] if note else {}) | dict(lists)
    write_json({"settings": dict(settings), "lists": lists, "versions": list_versions()}, out / NOTE)


def _pictures(out: Path) -> list[Path]:
    folders = [folder for order in ("paired", "unpaired") for folder in sorted((out / order).glob("*"))]
    return [picture for folder in folders if folder.is_dir() for picture in results_in(folder)]
