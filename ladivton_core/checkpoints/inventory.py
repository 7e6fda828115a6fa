"""What weight files lie in a folder, whether they are right, and those this pack knows by name (`sources.json`).

A list reads names and shapes, a check all values. `layouts.py` tells the kinds, `build.check` compares names and
shapes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from ..disk.documents import read_json
from ..disk.looking import file_there
from ..disk.names import is_hidden
from .build import check
from .download import file_sha256
from .layouts import check_values, describe, part_of, parts_in, unet_channels
from .other_files import what_else
from .reading import CheckpointError, is_mapped, read_state_dict, shards_of

log = logging.getLogger(__name__)


LADI_FOLDER = "ladi_vton"
"""Folder below ComfyUI's `models` for the published files."""

_SUFFIXES = {".safetensors", ".pth", ".pt", ".bin", ".ckpt"}


@dataclass(frozen=True)
class Found:
    """One file.

    Attributes:
        path: where it lies; the index of a split model stands for its files.
        size: bytes.
        parts: which of `embedded.PARTS` it holds.
        what: kind and number format in words, or why it could not be read.
        channels: input channels of a UNet; None where there is none.
        unread: it may hold anything: to look into it, all of it would have to be read.
    """

    path: Path
    size: int
    parts: tuple[str, ...]
    what: str
    channels: int | None = None
    unread: bool = False


