"""A blind vote on results: a page that shows two systems' pictures of one person under neutral names, and its count.

Which side is whose stands in a key beside the page, never in it. `vote.html` is the page; it saves what was chosen as a
file, and several people's files are counted together.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..datasets.results import to_picture
from ..disk.documents import read_json
from ..disk.pages import picture_address, render
from ..disk.structure import StructureError, check_shape
from ..disk.writing import write_json, write_text
from ..start import installing
from . import picture_metrics
from .compare import Comparison
from .intervals import LEVEL, mark_significant

PAGE, KEY = "vote.html", "vote_key.json"
SIDES = ("left", "right")
_KEY_SHAPE = {"vote": str, "systems": [str], "pairs": [{"item": str, "left": int, "right": int}]}
_VOTES_SHAPE = {"vote": str, "voter": str, "answers": {str: str}}
_EXPECTED = "votes as the page of a blind vote saves them"


def write_vote(comparison: Comparison, out: Path, count: int, seed: int) -> int:
    """Write the page and its key into a folder.

    Args:
        count: pairs of pictures at most, equally many of every two systems; their order and sides are drawn.

    Returns:
        How many pairs there are.

    Raises:
        ValueError: no person has pictures of two systems.
    """
    generator, systems = np.random.default_rng(seed), comparison.systems
    piles = []
    for a, b in itertools.combinations(range(len(systems)), 2):
        both = [item for item in comparison.items if item in systems[a].pictures and item in systems[b].pictures]
        piles.append([(both[place], *generator.permutation([a, b])) for place in generator.permutation(len(both))])
    dealt = [pair for turn in itertools.zip_longest(*piles) for pair in turn if pair is not None][:count]
    if not dealt:
        raise ValueError("a vote needs people of whom two systems have a picture each")
    dealt = [dealt[place] for place in generator.permutation(len(dealt))]
    key = [{"item": item.name, "left": int(left), "right": int(right)} for item, left, right in dealt]
    mark = hashlib.sha256(json.dumps([[s.name for s in systems], key, seed]).encode()).hexdigest()[:16]
    pairs = []
    for item, *sides in dealt:
        files = comparison.data.files(item.index)
        pairs.append([files.person, files.garment, *(systems[side].pictures[item] for side in sides)])
    places = {path: place for place, path in enumerate(dict.fromkeys(itertools.chain(*pairs)))}
    page = render(
        Path(__file__).with_name(PAGE), title="Which picture is better?", vote=mark,
        pairs=[[places[path] for path in pair] for pair in pairs],
        pictures=[picture_address(to_picture(picture_metrics.read(path)), quality=90) for path in places],
        paired=comparison.data.order == "paired",
    )  # fmt: skip
    write_json({"vote": mark, "systems": [system.name for system in systems], "pairs": key}, out / KEY)
    write_text(out / PAGE, page)
    return len(dealt)


def count_votes(key: Path, files: Sequence[Path]) -> dict[str, Any]:
    """Who won how often.

    A pair that several people looked at counts once, by what most of them said: their votes say nothing new about the
    systems' other pictures. Shares are of the pairs that somebody won, with Wilson's interval; p is of the exact sign
    test.

    Args:
        key: beside the page.
        files: what people saved; of two files of one voter the later one counts.

    Returns:
        `voters`, `answered` pairs of how many `pairs`, and `results`: by two systems `first` and `second` (names), how
        many each `won`, how many were `equal`, `share` of the first with `low`, `high`, `p` and `significant`.

    Raises:
        ValueError: a file holds something else, or votes of another page.
        ImportError: SciPy is missing.
    """
    try:
        from scipy.stats import binomtest
    except ImportError as error:
        raise ImportError(f"counting votes needs SciPy: {installing(extra='eval')}") from error
    known = _read(key, _KEY_SHAPE, "the key that lies beside the page of a blind vote")
    systems, pairs = known["systems"], known["pairs"]
    if any(not 0 <= pair[side] < len(systems) for pair in pairs for side in SIDES):
        raise ValueError(f"{key} names systems that it does not list")
    ballots: dict[str, Mapping[str, str]] = {}
    for file in files:
        votes = _read(file, _VOTES_SHAPE, _EXPECTED)
        if votes["vote"] != known["vote"]:
            raise ValueError(f"{file} holds votes of another page than {key}; give the folder of theirs as --out")
        for place, chosen in votes["answers"].items():
            if chosen not in (*SIDES, "equal") or not place.isdecimal() or int(place) >= len(pairs):
                raise ValueError(f"{file} answers pair {place!r} with {chosen!r}; expected {_EXPECTED}")
        ballots[votes["voter"]] = votes["answers"]
    tallies: dict[int, Counter] = defaultdict(Counter)
    for place, chosen in (answer for answers in ballots.values() for answer in answers.items()):
        tallies[int(place)][chosen] += 1
    won: dict[tuple[int, int], Counter] = defaultdict(Counter)
    for place, tally in tallies.items():
        left, right = (pairs[place][side] for side in SIDES)
        (chosen, most), *others = tally.most_common()
        decided = chosen != "equal" and not any(count == most for _, count in others)
        won[min(left, right), max(left, right)][pairs[place][chosen] if decided else None] += 1
    results = []
    for (a, b), counts in sorted(won.items()):
        row = {"first": systems[a], "second": systems[b], "won": [counts[a], counts[b]], "equal": counts[None]}
        if decided := counts[a] + counts[b]:
            test = binomtest(counts[a], decided)
            interval = test.proportion_ci(LEVEL, "wilson")
            row |= {"share": counts[a] / decided, "low": float(interval.low), "high": float(interval.high)}
            row["p"] = float(test.pvalue)
        results.append(row)
    tested = [row for row in results if "p" in row]
    for row, stands in zip(tested, mark_significant([row["p"] for row in tested]), strict=True):
        row["significant"] = stands
    return {"voters": len(ballots), "answered": len(tallies), "pairs": len(pairs), "results": results}


def say_result(row: Mapping[str, Any]) -> str:
    """One result as a sentence."""
    text = f"{row['first']} won {row['won'][0]}, {row['second']} {row['won'][1]}, {row['equal']} equal"
    if "p" not in row:
        return text
    share, low, high = (f"{row[name]:.0%}" for name in ("share", "low", "high"))
    mark = "" if row["significant"] else ", not significant"
    return f"{text}: {share} [{low}, {high}] of the decided for {row['first']}, p {row['p']:.3g}{mark}"


def _read(path: Path, shape: Any, expected: str) -> Any:
    try:
        content = read_json(path, shape=dict, expected=expected)
        check_shape(content, shape)
    except StructureError as error:
        raise ValueError(f"{path}: {error}; expected {expected}") from error
    return content
