"""Which steps are guided: a share of the noise schedule, after Kynkäänniemi et al. (arXiv 2404.07724).

Outside the interval the UNet runs on the conditional half alone, as with a guidance of 1: half a step's cost. Not in
the paper, which guides everywhere. `sampling.py` asks; the node "Try-On Speed" means the same numbers.
"""

from __future__ import annotations

Interval = tuple[float, float]
EVERYWHERE: Interval = (0.0, 1.0)
"""The paper's."""


def checked(interval: Interval) -> Interval:
    """The interval, when it is one.

    Raises:
        ValueError: not two shares of the schedule with the first below the second.
    """
    try:
        start, end = map(float, interval)
    except (TypeError, ValueError):
        raise ValueError(f"guidance_interval is two numbers, start and end; got {interval!r}.") from None
    if not 0 <= start < end <= 1:
        raise ValueError(
            f"guidance_interval goes from a start to a later end, both 0 to 1; got {start:g} to {end:g}. "
            "A guidance_scale of 1 switches guidance off."
        )
    return start, end


def is_guided(timestep: int, train_steps: int, interval: Interval) -> bool:
    """Whether a timestep lies in the interval; both ends belong to it.

    Args:
        timestep: 0, without noise, to `train_steps` - 1.
        train_steps: of the schedule.
        interval: shares of the schedule from its noisy end, 0, to its clean one, 1.
    """
    return interval == EVERYWHERE or interval[0] <= 1 - timestep / (train_steps - 1) <= interval[1]
