"""The RULE: numbers from a seed and a name, so that golden cases need no weight files.

SHA-256 of `"{seed}|{name}"` starts a splitmix64 stream; weights and inputs are affine functions of it.
Source: `reference/golden/README.md`, section "The RULE"; vectors in `rule_vectors.json`.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

_GAMMA = 0x9E3779B97F4A7C15
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)
_CHUNK = 1 << 15  # numbers at a time: their five arrays stay in the processor's cache, a third of the time


def start(seed: int, name: str) -> int:
    """First 8 bytes, little-endian, of SHA-256 of `"{seed}|{name}"`."""
    return int.from_bytes(hashlib.sha256(f"{seed}|{name}".encode("ascii")).digest()[:8], "little")


def uniform(seed: int, name: str, count: int) -> Iterable[np.ndarray]:
    """`count` numbers in [0, 1), float64, in chunks."""
    first = np.uint64(start(seed, name))
    for low in range(0, count, _CHUNK):
        index = np.arange(low + 1, min(low + _CHUNK, count) + 1, dtype=np.uint64)
        z = first + index * np.uint64(_GAMMA)  # modulo 2**64, which is what uint64 arithmetic does
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        z ^= z >> np.uint64(31)
        yield (z >> np.uint64(11)).astype(np.float64) * 2.0**-53


def _filled(seed: int, name: str, shape: Sequence[int], scale: float, shift: float) -> np.ndarray:
    """float32 array of `shape`: shift + scale * u, computed in float64."""
    out = np.empty(math.prod(shape), dtype=np.float32)
    low = 0
    for chunk in uniform(seed, name, out.size):
        out[low : low + chunk.size] = shift + scale * chunk
        low += chunk.size
    return out.reshape(tuple(shape))


def rule_input(seed: int, name: str, shape: Sequence[int], lo: float, hi: float, block: int = 1) -> Tensor:
    """Input `name`: uniform in [lo, hi), constant over `block` x `block` pixels. float32 of `shape`."""
    if block <= 1:
        return torch.from_numpy(_filled(seed, f"input:{name}", shape, hi - lo, lo))
    *lead, height, width = shape
    small = (*lead, -(-height // block), -(-width // block))
    values = _filled(seed, f"input:{name}", small, hi - lo, lo)
    values = values.repeat(block, axis=-2).repeat(block, axis=-1)[..., :height, :width]
    return torch.from_numpy(np.ascontiguousarray(values))


def rule_tensor(seed: int, key: str, shape: Sequence[int], gain: float = 1.0) -> Tensor:
    """Weight `key` of a state dict, float32; the first rule that matches the key and the rank decides."""
    if key.endswith("running_mean"):
        scale, centre = 0.1, 0.0
    elif key.endswith("running_var"):
        scale, centre = 0.5, 1.0
    elif len(shape) >= 2:
        scale, centre = gain * math.sqrt(3.0 / math.prod(shape[1:])), 0.0
    elif key.endswith("weight"):
        scale, centre = 0.2, 1.0
    else:
        scale, centre = 0.1, 0.0
    values = np.empty(math.prod(shape), dtype=np.float32)
    low = 0
    for chunk in uniform(seed, key, values.size):
        values[low : low + chunk.size] = centre + scale * (2.0 * chunk - 1.0)
        low += chunk.size
    if key == "loc_net.regression.linear.bias":  # TPS: the base grid's control points, plus the 0.1 v above
        axis = np.arange(-0.9, 0.9001, 0.45)
        points = np.array([(x, y) for y in axis for x in axis]).reshape(-1)
        chunk = np.concatenate(list(uniform(seed, key, values.size)))
        values = (np.arctanh(points) + 0.1 * (2.0 * chunk - 1.0)).astype(np.float32)
    return torch.from_numpy(values.reshape(tuple(shape)))


def rule_state_dict(seed: int, like: Mapping[str, Tensor], gain: float = 1.0) -> dict[str, Tensor]:
    """Rule weights for every key of `like`, whose tensors give the shapes.

    Computed buffers (`gridGen.*`, `position_ids` and other integers) keep the values of `like`;
    `num_batches_tracked` is 0.
    """
    weights: dict[str, Tensor] = {}
    for key, tensor in like.items():
        if key.endswith("num_batches_tracked"):
            weights[key] = torch.zeros_like(tensor)
        elif not tensor.is_floating_point() or key.startswith("gridGen."):
            weights[key] = tensor
        else:
            weights[key] = rule_tensor(seed, key, tensor.shape, gain)
    return weights


def load_rule_weights(module: nn.Module, seed: int, gain: float = 1.0) -> nn.Module:
    """Fill a module whose state-dict keys are the reference's own; returns it in eval mode."""
    module.load_state_dict(rule_state_dict(seed, module.state_dict(), gain))
    return module.eval()
