"""The page of a comparison: figures with intervals, and the same people side by side, worst first.

It needs nothing beside it and no network. `compare.html` is its template, `compare.py` has measured.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from ..datasets import DATASETS
from ..datasets.results import to_picture
from ..disk.pages import picture_address, render
from . import picture_metrics
from .compare import COLUMNS, Comparison, say
from .items import Item
from .votes import say_result

log = logging.getLogger(__name__)

TIMES = 4
"""By how much difference pictures are brightened."""
JUDGES = ("lpips", "ssim", "garment", "colour", "outside")
"""Figures that may say who is worst: the first that there is."""
MOST_FAILURES = 200


def comparison_page(comparison: Comparison, people: int = 40, votes: dict[str, Any] | None = None) -> str:
    """The page, every name in it escaped.

    Args:
        people: at most so many are shown.
        votes: of `count_votes`.
    """
    report, values = comparison.report, comparison.values
    judges = [name for name in JUDGES if name in values]
    losses = {name: _losses(name, values[name]) for name in judges}
    order = np.argsort(-losses[judges[0]], kind="stable") if judges else np.arange(len(comparison.items))
    rows = (
        row | {"losses": {name: float(losses[name][place]) for name in judges}}
        for place in order
        if any(comparison.items[place] in system.pictures for system in comparison.systems)
        if (row := _row(comparison, int(place), comparison.items[place]))
    )
    shown = list(itertools.islice(rows, people))
    columns = {name: COLUMNS[name] for name in COLUMNS if any(name in s["figures"] for s in report["systems"])}
    return render(
        Path(__file__).with_name("compare.html"),
        title=f"{len(report['systems'])} systems on {DATASETS[report['dataset']].title}, {report['order']}",
        report=report, columns=columns, say=say, strips=_strips(report["systems"], columns), shown=shown,
        judges=[(name, COLUMNS[name].title) for name in judges], missing_titles={n: COLUMNS[n].title for n in COLUMNS},
        votes=votes, say_result=say_result, times=TIMES, most_failures=MOST_FAILURES,
    )  # fmt: skip


def _losses(name: str, table: np.ndarray) -> np.ndarray:
    """The worst figure among the systems by person, as a number that grows with how bad it is."""
    bad = np.where(np.isnan(table), -np.inf, table if COLUMNS[name].better == "lower" else -table).max(0)
    return np.where(np.isfinite(bad), bad, -1e9)  # JSON and HTML know no infinity


def _strips(systems: Sequence[dict[str, Any]], columns: dict[str, Any]) -> dict[str, list[tuple[float, float, float]]]:
    """Where every interval lies on its figure's own scale, in percent: left end, width, and the figure itself."""
    strips = {}
    for name in columns:
        told = [system["figures"].get(name) for system in systems]
        low = min(each["low"] for each in told if each)
        span = max(max(each["high"] for each in told if each) - low, 1e-12)
        strips[name] = [
            (100 * (t["low"] - low) / span, 100 * (t["high"] - t["low"]) / span, 100 * (t["value"] - low) / span)
            if t else (0, 0, 0) for t in told
        ]  # fmt: skip
    return strips


def _row(comparison: Comparison, place: int, item: Item) -> dict[str, Any] | None:
    """One person: photo, garment, and of every system the result, what differs from the photo, and figures."""
    files = comparison.data.files(item.index)
    try:
        photo, garment = picture_metrics.read(files.person), picture_metrics.read(files.garment)
    except (OSError, ValueError) as error:
        log.warning("%s is not shown: %s", item.name, error)
        return None
    cells = []
    for row, system in enumerate(comparison.systems):
        cell = {"name": system.name, "why": system.failed.get(item, ""), "figures": []}
        if item in system.pictures:
            made = picture_metrics.read(system.pictures[item])
            cell |= {"picture": _address(made), "difference": _address((made - photo).abs() * TIMES)}
            cell["figures"] = [
                (COLUMNS[name].title, f"{table[row, place]:.{COLUMNS[name].digits}f}")
                for name, table in comparison.values.items() if np.isfinite(table[row, place])
            ]  # fmt: skip
        cells.append(cell)
    return {"name": item.name, "photo": _address(photo), "garment": _address(garment), "cells": cells}


def _address(pixels: Tensor) -> str:
    return picture_address(to_picture(pixels), quality=82)
