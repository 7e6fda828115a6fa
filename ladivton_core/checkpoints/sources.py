"""The weight files this pack knows by name, as `sources.json` lists them: address, licence, folder, hash."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..disk.documents import read_json


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
