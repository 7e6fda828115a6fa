"""The paper's test run: everyone on a data set's test list dressed, a file a picture, resumable at any moment.

Published §0. `items.py` says what is made and where it goes, and keeps a folder to one set of settings; `measure.py`
compares the results with the data set.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from torch.utils.data import DataLoader, Dataset

from ..datasets import DATASETS, DressCode, TryOnSample, VitonHD, collate
from ..datasets.results import to_picture, write_pictures
from ..disk.writing import clean
from ..models import describe_pipeline
from ..pipeline import TryOnPipeline
from .items import Item, claim, is_whole, item_seed, items_of, list_hash

log = logging.getLogger(__name__)

SEED = 1234
"""The published code's."""


@dataclass
class Outcome:
    """What a run did.

    Attributes:
        made: pictures written.
        kept: pictures that were there already, whole.
        broken: why an item could not be read, by `Item.name`.
    """

    made: int = 0
    kept: int = 0
    broken: dict[str, str] = field(default_factory=dict)

    def leave_out(self, item: Item, why: str) -> None:
        """Note and log that an item gets no picture."""
        self.broken[item.name] = why
        log.error("%s is left out: %s", item.name, why)


def generate(
    data: VitonHD | DressCode,
    out: Path,
    pipeline: TryOnPipeline,
    *,
    seed: int = SEED,
    steps: int | None = None,
    guidance_scale: float | None = None,
    kind: str = "jpg",
    batch: int = 1,
    workers: int = 0,
    start: int = 0,
    limit: int | None = None,
    force: bool = False,
    progress: bool = True,
) -> Outcome:
    """Dress everyone on a test list.

    A picture depends on the settings and its own item (on `batch` by rounding alone): its seed is a hash of `seed` and
    the names of category, person and garment. A run that was stopped goes on where it was when it is started again.

    Args:
        data: test split, in the order wanted, of the pipeline's picture size.
        out: pictures go to `<out>/<order>/<category>/<person>`, the settings to `<out>/settings.json`.
        seed: of the run.
        steps, guidance_scale: the preset's when None.
        kind: `jpg` (quality 95, the paper) or `png`.
        batch, workers: pictures at a time, what a killed run loses at most; processes that read samples ahead.
        start, limit: a part of the list, e.g. one of several machines' shares.
        force: discard what other settings left in `out`.

    An item that cannot be read is logged and left out.

    Raises:
        OtherSettingsError: `out` holds pictures of other settings; the message names what differs.
        ValueError: a batch below 1, an empty part of the list, or pictures of another size than the pipeline's.
    """
    if batch < 1:
        raise ValueError(f"batch must be at least 1, got {batch}")
    if tuple(data.size) != tuple(pipeline.preset.size):
        raise ValueError(f"the data set gives pictures of {data.size}; the models are for {pipeline.preset.size}")
    everything = items_of(data)
    chosen = _part(everything, start, limit)
    settings = {
        "dataset": next(name for name, kind_of in DATASETS.items() if isinstance(data, kind_of)),
        "seed": seed,
        "steps": pipeline.preset.steps if steps is None else steps,
        "guidance_scale": pipeline.preset.guidance_scale if guidance_scale is None else guidance_scale,
        "format": kind,
        **describe_pipeline(pipeline),
    }
    lists: dict[str, list[Item]] = {}
    for item in everything:
        lists.setdefault(f"{data.order}/{item.category}", []).append(item)
    claim(out, settings, {name: list_hash(items) for name, items in sorted(lists.items())}, force=force)
    outcome, paths = Outcome(), {}
    for item in chosen:
        try:
            paths[item] = item.path(out, data.order, kind)
        except ValueError as error:  # a name that no result can have
            outcome.leave_out(item, str(error))
    todo = _unfinished(paths, data.size, progress)
    outcome.kept = len(paths) - len(todo)
    for items, samples in _read(data, todo, batch, workers, outcome, progress):
        together = collate(samples)
        made = pipeline(
            together.person,
            together.garment,
            mask=together.mask.float(),
            pose_map=together.pose_map,
            category=together.category,
            seeds=[item_seed(seed, item) for item in items],
            steps=settings["steps"],
            guidance_scale=settings["guidance_scale"],
        ).images
        write_pictures([to_picture(picture) for picture in made], [paths[item] for item in items], overwrite=True)
        outcome.made += len(items)
    return outcome


def _part(everything: list[Item], start: int, limit: int | None) -> list[Item]:
    if start < 0 or (limit is not None and limit < 0):
        raise ValueError(f"start and limit must not be negative, got {start} and {limit}")
    chosen = everything[start:] if limit is None else everything[start : start + limit]
    if not chosen:
        raise ValueError(f"nothing to do: item {start} and after of a list of {len(everything)}, at most {limit}")
    return chosen


def _unfinished(paths: dict[Item, Path], size: tuple[int, int], progress: bool) -> list[Item]:
    """Items without a whole picture. What a killed run left of any goes."""
    from tqdm import tqdm

    for folder in {path.parent for path in paths.values()}:
        clean(folder)
    there = any(path.exists() for path in paths.values())
    todo = []
    for item, path in tqdm(paths.items(), desc="checking", unit="picture", disable=not (progress and there)):
        if is_whole(path, size):
            continue
        if path.exists():
            log.warning("%s is not whole and is made again.", path)
        todo.append(item)
    return todo


def _read(
    data: VitonHD | DressCode, items: list[Item], batch: int, workers: int, outcome: Outcome, progress: bool
) -> Iterator[tuple[list[Item], list[TryOnSample]]]:
    """Batches of items with their samples; what cannot be read goes to `outcome.broken` instead."""
    from tqdm import tqdm

    loader = DataLoader(_Readable(data, items), batch_size=batch, num_workers=workers, collate_fn=list)
    with tqdm(total=len(items), desc=data.order, unit="picture", disable=not (progress and items)) as bar:
        for place, samples in enumerate(loader):
            block = items[place * batch : place * batch + len(samples)]
            good = []
            for item, sample in zip(block, samples, strict=True):
                if isinstance(sample, _Broken):
                    outcome.leave_out(item, sample.why)
                else:
                    good.append((item, sample))
            if good:
                yield [item for item, _ in good], [sample for _, sample in good]
            bar.update(len(block))


@dataclass(frozen=True)
class _Broken:
    why: str


class _Readable(Dataset):
    """The items' samples, with the error in place of one that cannot be read: it must not stop the others."""

    def __init__(self, data: VitonHD | DressCode, items: list[Item]) -> None:
        self.data, self.items = data, items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> TryOnSample | _Broken:
        try:
            return self.data[self.items[index].index]
        except Exception as error:  # whatever a damaged file leads to: the item is named, the others go on
            named = isinstance(error, OSError | ValueError)
            return _Broken(f"{error}" if named else f"{type(error).__name__}: {error}")
