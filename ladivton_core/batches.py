"""Tensors as the library takes them: shape, format and range, and one batch size for all that go together."""

from __future__ import annotations

from typing import Any

from torch import Tensor

OVERSHOOT = 0.5
"""How far a finished picture's values may lie outside [0, 1]: filters that sharpen leave some there."""


def require_pictures(
    called: str, given: Any, channels: int, lowest: float, *, batch: bool = True, beyond: float = 1e-3
) -> Tensor:
    """Pictures or maps as the library takes them, unchanged.

    Args:
        called: what the message calls it.
        given: (B, channels, H, W) from `lowest` to 1; pictures from -1 are floating point.
        lowest: -1, or 0.
        batch: False is a single one, (channels, H, W).
        beyond: how far values may lie outside.

    Raises:
        ValueError: it is no tensor, or has another shape, format or range; says what is expected.
    """
    expected = f"{called} must be a tensor ({'B, ' * batch}{channels}, H, W) from {lowest:.0f} to 1"
    scaled = " / 127.5 - 1" if lowest < 0 else " / 255"
    if not isinstance(given, Tensor):
        kind = type(given)
        raise ValueError(
            f"{expected}; got {kind.__module__}.{kind.__qualname__}. A Pillow or NumPy picture is brought there by "
            f"torch.from_numpy(numpy.array(picture)).movedim(-1, 0){'[None]' * batch}{scaled}."
        )
    if given.ndim != 3 + batch or given.shape[-3] != channels:
        raise ValueError(f"{expected}; got {tuple(given.shape)}.")
    if lowest < 0 and not given.is_floating_point():
        raise ValueError(f"{expected}, floating point; got {given.dtype}. Numbers of 0...255: x{scaled}.")
    if given.numel() and (float(given.min()) < lowest - beyond or float(given.max()) > 1 + beyond):
        advice = " Pictures in [0, 1] are brought there by 2 * x - 1, in 0...255 by x / 127.5 - 1."
        if lowest == 0:
            advice = " Pictures in 0...255 are brought there by x / 255, in [-1, 1] by (x + 1) / 2." * (channels == 3)
        raise ValueError(
            f"{expected}: the values must lie in [{lowest:.0f}, 1]; "
            f"got {float(given.min()):.3g} to {float(given.max()):.3g}.{advice}"
        )
    return given


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
