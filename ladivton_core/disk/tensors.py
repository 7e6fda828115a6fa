"""Writing tensors as safetensors, one after the other, through the project's one writer.

`safetensors.torch.save_file` holds a copy of all of them, and up to version 0.7 writes under the final name: a run that
is killed leaves half a weight file there.
"""

from __future__ import annotations

import errno
import json
import shutil
import struct
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from .writing import whole_file

_NAMES = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


class TooLargeError(ValueError):
    """A value that its number format cannot hold; the message names the tensor and the formats that can."""


def write_tensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str] | None = None,
    *,
    dtypes: Mapping[str, torch.dtype] | None = None,
) -> None:
    """Write a safetensors file, whole or not at all; memory for one tensor at a time.

    Args:
        metadata: texts for the header.
        dtypes: number formats to store in, by name; the tensor's own where one is missing.

    Raises:
        TooLargeError: a value is too large for its number format.
        OSError: the disk is full. What was there before is untouched.
    """
    stored = {name: (dtypes or {}).get(name, tensor.dtype) for name, tensor in tensors.items()}
    # widest numbers first, so that each one lies at a multiple of its width
    order = sorted(tensors, key=lambda name: (-stored[name].itemsize, name))
    header, end = {"__metadata__": {"format": "pt", **(metadata or {})}}, 0
    for name in order:
        start, end = end, end + tensors[name].numel() * stored[name].itemsize
        header[name] = {
            "dtype": _NAMES[stored[name]],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent, 8 + len(text) + end)
    with whole_file(path) as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for name in order:
            file.write(_bytes(name, tensors[name], stored[name]))


def require_space(folder: Path, size: int) -> None:
    """Raise an OSError (ENOSPC) when a folder's disk has less than `size` bytes free."""
    free = shutil.disk_usage(folder).free
    if free < size:
        raise OSError(
            errno.ENOSPC, f"{size / 1e6:,.0f} MB are needed in {folder} and {free / 1e6:,.0f} MB are free on its disk"
        )


def _bytes(name: str, tensor: Tensor, dtype: torch.dtype):
    tensor = tensor.detach().cpu()
    cast = tensor.to(dtype)
    if dtype != tensor.dtype and torch.finfo(dtype).max < torch.finfo(tensor.dtype).max:
        read = cast.float() if cast.itemsize == 1 else cast  # float8 has no comparisons
        beyond = tensor[~read.isfinite() & tensor.isfinite()]
        if beyond.numel():
            raise TooLargeError(
                f"{name} holds {beyond[0].item():.4g}, too large for {dtype}; take float32 or bfloat16."
            )
    return cast.contiguous().reshape(-1).view(torch.uint8).numpy()
