"""Weights to start from: Stable Diffusion 2 inpainting, in any form `checkpoints` reads.

A UNet of 9 input channels is extended with zeros for pose and garment (published §5), one that has them
already is taken as it is. `stage.Run.part` is the user.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from ..checkpoints.build import build_from, module_names
from ..checkpoints.folders import part_file
from ..checkpoints.layouts import parts_in
from ..checkpoints.reading import CheckpointError, read_state_dict
from ..checkpoints.unet_layout import extend_conv_in
from ..presets import Preset


def find(path: Path, part: str, preset: Preset) -> nn.Module | None:
    """A part of the model at `path`, in eval mode and float32; None when the model has no such part.

    Args:
        path: a diffusers folder, a folder that `export` wrote, a single checkpoint in the original layout, or one
            part's file.
        part: one of `embedded.PARTS`.
        preset: sizes it must have.

    Raises:
        FileNotFoundError: there is nothing at `path`.
        CheckpointError: the part is there but does not fit.
    """
    if not path.exists():
        raise FileNotFoundError(f"--init {path}: there is no such folder or file.")
    if (path / f"{part}.safetensors").is_file():  # a folder that `export` wrote
        path = path / f"{part}.safetensors"
    try:
        file = part_file(path, part)
    except CheckpointError:  # a folder without that part
        return None
    state = read_state_dict(file)
    if part not in parts_in(state):
        return None
    state = module_names(part, state, file)
    if part == "unet":
        state = extend_conv_in(state, preset.unet["in_channels"])
    return build_from(part, state, preset, path=file)
