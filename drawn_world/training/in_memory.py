"""What the embedded default's training stages share: pairs in memory, batches by index, one process, a held-out score.

The loop is `loop.fit`, as for the paper's stages. Read `pool.py` first.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from ladivton_core.checkpoints.build import BUILDERS
from ladivton_core.decoding.emasc import mask_features
from ladivton_core.training.config import ConfigError, TrainingSettings
from ladivton_core.training.stage import SCRATCH, Run, TrainingStage

from .draws import BlockDraws
from .pool import Pool, device_memory, small, whole
from .world import open_pairs, world_settings

Seen = tuple[dict[str, Tensor], list[Tensor]]
"""Figures by name, and pictures (1, 3, H, W) in [-1, 1] of a line of the sheet."""


@dataclass(frozen=True)
class MemorySettings(TrainingSettings):
    """Settings of every such stage.

    Attributes:
        SHARES: settings that lie between 0 and 1.
        share: of the minutes of a whole training that the stage takes.
        memory: largest share of the device's memory that the pairs may take.
        unpaired: share of samples whose masked person wears another garment than the one to be worn: where every mask
            is that of the garment to be painted, its outline gives away skirt or trousers.
    """

    SHARES: ClassVar[tuple[str, ...]] = ("share", "memory", "unpaired")
    share: float = 0.1
    memory: float = 0.35
    unpaired: float = 0.7

    def __post_init__(self) -> None:
        super().__post_init__()
        names = (name for kind in type(self).__mro__ for name in vars(kind).get("SHARES", ()))
        if wrong := [name for name in names if not 0 <= getattr(self, name) <= 1]:
            raise ConfigError(f"{wrong[0]} = {getattr(self, wrong[0]):g} is a share: between 0 and 1.")


class MemoryStage(TrainingStage):
    """A training stage on rendered pairs.

    Attributes:
        full_size: whether it needs the pictures at full size (`pool.whole`) or shrunk ones do (`pool.small`).
        needed: fields without which it cannot learn from a source.
        scores: what every figure weighs in `score`.
        sheet_rows: held-out people on the sheet.
        pool, held_out: pairs to learn from and to look at, opened when they are asked for.
    """

    full_size = True
    needed: tuple[str, ...] = ()
    scores: Mapping[str, float]
    sheet_rows = 6
    settings: MemorySettings

    def __init__(self, settings: MemorySettings, run: Run, device: torch.device | str) -> None:
        if run.processes > 1:
            raise ConfigError(f"the embedded default is trained in one process and there are {run.processes}.")
        self.settings, self.run, self.device, self.preset = settings, run, torch.device(device), settings.preset
        size = tuple(world_settings(run.folder)["size"])
        if size != settings.size:
            raise ConfigError(f"{run.folder / 'world'} holds pictures of {size} and size is {settings.size}.")

    @cached_property
    def pool(self) -> Pool:
        count = world_settings(self.run.folder)["count"]
        return self._open("train", count, self.settings.memory * device_memory(self.device))

    @cached_property
    def held_out(self) -> Pool:
        return self._open("held_out", self.settings.held_out, None)

    def _open(self, split: str, count: int, memory: float | None) -> Pool:
        """A pool, opened once in a call for all the stages that want the same."""
        key = f"{split} {count} {self.full_size} {self.needed}"
        kept = whole if self.full_size else partial(small, preset=self.preset)
        if key not in self.run.memory:
            pairs = open_pairs(self.run.folder, split, self.needed)
            self.run.memory[key] = Pool(pairs, self.device, kept, count, memory)
        return self.run.memory[key]

    @property
    def rows(self) -> Pool:
        return self.pool

    def batches(self, steps: range, micro_batch: int, run: Run) -> Iterator[tuple[dict[str, Tensor], Sequence[int]]]:
        """Nothing but positions: `loss` draws its rows from the pool."""
        for _ in steps:
            self.rows.refresh()
            for start in range(0, self.settings.batch, micro_batch):
                yield {}, range(start, start + micro_batch)

    def draws(self, step: int, positions: Sequence[int], device: torch.device | str) -> BlockDraws:
        return BlockDraws(self.settings.seed, step, positions, device)

    def pairs(self, draws: BlockDraws) -> tuple[Tensor, Tensor, Tensor]:
        """Rows of the pool (B,), which of their garments is to be worn (B,), and which the masked person wears (B,)."""
        pair, target = draws.integers(len(self.pool)), draws.integers(2)
        other = draws.uniform() < self.settings.unpaired
        return pair, target, torch.where(other, 1 - target, target)

    def skips(self, emasc: nn.Module, taps: list[Tensor], mask: Tensor) -> list[Tensor]:
        """Skip features as the preset masks them."""
        return mask_features(emasc(taps), mask, grow=self.preset.skip_grow, feather=self.preset.skip_feather)

    def examine(self, module: nn.Module, pair: Tensor, before: Tensor, after: Tensor) -> Seen:
        """Look at a held-out person (1,) who is masked in garment `before` and is to wear garment `after`."""
        raise NotImplementedError

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        columns: dict[str, list[Tensor]] = {}
        sheet = []
        for row in range(len(self.held_out)):
            pair = torch.tensor([row], device=self.device)
            figures, pictures = self.examine(module, pair, torch.zeros_like(pair), torch.ones_like(pair))
            for name, value in figures.items():
                columns.setdefault(name, []).append(value)
            if row < self.sheet_rows:
                sheet.append(torch.cat(pictures))
        return {name: float(torch.stack(values).mean()) for name, values in columns.items()}, sheet

    def score(self, figures: dict[str, float]) -> float:
        return sum(weight * figures[name] for name, weight in self.scores.items())

    def starts_from(self, name: str) -> nn.Module:
        """A part as `Run.part` finds it, or random where the recipe starts from nothing and no stage has made it."""
        if self.run.init == SCRATCH and self.run.made(name) is None:
            return BUILDERS[name](self.preset)
        return self.run.part(name, self.preset)

    def is_new(self, *names: str) -> bool:
        """Whether some of the parts start at random: then there is nothing to compare with."""
        return self.run.init == SCRATCH and any(self.run.made(name) is None for name in names)
