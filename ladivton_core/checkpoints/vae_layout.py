"""VAE state dicts: today's diffusers names from older diffusers' and from the original Stable Diffusion's, and back.

Diffusers up to 0.16 named the ten tensors of each of the two mid-block attentions otherwise and may hold them as 1x1
convolutions. The original (ldm) numbers the decoder's levels from the finest, diffusers from the coarsest; everything
else is a change of names. Source: published §11, `manifests/sd2_inpainting_vae_modern.json`. `unet_layout.py` does
the same for the UNet.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

_OLD_TO_NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_ATTENTION = ".mid_block.attentions.0."

# ldm to diffusers; {} stands for the number of a level or a layer
_LDM_MODULES = (
    ("encoder.down.{}.block.{}.", "encoder.down_blocks.{}.resnets.{}."),
    ("encoder.down.{}.downsample.conv.", "encoder.down_blocks.{}.downsamplers.0.conv."),
    ("decoder.up.{}.block.{}.", "decoder.up_blocks.{}.resnets.{}."),
    ("decoder.up.{}.upsample.conv.", "decoder.up_blocks.{}.upsamplers.0.conv."),
    *(
        (f"{half}.{ldm}.", f"{half}.{theirs}.")
        for half in ("encoder", "decoder")
        for ldm, theirs in (
            ("mid.block_1", "mid_block.resnets.0"),
            ("mid.block_2", "mid_block.resnets.1"),
            ("mid.attn_1.norm", "mid_block.attentions.0.group_norm"),
            ("mid.attn_1.q", "mid_block.attentions.0.to_q"),
            ("mid.attn_1.k", "mid_block.attentions.0.to_k"),
            ("mid.attn_1.v", "mid_block.attentions.0.to_v"),
            ("mid.attn_1.proj_out", "mid_block.attentions.0.to_out.0"),
            ("norm_out", "conv_norm_out"),
        )
    ),
)
_SHORTCUT = ("nin_shortcut.", "conv_shortcut.")


def vae_modern_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict with today's attention names; others, and an already modern one, stay as they are."""
    return {_renamed(key, _OLD_TO_NEW): _as_linear(key, tensor) for key, tensor in state.items()}


def vae_old_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict with the attention names of Stable Diffusion 2's published VAE file."""
    new_to_old = {new: old for old, new in _OLD_TO_NEW.items()}
    return {_renamed(key, new_to_old): tensor for key, tensor in state.items()}


def vae_from_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict with today's diffusers names from one with ldm's (without `first_stage_model.`).

    What the training kept beside the autoencoder (`loss.*`, `model_ema.*`) is left out.
    """
    levels = _levels(state, r"decoder\.up\.(\d+)\.")
    renamed = {}
    for key, tensor in state.items():
        if not key.startswith(("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")):
            continue
        name = _translated(key, _LDM_MODULES, _SHORTCUT, levels)
        renamed[name] = _as_linear(name, tensor)
    return renamed


def vae_to_ldm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict with ldm's names from one with today's diffusers names; the inverse of `vae_from_ldm`."""
    back = tuple((theirs, ldm) for ldm, theirs in _LDM_MODULES)
    levels = _levels(state, r"decoder\.up_blocks\.(\d+)\.")
    renamed = {}
    for key, tensor in state.items():
        is_projection = _ATTENTION in key and tensor.ndim == 2
        renamed[_translated(key, back, _SHORTCUT[::-1], levels)] = tensor[:, :, None, None] if is_projection else tensor
    return renamed


def _translated(key: str, modules: tuple[tuple[str, str], ...], shortcut: tuple[str, str], levels: int) -> str:
    for old, new in modules:
        match = re.match(re.escape(old).replace(r"\{\}", r"(\d+)"), key)
        if match:
            numbers = list(match.groups())
            if old.startswith("decoder.up"):
                numbers[0] = str(levels - 1 - int(numbers[0]))
            return new.format(*numbers) + key[match.end() :].replace(*shortcut)
    return key


def _levels(state: Mapping[str, Tensor], pattern: str) -> int:
    return 1 + max((int(match[1]) for match in map(re.compile(pattern).match, state) if match), default=-1)


def _renamed(key: str, names: Mapping[str, str]) -> str:
    head, found, tail = key.partition(_ATTENTION)
    if not found:
        return key
    module, kind = tail.rsplit(".", 1)
    return f"{head}{_ATTENTION}{names.get(module, module)}.{kind}"


def _as_linear(key: str, tensor: Tensor) -> Tensor:
    if _ATTENTION in key and tensor.ndim == 4 and tensor.shape[-2:] == (1, 1):
        return tensor[:, :, 0, 0]
    return tensor
