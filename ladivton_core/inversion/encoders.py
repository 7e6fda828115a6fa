"""The two CLIP towers on OpenCLIP's transformer classes: vision features in, prompt embeddings out.

State-dict keys are those of an OpenCLIP model file (`visual.*` for the vision tower; `token_embedding`,
`transformer`, ... for the text tower). Hugging Face files are converted by `checkpoints/clip_layout.py`.
Paper section 3.2; `adapter.py` sits between the towers.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from .prompts import PLACEHOLDER_ID

if TYPE_CHECKING:
    from ..presets import ClipTower


class VisionTower(nn.Module):
    """CLIP vision transformer that returns all tokens of its last layer.

    Args:
        config: shape of the tower. Without a projection the OpenCLIP class still holds one, of its own width.

    Source: published §4.2.
    """

    def __init__(self, config: ClipTower) -> None:
        super().__init__()
        from open_clip.transformer import LayerNorm, VisionTransformer

        self.config = config
        self.visual = VisionTransformer(
            image_size=config.image_size,
            patch_size=config.patch_size,
            width=config.hidden_size,
            layers=config.num_hidden_layers,
            heads=config.num_attention_heads,
            mlp_ratio=_mlp_ratio(config),
            output_dim=config.projection_dim or config.hidden_size,
            norm_layer=partial(LayerNorm, eps=config.layer_norm_eps),
        )

    def forward(self, pixels: Tensor) -> Tensor:
        """Tokens of the last layer, without the post norm.

        Args:
            pixels: (B, 3, S, S) from `pixels.clip_pixels`, S = the tower's image size.

        Returns:
            (B, 1 + (S / patch)^2, hidden_size); token 0 is the class token.

        Raises:
            ValueError: another picture size.
        """
        side = self.config.image_size
        if pixels.ndim != 4 or tuple(pixels.shape[1:]) != (3, side, side):
            raise ValueError(f"this CLIP vision tower takes pixels (B, 3, {side}, {side}), got {tuple(pixels.shape)}.")
        visual = self.visual
        patches = visual.conv1(pixels).flatten(2).transpose(1, 2)  # (B, patches, C), row by row
        token = visual.class_embedding.to(patches).expand(patches.shape[0], 1, -1)
        x = torch.cat([token, patches], dim=1) + visual.positional_embedding.to(patches)
        return visual.transformer(visual.ln_pre(x))

    def image_embeds(self, tokens: Tensor) -> Tensor:
        """Projected class token (B, projection_dim) of `forward`'s tokens; LaDI-VTON does not use it."""
        return self.visual.ln_post(tokens[:, 0]) @ self.visual.proj


class TextTower(nn.Module):
    """CLIP text transformer, causal mask only, that can take vectors in place of `$`.

    Args:
        config: shape of the tower; for Stable Diffusion 2 already without ViT-H's last layer.

    Source: published §4.5; Q5 (padding id 0, no padding mask).
    """

    def __init__(self, config: ClipTower) -> None:
        super().__init__()
        from open_clip.transformer import LayerNorm, Transformer

        norm = partial(LayerNorm, eps=config.layer_norm_eps)
        width = config.hidden_size
        self.config = config
        self.token_embedding = nn.Embedding(config.vocab_size, width)
        self.positional_embedding = nn.Parameter(torch.empty(config.max_position_embeddings, width))
        self.transformer = Transformer(
            width, config.num_hidden_layers, config.num_attention_heads, _mlp_ratio(config), norm_layer=norm
        )
        self.ln_final = norm(width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.positional_embedding, std=0.01)

    def forward(self, ids: Tensor, pseudo_words: Tensor | None = None) -> Tensor:
        """Last hidden state after the final norm.

        Args:
            ids: (B, T) int64 token ids, T up to 77.
            pseudo_words: (B, N, hidden_size); row b goes to the N positions from the first id 259 of
                prompt b on. Prompts without 259 stay as they are.

        Returns:
            (B, T, hidden_size).

        Raises:
            ValueError: batches, widths or the room for N words do not fit.

        Source: published §4.5.
        """
        x = self.token_embedding(ids)
        if pseudo_words is not None:
            x = insert_pseudo_words(x, ids, pseudo_words)
        length = ids.shape[1]
        x = x + self.positional_embedding[:length].to(x)
        mask = torch.full((length, length), float("-inf"), dtype=x.dtype, device=x.device).triu_(1)
        return self.ln_final(self.transformer(x, attn_mask=mask))


def insert_pseudo_words(embeddings: Tensor, ids: Tensor, pseudo_words: Tensor) -> Tensor:
    """Token embeddings (B, T, C) with N consecutive rows replaced from the first `$` of each prompt on.

    Raises:
        ValueError: pseudo_words is not (B, N, C), or a prompt has no room for N words after its first `$`.
    """
    if pseudo_words.ndim != 3 or pseudo_words.shape[0] != ids.shape[0] or pseudo_words.shape[2] != embeddings.shape[2]:
        raise ValueError(
            f"pseudo-words must be ({ids.shape[0]}, N, {embeddings.shape[2]}) for these prompts and this text encoder, "
            f"got {tuple(pseudo_words.shape)}."
        )
    placeholder = ids == PLACEHOLDER_ID
    has = placeholder.any(1)
    first = placeholder.int().argmax(1)
    count, length = pseudo_words.shape[1], ids.shape[1]
    if bool((has & (first + count > length)).any()):
        raise ValueError(f"a prompt has no room for {count} pseudo-words: '$' starts too late in its {length} tokens.")
    offset = torch.arange(length, device=ids.device)[None] - first[:, None]  # (B, T): 0 at the first `$`
    inside = has[:, None] & (offset >= 0) & (offset < count)
    words = pseudo_words.to(embeddings).gather(
        1, offset.clamp(0, count - 1)[..., None].expand(-1, -1, embeddings.shape[2])
    )
    return torch.where(inside[..., None], words, embeddings)


def _mlp_ratio(config: ClipTower) -> float:
    """OpenCLIP takes a ratio and truncates; half a unit more lands on exactly `intermediate_size`."""
    return (config.intermediate_size + 0.5) / config.hidden_size
