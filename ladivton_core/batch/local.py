"""The plain engine: one process, one loop, no Ray. What the others are compared with."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .dressing import Dresser, facts_of, graphs_missing
from .encodings import Encodings, key_of
from .engine import Spent, Work
from .items import Outcome, Settings
from .maker import Maker
from .plan import needs_of

GB = 10**9


class LocalEngine:
    """See `engine.Engine`.

    Args:
        folder: where encodings go that memory has no room for; None keeps none.
        memory, disk: most gigabytes of encodings in memory and in files.
    """

    name = "local"
    workers = 1

    def __init__(self, folder: Path | str | None = None, memory: float = 2.0, disk: float = 20.0) -> None:
        self.folder = None if folder is None else Path(folder)
        self.memory, self.disk = int(memory * GB), int(disk * GB)
        self.spent = Spent()
        self._dresser: Dresser | None = None

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """Load the models; see `Engine`."""
        self._dresser = Dresser(settings)
        self._facts = {"engine": "core"} | facts_of(self._dresser.pipeline, settings)
        return self._facts

    def run(self, work: Work) -> Iterator[Outcome]:
        """One batch after the other; see `Engine`.

        Raises:
            RuntimeError: somebody must be found in a photo, and what does it is missing; says what mends it.
        """
        needs = needs_of(work.batches)
        if missing := graphs_missing([work.manifest.persons[name] for name, _ in needs.persons], work.settings):
            raise RuntimeError(missing)
        encodings = Encodings(self.folder, self.memory, self.disk)
        maker = Maker(self._dresser, encodings, self._facts, self.spent.add, {})
        last = {(batch.items[0].person, batch.items[0].category): place for place, batch in enumerate(work.batches)}
        for place, batch in enumerate(work.batches):
            yield from maker.outcomes(batch, work.manifest, work.delivery)
            person, category = batch.items[0].person, batch.items[0].category
            if last[person, category] == place:
                encodings.drop(key_of(work.manifest.persons[person], category, self._facts))

    def close(self) -> None:
        """See `Engine`."""
        self._dresser = None
