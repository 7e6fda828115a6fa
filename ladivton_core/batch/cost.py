"""What a run will take, from measured seconds: of earlier runs in the folder, else of one picture made now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .catalogue import Job, measured
from .engine import Batch, Engine, Spent, Work
from .items import Item, Outcome
from .plan import counts, encoding_bytes
from .progress import in_words

STAGES = {
    "prepare person": "encodings of people", "encode person": "encodings of people",
    "prepare garment": "garments", "encode garment": "garments", "sample": "pictures",
}  # fmt: skip
"""How often a stage runs, by the names in `plan.counts`."""


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

    @property
    def wall(self) -> float:
        """Seconds until the end, without the start of workers, which is not measured."""
        return sum(self.seconds.values()) / max(self.workers, 1)


class ThrownAway:
    """A delivery for trials."""

    def there(self, item: Item) -> None:
        """Nothing is."""
        return None

    def picture(self, item: Item, pixels, *, seconds: float, check: float | None = None, worker: str = "") -> Outcome:
        """Forget it."""
        return Outcome(item.id, item.file, seconds=seconds, check=check, worker=worker)


def cost_of(job: Job, engine: Engine) -> Cost | None:
    """The cost of a planned run; None when there is nothing to do, or nothing could be measured.

    The first picture that can be made is made once where no earlier run tells.
    """
    if not job.work.batches:
        return None
    spent, source = measured(job.store), "earlier runs in this folder"
    if spent is None or not spent.count("sample"):
        spent, source = _trial(job, engine), "one picture made just now"
    if spent is None:
        return None
    told = counts(job.manifest, job.work.batches)
    seconds = {stage: each * told[of] for stage, of in STAGES.items() if (each := spent.each(stage)) is not None}
    return Cost(seconds, engine.workers, source)


def _trial(job: Job, engine: Engine, tries: int = 3) -> Spent | None:
    for batch in job.work.batches[:tries]:
        item = next(item for item in batch.items if item.id in batch.wanted)
        work = Work(job.manifest, [Batch((item,), frozenset({item.id}))], job.work.settings, ThrownAway())
        if all(outcome.error is None for outcome in engine.run(work)) and engine.spent.count("sample"):
            return engine.spent
    return None


def cost_in_words(job: Job, cost: Cost | None, price: float | None = None) -> list[str]:
    """The cost in lines.

    Args:
        price: of an hour of all workers together, in any currency.
    """
    if cost is None:
        return ["nothing to do" if not job.work.batches else "no picture could be made to measure one"]
    lines = [f"measured on {cost.source}; seconds of one worker:"]
    lines += [f"  {stage}: {in_words(seconds)} in all" for stage, seconds in cost.seconds.items()]
    lines.append(
        f"{in_words(cost.wall)} with {cost.workers} worker{'s' * (cost.workers != 1)}, starting them not counted"
    )
    if price is not None:
        lines.append(f"{cost.wall / 3600 * price:.2f} at {price:g} an hour")
    return lines


def room_in_words(job: Job, preset, size: tuple[int, int], disk: int) -> str:
    """How much the encodings take, and whether the limit holds them."""
    told = counts(job.manifest, job.work.batches)
    person, garment = encoding_bytes(preset, size)
    clothes = told["garments"] * garment
    text = (
        f"encodings: {person / 1e6:.0f} MB a person, {garment / 1e6:.1f} MB a garment, {clothes / 1e9:.2f} GB of "
        f"garments; {disk / 1e9:g} GB are allowed"
    )
    if clothes + person > disk:
        text += ". That is too little: garments would be encoded again and again. Raise --disk"
    return text
