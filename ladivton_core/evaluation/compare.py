"""Several systems on the same people: figures with intervals, what parts the systems, and who failed.

The paper's figures (`picture_metrics.py`, `set_metrics.py`) and those of a region (`regions.py`), of every picture that
can be read; `systems.py` finds the pictures, `intervals.py` says how sure a figure is, `comparison_page.py` shows it.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..datasets import DressCode, TryOnSample, VitonHD, open_dataset
from ..disk.names import in_one_line
from ..disk.pictures import open_picture
from ..models import list_versions
from . import picture_metrics, regions, set_metrics
from .backbones import Networks
from .intervals import Score, difference, estimate, mark_significant
from .items import Item, items_of
from .measure import explain
from .systems import System, read_systems
from .truth import categories_of, people_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Column:
    """One figure.

    Attributes:
        title: its heading.
        better: `higher` or `lower`.
        digits: after the point.
        how: it is made, in words.
        sets: it is one of the whole set of pictures, not a mean over them.
    """

    title: str
    better: str
    digits: int
    how: str
    sets: bool = False


COLUMNS = {
    "ssim": Column("SSIM", "higher", 4, "against the photo; see metrics"),
    "lpips": Column("LPIPS", "lower", 4, "against the photo; see metrics"),
    "garment": Column(
        "garment similarity", "higher", 3,
        f"cosine of image features where the garment is worn (label map less {regions.ERODED} pixels), against the "
        "photo there; unpaired against the shop's picture"),
    "colour": Column("garment colour, ΔE", "lower", 2, "CIEDE2000 of the mean CIELAB colours of the same two regions"),
    "outside": Column("error outside", "lower", 2, "mean absolute error outside the mask, levels of 255"),
    "fid": Column("FID", "lower", 2, "against all test people; see metrics", True),
    "kid": Column("KID ×10³", "lower", 2, "against all test people, over all pictures at once", True),
    "is": Column("IS", "higher", 3, "see metrics", True),
}  # fmt: skip
"""Every figure, in the order of the table."""

PAIRED_ONLY = ("ssim", "lpips")
"""Unpaired, the photo wears another garment."""
RESAMPLES, SET_RESAMPLES, SEED = 1000, 200, 1234
"""Draws for an interval; a set's figures, of which each takes a moment, have fewer at most."""
SHAPE = 0.02
"""How far a picture's proportions may be from the photo's: others would be stretched without a word."""


@dataclass
class Comparison:
    """What was measured.

    Attributes:
        data: the test list.
        items: those that at least one system has a result or an error of, in the list's order.
        systems: their readable pictures, and why others failed.
        values: of single pictures, by figure, (system, item); NaN where a picture or its region is missing.
        report: everything as JSON's types; see `compare`.
    """

    data: VitonHD | DressCode
    items: list[Item]
    systems: list[System]
    values: dict[str, np.ndarray]
    report: dict[str, Any]


def compare(
    places: Sequence[str],
    dataset: str,
    root: Path,
    order: str,
    category: str = "all",
    *,
    features: Path | None = None,
    skip: Collection[str] = (),
    resamples: int = RESAMPLES,
    seed: int = SEED,
    device: str = "cpu",
    batch: int = 8,
    workers: int = 0,
    download: bool = False,
    networks: Networks | None = None,
    progress: bool = True,
) -> Comparison:
    """Measure systems on the people of a test list.

    A figure of a system is one of all its pictures; a difference one of the people that both have.

    Args:
        places: see `read_systems`.
        dataset, root, order, category, device, batch, workers, download, networks: as in `measure`.
        features: folder of an image model, for the garment's similarity.
        skip: some of `COLUMNS`.
        resamples: draws for intervals and tests; of a set's figures `SET_RESAMPLES` at most.
        seed: of the draws.

    Returns:
        The report holds `systems`, each with `people` measured, `failed` (why, by item) and `figures` (`Estimate` by
        name); `differences`: `first`, `second` and the `Difference` by figure; `missing`: why a figure has
        no value; `items` compared, `untouched` that no system has, `protocol`, `versions` and the arguments.

    Raises:
        MismatchError, FileNotFoundError: as `read_systems`, or there is no data set.
        ValueError: an unknown figure, or fewer than 1 draw.
    """
    if unknown := set(skip) - set(COLUMNS):
        raise ValueError(f"cannot skip {', '.join(sorted(unknown))}; figures are {', '.join(COLUMNS)}")
    if resamples < 1:
        raise ValueError(f"an interval needs at least 1 draw, got {resamples}")
    data = open_dataset(dataset, root, "test", order, category, picture_metrics.SIZE)
    listed = items_of(data)
    systems = read_systems(places, listed, order)
    items = [item for item in listed if any(item in s.pictures or item in s.failed for s in systems)]
    for system, item in itertools.product(systems, items):
        if item not in system.pictures:
            system.failed.setdefault(item, "there is no picture")
    work = _Measuring(data, items, systems, networks or Networks(), device, download)
    wanted = [name for name in COLUMNS if name not in skip and (order == "paired" or name not in PAIRED_ONLY)]
    missing = {name: "without meaning in the unpaired order" for name in PAIRED_ONLY if order != "paired"}
    values = work.of_pictures([name for name in wanted if not COLUMNS[name].sets], features, missing, progress)
    scores: dict[str, Score] = {}
    for name, table in values.items():
        flat = np.array([table[place] for place in work.readable()])
        scores[name] = lambda sets, flat=flat: flat[sets].mean(-1)
    people = [path for name in categories_of(dataset, category) for path in people_of(dataset, root, name)]
    scores |= work.of_sets([n for n in wanted if COLUMNS[n].sets], people, missing, batch, workers, progress)

    figures, differences = _estimates(scores, values, work, resamples, seed)
    report = {
        "dataset": dataset,
        "order": order,
        "root": str(root.absolute()),
        "items": len(items),
        "untouched": len(listed) - len(items),
        "systems": [
            {
                "name": system.name,
                "place": str(system.place.absolute()),
                "people": int(np.isfinite(work.there[place]).sum()),
                "failed": {item.name: why for item, why in system.failed.items()},
                "figures": figures[place],
            }
            for place, system in enumerate(systems)
        ],
        "differences": differences,
        "missing": missing,
        "resamples": resamples,
        "seed": seed,
        "features": None if features is None else str(features.absolute()),
        "protocol": {name: COLUMNS[name].how for name in scores},
        "versions": list_versions(),
    }
    return Comparison(data, items, systems, values, report)


