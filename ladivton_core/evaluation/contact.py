"""Contact sheets of a test run: some of its people, their garments, the results and, where there is one, the truth."""

from __future__ import annotations

import base64
import contextlib
import logging
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..datasets import DressCode, VitonHD, open_dataset
from ..disk.sheet import write_sheet
from .items import Item, items_of
from .picture_metrics import SIZE, read

log = logging.getLogger(__name__)

TITLES = {"paired": ("masked person", "garment", "result", "truth"), "unpaired": ("person", "garment", "result")}
"""Columns by order. Paired, the person's own photo is the truth, so what the models see of it stands first."""


@dataclass(frozen=True)
class Sheet:
    """One picture.

    Attributes:
        order: of the run.
        names: of the rows, `category/person/garment`.
        address: JPEG as a data URI.
    """

    order: str
    names: tuple[str, ...]
    address: str


def contact_sheet(measurement: Mapping[str, Any], rows: int = 8, height: int = 192) -> Sheet | None:
    """Rows spread evenly over what was measured; None where the pictures are out of reach.

    Args:
        measurement: of `measure`; its data set and results are read again.
        rows: at most.
        height: of one picture in pixels.
    """
    order = measurement["order"]
    try:
        there = [found for name in measurement["figures"] if name != "all" for found in _results(measurement, name)]
        picked = [there[round(place)] for place in torch.linspace(0, len(there) - 1, min(rows, len(there))).tolist()]
        table = [_row(data[item.index], read(path, SIZE), order) for data, item, path in picked]
    except (OSError, ValueError) as error:
        log.warning("no contact sheet of the %s run: %s", order, error)
        return None
    if not table:
        return None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.jpg"
        write_sheet(table, path, height, TITLES[order])
        code = base64.b64encode(path.read_bytes()).decode("ascii")
    return Sheet(order, tuple(item.name for _, item, _ in picked), f"data:image/jpeg;base64,{code}")


def _results(measurement: Mapping[str, Any], category: str) -> list[tuple[VitonHD | DressCode, Item, Path]]:
    """Data set, item and picture of what there is of a category."""
    order, results = measurement["order"], Path(measurement["results"])
    data = open_dataset(measurement["dataset"], measurement["root"], "test", order, category, SIZE)
    found = []
    for item in items_of(data):
        with contextlib.suppress(ValueError):  # a name that no result can have
            paths = [item.path(results, order, kind) for kind in ("jpg", "png")]
            found += [(data, item, path) for path in paths if path.is_file()]
    return found


def _row(sample, result: Tensor, order: str) -> Tensor:
    """Pictures (N, 3, H, W) in [0, 1], a column each."""
    first = sample.agnostic if order == "paired" else sample.person
    pictures = [first / 2 + 0.5, sample.garment / 2 + 0.5, result]
    return torch.stack(pictures + ([sample.person / 2 + 0.5] if order == "paired" else []))
