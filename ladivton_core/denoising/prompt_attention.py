"""Cross-attention whose keys and values are computed once a prompt in place of once a step.

They depend on the prompt and on two weights of each layer, not on the latents. A processor for diffusers' `Attention`,
installed by `fast_unet.py`; with nothing kept it computes as diffusers' own does.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

Kept = tuple[Tensor, Tensor]
"""Keys and values (B, heads, T, C) of one layer."""


class PromptAttention:
    """Processor of one cross-attention layer.

    Attributes:
        kept: what it attends to while it is set; None computes from the prompt it is given.
    """

    def __init__(self, plain) -> None:
        self.kept: Kept | None = None
        self._plain = plain

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, **kwargs):
        if self.kept is None:
            return self._plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **kwargs)
        batch, tokens, width = hidden_states.shape
        query = attn.to_q(hidden_states).view(batch, tokens, attn.heads, -1).transpose(1, 2)
        found = F.scaled_dot_product_attention(query, *self.kept)
        return attn.to_out[0](found.transpose(1, 2).reshape(batch, tokens, -1))


def install(unet: nn.Module) -> list[tuple[nn.Module, PromptAttention]]:
    """Give every cross-attention layer of a diffusers UNet a `PromptAttention`; returns layers and processors.

    Raises:
        ValueError: a layer does more than Stable Diffusion's, so that its keys cannot be kept.
    """
    from diffusers.models.attention_processor import AttnProcessor2_0

    found = []
    for name, layer in unet.named_modules():
        if not name.endswith(".attn2"):
            continue
        processor = layer.processor
        if not isinstance(processor, PromptAttention):
            if type(processor) is not AttnProcessor2_0 or _does_more(layer):
                raise ValueError(f"{name} is no plain cross-attention ({type(processor).__name__}).")
            processor = PromptAttention(processor)
            layer.set_processor(processor)
        found.append((layer, processor))
    return found


def keys_and_values(layer: nn.Module, prompt: Tensor) -> Kept:
    """What a layer makes of a prompt (B, T, C)."""
    batch, tokens, _ = prompt.shape
    key, value = (
        project(prompt).view(batch, tokens, layer.heads, -1).transpose(1, 2) for project in (layer.to_k, layer.to_v)
    )
    return key, value


def _does_more(layer: nn.Module) -> bool:
    """Whether a layer has anything that `PromptAttention` leaves out."""
    options = (layer.spatial_norm, layer.group_norm, layer.norm_cross, layer.norm_q, layer.norm_k)
    return any(options) or layer.residual_connection or layer.rescale_output_factor != 1
