"""Batches to outcomes, with everything encoded once: what the core's engines do in each worker."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from .dressing import Clock, Dresser, check_of, needs_the_machine, why
from .encodings import Encoded, Encodings, key_of
from .engine import Batch, Delivery
from .items import Garment, Item, Manifest, Outcome, Person

Faults = dict[str, tuple[str, str | None]]
"""What is wrong with a person or garment, in words and with the file to blame, by the key of its encoding."""


class Faulty(Exception):
    """A person or garment that cannot be had; its arguments are those of `Faults`."""


@dataclass
class Maker:
    """Makes batches.

    Attributes:
        dresser: the models.
        encodings: what is encoded already.
        facts: of the engine; part of the encodings' keys.
        note: called with stage, seconds, count.
        faults: known ones; a person that cannot be read is looked at once.
    """

    dresser: Dresser
    encodings: Encodings
    facts: dict[str, Any]
    note: Callable[[str, float, int], None]
    faults: Faults

    def outcomes(
        self, batch: Batch, manifest: Manifest, delivery: Delivery, *, look: bool = False
    ) -> Iterator[Outcome]:
        """Outcomes of the wanted items of a batch.

        Args:
            look: ask for every item whether it is there already: the batch may have been begun by a worker that died.
        """
        wanted = [item for item in batch.items if item.id in batch.wanted]
        if look:
            there = [found for item in wanted if (found := delivery.there(item))]
            yield from there
            done = {outcome.item for outcome in there}
            wanted = [item for item in wanted if item.id not in done]
        if not wanted:
            return
        chosen = {item.id for item in wanted}
        try:
            person = self.encoded(manifest.persons[batch.items[0].person], batch.items[0].category)
        except Faulty as error:
            yield from (self._failed(item, *error.args) for item in wanted)
            return
        good: list[tuple[Item, Encoded]] = []
        for item in batch.items:
            try:
                good.append((item, self.encoded(manifest.garments[item.garment], item.category)))
            except Faulty as error:
                if item.id in chosen:
                    yield self._failed(item, *error.args)
        if any(item.id in chosen for item, _ in good):
            yield from self._sampled(good, chosen, person, manifest, delivery)

    def encoded(self, thing: Person | Garment, category: str) -> Encoded:
        """A person or garment, encoded now or earlier.

        Raises:
            Faulty: it cannot be had.
        """
        key = key_of(thing, category, self.facts)
        if key in self.faults:
            raise Faulty(*self.faults[key])
        found = self.encodings.get(key)
        if found is None:
            kind = "person" if isinstance(thing, Person) else "garment"
            try:
                with Clock(self.note, f"prepare {kind}"):
                    prepared = self.dresser.prepare(thing, category)
                with Clock(self.note, f"encode {kind}"):
                    found = self.dresser.encode(prepared, thing)
            except Exception as error:  # whatever a damaged file leads to: this thing's items fail, the others go on
                if needs_the_machine(error):
                    raise
                self.faults[key] = why(error, thing)
                raise Faulty(*self.faults[key]) from error
            self.encodings.put(key, found)
        return found

    def _sampled(
        self,
        good: list[tuple[Item, Encoded]],
        chosen: set[str],
        person: Encoded,
        manifest: Manifest,
        delivery: Delivery,
    ) -> Iterator[Outcome]:
        start = time.perf_counter()
        try:
            pictures = self.dresser.sample([item for item, _ in good], person, [garment for _, garment in good])
        except Exception as error:
            if needs_the_machine(error):
                raise
            if len(good) == 1:
                item = good[0][0]
                yield self._failed(item, *why(error, manifest.garments[item.garment]))
                return
            for one in good:  # one of them spoils the batch: it is found by making each alone
                if one[0].id in chosen:
                    yield from self._sampled([one], chosen, person, manifest, delivery)
            return
        seconds = time.perf_counter() - start
        self.note("sample", seconds, len(good))
        for (item, garment), pixels in zip(good, pictures, strict=True):
            if item.id in chosen:
                yield delivery.picture(
                    item,
                    pixels,
                    seconds=seconds / len(good),
                    check=check_of(person, garment),
                    worker=self.dresser.worker,
                )

    def _failed(self, item: Item, text: str, file: str | None) -> Outcome:
        return Outcome(item.id, error=text, error_file=file, worker=self.dresser.worker)
