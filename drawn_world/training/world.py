"""Stage `world`: pairs rendered once into `RUNS/world`, for every stage after it (`pairs.py` has their fields).

Rendering costs about a third of a second of one core for each of the two pictures, more than a training step may. Any
number of processes share it, and training can begin with the first files (`recipe.py`). Pairs come from `sources`:
worlds of `WORLDS` by name, rendered here, and folders of pairs that were rendered before, read where they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress, islice
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import torch

from ladivton_core.disk.documents import read_json
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.runtime.processor import usable_cores
from ladivton_core.training.chunks import has_chunk, trim, write_chunk
from ladivton_core.training.config import ConfigError, Settings
from ladivton_core.training.stage import WorkStage

from .. import processes
from ..world.garments import sample_garment
from ..world.people import sample_person
from ..world.scene import UNPAIRED_SHIFT, DrawnWorld, draw
from .pairs import PAIRS, SPLITS, Fields, Files, Pairs, Source, weave
from .photographs import Photographs, fields_of

NUMBERS = 10
"""Numeric attributes of a garment: two colours (3 + 3), period, sleeve, neck depth, length."""
EVALUATION = (3101, 3102, 3301, 6007, 6009)
"""Seeds of the worlds that evaluation, model card and ablations look at: nothing may learn from them."""


@dataclass(frozen=True)
class WorldSettings(Settings):
    """Settings of the stage.

    Attributes:
        sources: where pairs come from: names of `WORLDS`, folders of pairs, `name=folder` with a name of `READERS`.
        shares: of each source in the pairs, and so in every batch; the same for all when empty.
        world: seed of the people and garments to learn from.
        held_out_world: seed of the world the held-out people are from.
        count: pairs to learn from, at most.
        cycle: categories of the pairs in turn.
    """

    sources: tuple[str, ...] = ("drawn",)
    shares: tuple[float, ...] = ()
    world: int = 71
    held_out_world: int = 4301
    count: int = 6400
    cycle: tuple[str, ...] = CATEGORIES

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.world in EVALUATION or self.world == self.held_out_world:
            kept = ", ".join(map(str, (*EVALUATION, self.held_out_world)))
            raise ConfigError(f"world = {self.world} is kept for looking at what was learned ({kept}): choose another.")
        if not self.cycle or any(name not in CATEGORIES for name in self.cycle):
            raise ConfigError(f"cycle = {list(self.cycle)} is some of {', '.join(CATEGORIES)}.")
        if min(self.count, self.held_out) < 1:
            raise ConfigError(f"count = {self.count} and held_out = {self.held_out} are at least 1.")
        for name in self.sources:
            reader, _, folder = name.rpartition("=")
            if name not in WORLDS and not (reader in READERS and Path(folder).is_dir()):
                raise ConfigError(
                    f"sources: {name!r} is no world ({', '.join(WORLDS)}) and no folder of pairs that is there."
                )
        if self.shares and (len(self.shares) != len(self.sources) or min(self.shares) <= 0):
            raise ConfigError(f"shares = {list(self.shares)} are a number above 0 for each of the sources.")


def drawn_pair(settings: WorldSettings, split: str, index: int) -> Fields:
    """A pair of the drawn world; the same on every machine, whoever renders it.

    The held-out pairs are those of the evaluation's unpaired order: person i in garment i and in garment
    i + `UNPAIRED_SHIFT` of another world.
    """
    if split == "held_out":
        world = DrawnWorld(settings.held_out_world)
        person, garments = world.person(index), [world.garment(index), world.garment(index + UNPAIRED_SHIFT)]
    else:
        category = settings.cycle[index % len(settings.cycle)]
        first, *others = (np.random.default_rng([settings.world, index, key]) for key in (11, 12, 13))
        person, garments = sample_person(first, category), [sample_garment(rng, category) for rng in others]
    scenes = draw([person, person], garments, settings.size)
    numbers = [
        [*(garment["colour"] * 2 - 1), *(garment["colour_2"] * 2 - 1), garment["period"] / 25 - 2]
        + [garment["sleeve"] - 1, garment["neck_depth"] * 20 - 2, float(garment["length"])]
        for garment in garments
    ]
    pictures = {"persons": scenes.person, "garments": scenes.garment, "worn": scenes.worn}
    return {name: (picture * 255).round().byte() for name, picture in pictures.items()} | {
        "masks": torch.from_numpy(np.packbits(scenes.inpaint_mask()[:, 0].byte().numpy(), axis=-1)),
        "keypoints": scenes.keypoints[0].float(),
        "category": torch.tensor(CATEGORIES.index(person["category"])),
        "refined": torch.tensor(True),
        "patterns": torch.tensor([int(garment["pattern"]) for garment in garments]),
        "numbers": torch.tensor(np.array(numbers), dtype=torch.float32),
    }


def photographed_pair(settings: WorldSettings, split: str, index: int) -> Fields:
    """A pair of the photographs' world, likewise. It needs OpenCV, which the test tools bring."""
    from ..photographs.scene import pair

    if split == "held_out":
        made = pair(settings.held_out_world, index, settings.size)
    else:
        made = pair(settings.world, index, settings.size, settings.cycle[index % len(settings.cycle)])
    return fields_of(made, index, settings.size)


