"""UNet state dicts: the original Stable Diffusion names (ldm) to diffusers' names and back, for any block structure.

ldm numbers all blocks of a half in one row (`input_blocks.4.1`), diffusers by level (`down_blocks.1.attentions.0`).
Which number is which follows from the levels' layers and attentions, and those are read from the keys. Only names
change, never tensors. `extend_conv_in` gives an inpainting UNet the try-on's input channels. `vae_layout.py` does the
same for the autoencoder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from torch import Tensor

from .reading import CheckpointError

INPAINTING_CHANNELS = 9
"""Noisy latents 4, mask 1, masked-image latents 4: the first channels of the try-on UNet as well."""

# inside one residual block, ldm to diffusers; attention blocks have the same names in both
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
_ENDS = {
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "input_blocks.0.0": "conv_in",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}


@dataclass(frozen=True)
class BlockStructure:
    """How a UNet is put together.

    Attributes:
        down, up: for every level, in the order the data passes them, whether each of its layers attends.
    """

    down: tuple[tuple[bool, ...], ...]
    up: tuple[tuple[bool, ...], ...]

    @classmethod
    def of_diffusers(cls, keys: Mapping[str, Tensor]) -> BlockStructure:
        """Read from a state dict with diffusers' names."""
        return cls(*(tuple(_diffusers_levels(keys, half)) for half in ("down_blocks", "up_blocks")))

    @classmethod
    def of_ldm(cls, keys: Mapping[str, Tensor]) -> BlockStructure:
        """Read from a state dict with ldm's names; a level ends where the picture is resized."""
        down, up = [[]], [[]]
        for number in _numbers(keys, "input_blocks.{}.0.", start=1):
            if f"input_blocks.{number}.0.op.weight" in keys:
                down.append([])
            else:
                down[-1].append(_attends(keys, f"input_blocks.{number}"))
        for number in _numbers(keys, "output_blocks.{}.0."):
            block = f"output_blocks.{number}"
            up[-1].append(_attends(keys, block))
            if f"{block}.1.conv.weight" in keys or f"{block}.2.conv.weight" in keys:
                up.append([])
        return cls(tuple(map(tuple, down)), tuple(map(tuple, up)))

    def modules(self) -> dict[str, str]:
        """Module name of ldm to module name of diffusers, down to the convolutions; attentions as wholes."""
        names = dict(_ENDS)
        number = 1
        for level, layers in enumerate(self.down):
            for layer, attends in enumerate(layers):
                names |= _layer(f"input_blocks.{number}", f"down_blocks.{level}", layer, attends)
                number += 1
            if level < len(self.down) - 1:
                names[f"input_blocks.{number}.0.op"] = f"down_blocks.{level}.downsamplers.0.conv"
                number += 1
        names |= _resnet("middle_block.0", "mid_block.resnets.0") | _resnet("middle_block.2", "mid_block.resnets.1")
        names["middle_block.1"] = "mid_block.attentions.0"
        number = 0
        for level, layers in enumerate(self.up):
            for layer, attends in enumerate(layers):
                names |= _layer(f"output_blocks.{number}", f"up_blocks.{level}", layer, attends)
                if layer == len(layers) - 1 and level < len(self.up) - 1:
                    names[f"output_blocks.{number}.{1 + attends}.conv"] = f"up_blocks.{level}.upsamplers.0.conv"
                number += 1
        return names


def unet_from_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """UNet with diffusers' names from one with ldm's (without `model.diffusion_model.`); an unknown key stays."""
    return _renamed(state, BlockStructure.of_ldm(state).modules())


def unet_to_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """UNet with ldm's names from one with diffusers'; the inverse of `unet_from_ldm`."""
    modules = BlockStructure.of_diffusers(state).modules()
    return _renamed(state, {theirs: ldm for ldm, theirs in modules.items()})


def extend_conv_in(state: Mapping[str, Tensor], channels: int = 31) -> dict[str, Tensor]:
    """State dict of a UNet whose first convolution takes `channels`: new ones are zero, so nothing changes at first.

    Args:
        state: diffusers' names, 9 input channels; one that has `channels` already is given back as it is.
        channels: 31 with pose (18) and warped garment (4), 27 without the garment.

    Raises:
        CheckpointError: it takes neither 9 channels nor `channels`.

    Source: published §5.
    """
    weight = state["conv_in.weight"]
    found = weight.shape[1]
    if found == channels:
        return dict(state)
    if found != INPAINTING_CHANNELS or channels < found:
        raise CheckpointError(
            f"this UNet takes {found} input channels and cannot be extended to {channels}; take Stable Diffusion 2 "
            f"*inpainting* ({INPAINTING_CHANNELS} channels)."
        )
    extended = weight.new_zeros(weight.shape[0], channels, *weight.shape[2:])
    extended[:, :found] = weight
    return dict(state) | {"conv_in.weight": extended}


def _layer(ldm: str, diffusers: str, layer: int, attends: bool) -> dict[str, str]:
    names = _resnet(f"{ldm}.0", f"{diffusers}.resnets.{layer}")
    return names | {f"{ldm}.1": f"{diffusers}.attentions.{layer}"} if attends else names


def _resnet(ldm: str, diffusers: str) -> dict[str, str]:
    return {f"{ldm}.{old}": f"{diffusers}.{new}" for old, new in _RESNET.items()}


def _renamed(state: Mapping[str, Tensor], modules: Mapping[str, str]) -> dict[str, Tensor]:
    renamed = {}
    for key, tensor in state.items():
        module, tail = key, ""
        while module and module not in modules:  # the longest known module the key lies in
            module, _, last = module.rpartition(".")
            tail = f".{last}{tail}"
        renamed[modules[module] + tail if module else key] = tensor
    return renamed


def _diffusers_levels(keys: Mapping[str, Tensor], half: str) -> Iterator[tuple[bool, ...]]:
    for level in _numbers(keys, half + ".{}.resnets.0."):
        block = f"{half}.{level}"
        yield tuple(
            f"{block}.attentions.{layer}.norm.weight" in keys for layer in _numbers(keys, block + ".resnets.{}.")
        )


def _numbers(keys: Mapping[str, Tensor], prefix: str, start: int = 0) -> Iterator[int]:
    number = start
    while any(key.startswith(prefix.format(number)) for key in keys):
        yield number
        number += 1


def _attends(keys: Mapping[str, Tensor], block: str) -> bool:
    return f"{block}.1.norm.weight" in keys
