"""Stage `vision`: a small vision tower for the embedded default, taught to see what garments differ in.

The paper takes CLIP ViT-H/14 as given; it cannot be shipped here. This tower of the same form learns the
attributes of synthetic garments (pattern class, colours, cut) from the flat pictures, so that its last
hidden state says about a garment what CLIP's would. Read `extraction.py` next.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_vision
from ..datasets.synthetic_patterns import PATTERNS
from ..inversion.pixels import normalise, resize
from .config import TrainingSettings
from .draws import Draws, Rows
from .scenes import Scenes, open_scenes
from .stage import Run, TrainingStage
from .world import NUMBERS


class FlatGarments(Rows):
    """Flat garments at the tower's size, 8 bit as at inference (Q4), with their attributes."""

    def __init__(self, scenes: Scenes, size: int):
        self.scenes, self.size = scenes, size

    def __len__(self) -> int:
        return len(self.scenes)

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        found = self.scenes.read(row, "garment", "pattern", "numbers")
        pixels = normalise(resize(found["garment"][None], self.size))[0]
        return {"pixels": pixels, "pattern": found["pattern"], "numbers": found["numbers"]}


class AttributeReader(nn.Module):
    """The tower, and a head that reads pattern class and numbers from its class token."""

    def __init__(self, tower: nn.Module):
        super().__init__()
        width = tower.config.hidden_size
        self.tower, self.norm = tower, nn.LayerNorm(width)
        self.out = nn.Linear(width, len(PATTERNS) + NUMBERS)
        unused = (*tower.visual.ln_post.parameters(), tower.visual.proj)  # of CLIP's own head
        for weight in unused:
            weight.requires_grad_(False)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS)."""
        return self.out(self.norm(self.tower(pixels)[:, 0])).split([len(PATTERNS), NUMBERS], dim=1)


def attribute_loss(logits: Tensor, numbers: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the class plus smooth L1 of the numbers; a second colour nobody sees does not count."""
    weights = torch.ones_like(targets)
    weights[:, 3:7][classes == PATTERNS.index("solid")] = 0
    weights[:, 6][classes > PATTERNS.index("dots")] = 0  # the later patterns do not repeat
    return (
        F.cross_entropy(logits, classes) + 4 * (F.smooth_l1_loss(numbers, targets, reduction="none") * weights).mean()
    )


class Vision(TrainingStage):
    """Trains the tower through an attribute head that is thrown away."""

    settings_type = TrainingSettings
    sheet_titles = ("garment",) * 8

    def __init__(self, settings: TrainingSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        train, held_out = open_scenes(settings, run.folder)
        side = settings.preset.vision.image_size
        self.rows, self.held_out = FlatGarments(train, side), FlatGarments(held_out, side)
        self.module = AttributeReader(build_vision(settings.preset))

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        logits, numbers = module(batch["pixels"])
        return attribute_loss(logits.float(), numbers.float(), batch["pattern"], batch["numbers"])

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        items = [self.held_out[row, 0, 0] for row in range(len(self.held_out))]
        pixels, pattern, numbers = (
            torch.stack([item[name] for item in items]).to(self.device) for name in ("pixels", "pattern", "numbers")
        )
        logits, found = module(pixels)
        right = (logits.argmax(1) == pattern).float()
        error = (found[:, :3] - numbers[:, :3]).abs().mean() / 2
        # the held-out garments whose pattern is misread first
        worst = right.argsort(stable=True)[torch.arange(8) % len(items)].tolist()
        pictures = torch.stack([self.held_out.scenes.read(row, "garment")["garment"] for row in worst])
        return {"pattern_accuracy": float(right.mean()), "colour_error": float(error)}, [pictures]

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"vision": module.tower}
