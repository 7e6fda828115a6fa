"""The plain engine: one process, one loop, no Ray. What the others are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..encodings import Encodings, key_of
from ..items import EncodingLimits, Outcome, Settings
from ..worker import Dresser, Maker, require_graphs
from .base import GB, Needs, Spent, Work


class LocalEngine:
    """See `base.Engine`.

    Args:
        folder: where encodings go that memory has no room for; None keeps none.
        limits: of `EncodingLimits`; 2 GB in memory where nothing is said.
    """

    name = "local"
    workers = 1

    def __init__(self, folder: Path | str | None = None, **limits: Any) -> None:
        self.folder = None if folder is None else Path(folder)
        asked = EncodingLimits(**limits)
        self.memory = int((2.0 if asked.memory is None else asked.memory) * GB)
        self.disk = int(asked.disk * GB)
        self.spent = Spent()
        self._dresser: Dresser | None = None

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """Load the models; see `Engine`."""
        self._dresser = Dresser(settings)
        return self._dresser.facts

    def run(self, work: Work) -> Iterator[Outcome]:
        """One batch after the other; see `Engine`.

        Raises:
            RuntimeError: somebody must be found in a photo, and what does it is missing; says what mends it.
        """
        people = work.manifest.persons
        require_graphs([people[name] for name, _ in Needs.of(work.batches).persons], work.settings)
        encodings = Encodings(self.folder, self.memory, self.disk)
        maker = Maker(self._dresser, encodings, self.spent, {})
        last = {(batch.items[0].person, batch.items[0].category): batch for batch in work.batches}
        for batch in work.batches:
            yield from maker.make(batch, work.manifest, work.delivery)
            person, category = batch.items[0].person, batch.items[0].category
            if last[person, category] is batch:
                encodings.drop(key_of(people[person], category, self._dresser.facts))

    def close(self) -> None:
        """See `Engine`."""
        self._dresser = None
