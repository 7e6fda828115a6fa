"""Reading what is wanted: people and garments with a rule, or a list of pairs; every problem at once, before all else.

`tables.py` reads the files, `rules.py` says who wears what, `naming.py` where pictures go.
"""

from __future__ import annotations

import difflib
import hashlib
import logging
import posixpath
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ..disk.names import is_plain_name
from ..inversion.prompts import PLACEHOLDER
from ..preprocessing.labels import CATEGORIES, LABEL_SETS
from .addresses import fault_of_address, is_address, is_there, resolved
from .items import Garment, Item, Manifest, Options, Person
from .naming import TEMPLATE, Taken, Template
from .rules import RULES, pairs_of
from .tables import Cell, ManifestError, Problem, Row, Table, read_table

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
SEEDS = 2**53
"""Seeds are below this: every reader of JSON holds them exactly."""

_CHECKERS = 16
"""Addresses looked up at a time."""


@dataclass(frozen=True)
class Request:
    """Which manifest, and how it is read; every path may be an address.

    Attributes:
        persons, garments: tables of people and garments.
        pairs: table of pairs: of their ids where both tables are given, else of files.
        rule: one of `RULES`, without `pairs`.
        sample: so many pairs of the rule.
        category: of garments whose line says none.
        template: see `naming.Template`.
        seed: of the run, for items without one and for the sample.
        look: check that every file is there.
    """

    persons: str | Path | None = None
    garments: str | Path | None = None
    pairs: str | Path | None = None
    rule: str = "all"
    sample: int | None = None
    category: str | None = None
    template: str = TEMPLATE
    seed: int = 1234
    look: bool = True


def read_manifest(request: Request) -> Manifest:
    """Everything that is wanted.

    Raises:
        ManifestError: every problem there is, with file, line and column.
        ValueError: the request itself cannot be: no tables, an unknown rule, a bad template.
        ImportError: a package is missing for a format or an address.
    """
    template = Template(request.template)
    if request.rule not in RULES:
        raise ValueError(f"the rule is {request.rule!r}; expected one of {', '.join(RULES)}")
    if request.sample is not None and request.sample < 1:
        raise ValueError(f"the sample is {request.sample}; expected 1 pair or more")
    both = request.persons is not None and request.garments is not None
    if (request.pairs is None and not both) or (not both and (request.persons or request.garments)):
        raise ValueError("give a table of persons and one of garments, or a table of pairs, or all three")
    reading = _Reading(request, template)
    manifest = reading.from_tables() if both else reading.from_pairs()
    problems = [*reading.problems()]
    if request.look and not problems:
        problems = _missing_files(manifest)
    if problems:
        raise ManifestError(problems)
    return manifest


def read_rows(rows: Iterable[Mapping[str, Cell]], seed: int = 1234) -> Manifest:
    """The same from rows of a list of pairs (of files) that are in memory; files are not looked for.

    Raises:
        ManifestError: every problem there is.
    """
    table = Table("rows")
    for number, cells in enumerate(rows, 1):
        kept = {column: value for column, value in cells.items() if column in PAIR_OF_FILES and value not in (None, "")}
        table.rows.append(Row(table, number, kept))
    reading = _Reading(Request(pairs="rows", seed=seed), Template(TEMPLATE))
    manifest = reading.from_pairs(table)
    if table.problems:
        raise ManifestError(table.problems)
    return manifest


