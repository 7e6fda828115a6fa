"""Reading what is wanted: people and garments with a rule, or a list of pairs; every problem at once, before all else.

`tables.py` reads the files, `items.py` says what their lines may hold. A name template says where pictures go, checked
so that no cell leads out of the run's folder; `disk/names.py` knows which names hold on every system.
"""

from __future__ import annotations

import bisect
import dataclasses
import difflib
import hashlib
import itertools
import posixpath
import random
import string
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from ..datasets.results import SUFFIXES
from ..disk.addresses import Unreachable, fault_of_address, is_address, require_there, resolve
from ..disk.names import fault_of_name, hide_secrets, is_plain_name, same_everywhere
from .items import FIELDS, SEEDS, TEMPLATE, Garment, Item, Manifest, Options, PairLine, Person, Request, as_text
from .tables import Cell, Line, ManifestError, Problem, Table, read_table

PERSON = {field.name: field.name for field in dataclasses.fields(Person) if field.name != "where"}
GARMENT = {field.name: field.name for field in dataclasses.fields(Garment) if field.name != "where"}
"""Columns of the two tables, by the field that they fill."""
PAIRED_PERSON = {name: f"person_{name}" for name in PERSON} | {"photo": "person"}
PAIRED_GARMENT = GARMENT | {"id": "garment_id", "picture": "garment", "mask": "garment_mask"}
PICTURE = ("id", "seed", "steps", "guidance_scale")
"""Columns of a list of pairs: of files, and of the picture itself."""

OWN = ("index", "index.parquet", "index.html", "inputs.parquet", "settings.json", "seconds.json", "encodings", ".lock")
"""What the run itself writes into its folder."""
_CHECKERS = 16
"""Addresses looked up at a time."""

Thing = TypeVar("Thing", Person, Garment)


def read_manifest(request: Request) -> Manifest:
    """Everything that is wanted.

    Raises:
        ManifestError: every problem there is, with file, line and column.
        ValueError: the request itself cannot be: no tables, a bad template.
        ImportError: a package is missing for a format or an address.
    """
    both = request.persons is not None and request.garments is not None
    if (request.pairs is None and not both) or (not both and (request.persons or request.garments)):
        raise ValueError("give a table of persons and one of garments, or a table of pairs, or all three")
    reading = _Reading(request)
    manifest = reading.from_tables() if both else reading.from_pairs()
    problems = [problem for table in reading.tables for problem in table.problems]
    if request.look and not problems:
        problems = _find_missing_files(manifest)
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
        kept = {column: value for column, value in cells.items() if column in _PAIR_OF_FILES}
        table.lines.append(Line(table, number, {column: v for column, v in kept.items() if v not in (None, "")}))
    manifest = _Reading(Request(pairs="rows", seed=seed)).from_pairs(table)
    if table.problems:
        raise ManifestError(table.problems)
    return manifest


_PAIR_OF_FILES = tuple(dict.fromkeys([*PAIRED_PERSON.values(), *PAIRED_GARMENT.values(), *PICTURE]))


def draw_pairs(
    persons: Sequence[Person], garments: Sequence[Garment], sample: int | None = None, seed: int = 0
) -> Iterator[tuple[Person, Garment]]:
    """Everybody in everything they can wear, or some of it; counts the pairs without holding them.

    Args:
        persons, garments: in the manifest's order. The pairs are in it, people one after the other.
        sample: so many of them, drawn with `seed`; all when there are no more.
    """
    by_category: dict[str | None, list[Garment]] = {None: list(garments)}
    for garment in garments:
        by_category.setdefault(garment.category, []).append(garment)
    choices = [by_category.get(person.category, []) for person in persons]
    ends = [*itertools.accumulate(map(len, choices), initial=0)]
    chosen: Iterable[int] = range(ends[-1])
    if sample is not None and sample < ends[-1]:
        chosen = sorted(random.Random(seed).sample(chosen, sample))
    for index in chosen:
        place = bisect.bisect_right(ends, index) - 1
        yield persons[place], choices[place][index - ends[place]]


