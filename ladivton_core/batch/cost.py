"""What a run will take, from measured seconds: of earlier runs in the folder, else of one picture made now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ..presets import PRESETS
from .delivery import LastPicture
from .engines.base import Batch, Engine, Spent, Work, count_bytes
from .runs import Job, read_spent, say_seconds

STAGES = {
    "prepare person": "encodings of people", "encode person": "encodings of people",
    "prepare garment": "garments", "encode garment": "garments", "sample": "pictures",
}  # fmt: skip
"""How often a stage runs, by the names in `Job.count`."""


@dataclass(frozen=True)
class Cost:
    """Of a run that has not begun.

    Attributes:
        seconds: of one worker by stage, in all.
        workers: that share them.
        source: where the measured seconds come from, in words.
    """

    seconds: Mapping[str, float]
    workers: int
    source: str

    def describe(self, price: float | None = None) -> list[str]:
        """The cost in lines, without the start of workers, which is not measured.

        Args:
            price: of an hour of all workers together, in any currency.
        """
        wall = sum(self.seconds.values()) / max(self.workers, 1)
        lines = [f"measured on {self.source}; seconds of one worker:"]
        lines += [f"  {stage}: {say_seconds(seconds)} in all" for stage, seconds in self.seconds.items()]
        several = "s" * (self.workers != 1)
        lines.append(f"{say_seconds(wall)} with {self.workers} worker{several}, starting them not counted")
        return lines if price is None else [*lines, f"{wall / 3600 * price:.2f} at {price:g} an hour"]


def estimate_cost(job: Job, engine: Engine) -> Cost | None:
    """The cost of a planned run; None when there is nothing to do, or nothing could be measured.

    The first picture that can be made is made once where no earlier run tells.
    """
    spent, source = read_spent(job.store), "earlier runs in this folder"
    if spent is None or not spent.count("sample"):
        spent, source = _try_one(job, engine), "one picture made just now"
    if spent is None or not job.work.batches:
        return None
    told = job.count()
    seconds = {stage: each * told[of] for stage, of in STAGES.items() if (each := spent.each(stage)) is not None}
    return Cost(seconds, engine.workers, source)


def _try_one(job: Job, engine: Engine, tries: int = 3) -> Spent | None:
    for batch in job.work.batches[:tries]:
        item = next(item for item in batch.items if item.id in batch.wanted)
        work = Work(job.manifest, [Batch((item,), frozenset({item.id}))], job.work.settings, LastPicture())
        if all(outcome.error is None for outcome in engine.run(work)) and engine.spent.count("sample"):
            return engine.spent
    return None


def describe_room(job: Job, disk: int) -> str:
    """How much the encodings take, and whether a limit in bytes holds them."""
    person, garment = count_bytes(PRESETS[job.facts["preset"]], tuple(job.facts["size"]))
    clothes = job.count()["garments"] * garment
    text = (
        f"encodings: {person / 1e6:.0f} MB a person, {garment / 1e6:.1f} MB a garment, {clothes / 1e9:.2f} GB of "
        f"garments; {disk / 1e9:g} GB are allowed"
    )
    if clothes + person > disk:
        text += ". That is too little: garments would be encoded again and again. Raise --disk"
    return text
