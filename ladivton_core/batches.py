"""Tensors that go together: one batch size for all of them, a single item serving every other one's items."""

from __future__ import annotations

from torch import Tensor


def common_batch(**inputs: Tensor | None) -> dict[str, Tensor | None]:
    """Give every tensor the same batch size: a single one is repeated, any other difference is an error.

    All move to the first one's device: with ComfyUI's `--gpu-only` some nodes' outputs are on the GPU and some are not.

    Args:
        inputs: tensors (B, ...) by the name that messages call them; None passes through.

    Returns:
        The same names, every tensor (B, ...).

    Raises:
        ValueError: two batches that are neither equal nor 1; the message names both inputs and their sizes.
    """
    sizes = {name: tensor.shape[0] for name, tensor in inputs.items() if tensor is not None}
    several = [(name, size) for name, size in sizes.items() if size != 1]
    for name, size in several[1:]:
        first, expected = several[0]
        if size != expected:
            raise ValueError(
                f"'{first}' is a batch of {expected} and '{name}' a batch of {size}. "
                "Batches must be equal; a single item is used for every item of the others."
            )
    batch = several[0][1] if several else 1
    device = next((tensor.device for tensor in inputs.values() if tensor is not None), None)
    return {name: None if tensor is None else repeat_to(tensor.to(device), batch) for name, tensor in inputs.items()}


def repeat_to(tensor: Tensor, batch: int) -> Tensor:
    """Repeat a batch of one (1, ...) to (batch, ...) without copying; other sizes pass unchanged."""
    return tensor.expand(batch, *tensor.shape[1:]) if tensor.shape[0] == 1 and batch != 1 else tensor
