"""VAE state dicts: the attention names of diffusers up to 0.16 to today's, and back.

Only the ten tensors of each of the two mid-block attentions are renamed; old files may hold them as
1x1 convolutions. Source: SPEC section 11, `manifests/sd2_inpainting_vae_modern.json`.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

_OLD_TO_NEW = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_ATTENTION = ".mid_block.attentions.0."


def vae_modern_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict with today's attention names; others, and an already modern one, stay as they are."""
    return {_renamed(key, _OLD_TO_NEW): _as_linear(key, tensor) for key, tensor in state.items()}


def vae_old_names(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """State dict with the attention names of Stable Diffusion 2's published VAE file."""
    new_to_old = {new: old for old, new in _OLD_TO_NEW.items()}
    return {_renamed(key, new_to_old): tensor for key, tensor in state.items()}


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
