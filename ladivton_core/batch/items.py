"""What a catalogue run is made of: people, garments, the items (who wears what), and what came of each.

Plain values that travel to other processes and machines. `manifest.py` makes them, `engine.py` says who works on them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Person:
    """One line of people.

    Attributes:
        id: unique among the people.
        photo: path or address of the picture.
        keypoints: path or address of the joints, or None: they are found in the photo.
        coordinates: pixels the joints count in: `picture`, `vitonhd` or `dresscode`, as in the node Load Keypoints.
        parse_map: path or address of the label picture, or None. With it the published way is taken: the whole
            photo fitted to the models' size, and so is the result. Without it the person is framed and the result
            put back into the photo, as in the workflow `tryon_photo`.
        label_set: vocabulary of the parse map.
        mask: path or address of a painted mask of the worn garment (white) in place of a parse map, or None.
        category: the only category they can wear, or None for any.
        where: file and line in the manifest, for messages.
    """

    id: str
    photo: str
    keypoints: str | None = None
    coordinates: str = "picture"
    parse_map: str | None = None
    label_set: str = "LIP20"
    mask: str | None = None
    category: str | None = None
    where: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file it takes."""
        return tuple(file for file in (self.photo, self.keypoints, self.parse_map, self.mask) if file)


@dataclass(frozen=True)
class Garment:
    """One line of garments.

    Attributes:
        id: unique among the garments.
        picture: path or address of the shop photo.
        category: `upper_body`, `lower_body` or `dresses`.
        mask: path or address of its mask (white where the garment is), or None.
        prompt: own prompt with 16 `$` in place of the paper's, or None.
        where: file and line in the manifest, for messages.
    """

    id: str
    picture: str
    category: str
    mask: str | None = None
    prompt: str | None = None
    where: str = ""

    @property
    def files(self) -> tuple[str, ...]:
        """Every file it takes."""
        return tuple(file for file in (self.picture, self.mask) if file)


@dataclass(frozen=True)
class Options:
    """How one item is sampled; what None stands for is the models' own value.

    Attributes:
        steps: sampling steps.
        guidance_scale: 1 or less switches guidance off.
    """

    steps: int | None = None
    guidance_scale: float | None = None


@dataclass(frozen=True)
class Item:
    """One picture to make.

    Attributes:
        id: unique in the run, and the same whenever the same manifest is read: results are kept by it.
        person, garment: ids.
        category: the garment's.
        seed: in [0, 2**53): a column of the manifest, else a hash of the run's seed and the id, never of the place.
        file: where its picture goes, below the run's folder, with `/` between folders.
        options: how it is sampled.
        where: file and line in the manifest, for messages.
        mark: stands for everything its picture depends on (`results.mark_of`); set when the run is planned.
    """

    id: str
    person: str
    garment: str
    category: str
    seed: int
    file: str
    options: Options = Options()
    where: str = ""
    mark: str = ""


@dataclass(frozen=True)
class Manifest:
    """Everything that is wanted, checked.

    Attributes:
        persons, garments: by id.
        items: in the manifest's order, each id and each file once.
    """

    persons: Mapping[str, Person]
    garments: Mapping[str, Garment]
    items: tuple[Item, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of one item; a row of the index.

    Attributes:
        item: its id.
        file: its picture below the run's folder, which is whole; None with an error.
        error: why there is none, in words for a person; None when all went well.
        error_file: the file of the manifest that is to blame, where one is.
        seconds: spent on this item alone (a batch's time is shared out); None for one that was there already.
        check: score in [0, 1] of the inputs before sampling (`preprocessing/checks.py`); None where not looked at.
        worker: what made it: a process, an actor or a server.
        stop: nothing more can be written (a full disk): the run ends with `error`, which is not the item's fault, and
            the item counts as not tried.
    """

    item: str
    file: str | None = None
    error: str | None = None
    error_file: str | None = None
    seconds: float | None = None
    check: float | None = None
    worker: str = ""
    stop: bool = False


@dataclass(frozen=True)
class Settings:
    """What decides a run's pictures beside the manifest; noted in the folder, so that none ever mixes two.

    Attributes:
        seed: of the run.
        models: `embedded`, or a folder with weights that is searched by content.
        weights: `PART=FILE` each, before the folder.
        preset: sizes; None takes what fits the models.
        device, dtype: of the models.
        size: (height, width) people are dressed at; None is the preset's.
        options: steps and guidance of items that say nothing.
        batch: most pictures in one call of the UNet.
        exact: every item alone, whatever `batch` says.
        paste_back: people with parse maps: their own pixels outside the mask. (Photos get this by stitching.)
        pose: folders that hold BlazePose's graphs.
        threads: CPU threads of one worker; None leaves torch's own number (local engine) or takes 1 (Ray).
    """

    seed: int = 1234
    models: str = "embedded"
    weights: tuple[str, ...] = ()
    preset: str | None = None
    device: str = "cpu"
    dtype: str = "float32"
    size: tuple[int, int] | None = None
    options: Options = Options()
    batch: int = 1
    exact: bool = False
    paste_back: bool = False
    pose: tuple[str, ...] = ("models/ladi_vton/pose",)
    threads: int | None = None
