"""Walking a whole data set: is every file there, readable, and of the size and kind the readers want.

Each file is looked at once, however many pairs name it. `findings.py` holds what is found, `__main__.py` prints it,
`sample_checks.py` looks at a single sample's files.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from ..disk.looking import file_there
from .files import PairList, SampleFiles
from .findings import Finding, ListReport, Report
from .layouts import DATASETS
from .reading import check_choice, examine_pairs
from .sample_checks import check_garment, check_person

log = logging.getLogger(__name__)

Check = Callable[[], list[Finding]]
Progress = Callable[[Iterable[list[Finding]], int], Iterable[list[Finding]]]


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
    report.absent = [_called(pairs) for pairs in lists if pairs not in present]
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


def _called(pairs: PairList) -> str:
    return f"{pairs.split} {pairs.order} {pairs.category} ({pairs.path.name})"
