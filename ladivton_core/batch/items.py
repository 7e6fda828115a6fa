"""What a catalogue run is made of: people, garments, the items (who wears what), what came of each, and its settings.

Plain values that travel to other processes and machines. `manifest.py` reads people and garments out of tables, the
command line is made of the settings' fields (`disk/terminal.option`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as plain_dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, ValidationInfo
from pydantic.dataclasses import dataclass

from ..disk.addresses import fault_of_address, resolve
from ..disk.names import hide_secrets, hide_secrets_in, is_plain_name, printable
from ..disk.terminal import option
from ..embedded import PARTS
from ..preprocessing.labels import CATEGORIES, LABEL_SETS, Category
from ..presets import PRESETS

SEEDS = 2**53
"""Seeds are below this: every reader of JSON holds them exactly."""
MAX_CELL = 8192
"""Letters of a table's cell."""
TEMPLATE = "{category}/{person}/{garment}.png"
FIELDS = ("id", "person", "garment", "category", "seed")
"""What a name template may hold."""
_NAMED = ConfigDict(extra="forbid")  # a misspelt setting is an error


def _in_tables(check: Callable[[str, str], str]) -> AfterValidator:
    """A check of what stands in a table, called with the cell and the table's name; other values are taken as given."""

    def checked(value: str, info: ValidationInfo) -> str:
        return value if info.context is None else check(value, info.context)

    return AfterValidator(checked)


def as_text(value: Any) -> Any:
    """Whole numbers as spreadsheets and Parquet have them in columns of texts; no longer than a cell may be."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    value = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if isinstance(value, str) and len(value) > MAX_CELL:  # pydantic's own limit refuses names that are not UTF-8
        raise ValueError(f"it is {len(value)} characters long; {MAX_CELL} are the most")
    return value


def _file(text: str, table: str) -> str:
    if fault := fault_of_address(text):
        raise ValueError(fault)
    return resolve(text, table)


def _name(text: str, table: str) -> str:
    if not is_plain_name(text):
        raise ValueError("expected a plain name without folders or special characters")
    return text


def _prompt(text: str, table: str) -> str:
    if text.count("$") != 16:
        raise ValueError(f"it holds {text.count('$')} times $; 16 mark the pseudo-words")
    return text


Text = Annotated[str, BeforeValidator(as_text)]
File = Annotated[Text, _in_tables(_file)]
Name = Annotated[Text, _in_tables(_name)]


@dataclass(frozen=True)
class Person:
    """One line of people.

    Attributes:
        id: unique among the people.
        photo: path or address of the picture.
        keypoints: path or address of the joints, or None: they are found in the photo.
        coordinates: pixels the joints count in, as in the node Load Keypoints.
        parse_map: path or address of the label picture, or None. With it the published way is taken: the whole
            photo fitted to the models' size, and so is the result. Without it the person is framed and the result
            put back into the photo, as in the workflow `tryon_photo`.
        label_set: vocabulary of the parse map.
        mask: path or address of a painted mask of the worn garment (white) in place of a parse map, or None.
        category: the only category they can wear, or None for any.
        where: file and line in the manifest, for messages.
    """

    id: Name
    photo: File
    keypoints: File | None = None
    coordinates: Literal["picture", "vitonhd", "dresscode"] = "picture"
    parse_map: File | None = None
    label_set: Literal[tuple(LABEL_SETS)] = "LIP20"
    mask: File | None = None
    category: Category | None = None
    where: str = ""

    kind: ClassVar[str] = "person"

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
        reference: path or address of another picture of it (from behind, on a model, a detail), or None; for
            workflows and pipelines that take one.
        where: file and line in the manifest, for messages.
    """

    id: Name
    picture: File
    category: Category = Field(description=f"say which, {', '.join(CATEGORIES)}, or give one for all (--category)")
    mask: File | None = None
    prompt: Annotated[Text, _in_tables(_prompt)] | None = None
    reference: File | None = None
    where: str = ""

    kind: ClassVar[str] = "garment"

    @property
    def files(self) -> tuple[str, ...]:
        """Every file it takes."""
        return tuple(file for file in (self.picture, self.mask, self.reference) if file)


