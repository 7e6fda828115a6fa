"""A batch run item by item, so that each is to the bit what it is in a call of its own.

In one batch torch chooses other kernels than for one item, and sums in another order. `pipeline.py` offers it as
`items_alone`; `encodings.py` has what is cut up and put together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .encodings import TryOnResult, batch_of, count, item, joined


def run_alone(
    pipeline: Any,
    *,
    person: Any,
    garment: Any,
    seeds: int | Sequence[int],
    category: str | Sequence[str],
    noise: Any,
    reference_generator: Any,
    callback: Any,
    **options: Any,
) -> TryOnResult:
    """Call a pipeline once an item, encoding included where pictures are given; arguments as the pipeline's.

    Raises:
        ValueError: batches do not fit, or a shared generator, which draws for a whole batch, is to serve several items.
    """
    seeds = [seeds] if isinstance(seeds, int) else [int(seed) for seed in seeds]
    seeded = reference_generator is None and noise is None
    batch = batch_of(count(person), count(garment), len(seeds) if seeded else None)
    if reference_generator is not None and batch > 1:
        raise ValueError("items_alone needs seeds or noise: the reference's generator draws for a whole batch at once.")
    categories = [category] * batch if isinstance(category, str) else list(category)
    if len(categories) not in (1, batch):
        raise ValueError(f"there are {len(categories)} categories for {batch} items; give one, or one each.")
    results = []
    for index in range(batch):

        def told(state: dict[str, Any], index: int = index) -> None:
            callback(state | {"item": index, "items": batch})

        results.append(
            pipeline(
                item(person, index),
                item(garment, index),
                seeds=seeds[index % len(seeds)],
                category=categories[index % len(categories)],
                noise=item(noise, index),
                reference_generator=reference_generator,
                callback=callback and told,
                **{name: item(value, index) for name, value in options.items()},
            )
        )
    return joined(results)
