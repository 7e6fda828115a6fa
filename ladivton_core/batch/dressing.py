"""The models at work for a catalogue: one prepared person or garment encoded, one batch of items sampled.

Engines call these in a loop, in Ray's actors or in somebody's own pipeline; nothing here knows which. `preparation.py`
reads the files, `pipeline.py` runs the stages.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..encodings import GarmentEncoding
from ..models import choose_pipeline, describe_pipeline
from ..pipeline import TryOnPipeline
from ..preprocessing.checks import Finding
from .encodings import Encoded
from .items import Garment, Item, Person, Settings
from .preparation import (
    FileError,
    PreparedGarment,
    PreparedPerson,
    finder_in,
    into_photo,
    prepare_garment,
    prepare_person,
)
from .results import options_of

log = logging.getLogger(__name__)


def load_pipeline(settings: Settings) -> TryOnPipeline:
    """The run's models; the number of CPU threads is set for the whole process.

    Raises:
        ValueError, OSError: see `models.choose_pipeline`; or a device that is not there.
    """
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    try:
        return choose_pipeline(
            "vitonhd", settings.models, settings.weights, settings.preset, device=settings.device, dtype=settings.dtype
        )
    except (RuntimeError, AssertionError) as error:  # torch's for a device that is not there
        raise ValueError(f"the models cannot be loaded on {settings.device!r}: {error}") from error


def facts_of(pipeline: TryOnPipeline, settings: Settings) -> dict[str, Any]:
    """What of models and settings decides pictures; see `Engine.prepare`."""
    facts = describe_pipeline(pipeline) | {"pasted back": settings.paste_back}
    facts["size"] = list(size_of(pipeline, settings))
    return facts | {"steps": pipeline.preset.steps, "guidance_scale": pipeline.preset.guidance_scale}


def size_of(pipeline: TryOnPipeline, settings: Settings) -> tuple[int, int]:
    """(height, width) people are dressed at."""
    return tuple(settings.size or pipeline.preset.size)


class Dresser:
    """Models and what prepares their inputs, in one process.

    Args:
        settings: of the run.
        pipeline: loaded by `settings` when None.
        worker: what outcomes call it; the process when empty.
    """

    def __init__(self, settings: Settings, pipeline: TryOnPipeline | None = None, worker: str = "") -> None:
        self.settings = settings
        self.pipeline = pipeline or load_pipeline(settings)
        self.size = size_of(self.pipeline, settings)
        self.finder = finder_in(settings.pose, settings.threads or 2)
        self.worker = worker or f"process {os.getpid()}"

    def prepare(self, thing: Person | Garment, category: str) -> PreparedPerson | PreparedGarment:
        """See `preparation`."""
        return prepare(thing, category, self.size, self.finder)

    def encode(self, prepared: PreparedPerson | PreparedGarment, thing: Person | Garment) -> Encoded:
        """A person or garment through the models that do not depend on the other; on the models' device."""
        cost = cost_of(prepared.findings)
        if isinstance(prepared, PreparedPerson):
            encoding = self.pipeline.encode_person(prepared.person, prepared.mask, prepared.pose_map)
            return Encoded(encoding, cost, prepared.fit, prepared.photo)
        return Encoded(self.pipeline.encode_garment(prepared.garment, thing.category, thing.prompt), cost)

    def sample(self, items: Sequence[Item], person: Encoded, garments: Sequence[Encoded]) -> list[np.ndarray]:
        """Pictures (H, W, 3) uint8 of items that share person and options, in their order."""
        options = options_of(items[0], self.settings)
        worn = person.to(self.pipeline.device)
        result = self.pipeline(
            worn.encoding,
            _together([garment.to(self.pipeline.device).encoding for garment in garments]),
            seeds=[item.seed for item in items],
            steps=options.steps,
            guidance_scale=options.guidance_scale,
            paste_back=self.settings.paste_back and person.fit is None,
        ).images
        return [eight_bit(self._placed(picture, person)) for picture in result]

    def _placed(self, picture: Tensor, person: Encoded) -> Tensor:
        if person.fit is None:
            return picture
        return into_photo(picture.cpu(), person.fit, person.photo, person.encoding.mask)


def prepare(
    thing: Person | Garment, category: str, size: tuple[int, int], finder: Callable
) -> PreparedPerson | PreparedGarment:
    """Read a person or a garment from its files.

    Raises:
        FileError: what is wrong with which file.
    """
    if isinstance(thing, Person):
        return prepare_person(thing, category, size, finder)
    return prepare_garment(thing, size)


def cost_of(findings: Sequence[Finding]) -> float:
    """What findings take off the score of 1."""
    return min(1.0, sum(finding.cost for finding in findings))


def check_of(person: Encoded, garment: Encoded) -> float:
    """Score in [0, 1] of an item's inputs."""
    return max(0.0, 1.0 - person.cost - garment.cost)


def eight_bit(picture: Tensor) -> np.ndarray:
    """(3, H, W) in [0, 1] as (H, W, 3) uint8, rounded."""
    return (picture.detach().float().clamp(0, 1) * 255).round().byte().movedim(0, -1).cpu().numpy()


def why(error: Exception, thing: Person | Garment | None) -> tuple[str, str | None]:
    """An item's error in words, and the file that is to blame."""
    if isinstance(error, FileError):
        return str(error), error.file
    text = str(error) if isinstance(error, OSError | ValueError) else f"{type(error).__name__}: {error}"
    return text or type(error).__name__, thing.files[0] if thing is not None else None


def needs_the_machine(error: Exception) -> bool:
    """Whether an error is the machine's and not the item's: a missing package or graph, no memory, a broken device."""
    name = type(error).__name__
    return isinstance(error, ImportError | MemoryError) or name in ("OutOfMemoryError", "AcceleratorError") or (
        isinstance(error, FileNotFoundError)
    )  # fmt: skip


class Clock:
    """Seconds of a stage, noted when the block ends well."""

    def __init__(self, note: Callable[[str, float, int], None], stage: str, count: int = 1) -> None:
        self.note, self.stage, self.count = note, stage, count

    def __enter__(self) -> Clock:
        self.start = time.perf_counter()
        return self

    def __exit__(self, kind, error, trace) -> None:
        self.seconds = time.perf_counter() - self.start
        if kind is None:
            self.note(self.stage, self.seconds, self.count)


def graphs_missing(persons: Sequence[Person], settings: Settings) -> str | None:
    """What keeps BlazePose from running, where somebody's joints must be found; None when all is well."""
    from ..preprocessing.people.pose_graphs import find_graphs, require_interpreter

    wanted = [person for person in persons if person.keypoints is None]
    if not wanted:
        return None
    try:
        require_interpreter()
        find_graphs([Path(folder) for folder in settings.pose])
    except (ImportError, FileNotFoundError) as error:
        return f"{len(wanted)} people have no 'keypoints' (the first: {wanted[0].where}), and {error}"
    return None


def _together(encodings: Sequence[GarmentEncoding]) -> GarmentEncoding:
    if len(encodings) == 1:
        return encodings[0]
    return GarmentEncoding(
        *(torch.cat([getattr(one, name) for one in encodings]) for name in ("garment", "pseudo_words", "prompt"))
    )
