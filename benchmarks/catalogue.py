"""A catalogue's engines against each other: two workers and one, and Ray and the plain loop.

    python benchmarks/catalogue.py --pictures 12 --rounds 5

One person in one garment again and again, each time with another seed, so that nothing but pictures is made; embedded
models, one thread a worker. What is timed is the way from one picture to the next: starting Ray, its actors and the
models is not. In every round each engine runs once, forwards and backwards in turn, and ratios are taken within one;
the median of rounds counts. It wants a quiet machine with two cores, and says how busy it was.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"
REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.append(str(REPOSITORY))

from ladivton_core.batch.engines.base import Batch, Engine, Work  # noqa: E402
from ladivton_core.batch.items import Item, Options, Outcome, Settings  # noqa: E402
from ladivton_core.batch.manifest import Request, read_manifest  # noqa: E402

log = logging.getLogger(__name__)

SCALING, OVERHEAD = 1.7, 0.05
"""What is wanted: of two workers, at least; of Ray over the plain loop, at most."""


class Thrown:
    """A delivery that keeps nothing."""

    def there(self, item: Item) -> None:
        return None

    def picture(self, item: Item, pixels, *, seconds: float, check: float | None = None, worker: str = "") -> Outcome:
        return Outcome(item.id, item.file, seconds=seconds, worker=worker)


def work_of(pictures: int, steps: int | None, size: list[int] | None) -> Work:
    """As many pictures of one pair of the samples."""
    folder = REPOSITORY / "samples" / "catalogue"
    manifest = read_manifest(Request(persons=folder / "persons.csv", garments=folder / "garments.csv"))
    first = manifest.items[0]
    items = tuple(replace(first, id=f"{i}", seed=i, file=f"{i}.png", mark=f"{i}") for i in range(pictures))
    settings = Settings(threads=1, options=Options(steps=steps), size=tuple(size) if size else None)
    return Work(replace(manifest, items=items), [Batch((item,), frozenset({item.id})) for item in items], settings,
                Thrown())  # fmt: skip


def seconds_each(make: Callable[[], Engine], work: Work, workers: int) -> float:
    """Seconds from picture to picture, the first of each worker not counted."""
    engine = make()
    try:
        engine.prepare(work.settings)
        times = []
        for outcome in engine.run(work):
            if outcome.error:
                raise RuntimeError(f"{outcome.item}: {outcome.error}")
            times.append(time.perf_counter())
    finally:
        engine.close()
    counted = len(times) - workers
    return (times[-1] - times[workers - 1]) / counted


def main() -> int:
    """Measure, print, and return 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=12, help="in a run (%(default)s)")
    parser.add_argument("--rounds", type=int, default=5, help="of every engine once (%(default)s)")
    parser.add_argument("--steps", type=int, help="sampling steps, to see that it runs (the preset's)")
    parser.add_argument("--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="the same (the preset's)")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    if options.pictures < 6 or options.rounds < 1:
        parser.error("give at least 6 pictures and 1 round")
    from ladivton_core.batch.engines.local import LocalEngine
    from ladivton_core.batch.engines.ray import RayEngine

    engines: dict[str, tuple[Callable[[], Engine], int]] = {
        "plain loop": (LocalEngine, 1),
        "ray, one worker": (lambda: RayEngine(workers=1, encoders=1, preparers=1), 1),
        "ray, two workers": (lambda: RayEngine(workers=2, encoders=1, preparers=1), 2),
    }
    work, seconds = work_of(options.pictures, options.steps, options.size), {name: [] for name in engines}
    busy = []
    for turn in range(options.rounds):
        for name in list(engines)[:: 1 if turn % 2 == 0 else -1]:
            busy.append(os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0)
            make, workers = engines[name]
            seconds[name].append(seconds_each(make, work, workers))
            log.info("round %d, %s: %.3f s a picture", turn + 1, name, seconds[name][-1])
    plain, one, two = seconds.values()
    scaling = [a / b for a, b in zip(one, two, strict=True)]
    overhead = [a / b - 1 for a, b in zip(one, plain, strict=True)]
    figures = {
        "seconds a picture": {name: statistics.median(values) for name, values in seconds.items()},
        "scaling": {"median": statistics.median(scaling), "rounds": scaling, "goal": SCALING},
        "overhead": {"median": statistics.median(overhead), "rounds": overhead, "goal": OVERHEAD},
        "load before runs": busy,
        "cores": os.cpu_count(),
    }
    print("| | Seconds a picture |\n|---|---|")
    for name, value in figures["seconds a picture"].items():
        print(f"| {name} | {value:.3f} |")
    print(f"\nTwo workers make {figures['scaling']['median']:.2f} times the pictures of one "
          f"({min(scaling):.2f} to {max(scaling):.2f}; at least {SCALING} is wanted).")  # fmt: skip
    print(f"Ray takes {figures['overhead']['median']:+.1%} over the plain loop "
          f"({min(overhead):+.1%} to {max(overhead):+.1%}; less than {OVERHEAD:.0%} is wanted).")  # fmt: skip
    print(f"{os.cpu_count()} cores; the machine's load before runs was {min(busy):.1f} to {max(busy):.1f}.")
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1) + "\n", encoding="utf-8")
    return int(figures["scaling"]["median"] < SCALING or figures["overhead"]["median"] >= OVERHEAD)


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    log.setLevel(logging.INFO)
    sys.exit(main())
