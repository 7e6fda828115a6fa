"""The running average of the trained weights, and the trained module without its wrappers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..disk.tensors import write_tensors

if TYPE_CHECKING:
    from accelerate import Accelerator


class Average:
    """Running average of the trained weights (diffusers' `EMAModel`); buffers follow the module. Decay 0: none.

    Works on what this process holds of each weight: under FSDP everyone averages their own shards.
    """

    def __init__(self, model: nn.Module, decay: float):
        from diffusers.training_utils import EMAModel

        self.ema = EMAModel(_shards(model), decay=decay, foreach=True) if decay else None

    def update(self, model: nn.Module) -> None:
        """Take in the weights after a step."""
        if self.ema is not None:
            self.ema.step(_shards(model))

    @contextmanager
    def applied(self, model: nn.Module) -> Iterator[None]:
        """The averaged weights inside the module."""
        if self.ema is None:
            yield
            return
        self.ema.store(_shards(model))
        self.ema.copy_to(_shards(model))
        try:
            yield
        finally:
            self.ema.restore(_shards(model))

    def write(self, path: Path) -> None:
        """Save as safetensors."""
        if self.ema is not None:
            weights = {f"{index:05d}": weight.contiguous() for index, weight in enumerate(self.ema.shadow_params)}
            write_tensors(path, weights | {"updates": torch.tensor(self.ema.optimization_step)})

    def read(self, path: Path) -> None:
        """Load what `write` saved."""
        from safetensors.torch import load_file

        if self.ema is not None:
            state = load_file(path)
            self.ema.optimization_step = int(state["updates"])
            for index, weight in enumerate(self.ema.shadow_params):
                weight.copy_(state[f"{index:05d}"])


def _shards(model: nn.Module) -> list[Tensor]:
    """What this process holds of every parameter: all of it, or under FSDP its shard."""
    return [weight.to_local() if hasattr(weight, "to_local") else weight for weight in model.parameters()]


@contextmanager
def plain_module(
    model: nn.Module, whole: nn.Module | None, average: Average, accelerator: Accelerator
) -> Iterator[nn.Module]:
    """The averaged module without any wrapper, in eval mode and without gradients.

    Args:
        whole: a copy on the CPU to gather a sharded module into; only the main process may use it then, on its
            device.
    """
    with average.applied(model), torch.no_grad():
        if whole is None:
            yield accelerator.unwrap_model(model).eval()
        else:
            state = accelerator.get_state_dict(model)
            if accelerator.is_main_process:
                whole.load_state_dict(state)
                whole.to(accelerator.device)
            try:
                yield whole.eval()
            finally:
                whole.cpu()