def weight_files(folder: Path) -> Iterator[Path]:
    """Weight files below a folder, sorted; a split model by its index alone. Links are followed, hidden folders not.

    A folder that is met again through a link is not entered twice; one that may not be read is logged and left out.
    """
    visited: set[tuple[int, int]] = set()

    def left_out(error: OSError) -> None:
        log.warning("%s cannot be read (%s) and is left out.", error.filename, error.strerror)

    for place, folders, names in os.walk(folder, followlinks=True, onerror=left_out):
        try:
            stat = os.stat(place)
        except OSError as error:
            left_out(error)
            continue
        if (stat.st_dev, stat.st_ino) in visited:
            folders.clear()
            continue
        visited.add((stat.st_dev, stat.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        indices = [name for name in names if ".index." in name and name.endswith(".json")]
        split = {shard for name in indices for shard in _shards(Path(place) / name)}
        for name in sorted(name for name in names if not is_hidden(name)):
            if name in indices or (Path(name).suffix in _SUFFIXES and name not in split):
                yield Path(place) / name


def look(path: Path) -> Found:
    """What a file holds, told from its content; a file that cannot be read says so instead of raising."""
    size = 0
    try:
        size = path.stat().st_size + sum((path.parent / shard).stat().st_size for shard in _shards(path))
        if other := what_else(path):
            return Found(path, size, (), f"cannot be read: it {other}")
        if not is_mapped(path) and path.suffix != ".safetensors":
            if _is_pickle(path):
                return Found(path, size, (), "an old torch archive; not looked into", unread=True)
            return Found(path, size, (), "no weight file, or cut short")
        state = read_state_dict(path)
        parts = parts_in(state)
        channels = unet_channels(state) if "unet" in parts else None
        return Found(path, size, parts, f"{describe(state)}, {_dtypes(state)}", channels)
    except Exception as error:  # one file, whatever it is, must not end the list of all
        log.debug("%s cannot be read", path, exc_info=True)
        why = error if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
        return Found(path, size, (), f"cannot be read: {why}")


def verify(path: Path, *, part: str | None = None, sha256: str | None = None, source: Source | None = None) -> str:
    """Check a file's kind, names, shapes, that all its numbers are some, and, when one is known, hash.

    Args:
        part: what it has to hold; a file that `sources.json` names has to hold its part.
        sha256: in place of the one in `sources.json`.
        source: which of them it is; told from its name when None.

    Returns:
        What it is, in words.

    Raises:
        CheckpointError: something is wrong; the message says what.
        FileNotFoundError: there is no such file.
    """
    state = read_state_dict(path)
    source = source or next((known for known in sources() if known.name == path.name), None)
    part = part or (source.part if source else None)
    parts = (part,) if part else parts_in(state)
    if not parts:
        raise CheckpointError(f"{path} is {describe(state)}, none of the models of a try-on.")
    presets = {name: check(name, state, path).name for name in parts}
    for name in parts:
        check_values(part_of(name, state, path), path)
    if source and source.channels:
        channels = unet_channels(state)
        if channels != source.channels:
            raise CheckpointError(f"{path} takes {channels} input channels; {source.name} has {source.channels}.")
    said = ", ".join(f"{name} of {preset}" for name, preset in presets.items())
    expected = sha256 or (source.sha256 if source else None)
    if expected:
        found = file_sha256(path)
        if found != expected.lower():
            raise CheckpointError(f"{path} has the SHA-256 {found}; {expected.lower()} was expected.")
        return f"{describe(state)}, {_dtypes(state)} ({said}); SHA-256 right"
    return f"{describe(state)}, {_dtypes(state)} ({said}); no SHA-256 to compare with"


def own_files(models: Path) -> list[Path]:
    """What of ComfyUI's models folder concerns this pack: all of `ladi_vton`, and the files `sources.json` names."""
    files = list(weight_files(models / LADI_FOLDER))
    named = (models / source.folder / source.name for source in sources() if source.part)
    return files + [path for path in named if _is_there(path) and path not in files]


def _is_there(path: Path) -> bool:
    try:
        return file_there(path)
    except ValueError as error:
        log.warning("%s, and is left out.", error)
        return False


def _is_pickle(path: Path) -> bool:
    """Whether a file starts as torch archives did before they were zip files."""
    with path.open("rb") as file:
        return file.read(1) == b"\x80"


def _shards(path: Path) -> set[str]:
    """Names of the files an index stands for; none for anything else."""
    if path.suffix != ".json":
        return set()
    try:
        return {name for name in shards_of(path) if Path(name).name == name and file_there(path.parent / name)}
    except (ValueError, OSError):  # some other JSON; `look` says what is wrong with it
        return set()


def _dtypes(state: Mapping[str, Tensor]) -> str:
    kinds = {str(tensor.dtype).removeprefix("torch.") for tensor in state.values() if tensor.is_floating_point()}
    return " and ".join(sorted(kinds)) or "no floating-point tensors"


__all__ = ["LADI_FOLDER", "Found", "look", "own_files", "verify", "weight_files"]


@dataclass(frozen=True)
class Source:
    """One file.

    Attributes:
        name: what it is called here.
        group: what to ask `download` for to get everything that belongs together.
        part: one of `embedded.PARTS`; None for what is not a weight file.
        folder: under ComfyUI's `models`.
        licence: in the words of its publisher.
        size: bytes; None when not known.
        largest: bytes that a download may have at most where the size is not known; None: told by `elements`.
        sha256: hexadecimal; None when not known.
        urls: mirrors in the order they are asked.
        channels: input channels of a UNet; None for the rest.
        elements: numbers in its tensors, which the layout fixes; None for what is not a weight file.
    """

    name: str
    group: str
    part: str | None
    folder: str
    licence: str
    size: int | None
    sha256: str | None
    urls: tuple[str, ...]
    channels: int | None = None
    elements: int | None = None
    largest: int | None = None

    @property
    def bound(self) -> int | None:
        """Bytes a download may have at most: the size, or float32 weights with an optimiser's two averages beside."""
        if self.size is not None:
            return self.size
        return self.largest if self.elements is None else 3 * 4 * self.elements + (64 << 20)

    @property
    def size_in_words(self) -> str:
        """What the tensors take in either number format; the warper is run in float32 only."""
        if self.elements is None:
            return "size not known"
        full, half = (f"{self.elements * width / 1e6:,.0f} MB" for width in (4, 2))
        return f"{full} in float32, {half} in float16"


def sources() -> list[Source]:
    """All of `sources.json`."""
    listed = read_json(
        Path(__file__).with_name("sources.json"), shape={"files": [dict]}, expected="the pack's own list"
    )
    return [Source(**file | {"urls": tuple(file["urls"])}) for file in listed["files"]]


def chosen(names: list[str]) -> list[Source]:
    """The files of some names or groups, each once.

    Raises:
        ValueError: a name that is neither.
    """
    known = sources()
    for name in names:
        if not any(name in (source.name, source.group) for source in known):
            groups = dict.fromkeys(source.group for source in known)
            raise ValueError(
                f"{name!r} is no known file or group; groups are {', '.join(groups)}, files are "
                f"{', '.join(source.name for source in known)}."
            )
    return [source for source in known if {source.name, source.group} & set(names)]
