"""What every training stage shares: learning-rate schedule, checkpoints, a running average of weights."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import torch
from torch import nn


def cosine_schedule(optimizer: torch.optim.Optimizer, steps: int, warm_up: float = 0.03):
    """Linear warm-up over a share of the steps, then half a cosine down to zero."""
    rise = max(1, round(steps * warm_up))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1 + math.cos(math.pi * (step - rise) / max(1, steps - rise)))

    return torch.optim.lr_scheduler.LambdaLR(optimizer, factor)


def descend(loss: torch.Tensor, optimizer: torch.optim.Optimizer, schedule: Any) -> None:
    """One step of an optimiser and its schedule, gradients clipped to norm 1 over all its weights."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], 1.0)
    optimizer.step()
    schedule.step()


def checkpoint(path: Path, step: int, **parts: Any) -> None:
    """Write the state dicts of `parts` and the step to `path`, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    torch.save({"step": step} | {name: part.state_dict() for name, part in parts.items()}, partial)
    partial.replace(path)


def resume(path: Path, **parts: Any) -> int:
    """Load `parts` from `path` if it is there; returns the step to go on with (0 without a file)."""
    if not path.exists():
        return 0
    state = torch.load(path, map_location="cpu", weights_only=True)
    for name, part in parts.items():
        part.load_state_dict(state[name])
    return state["step"]


def float_norms(module: nn.Module) -> nn.Module:
    """Let every GroupNorm of a module see float32 under autocast: on CPUs its bfloat16 backward is slow."""
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.register_forward_pre_hook(lambda _, inputs: (inputs[0].float(),))
    return module


class RunningAverage(nn.Module):
    """Exponential moving average of a module's parameters and buffers.

    Args:
        module: what is averaged.
        decay: weight of the past; the first steps use less, so that the start is forgotten.
    """

    def __init__(self, module: nn.Module, decay: float = 0.998):
        super().__init__()
        self.module = copy.deepcopy(module).requires_grad_(False)
        self.decay, self.updates = decay, 0

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Move the average towards `module`."""
        self.updates += 1
        weight = 1 - min(self.decay, self.updates / (self.updates + 10))
        for mine, theirs in zip(self.module.state_dict().values(), module.state_dict().values(), strict=True):
            if mine.is_floating_point():
                mine.lerp_(theirs.to(mine.dtype), weight)
            else:
                mine.copy_(theirs)
