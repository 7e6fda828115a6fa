"""Norms in float32, for the stages that run under autocast."""

from __future__ import annotations

import torch
from torch import nn


def float_norms(module: nn.Module) -> nn.Module:
    """Let every GroupNorm of a module see float32 under autocast: on CPUs its bfloat16 backward is slow."""
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.register_forward_pre_hook(_as_float)
    return module


def _as_float(_: nn.Module, inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    return (inputs[0].float(),)