class _Measuring:
    """The pictures of all systems, read once a person."""

    def __init__(
        self,
        data: VitonHD | DressCode,
        items: list[Item],
        systems: list[System],
        networks: Networks,
        device: str,
        download: bool,
    ) -> None:
        self.data, self.items, self.systems, self.networks = data, items, systems, networks
        self.device, self.download = device, download
        self.there = np.full((len(systems), len(items)), np.nan)
        """1 where a picture can be read."""

    def readable(self) -> list[tuple[int, int]]:
        """Place of the system and of the item of every picture that can be read."""
        return [(int(s), int(i)) for s, i in np.argwhere(np.isfinite(self.there))]

    def of_pictures(
        self, names: list[str], features: Path | None, missing: dict[str, str], progress: bool
    ) -> dict[str, np.ndarray]:
        """Figures (system, item) of single pictures; what cannot be had goes to `missing`, what cannot be read to the
        systems' failed."""
        from tqdm import tqdm

        network = embed = None
        if "lpips" in names:
            try:
                network = self.networks.lpips(self.device, self.download)
            except Exception as error:  # as in `measure`: the other figures still count
                missing["lpips"] = explain(error)
        if "garment" in names and features is None:
            missing["garment"] = f"it needs an image model. {regions.fetching()}"
        elif "garment" in names:
            try:
                embed = regions.image_features(features, self.device)
            except Exception as error:
                missing["garment"] = explain(error)
        values = {name: np.full_like(self.there, np.nan) for name in names if name not in missing}
        for place, item in enumerate(tqdm(self.items, unit="person", disable=not progress)):
            try:
                sample = self.data[item.index]
                photo = open_picture(self.data.files(item.index).person)
                person, where = picture_metrics.pixels(photo, item.person), self._regions(item, sample)
            except Exception as error:  # whatever a damaged file leads to: this person is left out, the others go on
                for system in self.systems:
                    system.pictures.pop(item, None)
                    system.failed[item] = f"the data set's files: {explain(error)}"
                continue
            for row, system in enumerate(self.systems):
                if item not in system.pictures:
                    continue
                try:
                    made = _read(system.pictures[item], photo.size)
                except (OSError, ValueError) as error:
                    del system.pictures[item]
                    system.failed[item] = str(error)
                    continue
                self.there[row, place] = 1
                for name in [name for name in values if name not in missing]:
                    try:
                        values[name][row, place] = self._figure(name, made, person, sample, where, network, embed)
                    except Exception as error:  # a library that is not there, or a model of another kind
                        missing[name] = explain(error)
        return {name: table for name, table in values.items() if name not in missing}

    def _regions(self, item: Item, sample: TryOnSample) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The picture whose garment is asked for, in [0, 1], where it is there, and where it is worn."""
        worn = regions.worn_region(sample, self.data.labels)
        if self.data.order == "paired":
            return sample.person / 2 + 0.5, worn, worn
        return sample.garment / 2 + 0.5, regions.laid_region(self.data, item.index, sample), worn

    def _figure(self, name: str, made: Tensor, person: Tensor, sample: TryOnSample, where, network, embed) -> float:
        """One figure of a result and the photo (3, H, W) in [0, 1]; NaN where its region is too small."""
        if name == "ssim":
            return picture_metrics.ssim(made, person)
        if name == "lpips":
            return float(picture_metrics.distance(network, made.to(self.device), person.to(self.device)))
        if name == "outside":
            return regions.error_outside(made, person, sample.mask)
        asked, there, worn = where
        if worn is None or there is None:
            return float("nan")
        if name == "colour":
            return regions.colour_difference(made, worn, asked, there)
        return regions.garment_similarity(embed, made, worn, asked, there)

    def of_sets(
        self, names: list[str], people: list[Path], missing: dict[str, str], batch: int, workers: int, progress: bool
    ) -> dict[str, Score]:
        """Figures of sets, of pictures by their numbers in `readable`."""
        files = [self.systems[s].pictures[self.items[i]] for s, i in self.readable()]
        scores: dict[str, Score] = {}
        seen: dict[str, Any] = {}
        for name in names:
            try:
                if name == "is":
                    metric = self.networks.inception_score(self.device, self.download)
                    logits = picture_metrics.class_logits(metric, files, self.device, batch)
                    scores[name] = lambda sets, logits=logits: np.array(
                        [picture_metrics.inception_score(logits[torch.from_numpy(rows)]) for rows in sets]
                    )
                    continue
                if not seen:
                    network = self.networks.fid_features(self.device, self.download)
                    seen |= {
                        side: set_metrics.features(network, paths, self.device, batch, workers, side, progress)
                        for side, paths in (("results", files), ("people", people))
                    }
                if name == "fid":
                    scores[name] = set_metrics.fid_score(seen["results"], seen["people"])
                else:
                    score = set_metrics.kid_score(seen["results"], seen["people"])
                    scores[name] = lambda sets, score=score: 1000 * score(sets)
            except Exception as error:  # as in `measure`
                missing[name] = explain(error)
        return scores


def _estimates(
    scores: Mapping[str, Score], values: Mapping[str, np.ndarray], work: _Measuring, resamples: int, seed: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Figures of every system, and `differences` of every two, as `compare` reports them."""
    numbers = {place: number for number, place in enumerate(work.readable())}
    systems, items = work.there.shape

    def counted(name: str, system: int, other: int) -> np.ndarray:
        """Numbers of a system's pictures that have a figure, of the people whom the other has as well."""
        has = np.isfinite(values.get(name, work.there))
        return np.array([numbers[system, i] for i in range(items) if has[system, i] and has[other, i]], dtype=int)

    figures: list[dict[str, Any]] = [{} for _ in range(systems)]
    differences = [{"first": a, "second": b, "figures": {}} for a, b in itertools.combinations(range(systems), 2)]
    for name, score in scores.items():
        draws, least = (min(resamples, SET_RESAMPLES), 2) if COLUMNS[name].sets else (resamples, 1)
        for place in range(systems):
            if len(chosen := counted(name, place, place)) >= least:
                figures[place][name] = dataclasses.asdict(estimate(score, chosen, draws, seed))
        tested = []
        for pair in differences:
            sides = counted(name, pair["first"], pair["second"]), counted(name, pair["second"], pair["first"])
            if len(sides[0]) >= least:
                tested.append(dataclasses.asdict(difference(score, *sides, draws, seed)))
                pair["figures"][name] = tested[-1]
        for told, stands in zip(tested, mark_significant([told["p"] for told in tested]), strict=True):
            told["significant"] = stands
    return figures, differences


