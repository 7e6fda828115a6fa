"""Reading what is wanted: people and garments with a rule, or a list of pairs; every problem at once, before all else.

`tables.py` reads the files, `lines.py` their lines, `rules.py` says who wears what, `naming.py` where pictures go.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from .addresses import is_address, is_there
from .cells import Cell, ManifestError, Problem, Row
from .items import Garment, Item, Manifest, Options, Person
from .lines import GARMENT, PAIR_OF_FILES, PAIR_OF_IDS, PERSON, check_columns, garment_of, person_of
from .naming import TEMPLATE, Taken, Template
from .rules import RULES, pairs_of
from .tables import Table, read_table

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
            check_columns(table, columns, needed)
        return table

    def from_tables(self) -> Manifest:
        people = self.table(self.request.persons, PERSON, ("photo",))
        clothes = self.table(self.request.garments, GARMENT, ("picture",))
        persons, garments = {}, {}
        for row in people.rows:
            _add(persons, person_of(row, ""), row, "id")
        for row in clothes.rows:
            _add(garments, garment_of(row, "", self.request.category), row, "id")
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
            person, garment = person_of(row, "person_"), garment_of(row, "garment_", self.request.category)
            person = person and _same(persons, person, row, "person_id")
            garment = garment and _same(garments, garment, row, "garment_id")
            if person and garment:
                items += self.item(row, person, garment)
        return Manifest(persons, garments, tuple(items))

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