@dataclass(frozen=True)
class Options:
    """How one item is sampled; what None stands for is the models' own value. Guidance of 1 or less is none."""

    steps: int | None = option(None, "sampling steps (the preset's)", ge=1, le=1000)
    guidance_scale: float | None = option(None, "guidance (the preset's)", ge=0, le=100, allow_inf_nan=False)


@dataclass(frozen=True)
class PairLine:
    """What a line of a list of pairs may say of its picture alone; None where it says nothing."""

    id: Text | None = None
    seed: int | None = Field(None, ge=0, lt=SEEDS)


@plain_dataclass(frozen=True)
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
        mark: stands for everything its picture depends on (`delivery.mark_item`); set when the run is planned.
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


@plain_dataclass(frozen=True)
class Manifest:
    """Everything that is wanted, checked.

    Attributes:
        persons, garments: by id.
        items: in the manifest's order, each id and each file once.
    """

    persons: Mapping[str, Person]
    garments: Mapping[str, Garment]
    items: tuple[Item, ...]


@plain_dataclass(frozen=True)
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

    def __post_init__(self) -> None:
        if self.error is not None:  # what is written holds no tokens and no orders to a terminal
            object.__setattr__(self, "error", printable(hide_secrets_in(self.error)))
        if self.error_file is not None:
            object.__setattr__(self, "error_file", hide_secrets(self.error_file))


@dataclass(frozen=True, config=_NAMED)
class Request:
    """Which manifest, and how it is read; tables are CSV, JSONL or Parquet, paths or addresses.

    Attributes:
        pairs: of ids where both tables are given, else of files.
        rule: `all`: everybody in everything they can wear (everything, for people without a category); `category`:
            everybody has a category, and wears the garments of it.
        template: see `manifest.Template`.
        seed: of the run, for items without one and for the sample.
    """

    persons: str | Path | None = option(
        None, "people: photo, keypoints, parse_map, mask, category, id", metavar="TABLE"
    )
    garments: str | Path | None = option(
        None, "garments: picture, category, and mask, prompt, reference, id", metavar="TABLE"
    )  # fmt: skip
    pairs: str | Path | None = option(
        None, "who wears what: ids of both tables, or files without them", metavar="TABLE"
    )
    rule: Literal["all", "category"] = option("all", "category: their own")
    sample: int | None = option(None, "so many pairs of the rule, drawn with --seed", metavar="N", ge=1)
    category: Category | None = option(None, "of garments whose line says none")
    template: str = option(TEMPLATE, f"of pictures, with {', '.join(FIELDS)}", flag="--name", metavar="TEMPLATE")
    seed: int = 1234
    look: bool = option(True, "do not look whether every file is there first")


@dataclass(frozen=True, config=_NAMED)
class Settings:
    """What decides a run's pictures beside the manifest; noted in the folder, so that none ever mixes two.

    Attributes:
        models: `embedded`, or a folder with weights that is searched by content; `weights` go before it.
        size: (height, width) people are dressed at; None is the preset's.
        options: of items that say nothing.
        exact: every item alone, whatever `batch` says.
        paste_back: people with parse maps: their own pixels outside the mask. (Photos get this by stitching.)
        detail: photographs: the garment's own detail, see `finishing.detail`.
        threads: CPU threads of one worker; None leaves torch's own number (local engine) or takes 1 (Ray).
    """

    seed: int = option(1234, "of the run")
    models: str = option("embedded", "search weights here", metavar="FOLDER")
    weights: tuple[str, ...] = option((), f"one part's file; {', '.join(PARTS)}", metavar="PART=FILE")
    preset: Literal[tuple(PRESETS)] | None = option(None, "sizes (sd2 where weights are given, else tiny)")
    device: str = option("cpu", "any torch device")
    dtype: Literal["float32", "float16", "bfloat16"] = option("float32", "of the models")
    size: tuple[int, int] | None = None
    options: Options = Options()
    batch: int = option(1, "pictures at a time", metavar="N")
    exact: bool = option(False, "every picture alone, whatever --batch says")
    paste_back: bool = option(False, "with parse maps: keep the photo outside the mask")
    detail: bool = option(False, "in photographs: the garment's own detail (extra photo); always with embedded models")
    pose: tuple[str, ...] = option(
        ("models/ladi_vton/pose",), "BlazePose's graphs; repeatable", metavar="FOLDER"
    )  # fmt: skip
    threads: int | None = option(None, "CPU threads of a worker (torch's; 1 with ray)")


