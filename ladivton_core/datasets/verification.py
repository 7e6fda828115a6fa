"""Walking a whole data set: is every file there, readable, and of the size and kind the readers want.

Each file is looked at once, however many pairs name it. `sample_checks.py` looks at a single sample's files,
`__main__.py` prints the report.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ..disk.looking import file_there
from ..disk.names import in_one_line
from .layouts import DATASETS
from .reading import PairList, SampleFiles, check_choice, examine_pairs
from .sample_checks import Finding, check_garment, check_person

log = logging.getLogger(__name__)


Check = Callable[[], list[Finding]]
Progress = Callable[[Iterable[list[Finding]], int], Iterable[list[Finding]]]


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


def verify(
    name: str,
    root: str | Path,
    splits: tuple[str, ...] = ("train", "test"),
    workers: int = 4,
    progress: Progress | None = None,
) -> Report:
    """Check every file that the pair lists of a data set name.

    Args:
        name: one of `DATASETS`.
        root: folder of the data set.
        splits: which to look at; one that is not there is reported as absent.
        workers: threads; pictures are decoded outside Python's lock.
        progress: wraps the results of the checks, given their number, e.g. in a progress bar.

    Raises:
        ValueError: an unknown data set.
        FileNotFoundError: the folder is missing, or holds no pair list of these splits.
    """
    check_choice("data set", name, tuple(DATASETS))
    root, kind = Path(root), DATASETS[name]
    if not root.is_dir():
        raise FileNotFoundError(f"there is no folder {root}; give the folder of the data set")
    lists = [pairs for pairs in kind.pair_lists(root) if pairs.split in splits]
    present, closed = [], []
    for pairs in lists:
        try:
            if file_there(pairs.path):
                present.append(pairs)
        except ValueError as error:
            closed.append(Finding("unreadable file", True, pairs.path, str(error)))
    if not present and not closed:
        expected = ", ".join(sorted({str(pairs.path.relative_to(root)) for pairs in lists}))
        raise FileNotFoundError(
            f"{root} holds none of {kind.title}'s pair lists ({expected}); give the folder they lie in"
        )
    report = Report(name, root)
    absent = (pairs for pairs in lists if pairs not in present)
    report.absent = [f"{pairs.split} {pairs.order} {pairs.category} ({pairs.path.name})" for pairs in absent]
    report.findings += dict.fromkeys(closed)
    people, garments = {}, {}
    for pairs in present:
        for files in _read_list(kind, pairs, report):
            people[files.person] = files
            garments[files.garment] = files
    checks: list[Check] = [
        partial(_checked, files.person, partial(check_person, files, kind.labels, name)) for files in people.values()
    ]
    checks += [partial(_checked, files.garment, partial(check_garment, files)) for files in garments.values()]
    report.people, report.garments = len(people), len(garments)
    pool = ThreadPoolExecutor(max(workers, 1))
    try:
        results: Iterable[list[Finding]] = pool.map(lambda check: check(), checks)
        for found in progress(results, len(checks)) if progress else results:
            report.findings += found
    finally:
        pool.shutdown(cancel_futures=True)  # after Ctrl-C nobody waits for the rest
    return report


def _checked(path: Path, check: Check) -> list[Finding]:
    """What a check finds; what it raises is a finding too, so that one file never ends the walk."""
    try:
        return check()
    except Exception as error:
        log.debug("%s", path, exc_info=True)
        message = f"it cannot be checked: {type(error).__name__}: {error}"
        return [Finding("unreadable file", True, path, message)]


def _read_list(kind: type, pairs: PairList, report: Report) -> list[SampleFiles]:
    """The samples of a list; what is wrong with its lines goes into the report."""
    try:
        lines, faults = examine_pairs(pairs.path)
    except (OSError, ValueError) as error:
        lines, faults = [], [str(error)]
    else:
        if not lines and not faults:
            faults = ["the list is empty; expected a person and a garment on every line"]
    samples = []
    for line in lines:
        names = kind.pair(pairs.order, *line)
        try:
            samples.append(kind.files_of(report.root, pairs.split, *names, category=pairs.category))
        except ValueError as error:  # a name of another kind, or one that no disk takes
            faults.append(str(error))
    known = set(report.findings)  # VITON-HD's test list is read for both orders
    findings = [Finding("malformed pair", True, pairs.path, fault) for fault in faults]
    repeated = len(lines) - len(set(lines))
    if repeated:
        findings.append(Finding("repeated pair", False, pairs.path, f"{repeated} lines stand there more than once"))
    report.findings += [finding for finding in findings if finding not in known]
    people, garments = ({getattr(files, part) for files in samples} for part in ("person", "garment"))
    report.lists.append(
        ListReport(pairs.split, pairs.order, pairs.category, pairs.path, len(samples), len(people), len(garments))
    )
    return samples
