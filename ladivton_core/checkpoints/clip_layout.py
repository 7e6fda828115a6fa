"""CLIP tower state dicts: Hugging Face names to OpenCLIP names and back.

The published towers exist in both: laion's files and Stable Diffusion 2's text encoder in Hugging
Face's (`vision_model.*`, `text_model.*`; attention projections apart), `open_clip_pytorch_model` in
OpenCLIP's (projections fused, whole CLIP in one file). The towers of `inversion/encoders.py` use
OpenCLIP's. `layouts.py` tells which is which.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import torch
from torch import Tensor

_LAYER_NAMES = {
    "layer_norm1": "ln_1",
    "layer_norm2": "ln_2",
    "self_attn.out_proj": "attn.out_proj",
    "mlp.fc1": "mlp.c_fc",
    "mlp.fc2": "mlp.c_proj",
}
_VISION_NAMES = {
    "vision_model.embeddings.class_embedding": "visual.class_embedding",
    "vision_model.embeddings.patch_embedding.weight": "visual.conv1.weight",
    "vision_model.embeddings.position_embedding.weight": "visual.positional_embedding",
    "vision_model.pre_layrnorm.weight": "visual.ln_pre.weight",  # the typo is Hugging Face's key
    "vision_model.pre_layrnorm.bias": "visual.ln_pre.bias",
    "vision_model.post_layernorm.weight": "visual.ln_post.weight",
    "vision_model.post_layernorm.bias": "visual.ln_post.bias",
}
_TEXT_NAMES = {
    "text_model.embeddings.token_embedding.weight": "token_embedding.weight",
    "text_model.embeddings.position_embedding.weight": "positional_embedding",
    "text_model.final_layer_norm.weight": "ln_final.weight",
    "text_model.final_layer_norm.bias": "ln_final.bias",
}
_HF_PROJECTION, _OPEN_PROJECTION = "visual_projection.weight", "visual.proj"
_HF_LAYER = re.compile(r"(?:text|vision)_model\.encoder\.layers\.(\d+)\.(.+)\.(weight|bias)")
_OPEN_LAYER = re.compile(r"(?:visual\.)?transformer\.resblocks\.(\d+)\.(.+)")


def vision_from_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face CLIP vision model to `VisionTower` keys.

    Text keys and `position_ids` are left out. A file without `visual_projection` or `post_layernorm`
    (which LaDI-VTON does not use) gives a dict without them.
    """
    return _from_hf(state, "vision_model.", _VISION_NAMES, "visual.transformer", _HF_PROJECTION)


def text_from_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Hugging Face CLIP text model to `TextTower` keys. Vision keys and `position_ids` are left out.

    Files written by transformers 5 have no `text_model.` prefix; both are read.
    """
    return _from_hf(_with_prefix(state, "text_model."), "text_model.", _TEXT_NAMES, "transformer", None)


def vision_to_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`VisionTower` (or a whole OpenCLIP model's) keys to Hugging Face's vision model with projection."""
    return _to_hf(state, "vision_model.", _VISION_NAMES, "visual.transformer.", _OPEN_PROJECTION)


def text_to_hf(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """`TextTower` (or a whole OpenCLIP model's) keys to Hugging Face's text model."""
    return _to_hf(state, "text_model.", _TEXT_NAMES, "transformer.", None)


def vision_from_openclip(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The vision half of an OpenCLIP model file."""
    return {key: tensor for key, tensor in state.items() if key.startswith("visual.")}


def text_from_openclip(state: Mapping[str, Tensor], layers: int | None = None) -> dict[str, Tensor]:
    """The text half of an OpenCLIP model file, cut to its first `layers` layers.

    Stable Diffusion 2 runs 23 of ViT-H's 24 and then the final norm.
    """
    kept = {}
    for key, tensor in state.items():
        match = _OPEN_LAYER.fullmatch(key)
        runs = match and key.startswith("transformer.") and (layers is None or int(match[1]) < layers)
        if runs or key in _TEXT_NAMES.values():
            kept[key] = tensor
    return kept


def _with_prefix(state: Mapping[str, Tensor], prefix: str) -> Mapping[str, Tensor]:
    if any(key.startswith(prefix) for key in state):
        return state
    return {prefix + key: tensor for key, tensor in state.items()}


def _from_hf(
    state: Mapping[str, Tensor], prefix: str, names: Mapping[str, str], transformer: str, projection: str | None
) -> dict[str, Tensor]:
    result: dict[str, Tensor] = {}
    fused: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        if projection is not None and key == projection:
            result[_OPEN_PROJECTION] = tensor.T.contiguous()
            continue
        if not key.startswith(prefix) or key.endswith("position_ids"):
            continue
        if key in names:
            result[names[key]] = tensor
            continue
        match = _HF_LAYER.fullmatch(key)
        if match is None:
            result[key] = tensor  # strict loading names it
            continue
        layer, name, kind = match.groups()
        block = f"{transformer}.resblocks.{layer}."
        if name in ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"):
            fused.setdefault(f"{block}attn.in_proj_{kind}", {})[name[-6]] = tensor
        else:
            result[f"{block}{_LAYER_NAMES.get(name, name)}.{kind}"] = tensor
    for key, parts in fused.items():
        if set(parts) == set("qkv"):  # else the missing key is named by strict loading
            result[key] = torch.cat([parts["q"], parts["k"], parts["v"]])
    return result


def _to_hf(
    state: Mapping[str, Tensor], prefix: str, names: Mapping[str, str], transformer: str, projection: str | None
) -> dict[str, Tensor]:
    back = {open_name: hf_name for hf_name, open_name in names.items()}
    layer_back = {open_name: hf_name for hf_name, open_name in _LAYER_NAMES.items()}
    result: dict[str, Tensor] = {}
    for key, tensor in state.items():
        if key in back:
            result[back[key]] = tensor
        elif projection is not None and key == projection:
            result[_HF_PROJECTION] = tensor.T.contiguous()
        elif key.startswith(transformer) and (match := _OPEN_LAYER.fullmatch(key)):
            block = f"{prefix}encoder.layers.{match[1]}."
            name = match[2]
            if name.startswith("attn.in_proj_"):
                for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                    result[f"{block}self_attn.{part}_proj.{name.removeprefix('attn.in_proj_')}"] = piece.contiguous()
            else:
                module, kind = name.rsplit(".", 1)
                result[f"{block}{layer_back.get(module, module)}.{kind}"] = tensor
    return result
