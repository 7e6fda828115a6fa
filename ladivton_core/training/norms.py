"""GroupNorm under autocast, which would turn everything to float32 on a GPU."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def float_norms(module: nn.Module) -> nn.Module:
    """Let every GroupNorm of a module see float32 under autocast: on CPUs its bfloat16 backward is slow."""
    for part in module.modules():
        if isinstance(part, nn.GroupNorm):
            part.register_forward_pre_hook(_as_float)
    return module


def _as_float(_: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return (inputs[0].float(),)


class LightNorm(nn.GroupNorm):
    """A GroupNorm in the type of its input, whatever autocast says.

    Args:
        norm: whose weights it takes over, the same parameters under the same names.
    """

    def __init__(self, norm: nn.GroupNorm) -> None:
        super().__init__(norm.num_groups, norm.num_channels, norm.eps, norm.affine, device="meta")
        self.weight, self.bias = norm.weight, norm.bias
        self.train(norm.training)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return F.group_norm(x, self.num_groups, self.weight.to(x.dtype), self.bias.to(x.dtype), self.eps)


def light_norms(module: nn.Module, device: torch.device | str) -> nn.Module:
    """Let every GroupNorm of a module compute in its input's type; on a CPU in float32 (see `float_norms`)."""
    if torch.device(device).type == "cpu":
        return float_norms(module)
    for parent in list(module.modules()):
        for name, part in parent.named_children():
            if type(part) is nn.GroupNorm:
                setattr(parent, name, LightNorm(part))
    return module
