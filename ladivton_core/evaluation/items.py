"""What a test run consists of: who wears what, the seed of each picture, its file, and whether that is whole.

SPEC 0.5. `generate.py` runs them, `truth.py` compares with them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from ..datasets import DressCode, VitonHD
from ..datasets.results import SUFFIXES, result_path
from ..disk.names import same_everywhere
from ..disk.pictures import open_picture

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
    return sorted(path for path in folder.glob("*") if path.suffix in SUFFIXES.values() and path.name[0] != ".")
