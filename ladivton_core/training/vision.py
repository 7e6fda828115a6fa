"""A small vision tower for the embedded default, taught to see what garments differ in.

The paper takes CLIP ViT-H/14 as given; it cannot be shipped here. This tower of the same form learns the
attributes of synthetic garments (pattern class, colours, cut) from the flat pictures, so that its last
hidden state says about a garment what CLIP's would. Read `latents.py` next.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_vision
from ..datasets.synthetic import SyntheticWorld
from ..datasets.synthetic_garments import PATTERNS
from ..inversion.pixels import normalise, resize
from ..presets import TINY, Preset
from .steps import RunningAverage, checkpoint, cosine_schedule, descend, resume
from .world_cache import WorldCache

log = logging.getLogger(__name__)
_NUMBERS = 9  # colour 3, colour_2 3, period, sleeve, neck depth


def attributes(world: SyntheticWorld, indices) -> tuple[Tensor, Tensor]:
    """Pattern classes (N,) and numeric attributes (N, 9), about unit range, of garments of the world."""
    garments = [world.garment(i) for i in indices]
    classes = torch.tensor([int(g["pattern"]) for g in garments])
    plain = [
        [
            *(g["colour"] * 2 - 1),
            *(g["colour_2"] * 2 - 1),
            g["period"] / 25 - 2,
            g["sleeve"] - 1,
            g["neck_depth"] * 20 - 2,
        ]
        for g in garments
    ]
    return classes, torch.tensor(np.array(plain), dtype=torch.float32)


class AttributeHead(nn.Module):
    """Reads pattern class and numbers from the class token."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, len(PATTERNS) + _NUMBERS)

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        return self.out(self.norm(tokens[:, 0])).split([len(PATTERNS), _NUMBERS], dim=1)


def attribute_loss(logits: Tensor, numbers: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    """Cross-entropy of the class plus smooth L1 of the numbers; a second colour nobody sees does not count."""
    weights = torch.ones_like(targets)
    weights[:, 3:7][classes == PATTERNS.index("solid")] = 0
    weights[:, 6][(classes > PATTERNS.index("dots"))] = 0
    return (
        F.cross_entropy(logits, classes) + 4 * (F.smooth_l1_loss(numbers, targets, reduction="none") * weights).mean()
    )


def train(
    world: Path, out: Path, preset: Preset = TINY, steps: int = 600, batch: int = 24, seed: int = 0, world_seed: int = 1
) -> None:
    """Train the tower into `out/vision.pt`; logs held-out accuracy of the pattern and error of the colour."""
    torch.manual_seed(seed)
    cache, rng, held_out = WorldCache(world), np.random.default_rng(seed), 100
    size = preset.vision.image_size
    pixels = torch.cat(
        [
            (resize(cache.pictures("garment", range(s, s + 25)), size) * 255).floor().to(torch.uint8)
            for s in range(0, len(cache), 25)
        ]
    )
    classes, numbers = attributes(SyntheticWorld(world_seed), range(len(cache)))
    tower = build_vision(preset)
    head = AttributeHead(preset.vision.hidden_size)
    average = RunningAverage(tower, 0.99)
    weights = [*tower.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(weights, lr=1.5e-3, betas=(0.9, 0.98), weight_decay=0.02)
    schedule = cosine_schedule(optimizer, steps, 0.1)
    parts = {"net": tower, "head": head, "average": average, "optimizer": optimizer, "schedule": schedule}
    first, started = resume(out / "vision.pt", **parts), time.monotonic()
    for step in range(first, steps):
        rows = rng.integers(held_out, len(cache), batch)
        with torch.autocast("cpu", torch.bfloat16):
            result = head(tower(normalise(pixels[rows].float() / 255)))
        loss = attribute_loss(*(r.float() for r in result), classes[rows], numbers[rows])
        descend(loss, optimizer, schedule)
        average.update(tower)
        if step % 50 == 49 or step == steps - 1:
            with torch.no_grad():
                logits, found = head(average.module(normalise(pixels[:held_out].float() / 255)))
            right = (logits.argmax(1) == classes[:held_out]).float().mean()
            error = (found[:, :3] - numbers[:held_out, :3]).abs().mean() / 2
            log.info(
                "vision step %d loss %.3f held-out pattern %.2f colour error %.3f  %.2f s/step",
                step,
                loss.item(),
                right,
                error,
                (time.monotonic() - started) / (step - first + 1),
            )
            checkpoint(out / "vision.pt", step + 1, **parts)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    train(options.world, options.out, steps=options.steps)
