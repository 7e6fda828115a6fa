"""The paper's figures of one order of a test run: SSIM, LPIPS, IS, FID, KID, for each category and for all.

Published §9. `truth.py` says what is compared with what, `report.py` puts the result into words and pictures.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..models import list_versions, read_note
from . import picture_metrics, set_metrics
from .backbones import Networks
from .truth import MismatchError, categories_of, match, people_of

log = logging.getLogger(__name__)

METRICS = ("ssim", "lpips", "is", "fid", "kid")

PROTOCOL = {
    "ssim": "scikit-image, 512x384 bilinear antialiased, data_range 1.0, whole Gaussian windows 11x11 of sigma 1.5",
    "lpips": "torchmetrics, AlexNet, 512x384 bilinear antialiased",
    "is": "torchmetrics, Inception v3, 512x384 bilinear antialiased, mean of 10 splits",
    "fid": "clean-fid, mode clean, files at their own size, whole test set",
    "kid": "clean-fid, mode clean, files at their own size, whole test set; kid_x1000 is 1000 times kid",
}
"""How each figure is made, in words (published §9)."""

Figures = dict[str, float]


@dataclass(frozen=True)
class Group:
    """One category.

    Attributes:
        people: all its test people, for FID and KID.
        pairs: (result, truth) files.
    """

    people: list[Path]
    pairs: list[tuple[Path, Path]]


def measure(
    dataset: str,
    root: Path,
    results: Path,
    order: str,
    category: str = "all",
    *,
    skip: Collection[str] = (),
    partial: bool = False,
    device: str = "cpu",
    batch: int = 8,
    workers: int = 0,
    download: bool = False,
    networks: Networks | None = None,
    progress: bool = True,
) -> dict[str, Any]:
    """Compare a folder of results with a data set.

    Args:
        dataset, root: `vitonhd` or `dresscode`, and where it lies.
        results: pictures are `<results>/<order>/<category>/<person>`.
        order, category: `paired` or `unpaired`; `all`, or one of Dress Code's.
        skip: some of `METRICS`.
        partial: measure the results there are; otherwise every test person needs one.
        batch, workers, progress: speed and bars only.
        download: fetch a missing network.
        networks: in place of the libraries' own.

    Returns:
        JSON's types: `figures` by category (and `all` where there are several), each with `pictures`, `people` and the
        metrics; `failed`: why, by metric; `meaningless`: metrics that compare with another garment; `skipped`,
        `protocol`, `run` (the note of the folder), `versions`, and the arguments.

    Raises:
        MismatchError: results and test people differ.
        FileNotFoundError: no data set.
        ValueError: an unknown metric.
    """
    if unknown := set(skip) - set(METRICS):
        raise ValueError(f"cannot skip {', '.join(sorted(unknown))}; metrics are {', '.join(METRICS)}")
    groups = _groups(dataset, root, results, order, category, partial)
    work = _Work(groups, networks or Networks(), device, batch, workers, download, progress)
    figures: dict[str, Figures] = {name: work.counts(name) for name in work.names}
    failed = {}
    for metric in METRICS:
        if metric in skip:
            continue
        try:
            values = work.of(metric)
        except Exception as error:  # the others still count; a library's own failures are of any kind
            failed[metric] = explain(error)
            log.error("%s: %s", metric, failed[metric])
            log.debug("%s", metric, exc_info=True)
            continue
        for name, value in values.items():
            figures[name] |= {metric: value} | ({"kid_x1000": 1000 * value} if metric == "kid" else {})
    return {
        "dataset": dataset,
        "order": order,
        "root": str(root.absolute()),
        "results": str(results.absolute()),
        "partial": partial,
        "figures": figures,
        "meaningless": [] if order == "paired" else ["ssim", "lpips"],
        "skipped": [metric for metric in METRICS if metric in skip],
        "failed": failed,
        "protocol": PROTOCOL,
        "run": read_note(results),
        "versions": list_versions(),
    }


def explain(error: Exception) -> str:
    """Why a figure has no value, for a person; the kind of an error that nobody worded for one is named."""
    named = isinstance(error, ImportError | OSError | RuntimeError | ValueError)
    return str(error) if named else f"{type(error).__name__}: {error}"


def _groups(dataset: str, root: Path, results: Path, order: str, category: str, partial: bool) -> dict[str, Group]:
    groups = {}
    names = categories_of(dataset, category)
    for name in names:
        people, folder = people_of(dataset, root, name), results / order / name
        if partial and len(names) > 1 and not folder.is_dir():
            log.warning("there are no results of %s; it is left out.", name)
            continue
        groups[name] = Group(people, match(people, folder, partial=partial))
    if not groups:
        raise MismatchError(f"there are no results in {results / order}")
    return groups


class _Work:
    """The metrics of the same groups; every method gives a figure by category, and `all` where there are several."""

    def __init__(
        self,
        groups: Mapping[str, Group],
        networks: Networks,
        device: str,
        batch: int,
        workers: int,
        download: bool,
        progress: bool,
    ) -> None:
        self.groups, self.networks, self.device, self.batch = groups, networks, device, batch
        self.workers, self.download, self.progress = workers, download, progress
        self.names = [*groups, *(["all"] if len(groups) > 1 else [])]
        self._features: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def counts(self, name: str) -> Figures:
        groups = self.groups.values() if name == "all" else [self.groups[name]]
        return {
            "pictures": sum(len(group.pairs) for group in groups),
            "people": sum(len(group.people) for group in groups),
        }

    def of(self, metric: str) -> Figures:
        """One of `METRICS`."""
        if metric == "ssim":
            return self._means("SSIM", picture_metrics.ssims)
        if metric == "lpips":
            network = self.networks.lpips(self.device, self.download)
            return self._means("LPIPS", lambda pairs, *rest: picture_metrics.lpips(network, pairs, *rest))
        if metric == "is":
            return self._inception_score()
        return self._distances(set_metrics.fid if metric == "fid" else set_metrics.kid)

    def _means(self, title: str, of: Callable[..., torch.Tensor]) -> Figures:
        """Means by category; over all, every picture counts the same."""
        values = {}
        for name, group in self.groups.items():
            with self._bar(f"{title} {name}", len(group.pairs)) as bar:
                values[name] = of(group.pairs, self.device, self.batch, bar.update)
        if len(values) > 1:
            values["all"] = torch.cat(list(values.values()))
        return {name: float(column.mean()) for name, column in values.items()}

    def _inception_score(self) -> Figures:
        metric = self.networks.inception_score(self.device, self.download)
        logits = {}
        for name, group in self.groups.items():
            files = [made for made, _ in group.pairs]
            with self._bar(f"IS {name}", len(files)) as bar:
                logits[name] = picture_metrics.class_logits(metric, files, self.device, self.batch, bar.update)
        if len(logits) > 1:
            logits["all"] = torch.cat(list(logits.values()))
        return {name: picture_metrics.inception_score(rows) for name, rows in logits.items()}

    def _distances(self, of: Callable[[np.ndarray, np.ndarray], float]) -> Figures:
        """A category of one picture has no figure, unless it is all there is, which is an error."""
        sets = self._sets()
        enough = {name: sides for name, sides in sets.items() if min(map(len, sides)) > 1}
        return {name: of(made, truth) for name, (made, truth) in (enough or sets).items()}

    def _sets(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Features of results and of all test people, by category; taken once for FID and KID."""
        if not self._features:
            network = self.networks.fid_features(self.device, self.download)
            found = {}
            for name, group in self.groups.items():
                made, truth = (
                    set_metrics.features(
                        network, files, self.device, self.batch, self.workers, f"features {name}", self.progress
                    )
                    for files in ([made for made, _ in group.pairs], group.people)
                )
                found[name] = (made, truth)
            if len(found) > 1:
                found["all"] = tuple(np.concatenate(side) for side in zip(*found.values(), strict=True))
            self._features = found
        return self._features

    def _bar(self, title: str, total: int):
        from tqdm import tqdm

        return tqdm(total=total, desc=title, unit="picture", disable=not self.progress)
