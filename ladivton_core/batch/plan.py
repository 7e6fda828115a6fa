"""The order of a run: people one after the other, their items in batches, and waves whose encodings fit.

A person is encoded once for each category they wear and a garment once: N + M encodings for N x M pictures.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ..presets import Preset
from .engine import Batch
from .items import Item, Manifest, Options


def batches_of(items: Iterable[Item], size: int) -> list[Batch]:
    """Items in batches of at most `size` that share person, category and options; every item wanted.

    The same items in the same order give the same batches, whatever a run has done already.
    """
    groups: dict[tuple[str, str, Options], list[Item]] = {}
    for item in items:
        groups.setdefault((item.person, item.category, item.options), []).append(item)
    first = {person: place for place, (person, _, _) in reversed([*enumerate(groups)])}
    together = sorted(groups.items(), key=lambda group: first[group[0][0]])
    return [
        Batch(tuple(group[start : start + size]), frozenset(item.id for item in group[start : start + size]))
        for _, group in together
        for start in range(0, len(group), size)
    ]


def remaining(batches: Iterable[Batch], done: set[str]) -> list[Batch]:
    """Batches without those that are done; one of which a part is missing is computed whole."""
    rest = (Batch(batch.items, batch.wanted - done) for batch in batches)
    return [batch for batch in rest if batch.wanted]


@dataclass(frozen=True)
class Needs:
    """What batches need encoded.

    Attributes:
        persons: (id, category), in the order of the batches.
        garments: ids, in the order in which they are met first.
    """

    persons: tuple[tuple[str, str], ...]
    garments: tuple[str, ...]


def needs_of(batches: Iterable[Batch]) -> Needs:
    """Everything that batches need encoded, once."""
    persons: dict[tuple[str, str], None] = {}
    garments: dict[str, None] = {}
    for batch in batches:
        for item in batch.items:
            persons[item.person, item.category] = None
            garments[item.garment] = None
    return Needs(tuple(persons), tuple(garments))


def waves_of(
    batches: Sequence[Batch], person_bytes: int, garment_bytes: int, limit: int, most: int
) -> Iterator[list[Batch]]:
    """Batches in waves whose encodings fit into `limit` bytes together, of at most `most` batches each.

    People of earlier waves are given up, garments are kept; a wave holds at least one batch.
    """
    wave: list[Batch] = []
    persons: set[tuple[str, str]] = set()
    garments: set[str] = set()
    for batch in batches:
        new = persons | {(batch.items[0].person, batch.items[0].category)}
        worn = garments | {item.garment for item in batch.items}
        if wave and (len(wave) >= most or len(new) * person_bytes + len(worn) * garment_bytes > limit):
            yield wave
            wave, new = [], {(batch.items[0].person, batch.items[0].category)}
        wave.append(batch)
        persons, garments = new, worn
    if wave:
        yield wave


def encoding_bytes(preset: Preset, size: tuple[int, int], dtype_bytes: int = 4) -> tuple[int, int]:
    """Bytes of one encoded person (without a photo to go back into) and of one encoded garment."""
    area = size[0] * size[1]
    levels = (1, 1, 4, 16, 64)  # of f1' ... f5': full size twice, then halved in both directions
    skips = sum(channels * area // level for channels, level in zip(preset.emasc["out_channels"], levels, strict=True))
    moments = 8 * area // 64
    person = (3 + 1 + 18) * area * 4 + (skips + moments) * dtype_bytes
    words = (preset.num_words + 77) * preset.text.hidden_size
    return person, 3 * area * 4 + words * dtype_bytes


def counts(manifest: Manifest, batches: Sequence[Batch]) -> dict[str, int]:
    """How much of what there is to do, for the plan in words."""
    needs = needs_of(batches)
    return {
        "people": len({person for person, _ in needs.persons}),
        "encodings of people": len(needs.persons),
        "garments": len(needs.garments),
        "pictures": sum(len(batch.wanted) for batch in batches),
        "batches": len(batches),
        "items in all": len(manifest.items),
    }
