"""Cross-attention whose keys and values are computed once a prompt in place of once a step.

They depend on the prompt and on two weights of each layer, not on the latents. A processor for diffusers' `Attention`,
installed by `fast_unet.py`; with nothing kept it computes as diffusers' own does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch.nn.functional as F
from torch import Tensor, nn

Kept = tuple[Tensor, Tensor]
"""Keys and values (B, heads, T, C) of one layer."""

_KEPT: ContextVar[dict[PromptAttention, Kept] | None] = ContextVar("keys and values by layer", default=None)
"""Of the call that runs; another thread has its own."""


class PromptAttention:
    """Processor of one cross-attention layer; within `attending` it looks at what is kept and at no prompt.

    Args:
        plain: diffusers' own processor, for every other call.
    """

    def __init__(self, plain) -> None:
        self._plain = plain

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None, temb=None, **kwargs):
        kept = _KEPT.get()
        if kept is None:
            return self._plain(attn, hidden_states, encoder_hidden_states, attention_mask, temb, **kwargs)
        batch, tokens, width = hidden_states.shape
        query = attn.to_q(hidden_states).view(batch, tokens, attn.heads, -1).transpose(1, 2)
        found = F.scaled_dot_product_attention(query, *kept[self])
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


@contextmanager
def attending(layers: Sequence[tuple[nn.Module, PromptAttention]], kept: Sequence[Kept]) -> Iterator[None]:
    """Inside, the layers that `install` gave attend to these keys and values, whatever prompt they get."""
    before = _KEPT.set({processor: pair for (_, processor), pair in zip(layers, kept, strict=True)})
    try:
        yield
    finally:
        _KEPT.reset(before)


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
