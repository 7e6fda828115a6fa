"""What the columns of a catalogue's tables mean: a line to a person or a garment.

`cells.py` reads the cells, `manifest.py` puts people and garments together.
"""

from __future__ import annotations

import difflib
import logging
import posixpath

from ..disk.names import is_plain_name
from ..inversion.prompts import PLACEHOLDER
from ..preprocessing.labels import CATEGORIES, LABEL_SETS
from .addresses import fault_of_address, resolved
from .cells import Row
from .items import Garment, Person
from .tables import Table

log = logging.getLogger(__name__)

PERSON = ("id", "photo", "keypoints", "coordinates", "parse_map", "label_set", "mask", "category")
GARMENT = ("id", "picture", "category", "mask", "prompt")
ITEM = ("id", "seed", "steps", "guidance_scale")
PAIR_OF_IDS = ("person", "garment", *ITEM)
PAIR_OF_FILES = (
    "person", *(f"person_{name}" for name in PERSON if name != "photo"),
    "garment", *(f"garment_{name}" for name in GARMENT if name not in ("picture", "category", "prompt")),
    "category", "prompt", *ITEM,
)  # fmt: skip
COORDINATES = ("picture", "vitonhd", "dresscode")


def check_columns(table: Table, known: tuple[str, ...], needed: tuple[str, ...]) -> None:
    """Note missing and misspelt columns; say which others are not used."""
    for column in needed:
        if column not in table.columns:
            there = ", ".join(table.columns)
            table.wrong(f"is missing; the columns are {there}, known are {', '.join(known)}", 1, column)
    ignored = []
    for column in table.columns:
        if column in known:
            continue
        near = difflib.get_close_matches(column, [name for name in known if name not in table.columns], 1, 0.75)
        if near:
            table.wrong(f"is unknown; did you mean {near[0]!r}?", 1, column)
        else:
            ignored.append(column)
    if ignored:
        log.warning("%s: the columns %s are not used", table.name, ", ".join(map(repr, ignored)))


def person_of(row: Row, prefix: str) -> Person | None:
    """The person of a line, unless something is wrong with it.

    Args:
        prefix: of its columns: empty in a table of people, `person_` in a list of pairs.
    """
    photo = _file(row, "person" if prefix else "photo", needed=True)
    optional = {name: _file(row, prefix + name) for name in ("keypoints", "parse_map", "mask")}
    if optional["parse_map"] and not optional["keypoints"]:
        row.wrong(prefix + "keypoints", "is empty: a parse map needs the joints beside it")
    if optional["parse_map"] and optional["mask"]:
        row.wrong(prefix + "mask", "stands beside a parse map; give one of them")
    words = {
        "coordinates": row.choice(prefix + "coordinates", COORDINATES) or "picture",
        "label_set": row.choice(prefix + "label_set", LABEL_SETS) or "LIP20",
        "category": row.choice(prefix + "category", CATEGORIES),
    }
    name = _id(row, prefix + "id", photo)
    return None if photo is None or name is None else Person(name, photo, **optional, **words, where=row.where)


def garment_of(row: Row, prefix: str, default: str | None) -> Garment | None:
    """The garment of a line, unless something is wrong with it.

    Args:
        prefix: of its columns, as in `person_of`.
        default: category of a line that says none.
    """
    picture = _file(row, "garment" if prefix else "picture", needed=True)
    category = row.choice("category", CATEGORIES) or default
    if category is None and "category" not in row.cells:
        row.wrong("category", f"is empty: say which, {', '.join(CATEGORIES)}, or give one for all (--category)")
    prompt = row.text("prompt")
    if prompt is not None and prompt.count(PLACEHOLDER) != 16:
        row.wrong("prompt", f"holds {prompt.count(PLACEHOLDER)} times {PLACEHOLDER}; 16 mark the pseudo-words")
    name, mask = _id(row, prefix + "id", picture), _file(row, prefix + "mask")
    if picture is None or name is None or category is None:
        return None
    return Garment(name, picture, category, mask, prompt, row.where)


def _file(row: Row, column: str, *, needed: bool = False) -> str | None:
    text = row.text(column, needed=needed)
    if text is None:
        return None
    if fault := fault_of_address(text):
        row.wrong(column, f"is {text!r}: {fault}")
        return None
    return resolved(text, row.table.name)


def _id(row: Row, column: str, file: str | None) -> str | None:
    """The id's cell, or the file's name without its ending."""
    name = row.text(column)
    if name is None and file is not None:
        name = posixpath.splitext(posixpath.basename(file.replace("\\", "/").split("?")[0]))[0]
    if name is None:
        return None
    if not is_plain_name(name):
        row.wrong(column, f"is {name!r}; expected a plain name without folders or special characters")
        return None
    return name
