"""Who wears what, where the manifest has people and garments and no list of pairs.

A rule gives a sequence that counts its pairs without holding them: a sample of 1,000 from ten million is drawn at once.
"""

from __future__ import annotations

import bisect
import itertools
import random
from collections.abc import Iterator, Sequence

from .items import Garment, Person

RULES = ("all", "category")
"""`all`: everybody in everything they can wear (everything, for people without a category); `category`: everybody has
a category, and wears the garments of it."""


class Pairs(Sequence):
    """Pairs (person, garment), people one after the other.

    Args:
        persons, garments: in the manifest's order.
    """

    def __init__(self, persons: Sequence[Person], garments: Sequence[Garment]) -> None:
        self.persons = persons
        by_category: dict[str | None, list[Garment]] = {None: list(garments)}
        for garment in garments:
            by_category.setdefault(garment.category, []).append(garment)
        self.choices = [by_category.get(person.category, []) for person in persons]
        self.ends = list(itertools.accumulate(map(len, self.choices)))

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int) -> tuple[Person, Garment]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        place = bisect.bisect_right(self.ends, index)
        start = self.ends[place - 1] if place else 0
        return self.persons[place], self.choices[place][index - start]


def pairs_of(
    persons: Sequence[Person], garments: Sequence[Garment], sample: int | None = None, seed: int = 0
) -> Iterator[tuple[Person, Garment]]:
    """Pairs of a rule; the manifest has been checked against it.

    Args:
        sample: so many of them, drawn with `seed`, in the rule's order; all when there are no more.
    """
    pairs = Pairs(persons, garments)
    if sample is None or sample >= len(pairs):
        return iter(pairs)
    chosen = sorted(random.Random(seed).sample(range(len(pairs)), sample))
    return (pairs[index] for index in chosen)
