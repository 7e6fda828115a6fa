"""Results of a try-on system, whoever made them: which picture is whose, and who has none.

A folder in the data set's names (`<order>/<category>/`, as `generate` writes it, or any of the two, or neither), or the
folder of a catalogue, whose index says who wears what and why others failed. `compare.py` measures them.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..disk.names import is_hidden, is_plain_name
from ..disk.pictures import endings
from ..disk.store import INDEX, PARTS, Store, read_index
from .items import Item
from .truth import MismatchError


@dataclass
class System:
    """One system.

    Attributes:
        name: what it is called.
        place: its folder.
        pictures: by item; whether they can be read is seen when they are.
        failed: why an item has none.
    """

    name: str
    place: Path
    pictures: dict[Item, Path] = field(default_factory=dict)
    failed: dict[Item, str] = field(default_factory=dict)


def read_systems(places: Sequence[str], items: Sequence[Item], order: str) -> list[System]:
    """Systems by their folders, `FOLDER` or `NAME=FOLDER`; a name that another one has gets a number.

    Args:
        items: the test list.
        order: `paired` or `unpaired`.

    Raises:
        FileNotFoundError: no such folder.
        MismatchError: a folder holds not one result.
        ImportError: a catalogue's index needs pyarrow.
    """
    systems: list[System] = []
    for place in places:
        name, folder = ("", place) if "=" not in place or Path(place).exists() else place.split("=", 1)
        path = Path(folder).expanduser()
        if not path.is_dir():
            raise FileNotFoundError(f"there is no folder {path}; expected FOLDER or NAME=FOLDER")
        called = name or path.resolve().name
        taken = [system.name for system in systems]
        titles = (f"{called} ({number})" if number > 1 else called for number in itertools.count(1))
        title = next(title for title in titles if title not in taken)
        system = System(title, path)
        if (path / INDEX).is_file() or (path / PARTS).is_dir():
            _read_catalogue(system, items)
        else:
            _read_folder(system, items, order)
        if not system.pictures:
            raise MismatchError(
                f"{path} holds no result of the {order} test list: expected pictures called like the people, such as "
                f"{Path(items[0].person).stem}.jpg, in {order}/{items[0].category}/, in one of the two, or in the "
                "folder itself; or a catalogue of these people and garments"
            )
        systems.append(system)
    return systems


def _read_catalogue(system: System, items: Sequence[Item]) -> None:
    """What the index of a catalogue says of these people in these garments; its ids are the files' names."""
    rows = {
        (row.get("category"), Path(row["person"] or "").stem, Path(row["garment"] or "").stem): row
        for row in read_index(Store(str(system.place.absolute())))
        if "person" in row and "garment" in row
    }
    for item in items:
        row = rows.get((item.category, Path(item.person).stem, Path(item.garment).stem))
        if row is None:
            continue
        file = row["file"] or ""
        if row["error"] is not None:
            system.failed[item] = row["error"]
        elif file and all(map(is_plain_name, file.split("/"))):  # an index may come from anywhere
            system.pictures[item] = system.place / file
        else:
            system.failed[item] = f"the index names {file!r}, which is no file below its folder"


def _read_folder(system: System, items: Sequence[Item], order: str) -> None:
    """Pictures called like the person, or like person and garment with `_` between."""
    by_category = defaultdict(list)
    for item in items:
        by_category[item.category].append(item)
    for category, group in by_category.items():
        for folder in (system.place / order / category, system.place / order, system.place / category, system.place):
            there: dict[str, list[Path]] = defaultdict(list)
            for path in sorted(folder.glob("*")):
                if path.suffix.lower() in endings() and not is_hidden(path.name):
                    there[path.stem].append(path)
            for item in group:
                stem = Path(item.person).stem
                found = [*there[stem], *there[f"{stem}_{Path(item.garment).stem}"]]
                if len(found) > 1:
                    names = " and ".join(path.name for path in found)
                    system.failed[item] = f"{folder} holds {names}; delete all but one"
                elif found:
                    system.pictures[item] = found[0]
            if not system.pictures.keys().isdisjoint(group):
                break
