"""Writing a part again: another layout, another number format, always safetensors.

Tensors are mapped from the source and written one after the other, so that a 3.5 GB file needs little memory (only the
fused attention projections of CLIP towers are put together before they are written). `build.py` tells and checks what
the source holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from ..disk.tensors import TooLargeError, write_tensors
from . import build, clip_layout, unet_layout, vae_layout
from .layouts import describe, parts_in
from .reading import CheckpointError, part_file, read_state_dict

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


def convert(
    source: Path | str,
    target: Path | str,
    part: str | None = None,
    layout: str | None = None,
    dtype: torch.dtype | None = None,
    *,
    channels: int | None = None,
    overwrite: bool = False,
    inside: str | None = None,
) -> str:
    """Write one part of a file or diffusers folder as safetensors.

    Args:
        part: which one; needed only when the source holds several.
        layout: a key of `LAYOUTS[part]`.
        dtype: of floating-point tensors; None keeps the source's. The warper's computed grid always keeps it.
        channels: extend a 9-channel UNet with zeros to these input channels.
        inside: the key whose content is meant, in a file that holds a network twice.

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
    state = read_state_dict(source, inside)
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
    """Write a weight file tensor by tensor, floating-point ones as `dtype`.

    Raises:
        CheckpointError: a value is too large for `dtype`.
        OSError: the disk is full. A half written file is removed again; `path` only ever holds a whole one.
    """
    dtypes = {name: _stored_as(name, tensor, dtype) for name, tensor in tensors.items()}
    try:
        write_tensors(path, tensors, metadata, dtypes=dtypes)
    except TooLargeError as error:
        raise CheckpointError(str(error)) from error


def _only_part(state: Mapping[str, Tensor], path: Path) -> str:
    parts = parts_in(state)
    if len(parts) != 1:
        raise CheckpointError(
            f"{path} is {describe(state)}; "
            + (f"say with --part which of {', '.join(parts)} to take." if parts else "there is no part to convert.")
        )
    return parts[0]


def _stored_as(name: str, tensor: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    changes = dtype is not None and tensor.is_floating_point() and not name.startswith(build.WARP_GRIDS)
    return dtype if changes else tensor.dtype
