"""Every random number of a step, as `ladivton_core.training.draws`, but of a whole micro-batch and on the device."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ladivton_core.training.draws import number


class BlockDraws:
    """Random tensors of one micro-batch from a single generator on the device: fast, and for one process.

    Another micro-batch size draws other numbers.
    """

    def __init__(self, seed: int, step: int, positions: Sequence[int], device: torch.device | str = "cpu"):
        self.device, self.count = torch.device(device), len(positions)
        key = number(seed, step, int(positions[0]))
        self._step = number(seed, step)
        self._generator = torch.Generator(self.device).manual_seed(key)
        self.host = np.random.default_rng(key)
        """For what the host has to know before the device is done."""

    def normal(self, *shape: int) -> Tensor:
        """Standard normal (B, *shape)."""
        return torch.randn((self.count, *shape), generator=self._generator, device=self.device)

    def uniform(self) -> Tensor:
        """(B,) in [0, 1)."""
        return torch.rand(self.count, generator=self._generator, device=self.device)

    def integers(self, stop: int) -> Tensor:
        """(B,) in 0 ... stop - 1."""
        return torch.randint(stop, (self.count,), generator=self._generator, device=self.device)

    def shared(self) -> float:
        """As `Draws.shared`."""
        return self._step / 2**63

    def fewer(self, count: int) -> BlockDraws:
        """The same generator for another number of samples."""
        other = copy.copy(self)
        other.count = count
        return other
