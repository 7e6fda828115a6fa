"""Stage `words`: the pseudo-words learn to say what a garment looks like before a UNet listens. Embedded default only.

The paper's adapter is taught by a pretrained UNet that understands the text encoder. Here all three start from
nothing, and a UNet hears little in words that say little: it takes the warped garment instead. So adapter and text
encoder first learn, behind the frozen vision tower, that pattern and colours can be read from the prompt's embedding,
by attention that looks at every token alike. Read `tryon.py` next.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.training.denoiser import starting_parts
from ladivton_core.training.stage import Run, frozen

from .attributes import Head, ReadingSettings, ReadingStage

SPEAKERS = ("text_encoder", "inversion_adapter")


class PromptReader(nn.Module):
    """Inversion adapter and text encoder, and a head that reads the prompt's mean."""

    def __init__(self, parts: dict[str, nn.Module]):
        super().__init__()
        self.inversion_adapter, self.text_encoder = (parts[name].requires_grad_(True) for name in reversed(SPEAKERS))
        self.head = Head(self.text_encoder.config.hidden_size)
        self.text_encoder.token_embedding.weight.requires_grad_(False)  # the pseudo-words carry what must be learned

    def forward(self, tokens: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS) of garment tokens (B, T, W) in prompts (B, 77)."""
        pseudo_words = self.inversion_adapter(tokens).unflatten(1, (-1, self.text_encoder.config.hidden_size))
        return self.head(self.text_encoder(ids, pseudo_words).mean(1))


class Words(ReadingStage):
    """Trains adapter and text encoder through a head that is thrown away."""

    settings_type = ReadingSettings

    def __init__(self, settings: ReadingSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        preset = self.preset
        self.tower = frozen(run.part("vision", preset), device)
        self.module = PromptReader(starting_parts(run, preset, SPEAKERS, SPEAKERS))
        self.ids = tokenize([prompt_for(name, preset.num_words) for name in CATEGORIES]).to(device)

    def look(self, module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        with torch.no_grad():
            tokens = self.tower(batch["pixels"])
        return module(tokens, self.ids[batch["category"]])

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {name: module.get_submodule(name) for name in SPEAKERS}
