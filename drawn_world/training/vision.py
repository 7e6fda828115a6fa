"""Stage `vision`: a small vision tower for the embedded default, taught to see what garments differ in.

The paper takes CLIP ViT-H/14 as given; it cannot be shipped here. This tower of the same form learns the
attributes of drawn garments (pattern class, colours, cut) from the flat pictures, so that its last
hidden state says about a garment what CLIP's would. Read `words.py` next.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ladivton_core.training.stage import Run

from .attributes import Head, ReadingSettings, ReadingStage


class AttributeReader(nn.Module):
    """The tower, and a head that reads its class token."""

    def __init__(self, tower: nn.Module):
        super().__init__()
        self.tower, self.head = tower, Head(tower.config.hidden_size)
        for weight in (*tower.visual.ln_post.parameters(), tower.visual.proj):  # of CLIP's own head
            weight.requires_grad_(False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS)."""
        return self.head(self.tower(pixels)[:, 0])


class Vision(ReadingStage):
    """Trains the tower through a head that is thrown away; there is nothing to compare the tower with before."""

    settings_type = ReadingSettings

    def __init__(self, settings: ReadingSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        self.module = AttributeReader(self.starts_from("vision").requires_grad_(True))

    def look(self, module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        return module(batch["pixels"])

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"vision": module.tower}
