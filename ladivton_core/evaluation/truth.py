"""The pictures that results are compared with, and which result belongs to which.

Published §9: the whole test set at its own size, and names that agree one by one, in order.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from ..datasets import DressCode, VitonHD
from ..datasets.dresscode import ALL_CATEGORIES
from ..datasets.reading import is_plain_name, read_columns, read_pairs
from ..disk.looking import file_there
from ..disk.names import is_hidden
from ..disk.pictures import endings
from .items import results_in


class MismatchError(ValueError):
    """Results and test set do not have the same names; the message names the first difference."""


def categories_of(dataset: str, category: str = "all") -> tuple[str, ...]:
    """What is measured apart: Dress Code's categories, in the order of their folders; VITON-HD has one."""
    if dataset == "vitonhd":
        return ("upper_body",)
    return tuple(sorted(ALL_CATEGORIES)) if category == "all" else (category,)


def people_of(dataset: str, root: Path, category: str) -> list[Path]:
    """Photos of the test people of one category, sorted by path.

    VITON-HD: all of `test/image`. Dress Code: the names of `<root>/test_pairs_paired.txt` that exist in the category's
    folder, or where there is no such list, of the category's own.

    Raises:
        FileNotFoundError: no list or folder, or not one photo.

    Source: published §9.
    """
    if dataset == "vitonhd":
        folder = root / "test" / "image"
        there = [path for path in folder.glob("*") if not is_hidden(path.name)] if folder.is_dir() else []
        names = [path.name for path in there if path.suffix.lower() in endings()]
    else:
        folder = root / category / "images"
        whole = root / "test_pairs_paired.txt"
        if file_there(whole):  # it may have a third column
            names = [columns[0] for columns in read_columns(whole) if is_plain_name(columns[0])]
        else:
            names = [person for person, _ in read_pairs(root / category / "test_pairs_paired.txt")]
    people = sorted(folder / name for name in set(names) if file_there(folder / name))
    if not people:
        title = (VitonHD if dataset == "vitonhd" else DressCode).title
        raise FileNotFoundError(f"there are no test people in {folder}; choose the folder of {title} as --root")
    return people


def match(people: list[Path], folder: Path, *, partial: bool = False) -> list[tuple[Path, Path]]:
    """Result and truth of every test person, in order.

    Args:
        people: of `people_of`.
        folder: `<results>/<order>/<category>`.
        partial: take those there are results of.

    Raises:
        MismatchError: the names differ, or there are no results.
    """
    results = results_in(folder)
    if not results:
        raise MismatchError(f"there are no results in {folder}: <folder>/<order>/<category>/<person>.jpg is expected")
    truths = {path.stem: path for path in people}
    if partial:
        stem, count = Counter(path.stem for path in results).most_common(1)[0]
        if count > 1:
            raise MismatchError(f"{folder} holds {count} pictures called {stem}; delete all but one")
        strangers = [path for path in results if path.stem not in truths]
        if strangers:
            raise MismatchError(f"{strangers[0]} is no test person of the data set")
        return [(path, truths[path.stem]) for path in results]
    for place in range(max(len(results), len(people))):
        result = results[place].stem if place < len(results) else "nothing"
        truth = people[place].stem if place < len(people) else "nothing"
        if result != truth:
            raise MismatchError(
                f"{folder} holds {len(results)} results for {len(people)} test people; the first difference is picture "
                f"{place + 1}: {result} where {truth} is expected. Finish the run with `generate`, remove what does "
                "not belong there, or measure what is there with --partial"
            )
    return list(zip(results, people, strict=True))
