"""Writing a part again: another layout, another number format, always safetensors.

Tensors are mapped from the source and written one after the other, so that a 3.5 GB file needs little memory (only the
fused attention projections of CLIP towers are put together before they are written). `build.py` tells and checks what
the source holds.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from . import build, clip_layout, unet_layout, vae_layout
from .download import require_space
from .folders import part_file
from .layouts import describe, parts_in
from .reading import CheckpointError, read_state_dict

_PUBLISHED = {"published": dict}
LAYOUTS: dict[str, dict[str, Callable[[Mapping[str, Tensor]], dict[str, Tensor]]]] = {
    "unet": {"diffusers": dict, "ldm": unet_layout.unet_to_ldm},
    "vae": {"diffusers": dict, "diffusers-old": vae_layout.vae_old_names, "ldm": vae_layout.vae_to_ldm},
    "text_encoder": {"hf": clip_layout.text_to_hf, "openclip": dict},
    "vision": {"hf": clip_layout.vision_to_hf, "openclip": dict},
    "inversion_adapter": _PUBLISHED,
    "warping": _PUBLISHED,
    "emasc": _PUBLISHED,
}
"""From our modules' names to every layout a part can be written in; the first is the default."""

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}

_SAFETENSORS = {
    torch.float64: "F64", torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3", torch.float8_e5m2: "F8_E5M2", torch.int64: "I64", torch.int32: "I32",
    torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL",
}  # fmt: skip


def convert(
    source: Path | str,
    target: Path | str,
    part: str | None = None,
    layout: str | None = None,
    dtype: torch.dtype | None = None,
    *,
    channels: int | None = None,
    overwrite: bool = False,
) -> str:
    """Write one part of a file or diffusers folder as safetensors.

    Args:
        part: which one; needed only when the source holds several.
        layout: a key of `LAYOUTS[part]`.
        dtype: of floating-point tensors; None keeps the source's. The warper's computed grid always keeps it.
        channels: extend a 9-channel UNet with zeros to these input channels.

    Returns:
        The part that was written.

    Raises:
        FileExistsError: the target is there and `overwrite` is not set.
        CheckpointError: the source holds another part, several, or does not fit; or a value is too large for `dtype`.
        OSError: the disk is too full. Nothing is left behind.
        ValueError: no such layout for the part.
    """
    source, target = Path(source), Path(target)
    if target.exists() and not overwrite:
        raise FileExistsError(f"{target} is there already; --force replaces it.")
    if source.is_dir():
        if part is None:
            raise CheckpointError(f"{source} is a folder; say with --part which part to take from it.")
        source = part_file(source, part)
    state = read_state_dict(source)
    part = part or _only_part(state, source)
    layout = layout or next(iter(LAYOUTS[part]))
    if layout not in LAYOUTS[part]:
        raise ValueError(f"the part {part} has no layout {layout!r}; it is written as {', '.join(LAYOUTS[part])}.")
    preset = build.check(part, state, source)
    names = build.module_names(part, state, source)
    if part == "text_encoder":
        names = build.cut_text(names, preset.text.num_hidden_layers)
    if channels is not None:
        if part != "unet":
            raise ValueError(f"only a UNet has input channels to extend; this is {part}.")
        names = unet_layout.extend_conv_in(names, channels)
    write_safetensors(target, LAYOUTS[part][layout](names), dtype, {"part": part, "layout": layout})
    return part


def write_safetensors(
    path: Path,
    tensors: Mapping[str, Tensor],
    dtype: torch.dtype | None = None,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write a safetensors file tensor by tensor; `safetensors.torch.save_file` would hold a copy of all of them.

    Raises:
        CheckpointError: a value is too large for `dtype`.
        OSError: the disk is full. A half written file is removed again; `path` only ever holds a whole one.
    """
    stored = {name: _stored_as(name, tensor, dtype) for name, tensor in tensors.items()}
    # widest numbers first, so that each one lies at a multiple of its width
    order = sorted(tensors, key=lambda name: (-stored[name].itemsize, name))
    header, end = {"__metadata__": {"format": "pt", **(metadata or {})}}, 0
    for name in order:
        start, end = end, end + tensors[name].numel() * stored[name].itemsize
        header[name] = {
            "dtype": _SAFETENSORS[stored[name]],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.parent.mkdir(parents=True, exist_ok=True)
    require_space(path.parent, 8 + len(text) + end)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(struct.pack("<Q", len(text)) + text)
            for name in order:
                file.write(_bytes(name, tensors[name], stored[name]))
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _only_part(state: Mapping[str, Tensor], path: Path) -> str:
    parts = parts_in(state)
    if len(parts) != 1:
        raise CheckpointError(
            f"{path} is {describe(state)}; "
            + (f"say with --part which of {', '.join(parts)} to take." if parts else "there is no part to convert.")
        )
    return parts[0]


def _stored_as(name: str, tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    changes = dtype is not None and tensor.is_floating_point() and not name.startswith(build.WARP_GRID)
    return dtype if changes else tensor.dtype


def _bytes(name: str, tensor: Tensor, dtype: torch.dtype):
    cast = tensor.detach().to(dtype)
    if dtype != tensor.dtype and torch.finfo(dtype).max < torch.finfo(tensor.dtype).max:
        beyond = tensor[cast.isinf() & ~tensor.isinf()]
        if beyond.numel():
            raise CheckpointError(
                f"{name} holds {beyond[0].item():.4g}, too large for {dtype}; take float32 or bfloat16."
            )
    return cast.contiguous().reshape(-1).view(torch.uint8).numpy()
