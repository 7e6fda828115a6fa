"""Names of the pictures: a template with the item's fields, checked so that no cell leads out of the folder.

`disk/names.py` says which names hold on every system.
"""

from __future__ import annotations

import string

from ..datasets.results import SUFFIXES
from ..disk.names import fault_of_name, is_plain_name, same_everywhere

TEMPLATE = "{category}/{person}/{garment}.png"
FIELDS = ("id", "person", "garment", "category", "seed")
OWN = ("index", "index.parquet", "index.html", "settings.json", "seconds.json", "encodings")
"""What the run itself writes into its folder."""


class Template:
    """A template.

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


class Taken:
    """Names given so far; two that differ in letter case or accents only are one on Windows and macOS."""

    def __init__(self) -> None:
        self._by: dict[str, str] = {}

    def take(self, name: str, who: str) -> str | None:
        """Give a name to somebody; returns who has it already, if anybody."""
        key = same_everywhere(name)
        before = self._by.get(key)
        if before is None:
            self._by[key] = who
        return before
