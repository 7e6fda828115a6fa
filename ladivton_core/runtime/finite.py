"""Numbers that are none: NaN and infinity are refused where they first appear, with the stage named.

One NaN in a weight, a latent or a feature spreads through every layer and ends as a black picture. A sum is not finite
as soon as one of its terms is not, so one reduction a tensor is enough; `benchmarks/finite_checks.py` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

_HALF = {torch.float16: "float16", torch.bfloat16: "bfloat16"}


def all_finite(tensor: Tensor) -> bool:
    """Whether every value of a tensor is a number; waits for the device."""
    if not tensor.is_floating_point() or tensor.numel() == 0:
        return True
    # Shapes without values. A fake tensor has no public sign; `tests/core/test_fake_cuda.py` fails without this one.
    if tensor.is_meta or getattr(tensor, "fake_mode", None) is not None:
        return True
    if tensor.itemsize == 1:  # float8 has no sums
        tensor = tensor.to(torch.float16)
    with torch.no_grad():
        if bool(torch.isfinite(tensor.sum(dtype=torch.float32))):
            return True
        return bool(torch.isfinite(tensor).all())  # large finite values may overflow the sum


def first_not_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """Name of the first tensor with a value that is NaN or infinite."""
    return next((name for name, tensor in tensors.items() if not all_finite(tensor)), None)


def require_finite(tensor: Tensor, stage: str, advice: str = "", dtype: torch.dtype | None = None) -> Tensor:
    """The tensor, when all its values are numbers.

    Args:
        stage: what made it, as it begins a sentence: "The VAE's encoder".
        advice: the way out.
        dtype: the precision the stage ran in; half precision is named as the likely cause.

    Raises:
        ValueError: they are not.
    """
    if all_finite(tensor):
        return tensor
    half = _HALF.get(tensor.dtype if dtype is None else dtype)
    why = f" It ran in {half}, which large values overflow." if half else ""
    advice = advice or "Its input or its weights are damaged."
    raise ValueError(f"{stage} gave values that are no numbers (NaN or infinite).{why} {advice}")