class Template:
    """The template of pictures' names.

    Args:
        text: fields in braces, folders with `/`, ends in `.png` or `.jpg`.

    Raises:
        ValueError: it is none; says what may stand in it.
    """

    def __init__(self, text: str) -> None:
        expected = f"write something like {TEMPLATE!r} with the fields {', '.join(FIELDS)}"
        try:
            parts = list(string.Formatter().parse(text))
        except ValueError as error:
            raise ValueError(f"the name template {text!r} cannot be read ({error}); {expected}") from error
        for _, name, form, conversion in parts:
            if name is not None and (name not in FIELDS or form or conversion):
                raise ValueError(f"the name template {text!r} holds {{{name}}}; {expected}")
        if not text.endswith(tuple(SUFFIXES.values())):
            raise ValueError(f"the name template {text!r} must end in {' or '.join(SUFFIXES.values())}")
        self.text = text
        self.fields = tuple(name for _, name, _, _ in parts if name)

    def name(self, **fields: str | int) -> str:
        """The name of one item.

        Raises:
            ValueError: a part of it is no file name on every system; says which field or part.
        """
        values = {name: str(value) for name, value in fields.items()}
        for field in self.fields:
            # of an id, folders are allowed: it is `person/garment` unless the manifest says otherwise
            if not all(map(is_plain_name, values[field].split("/") if field == "id" else [values[field]])):
                raise ValueError(f"{field} is {values[field]!r}, which cannot stand in a file's name: no folders, "
                                 "`..`, drives or special characters")  # fmt: skip
        name = self.text.format(**values)
        for part in name.split("/"):
            if fault := fault_of_name(part):
                raise ValueError(f"the name {name!r} has the part {part!r}: {fault}")
        if same_everywhere(name.split("/")[0]) in OWN:
            raise ValueError(f"the name {name!r} begins with {name.split('/')[0]!r}, which is the run's own")
        return name


class _Reading:
    def __init__(self, request: Request) -> None:
        self.request, self.template = request, Template(request.template)
        self.tables: list[Table] = []
        self.ids: dict[str, str] = {}
        self.names: dict[str, str] = {}  # two that differ in letter case or accents only are one on Windows and macOS

    def table(self, name: str | Path, columns: Iterable[str], needed: tuple[str, ...]) -> Table:
        table = read_table(name)
        self.tables.append(table)
        if table.columns:
            table.check_columns(columns, needed)
        return table

    def from_tables(self) -> Manifest:
        people = self.table(self.request.persons, PERSON, ("photo",))
        clothes = self.table(self.request.garments, GARMENT, ("picture",))
        persons: dict[str, Person] = {}
        garments: dict[str, Garment] = {}
        for line in people.lines:
            _add(persons, self.person(line, PERSON), line)
        for line in clothes.lines:
            _add(garments, self.garment(line, GARMENT), line)
        items: list[Item] = []
        if self.request.pairs is not None:
            pairs = self.table(self.request.pairs, ("person", "garment", *PICTURE), ("person", "garment"))
            for line in pairs.lines:
                person = _look_up(line, "person", persons, self.request.persons)
                garment = _look_up(line, "garment", garments, self.request.garments)
                if person and garment:
                    items += self.item(line, person, garment)
            return Manifest(persons, garments, tuple(items))
        for line in people.lines if self.request.rule == "category" else ():
            if "category" not in line.cells:
                line.blame("category", "is empty")
        by_where = {line.where: line for line in people.lines}
        chosen = draw_pairs([*persons.values()], [*garments.values()], self.request.sample, self.request.seed)
        for person, garment in chosen:
            items += self.item(by_where[person.where], person, garment, own=False)
        if not items and not any(table.problems for table in self.tables):
            people.blame("nobody can wear any of the garments: compare the columns 'category'")
        return Manifest(persons, garments, tuple(items))

    def from_pairs(self, given: Table | None = None) -> Manifest:
        pairs = given or self.table(self.request.pairs, _PAIR_OF_FILES, ("person", "garment"))
        persons: dict[str, Person] = {}
        garments: dict[str, Garment] = {}
        items: list[Item] = []
        for line in pairs.lines:
            person, garment = self.person(line, PAIRED_PERSON), self.garment(line, PAIRED_GARMENT)
            person = person and _share(persons, person, line, "person_id")
            garment = garment and _share(garments, garment, line, "garment_id")
            if person and garment:
                items += self.item(line, person, garment)
        return Manifest(persons, garments, tuple(items))

    def person(self, line: Line, columns: Mapping[str, str]) -> Person | None:
        """The person of a line, unless something is wrong with it."""
        person = _read(line, Person, columns, "photo")
        if columns["parse_map"] in line.cells and columns["keypoints"] not in line.cells:
            line.blame(columns["keypoints"], "is empty: a parse map needs the joints beside it")
        if columns["parse_map"] in line.cells and columns["mask"] in line.cells:
            line.blame(columns["mask"], "stands beside a parse map; give one of them")
        return person

    def garment(self, line: Line, columns: Mapping[str, str]) -> Garment | None:
        """The garment of a line, unless something is wrong with it."""
        default = {"category": self.request.category} if self.request.category else {}
        return _read(line, Garment, columns, "picture", **default)

    def item(self, line: Line, person: Person, garment: Garment, own: bool = True) -> Iterator[Item]:
        """The item of a pair, unless something is wrong with it.

        Args:
            own: the line is the pair's own and may hold id, seed and options.
        """
        said, options = PairLine(), Options()
        if own:
            if person.category not in (None, garment.category):
                line.blame("garment", f"is {garment.category}; {person.id!r} wears {person.category} only")
            said, options = line.read(PairLine) or said, line.read(Options) or options
        name = said.id or f"{person.id}/{garment.id}"
        seed = make_seed(self.request.seed, name) if said.seed is None else said.seed
        if (before := self.ids.get(name)) is not None:
            line.blame("id", f"{name!r} is there already ({before}); give the pair an id of its own")
            return
        self.ids[name] = line.where
        fields = {"id": name, "person": person.id, "garment": garment.id, "category": garment.category, "seed": seed}
        try:
            file = self.template.name(**fields)
        except ValueError as error:
            line.blame("id", str(error))
            return
        if (before := self.names.setdefault(same_everywhere(file), name)) != name:
            line.blame("id", f"its picture {file!r} would have the name that {before!r} has; put {{id}} or {{seed}} "
                       "into the name template, or give other ids (letter case makes no difference)")  # fmt: skip
            return
        yield Item(name, person.id, garment.id, garment.category, seed, file, options, line.where)