WORLDS: Mapping[str, Callable[[WorldSettings, str, int], Fields]] = {
    "drawn": drawn_pair,
    "photographs": photographed_pair,
}
"""Worlds by name: what makes the fields of a row of a split (`pairs.SPLITS`), of the settings' size and seeds."""
READERS: Mapping[str, Callable[[Path, str, tuple[int, int]], Source]] = {
    "": lambda folder, split, size: Files(folder / split),
    "photographs": Photographs,
}
"""What reads a split of a folder of pairs in pictures of a size, by the name before the folder's."""


def files(settings: WorldSettings, split: str) -> Iterator[tuple[str, int, int]]:
    """(source, file, rows) of everything that a split wants, in the order in which a training takes it."""
    count = settings.count if split == "train" else settings.held_out
    places = list(islice(weave(settings.shares or [1.0] * len(settings.sources)), count))
    rows = Counter(world for world, _ in places)
    for world, row in places:
        if row % PAIRS == 0:
            yield settings.sources[world], row // PAIRS, min(PAIRS, rows[world] - row)


def render(folder: Path, settings: WorldSettings, worker: int = 0, workers: int = 1, stop=None) -> None:
    """Render what is not there yet of a worker's share, held-out pairs first.

    Args:
        folder: `RUNS/world`.
        stop: an event that ends it after the pair at hand; so does the end of the process that started this one.
    """
    for split in SPLITS:
        for place, (source, file, count) in enumerate(files(settings, split)):
            target = folder / source / split
            if place % workers != worker or source not in WORLDS or has_chunk(target, file, count):
                continue
            rows = []
            for index in range(PAIRS * file, PAIRS * file + count):
                if (stop is not None and stop.is_set()) or processes.orphaned():
                    return
                rows.append(WORLDS[source](settings, split, index))
            write_chunk(target, file, {name: torch.stack([row[name] for row in rows]) for name in rows[0]})


def start_renderers(folder: Path, settings: WorldSettings, workers: int, stop=None) -> list[BaseProcess]:
    """Processes that `render`, one for each worker."""
    return processes.start(render, [(folder, settings, worker, workers, stop) for worker in range(workers)])


class World(WorkStage):
    """Renders what is not there yet."""

    settings_type = WorldSettings
    settings: WorldSettings

    def work(self) -> dict[str, float]:
        settings, folder = self.settings, self.run.folder / "world"
        for split in SPLITS:
            rows = Counter()
            for source, _, count in files(settings, split):
                rows[source] += count
            for source in rows.keys() & WORLDS.keys():
                trim(folder / source / split, rows[source], PAIRS)
        workers = min(settings.workers or usable_cores(), -(-settings.count // PAIRS))
        if workers > 1:
            processes.wait(start_renderers(folder, settings, workers))
        else:
            render(folder, settings)
        return {"pairs": float(open_pairs(self.run.folder, "train").there(settings.count))}


def world_settings(folder: Path) -> dict:
    """Settings that `RUNS/world` was rendered with.

    Raises:
        FileNotFoundError: the stage has not begun.
        ValueError: the note is no settings of a world.
    """
    file = folder / "world" / "settings.json"
    if not file.is_file():
        raise FileNotFoundError(f"there is no {file}: run the stage `world` first.")
    shape = {"size": [int], "count": int, "sources": [str], "shares": [float]}
    return read_json(file, shape=shape, expected="the settings of a world; delete the folder and render it again")


def open_pairs(folder: Path, split: str, needed: Sequence[str] = ()) -> Pairs:
    """Pairs of a training to read.

    Args:
        folder: of the training, `RUNS`.
        split: `train` or `held_out`.
        needed: fields; sources whose pairs lack one of them are left out.

    Raises:
        FileNotFoundError: the stage `world` has not begun, or there are no pairs with those fields.
        ConfigError: a source's pictures have another size.
    """
    settings = world_settings(folder)
    size, names = tuple(settings["size"]), settings["sources"]
    shares, sources = settings["shares"] or [1.0] * len(names), []
    for name in names:
        reader, _, place = name.rpartition("=")
        place = folder / "world" / name if name in WORLDS else Path(place)
        sources.append(READERS[reader](place, split, size))
        found = sources[-1].read(0)["persons"].shape[-2:] if sources[-1].there(1) else size
        if found != size:
            raise ConfigError(f"{place} holds pictures of {tuple(found)}, not {size}.")
    if needed:
        kept = [s.there(1) > 0 and set(needed) <= set(s.read(0)) for s in sources]
        if not any(kept):
            raise FileNotFoundError(f"{folder / 'world'} holds no pairs with {', '.join(needed)}.")
        sources, shares = (list(compress(values, kept)) for values in (sources, shares))
    return Pairs(sources, shares)
