"""What verifying a data set finds, and how it is told: text for people, JSON for programs.

`verification.py` fills a `Report`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..disk.names import in_one_line


@dataclass(frozen=True)
class Finding:
    """One thing that is not as expected.

    Attributes:
        kind: what sort of thing, e.g. `missing file`.
        broken: whether a sample cannot be read, or not rightly; otherwise it is only unusual.
        path: the file it is about.
        message: what was found and what was expected.
    """

    kind: str
    broken: bool
    path: Path
    message: str


@dataclass(frozen=True)
class ListReport:
    """What a pair list holds.

    Attributes:
        split, order, category: see `PairList`.
        path: the list.
        pairs: good lines.
        people, garments: different ones among them.
    """

    split: str
    order: str
    category: str
    path: Path
    pairs: int
    people: int
    garments: int


@dataclass
class Report:
    """Everything about one data set.

    Attributes:
        dataset: its name in `DATASETS`.
        root: its folder.
        lists: the pair lists that are there.
        absent: those that are not, in words. That is no fault.
        people, garments: different ones in all lists together.
        findings: what is broken or unusual.
    """

    dataset: str
    root: Path
    lists: list[ListReport] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)
    people: int = 0
    garments: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def broken(self) -> bool:
        """Whether any sample cannot be read rightly."""
        return any(finding.broken for finding in self.findings)

    def lines(self, show: int = 5) -> Iterator[str]:
        """The report as text, with the first `show` findings of every kind."""
        for found in self.lists:
            yield (
                f"{found.split} {found.order} {found.category}: {found.pairs} pairs of {found.people} people and "
                f"{found.garments} garments"
            )
        for name in self.absent:
            yield f"not there, skipped: {name}"
        yield f"{self.people} people and {self.garments} garments looked at"
        for broken in (True, False):
            kinds = Counter(finding.kind for finding in self.findings if finding.broken == broken)
            for kind, count in kinds.most_common():
                yield f"{'BROKEN' if broken else 'unusual'}  {kind}: {count}"
                same = [finding for finding in self.findings if finding.kind == kind and finding.broken == broken]
                yield from (f"  {in_one_line(self._name(f.path))}: {in_one_line(f.message)}" for f in same[:show])
                if count > show:
                    yield f"  and {count - show} more; --json lists them all"
        yield "Something is broken." if self.broken else "Nothing is broken."

    def as_json(self) -> dict[str, Any]:
        """The report as JSON's types, with every finding."""
        counts = {
            word: dict(Counter(finding.kind for finding in self.findings if finding.broken == broken))
            for word, broken in (("broken", True), ("unusual", False))
        }
        return {
            "dataset": self.dataset,
            "root": str(self.root),
            "ok": not self.broken,
            "lists": [vars(found) | {"path": self._name(found.path)} for found in self.lists],
            "absent": self.absent,
            "people": self.people,
            "garments": self.garments,
            "counts": counts,
            "findings": [vars(finding) | {"path": self._name(finding.path)} for finding in self.findings],
        }

    def _name(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()
