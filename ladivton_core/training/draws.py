"""Which rows a step sees and every random number it uses: functions of (seed, step, position), nothing else.

The position counts the samples of one optimiser step over all processes and micro-batches. So a resumed run
goes on exactly, data workers change nothing, and a batch may be split over GPUs or accumulated without
another noise being drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

Key = tuple[int, int, int]
"""(row, step, position) of one sample."""


def number(*key: int) -> int:
    """A well-mixed seed (63 bits) from some whole numbers."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


class Draws:
    """Random tensors of the samples at some positions of one step, each sample from a generator of its own."""

    def __init__(self, seed: int, step: int, positions: Sequence[int], device: torch.device | str = "cpu"):
        self.device = device
        self._step = number(seed, step)
        self._generators = [torch.Generator().manual_seed(number(seed, step, int(p))) for p in positions]

    def normal(self, *shape: int) -> Tensor:
        """Standard normal (B, *shape)."""
        return torch.stack([torch.randn(shape, generator=g) for g in self._generators]).to(self.device)

    def shared(self) -> float:
        """A number in [0, 1) that all samples of a step have in common, on every process."""
        return self._step / 2**63

    def uniform(self) -> Tensor:
        """(B,) in [0, 1)."""
        return torch.cat([torch.rand(1, generator=g) for g in self._generators]).to(self.device)


@lru_cache(maxsize=2)
def order(seed: int, epoch: int, rows: int) -> np.ndarray:
    """The rows of an epoch, each once, in random order."""
    return np.random.default_rng([seed, epoch]).permutation(rows)


class StepSampler:
    """Keys of the micro-batches one process sees, step by step; a `DataLoader`'s batch sampler.

    Args:
        rows: how many there are.
        batch: samples of one step over all processes.
        micro_batch: samples of one list that is yielded.
        seed: of the order.
        steps: from and up to which step.
        process, processes: which share is this process's.
    """

    def __init__(
        self, rows: int, batch: int, micro_batch: int, seed: int, steps: range, process: int = 0, processes: int = 1
    ):
        if rows < 1:
            raise ValueError("there are no rows to train on: the data set has fewer than the held-out ones.")
        self.rows, self.batch, self.micro_batch, self.seed, self.steps = rows, batch, micro_batch, seed, steps
        self.process, self.processes = process, processes

    def __len__(self) -> int:
        return len(self.steps) * (self.batch // (self.micro_batch * self.processes))

    def __iter__(self) -> Iterator[list[Key]]:
        for step in self.steps:
            for start in range(self.process * self.micro_batch, self.batch, self.micro_batch * self.processes):
                yield [self.key(step, position) for position in range(start, start + self.micro_batch)]

    def key(self, step: int, position: int) -> Key:
        """The sample at a position of a step; every row comes once an epoch, batches may reach over its end."""
        epoch, index = divmod(step * self.batch + position, self.rows)
        return int(order(self.seed, epoch, self.rows)[index]), step, position


class Rows(torch.utils.data.Dataset):
    """A stage's training samples by `Key`. Subclasses give `__len__` and `item`.

    Attributes:
        seed: of the random numbers an item draws (where to crop, ...).
    """

    seed: int = 0

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        """Tensors of a row; `rng` is the sample's own, `step` for what a whole batch shares."""
        raise NotImplementedError

    def __getitem__(self, key: Key) -> dict[str, Tensor]:
        row, step, position = key
        rng = np.random.default_rng([self.seed, step, position])
        return {name: value.contiguous() for name, value in self.item(row, rng, step).items()} | {
            "position": torch.tensor(position)
        }
