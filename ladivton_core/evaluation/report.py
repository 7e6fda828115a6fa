"""Measurements as one JSON file and one HTML page that needs nothing beside it.

`measure.py` makes the measurements. Beside them stand the figures that the paper's method has been published with, and
contact sheets of some of the people, their garments and the results.
"""

from __future__ import annotations

import base64
import contextlib
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..datasets import DATASETS, DressCode, VitonHD, open_dataset
from ..disk.documents import read_json
from ..disk.names import in_one_line
from ..disk.pages import render
from ..disk.sheet import write_sheet
from ..disk.structure import StructureError, check_shape
from ..disk.writing import write_json, write_text
from .items import Item, items_of
from .measure import METRICS
from .picture_metrics import SIZE, read

log = logging.getLogger(__name__)

SOURCE = "FitDiT, Table 1 (arXiv 2411.10499)"
"""Where LaDI-VTON ran beside others, all in one protocol."""
CAUTION = (
    "Protocols differ between papers: picture size, JPEG or PNG, resizing, and which real pictures FID and KID compare "
    "with. The published row is one paper's measurement of LaDI-VTON; compare its order of magnitude, not its digits."
)


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Attributes:
        title: its heading.
        order, metric: where in our measurements it is.
        better: `higher` or `lower`.
        digits: after the point.
    """

    title: str
    order: str
    metric: str
    better: str
    digits: int


COLUMNS = (
    Column("SSIM", "paired", "ssim", "higher", 4),
    Column("LPIPS", "paired", "lpips", "lower", 4),
    Column("FID paired", "paired", "fid", "lower", 2),
    Column("KID paired ×10³", "paired", "kid_x1000", "lower", 2),
    Column("FID unpaired", "unpaired", "fid", "lower", 2),
    Column("KID unpaired ×10³", "unpaired", "kid_x1000", "lower", 2),
    Column("IS paired", "paired", "is", "higher", 3),
    Column("IS unpaired", "unpaired", "is", "higher", 3),
)

FIGURES: dict[str, tuple[float, ...]] = {
    "vitonhd": (0.8763, 0.0911, 6.60, 1.07, 9.41, 1.69),
    "dresscode": (0.9025, 0.0719, 4.86, 1.56, 6.84, 2.33),
}
"""By data set, in the order of `COLUMNS`; those after the sixth are not published there."""

Measurement = Mapping[str, Any]

_EXPECTED = "a file of measurements; `metrics --json` and `report` write them"
_SHAPE = {
    "dataset": str, "order": str, "root": str, "results": str,
    "figures": {str: {"pictures": float, "people": float}}, "failed": {str: str}, "skipped": [str],
    "meaningless": [str], "protocol": {str: str}, "versions": {str: str}, "run": ({str: object}, None),
}  # fmt: skip


def read_measurements(paths: Sequence[Path]) -> list[dict[str, Any]]:
    """Measurements of JSON files, as `metrics` or `report` wrote them.

    Raises:
        ValueError: a file holds something else.
        FileNotFoundError: no such file.
    """
    found = []
    for path in paths:
        try:
            content = read_json(path, shape=dict, expected=_EXPECTED)
            runs = content.get("runs", [content])
            check_shape(runs, [_SHAPE], "runs" if "runs" in content else "")
            check_shape([run["figures"] for run in runs], [{str: {str: float}}], "figures")
            for run in runs:
                if run["dataset"] not in DATASETS or run["order"] not in ("paired", "unpaired"):
                    raise StructureError(f"it is about {run['dataset']!r} in the order {run['order']!r}")
        except StructureError as error:
            raise ValueError(f"{path} is no file of measurements: {error}; expected {_EXPECTED}") from error
        except ValueError as error:
            raise ValueError(f"{path} is no file of measurements: {error}") from error
        found += runs
    return found


def combine(measurements: Sequence[Measurement]) -> dict[str, Any]:
    """Measurements of one data set, at most one an order, with the published figures.

    Raises:
        ValueError: there are none, two of one order, or several data sets.
    """
    if not measurements:
        raise ValueError("a report needs at least one measurement")
    names = {run["dataset"] for run in measurements}
    if len(names) > 1:
        raise ValueError(f"these are measurements of {' and '.join(sorted(names))}; a report is about one data set")
    orders = [run["order"] for run in measurements]
    if len(set(orders)) < len(orders):
        raise ValueError(f"there are two measurements of one order ({', '.join(orders)}); give one of each")
    name = names.pop()
    published = {
        f"{column.order}.{column.metric}": value for column, value in zip(COLUMNS, FIGURES[name], strict=False)
    }
    return {
        "dataset": name,
        "published": {"source": SOURCE, "caution": CAUTION, "figures": published},
        "runs": sorted(measurements, key=lambda run: run["order"]),
    }


def write_report(
    measurements: Sequence[Measurement], page: Path | None = None, data: Path | None = None, rows: int = 8
) -> dict[str, Any]:
    """Write the page and the JSON file.

    Args:
        measurements: of `measure`, of one data set, one an order.
        page, data: HTML and JSON; None leaves it out.
        rows: people on each contact sheet; 0 for none.

    Returns:
        What the JSON file holds.
    """
    report = combine(measurements)
    if data:
        write_json(report, data)
    if page:
        sheets = [contact_sheet(run, rows) for run in report["runs"]] if rows else []
        write_text(page, html_page(report, [sheet for sheet in sheets if sheet]))
    return report


def text_table(report: Mapping[str, Any]) -> str:
    """The figures as lines of text, in which no name can order a terminal about."""
    rows = [["", *(column.title for column in COLUMNS)], *_rows(report)]
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        )
        for row in rows
    )


def html_page(report: Mapping[str, Any], sheets: Sequence[Sheet] = ()) -> str:
    """The page, every name in it escaped; `report.html` is its template."""
    return render(
        Path(__file__).with_name("report.html"), title=f"LaDI-VTON on {DATASETS[report['dataset']].title}",
        columns=COLUMNS, rows=_rows(report), published=report["published"], faults=faults(report), sheets=sheets,
        protocol={name.upper(): words for name, words in report["runs"][0]["protocol"].items()},
        runs=[(run["order"], _told(run)) for run in report["runs"]],
    )  # fmt: skip


def faults(report: Mapping[str, Any]) -> list[str]:
    """What a reader of the figures must know: failed and skipped metrics, incomplete sets, small sets."""
    lines = []
    for run in report["runs"]:
        order = run["order"]
        lines += [f"{order}: {metric.upper()} failed: {why}" for metric, why in run["failed"].items()]
        if run["skipped"]:
            lines.append(f"{order}: left out: {', '.join(metric.upper() for metric in run['skipped'])}.")
        for name, figures in run["figures"].items():
            if figures["pictures"] < 2:
                lines.append(f"{order} {name}: one picture has neither FID nor KID.")
            if figures["pictures"] < figures["people"]:
                lines.append(
                    f"{order} {name}: {figures['pictures']} results of {figures['people']} test people; "
                    "FID and KID compare them with all."
                )
    if any(figures["people"] < 100 for run in report["runs"] for figures in run["figures"].values()):
        lines.append("FID, KID and IS of fewer than some hundred pictures say nothing about quality.")
    return [in_one_line(line) for line in lines]


def _rows(report: Mapping[str, Any]) -> list[list[str]]:
    """The published row and ours, each with its name first."""
    published = report["published"]["figures"]
    rows = [["published", *(_cell(column, published) for column in COLUMNS)]]
    figures = {run["order"]: run["figures"] for run in report["runs"]}
    names = list(dict.fromkeys(name for group in figures.values() for name in group))
    for name in sorted(names, key=lambda name: name != "all"):
        cells = {
            f"{order}.{metric}": value
            for order, group in figures.items()
            for metric, value in group.get(name, {}).items()
        }
        rows.append([in_one_line(f"here, {name}"), *(_cell(column, cells) for column in COLUMNS)])
    return rows


def _cell(column: Column, values: Mapping[str, float]) -> str:
    key, digits = f"{column.order}.{column.metric}", column.digits
    return f"{round(values[key], digits) + 0.0:.{digits}f}" if key in values else "–"  # + 0.0: no -0.00


def _told(run: Measurement) -> dict[str, Mapping[str, Any]]:
    """Everything about one order, in tables: all figures, settings, versions, folders."""
    figures = {
        name: ", ".join(f"{metric} {value:.6g}" for metric, value in group.items())
        for name, group in run["figures"].items()
    }
    if run["meaningless"]:
        names = ", ".join(metric.upper() for metric in METRICS if metric in run["meaningless"])
        figures[names] = "computed as the paper's code does, without meaning here: the truth wears another garment"
    return {
        "figures": figures,
        "how the pictures were made": (run["run"] or {}).get("settings") or {"settings": "no note in the folder"},
        "libraries": run["versions"],
        "folders": {"data set": run["root"], "results": run["results"]},
    }


TITLES = {"paired": ("masked person", "garment", "result", "truth"), "unpaired": ("person", "garment", "result")}
"""Columns by order. Paired, the person's own photo is the truth, so what the models see of it stands first."""


class Sheet(NamedTuple):
    """A contact sheet: order of the run, names of its rows (`category/person/garment`), a JPEG as a data URI."""

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