def _read(path: Path, photo: tuple[int, int]) -> Tensor:
    """A result at the size of the comparison, (3, H, W) in [0, 1].

    Raises:
        ValueError: it is no picture, or has other proportions than the photo (width, height).
        OSError: it is not there.
    """
    picture = open_picture(path)
    width, height = picture.size
    if abs(width / height / (photo[0] / photo[1]) - 1) > SHAPE:
        raise ValueError(
            f"{path.name} is {width} x {height}, the photo {photo[0]} x {photo[1]}: other proportions; bring the "
            "result home into the photo's frame first"
        )
    return picture_metrics.pixels(picture, str(path))


def text_table(report: Mapping[str, Any]) -> str:
    """Figures and differences as lines of text."""
    systems, lines = report["systems"], []
    for name, column in COLUMNS.items():
        if any(name in system["figures"] for system in systems):
            lines.append(f"{column.title} ({column.better} is better)")
            lines += [f"  {s['name']}: {say(name, s['figures'][name])}" for s in systems if name in s["figures"]]
            for pair in report["differences"]:
                if told := pair["figures"].get(name):
                    names = " - ".join(systems[pair[side]]["name"] for side in ("first", "second"))
                    mark = "" if told["significant"] else ", not significant"
                    lines.append(f"    {names}: {say(name, told)}, p {told['p']:.3g}{mark}")
    for system in systems:
        lines.append(f"{system['name']}: {system['people']} pictures, {len(system['failed'])} failed")
    return "\n".join(in_one_line(line) for line in lines)


def say(name: str, told: Mapping[str, Any]) -> str:
    """A figure and its interval."""
    digits = COLUMNS[name].digits
    ends = (round(told[end], digits) + 0.0 for end in ("value", "low", "high"))  # + 0.0: no -0.00
    value, low, high = (f"{end:.{digits}f}" for end in ends)
    return f"{value} [{low}, {high}]"