@dataclass(frozen=True, config=_NAMED)
class EncodingLimits:
    """How many encodings are kept, in gigabytes; `memory` of each sampling process, which has its own default."""

    memory: float | None = option(None, "most of encodings in a process", metavar="GB")
    disk: float = option(20.0, "most of encodings in files", metavar="GB")


@dataclass(frozen=True, config=_NAMED)
class RaySizes(EncodingLimits):
    """How many actors there are, what Ray counts for each, and which Ray it is.

    Attributes:
        workers: sampling actors; None takes one a GPU, or one a CPU where the models run on the CPU, as far as the
            memory holds them.
        cpus, gpus: what Ray counts for a sampling or encoding actor; None takes fractions that fit.
        address: of a cluster; None starts a Ray on this machine and stops it at the end.
    """

    workers: int | None = option(None, "ray: sampling actors (one a GPU or CPU)", metavar="N", ge=1)
    encoders: int | None = option(None, "ray: encoding actors (as many)", metavar="N", ge=1)
    preparers: int | None = option(
        None, "ray: actors that read files (a quarter of the CPUs)", metavar="N", ge=1
    )  # fmt: skip
    cpus: float | None = option(None, "ray: what it counts for an actor (a fraction that fits)")
    gpus: float | None = option(None, "ray: the same for GPUs, e.g. 0.5 for two actors on one")
    address: str | None = option(None, "ray: of a cluster (a Ray is started here)")
    object_store: float | None = option(
        None, "of a Ray started here (a tenth of the memory, at most 2)", metavar="GB"
    )  # fmt: skip
    dashboard: bool = option(False, "ray started here: with its dashboard, on port 8265")


@dataclass(frozen=True, config=_NAMED)
class ServerOptions:
    """Which ComfyUI servers, and what they are asked for.

    Attributes:
        hosts: `host`, `host:port` or whole addresses, as a list or joined by commas. Each once: a server has one
            worker.
        workflow: files in API format; an item is made by the first that has a place for everything it gives, and no
            file of its own left. The shipped ones on the embedded models when there is none.
        queue: prompts at a server at once, anyone's: one that runs and others that wait, so that it never stands still.
        give_up: seconds without any server until the run stops.
    """

    hosts: str | Sequence[str] = option("", "comfyui: addresses of its servers", metavar="A,B,C")
    workflow: tuple[str | Path, ...] = option(
        (), "comfyui: in API format, the first that fits; repeatable", metavar="FILE"
    )
    header: tuple[str, ...] = option(
        (), "comfyui: sent with every request, e.g. 'Authorization: Bearer ...'; repeatable", metavar="'NAME: VALUE'"
    )
    queue: int = option(2, "comfyui: prompts at a server at once", metavar="N")
    patience: float = option(1800.0, "comfyui: seconds a picture may take", metavar="S")
    give_up: float = 600.0


@dataclass(frozen=True, config=_NAMED)
class ElsewhereOptions:
    """What another pipeline made, and how it is brought home; see `elsewhere.py`.

    Attributes:
        stitch: folder of results, in the names that `--prepare` wrote down, of any size; `--engine` is then not asked.
        register, only_changed: see `finishing.editing.bring_back`.
    """

    stitch: str = option("", "bring home what another pipeline made, in the names of pairs.csv", metavar="FOLDER")
    register: bool = option(False, "stitch: first move results back to where their photos' surroundings are")
    only_changed: bool = option(False, "stitch: take only what differs from the photo, of whole new pictures")