def item_seed(seed: int, item_id: str) -> int:
    """Seed of an item without one: a hash of the run's seed and its id, never of its place."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{item_id}".encode()).digest()[:8], "big") % SEEDS


Thing = TypeVar("Thing", Person, Garment)


class _Reading:
    def __init__(self, request: Request, template: Template) -> None:
        self.request, self.template = request, template
        self.tables: list[Table] = []
        self.ids: dict[str, str] = {}
        self.files = Taken()

    def problems(self) -> Iterator[Problem]:
        return (problem for table in self.tables for problem in table.problems)

    def table(self, name: str | Path, columns: tuple[str, ...], needed: tuple[str, ...]) -> Table:
        table = read_table(name)
        self.tables.append(table)
        if table.columns:
            _check_columns(table, columns, needed)
        return table

    def from_tables(self) -> Manifest:
        people = self.table(self.request.persons, PERSON, ("photo",))
        clothes = self.table(self.request.garments, GARMENT, ("picture",))
        persons, garments = {}, {}
        for row in people.rows:
            _add(persons, self.person(row, ""), row, "id")
        for row in clothes.rows:
            _add(garments, self.garment(row, ""), row, "id")
        if self.request.pairs is None:
            if self.request.rule == "category":
                for row in people.rows:
                    row.text("category", needed=True)
            chosen = pairs_of([*persons.values()], [*garments.values()], self.request.sample, self.request.seed)
            items = [*self.ruled(chosen, people)]
            if not items and not any(table.problems for table in self.tables):
                people.wrong("nobody can wear any of the garments: compare the columns 'category'")
            return Manifest(persons, garments, tuple(items))
        pairs = self.table(self.request.pairs, PAIR_OF_IDS, ("person", "garment"))
        items = []
        for row in pairs.rows:
            person = _known(row, "person", persons, self.request.persons)
            garment = _known(row, "garment", garments, self.request.garments)
            if person and garment:
                items += self.item(row, person, garment)
        return Manifest(persons, garments, tuple(items))

    def from_pairs(self, given: Table | None = None) -> Manifest:
        pairs = given or self.table(self.request.pairs, PAIR_OF_FILES, ("person", "garment"))
        persons: dict[str, Person] = {}
        garments: dict[str, Garment] = {}
        items = []
        for row in pairs.rows:
            person, garment = self.person(row, "person_"), self.garment(row, "garment_")
            person = person and _same(persons, person, row, "person_id")
            garment = garment and _same(garments, garment, row, "garment_id")
            if person and garment:
                items += self.item(row, person, garment)
        return Manifest(persons, garments, tuple(items))

    def person(self, row: Row, prefix: str) -> Person | None:
        photo = self.file(row, "person" if prefix else "photo", needed=True)
        optional = {name: self.file(row, prefix + name) for name in ("keypoints", "parse_map", "mask")}
        if optional["parse_map"] and not optional["keypoints"]:
            row.wrong(prefix + "keypoints", "is empty: a parse map needs the joints beside it")
        if optional["parse_map"] and optional["mask"]:
            row.wrong(prefix + "mask", "stands beside a parse map; give one of them")
        words = {
            "coordinates": row.choice(prefix + "coordinates", COORDINATES) or "picture",
            "label_set": row.choice(prefix + "label_set", LABEL_SETS) or "LIP20",
            "category": row.choice(prefix + "category", CATEGORIES),
        }
        name = self.id(row, prefix + "id", photo)
        return None if photo is None or name is None else Person(name, photo, **optional, **words, where=row.where)

    def garment(self, row: Row, prefix: str) -> Garment | None:
        picture = self.file(row, "garment" if prefix else "picture", needed=True)
        category = row.choice("category", CATEGORIES) or self.request.category
        if category is None and "category" not in row.cells:
            row.wrong("category", f"is empty: say which, {', '.join(CATEGORIES)}, or give one for all (--category)")
        prompt = row.text("prompt")
        if prompt is not None and prompt.count(PLACEHOLDER) != 16:
            row.wrong("prompt", f"holds {prompt.count(PLACEHOLDER)} times {PLACEHOLDER}; 16 mark the pseudo-words")
        name, mask = self.id(row, prefix + "id", picture), self.file(row, prefix + "mask")
        if picture is None or name is None or category is None:
            return None
        return Garment(name, picture, category, mask, prompt, row.where)

    def file(self, row: Row, column: str, *, needed: bool = False) -> str | None:
        text = row.text(column, needed=needed)
        if text is None:
            return None
        if fault := fault_of_address(text):
            row.wrong(column, f"is {text!r}: {fault}")
            return None
        return resolved(text, row.table.name)

    def id(self, row: Row, column: str, file: str | None) -> str | None:
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

    def ruled(self, pairs: Iterable[tuple[Person, Garment]], people: Table) -> Iterator[Item]:
        by_where = {row.where: row for row in people.rows}
        for person, garment in pairs:
            yield from self.item(by_where[person.where], person, garment, own=False)

    def item(self, row: Row, person: Person, garment: Garment, own: bool = True) -> Iterator[Item]:
        """The item of a pair, unless something is wrong with it.

        Args:
            own: the line is the pair's own and may hold id, seed and options.
        """
        if own and person.category not in (None, garment.category):
            row.wrong("garment", f"is {garment.category}; {person.id!r} wears {person.category} only")
        name = (row.text("id") if own else None) or f"{person.id}/{garment.id}"
        seed = row.number("seed", 0, SEEDS - 1, whole=True) if own else None
        seed = item_seed(self.request.seed, name) if seed is None else seed
        options = Options()
        if own:
            options = Options(row.number("steps", 1, 1000, whole=True), row.number("guidance_scale", 0, 100))
        if (before := self.ids.get(name)) is not None:
            row.wrong("id", f"{name!r} is there already ({before}); give the pair an id of its own")
            return
        self.ids[name] = row.where
        try:
            file = self.template.name(
                id=name, person=person.id, garment=garment.id, category=garment.category, seed=seed
            )
        except ValueError as error:
            row.wrong("id", str(error))
            return
        if before := self.files.take(file, name):
            row.wrong("id", f"its picture {file!r} would have the name that {before!r} has; put {{id}} or {{seed}} "
                      "into the name template, or give other ids (letter case makes no difference)")  # fmt: skip
            return
        yield Item(name, person.id, garment.id, garment.category, seed, file, options, row.where)


def _check_columns(table: Table, known: tuple[str, ...], needed: tuple[str, ...]) -> None:
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


def _add(things: dict[str, Thing], thing: Thing | None, row: Row, column: str) -> None:
    if thing is None:
        return
    if thing.id in things:
        row.wrong(column, f"{thing.id!r} is there already ({things[thing.id].where}); give it another id")
        return
    things[thing.id] = thing


def _same(things: dict[str, Thing], thing: Thing, row: Row, column: str) -> Thing | None:
    """The thing as an earlier line of the list gave it; a problem where one id stands for two."""
    import dataclasses

    before = things.setdefault(thing.id, thing)
    if dataclasses.replace(before, where=thing.where) != thing:
        row.wrong(column, f"{thing.id!r} has other files or another category in {before.where}; give it another id")
        return None
    return before


def _known(row: Row, column: str, things: Mapping[str, Thing], table: str | Path) -> Thing | None:
    name = row.text(column, needed=True)
    if name is None or name in things:
        return None if name is None else things[name]
    near = difflib.get_close_matches(name, things, 1)
    row.wrong(column, f"{name!r} is not in {table}" + (f"; did you mean {near[0]!r}?" if near else ""))
    return None


def _missing_files(manifest: Manifest) -> list[Problem]:
    """Files that people and garments name and that are not there."""
    wanted: dict[str, list[tuple[str, str]]] = {}
    for thing in (*manifest.persons.values(), *manifest.garments.values()):
        place, _, line = thing.where.rpartition(", line ")
        for name in ("photo", "picture", "keypoints", "parse_map", "mask"):
            if file := getattr(thing, name, None):
                wanted.setdefault(file, []).append((place, f"{line}:{name}"))
    local = [file for file in wanted if not is_address(file)]
    away = [file for file in wanted if is_address(file)]
    there = {file: is_there(file) for file in local}
    with ThreadPoolExecutor(_CHECKERS) as threads:
        there |= dict(zip(away, threads.map(is_there, away), strict=True))
    problems = []
    for file, places in wanted.items():
        for place, cell in places if not there[file] else ():
            line, _, column = cell.partition(":")
            problems.append(Problem(place, int(line), column, f"there is no file {file}"))
    return sorted(problems, key=lambda problem: (problem.file, problem.line))
