"""Stage `words`: the pseudo-words learn to say what a garment looks like before a UNet listens. Embedded default only.

The paper's adapter is taught by a pretrained UNet that understands the text encoder. Here all three start from
nothing, and a UNet hears little in words that say little: it takes the warped garment instead. So adapter and text
encoder first learn, behind the frozen vision tower, that pattern and colours can be read from the prompt's embedding,
by attention that looks at every token alike. Read `denoiser.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..drawn_world.patterns import PATTERNS
from ..inversion.prompts import prompt_for, tokenize
from ..preprocessing.labels import CATEGORIES
from .config import TrainingSettings
from .denoiser import starting_parts
from .draws import Draws
from .scenes import open_scenes
from .stage import Run, TrainingStage, frozen
from .vision import FlatGarments, attribute_loss, reading
from .world import NUMBERS

SPEAKERS = ("text_encoder", "inversion_adapter")


@dataclass(frozen=True)
class WordsSettings(TrainingSettings):
    """Settings of the stage; both as in `VisionSettings`."""

    colour_weight: float = 4.0
    recolour: float = 0.0


class NamedGarments(FlatGarments):
    """Flat garments with their category."""

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        return super().item(row, rng, step) | self.scenes.read(row, "category")


class PromptReader(nn.Module):
    """Inversion adapter and text encoder, and a head that reads pattern class and numbers from the prompt's mean."""

    def __init__(self, parts: dict[str, nn.Module]):
        super().__init__()
        self.inversion_adapter, self.text_encoder = (parts[name] for name in reversed(SPEAKERS))
        width = self.text_encoder.config.hidden_size
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, len(PATTERNS) + NUMBERS)
        self.text_encoder.token_embedding.weight.requires_grad_(False)  # the pseudo-words carry what must be learned

    def forward(self, tokens: Tensor, ids: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS) of garment tokens (B, T, W) in prompts (B, 77)."""
        pseudo_words = self.inversion_adapter(tokens).unflatten(1, (-1, self.text_encoder.config.hidden_size))
        heard = self.norm(self.text_encoder(ids, pseudo_words).mean(1))
        return self.out(heard).split([len(PATTERNS), NUMBERS], dim=1)


class Words(TrainingStage):
    """Trains adapter and text encoder through an attribute head that is thrown away."""

    settings_type = WordsSettings
    settings: WordsSettings
    sheet_titles = ("garment",) * 8

    def __init__(self, settings: WordsSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device, preset = settings, device, settings.preset
        train, held_out = open_scenes(settings, run.folder)
        self.tower = frozen(run.part("vision", preset), device)
        side = self.tower.config.image_size
        self.rows = NamedGarments(train, side, settings.recolour, settings.seed)
        self.held_out = NamedGarments(held_out, side)
        self.module = PromptReader(starting_parts(run, preset, SPEAKERS, SPEAKERS))
        self.ids = tokenize([prompt_for(name, preset.num_words) for name in CATEGORIES]).to(device)

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        with torch.no_grad():
            tokens = self.tower(batch["pixels"])
        logits, numbers = module(tokens, self.ids[batch["category"]])
        found, wanted = (logits.float(), numbers.float()), (batch["pattern"], batch["numbers"])
        return attribute_loss(*found, *wanted, self.settings.colour_weight)

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        def look(batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
            return module(self.tower(batch["pixels"]), self.ids[batch["category"]])

        return reading(look, self.held_out, self.device)

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {name: module.get_submodule(name) for name in SPEAKERS}
