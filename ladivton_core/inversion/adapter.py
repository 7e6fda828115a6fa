"""The inversion adapter F_theta: CLIP vision tokens of the garment to pseudo-word vectors.

Paper section 3.2. State-dict keys are those of the published file (Hugging Face's CLIP encoder layer).
`encoders.py` makes the tokens and reads the words.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class InversionAdapter(nn.Module):
    """Encoder layers over all tokens, then an MLP on the class token.

    Args:
        input_dim: width of the vision tokens (1280).
        hidden_dim: width of the MLP (5120).
        output_dim: number of words times the text width (16 x 1024).
        num_encoder_layers: transformer layers before the class token is taken.
        dropout: in the MLP, during training only.
        num_heads, mlp_dim: of the encoder layers, as in the vision tower.
        layer_norm_eps: as in the vision tower.

    Source: published §4.3.
    """

    def __init__(
        self,
        input_dim: int,
        hidden_dim: int,
        output_dim: int,
        num_encoder_layers: int = 1,
        dropout: float = 0.5,
        num_heads: int = 16,
        mlp_dim: int = 5120,
        layer_norm_eps: float = 1e-5,
    ) -> None:
        super().__init__()
        self.input_dim, self.output_dim = input_dim, output_dim
        self.encoder_layers = nn.ModuleList(
            EncoderLayer(input_dim, num_heads, mlp_dim, layer_norm_eps) for _ in range(num_encoder_layers)
        )
        self.post_layernorm = nn.LayerNorm(input_dim, eps=layer_norm_eps)
        self.layers = nn.Sequential(
            nn.Linear(input_dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, hidden_dim),
            nn.GELU(),
            nn.Dropout(dropout),
            nn.Linear(hidden_dim, output_dim),
        )

    def class_token(self, tokens: Tensor) -> Tensor:
        """Class token (B, C) after the encoder layers, before `post_layernorm`."""
        if tokens.ndim != 3 or tokens.shape[-1] != self.input_dim:
            raise ValueError(
                f"vision tokens must be (B, T, {self.input_dim}), got {tuple(tokens.shape)}: "
                "the CLIP vision tower and the inversion adapter belong to different presets."
            )
        for layer in self.encoder_layers:
            tokens = layer(tokens)
        return tokens[:, 0]

    def forward(self, tokens: Tensor) -> Tensor:
        """Vision tokens (B, T, input_dim), not post-normalised, to a flat (B, output_dim)."""
        return self.layers(self.post_layernorm(self.class_token(tokens)))

    def pseudo_words(self, tokens: Tensor, num_words: int = 16) -> Tensor:
        """Vision tokens (B, T, input_dim) to pseudo-words (B, num_words, output_dim / num_words).

        Raises:
            ValueError: the output does not divide into that many words.
        """
        if self.output_dim % num_words:
            raise ValueError(
                f"the adapter writes {self.output_dim} numbers, which is not {num_words} words of one width."
            )
        return self(tokens).unflatten(1, (num_words, -1))


class EncoderLayer(nn.Module):
    """Pre-norm transformer layer: x + Attn(LN1 x), then x + MLP(LN2 x); biases everywhere, exact GELU."""

    def __init__(self, width: int, num_heads: int, mlp_dim: int, eps: float) -> None:
        super().__init__()
        self.self_attn = SelfAttention(width, num_heads)
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.mlp = FeedForward(width, mlp_dim)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))


class SelfAttention(nn.Module):
    """Unmasked multi-head attention with separate projections (the published key names)."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        if width % num_heads:
            raise ValueError(f"width {width} is not divisible by {num_heads} heads.")
        self.num_heads = num_heads
        self.k_proj = nn.Linear(width, width)
        self.v_proj = nn.Linear(width, width)
        self.q_proj = nn.Linear(width, width)
        self.out_proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, C) to (B, T, C)."""
        query, key, value = (
            proj(x).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        return self.out_proj(F.scaled_dot_product_attention(query, key, value).transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Linear - GELU - Linear."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, hidden)
        self.fc2 = nn.Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., C) to (..., C)."""
        return self.fc2(F.gelu(self.fc1(x)))