def make_seed(seed: int, item_id: str) -> int:
    """Seed of an item without one: a hash of the run's seed and its id, never of its place."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{item_id}".encode()).digest()[:8], "big") % SEEDS


def _read(line: Line, kind: type[Thing], columns: Mapping[str, str], picture: str, **given: str) -> Thing | None:
    """A person or garment; its id is its picture's name without the ending, where the line gives none."""
    text = str(line.cells.get(columns[picture], ""))
    if columns["id"] not in line.cells:
        given["id"] = "none"  # where the picture's cell is wrong the line is wrong, whatever the id
        if text and not fault_of_address(text):
            file = hide_secrets(resolve(text, line.table.name)).replace("\\", "/")
            given["id"] = posixpath.splitext(posixpath.basename(file))[0]
    return line.read(kind, columns, where=line.where, **given)


def _add(things: dict[str, Thing], thing: Thing | None, line: Line) -> None:
    if thing is not None and (before := things.setdefault(thing.id, thing)) is not thing:
        line.blame("id", f"{thing.id!r} is there already ({before.where}); give it another id")


def _share(things: dict[str, Thing], thing: Thing, line: Line, column: str) -> Thing | None:
    """The thing as an earlier line of the list gave it; a problem where one id stands for two."""
    before = things.setdefault(thing.id, thing)
    if dataclasses.replace(before, where=thing.where) != thing:
        line.blame(column, f"{thing.id!r} has other files or another category in {before.where}; give it another id")
        return None
    return before


def _look_up(line: Line, column: str, things: Mapping[str, Thing], table: str | Path) -> Thing | None:
    name = str(as_text(line.cells.get(column, "")))
    if name in things:
        return things[name]
    near = difflib.get_close_matches(name, things, 1)
    words = f"{name!r} is not in {table}" + (f"; did you mean {near[0]!r}?" if near else "") if name else "is empty"
    line.blame(column, words)
    return None


def _find_missing_files(manifest: Manifest) -> list[Problem]:
    """Files that people and garments name and that are not there, or cannot be read, and why."""
    wanted: dict[str, list[tuple[str, int, str]]] = {}
    for thing in (*manifest.persons.values(), *manifest.garments.values()):
        place, _, number = thing.where.rpartition(", line ")
        for name in ("photo", "picture", "keypoints", "parse_map", "mask", "reference"):
            if file := getattr(thing, name, None):
                wanted.setdefault(file, []).append((place, int(number), name))

    def find_fault(file: str) -> str:
        try:
            require_there(file)
        except Unreachable as error:
            return str(error)
        return ""

    away = [file for file in wanted if is_address(file)]
    with ThreadPoolExecutor(_CHECKERS) as threads:
        faults = dict(zip(away, threads.map(find_fault, away), strict=True))
    faults |= {file: find_fault(file) for file in wanted if file not in faults}
    problems = [Problem(*place, faults[file]) for file in wanted if faults[file] for place in wanted[file]]
    return sorted(problems, key=lambda problem: (problem.file, problem.line))
