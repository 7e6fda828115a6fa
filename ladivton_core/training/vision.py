"""Stage `vision`: a small vision tower for the embedded default, taught to see what garments differ in.

The paper takes CLIP ViT-H/14 as given; it cannot be shipped here. This tower of the same form learns the
attributes of synthetic garments (pattern class, colours, cut) from the flat pictures, so that its last
hidden state says about a garment what CLIP's would. Read `extraction.py` next.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_vision, load
from ..drawn_world.patterns import PATTERNS
from ..inversion.pixels import normalise, resize
from .config import ConfigError, TrainingSettings
from .draws import Draws, Rows
from .scenes import Scenes, open_scenes
from .stage import Run, TrainingStage
from .world import NUMBERS

COLOURS = 6
"""The first numbers of a garment: red, green and blue of its two colours, in [-1, 1]."""
UNORDERED = tuple(PATTERNS.index(name) for name in ("stripes", "bars"))
"""Patterns in which nothing tells which of the two colours is the first."""
WHOLE = 6
"""One step in so many sees every patch, as inference does."""


@dataclass(frozen=True)
class VisionSettings(TrainingSettings):
    """Settings of the stage.

    Attributes:
        colour_weight: of the L1 of the colours, beside the cross-entropy of the pattern and the rest. A squared error
            of numbers this small would hardly pull: the tower would tell patterns and no colours.
        recolour: share of garments whose red, green and blue change places.
        patches: share of the patches that the tower sees, chosen at random for every step; one step in `WHOLE` sees
            all of them. Colours take many garments to learn and few patches to see.
    """

    colour_weight: float = 4.0
    recolour: float = 0.0
    patches: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.colour_weight < 0 or not 0 <= self.recolour <= 1 or not 0 < self.patches <= 1:
            raise ConfigError(
                f"colour_weight = {self.colour_weight} is at least 0, recolour = {self.recolour} between 0 and 1, "
                f"patches = {self.patches} above 0 and up to 1."
            )


class FlatGarments(Rows):
    """Flat garments at the tower's size, 8 bit as at inference (Q4), with their attributes.

    Args:
        recolour: see `VisionSettings`.
        seed: of the places that channels change to.
    """

    def __init__(self, scenes: Scenes, size: int, recolour: float = 0.0, seed: int = 0):
        self.scenes, self.size, self.recolour, self.seed = scenes, size, recolour, seed
        self._levels: dict[int, Tensor] = {}  # shrinking takes longer than a step; a garment is 0.15 MiB

    def __len__(self) -> int:
        return len(self.scenes)

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        found = self.scenes.read(row, "pattern", "numbers")
        if row not in self._levels:
            shrunk = resize(self.scenes.read(row, "garment")["garment"][None], self.size)[0]
            self._levels[row] = (shrunk * 255).floor().byte()
        garment, numbers = (self._levels[row] + 0.5) / 255, found["numbers"]
        if self.recolour and rng.random() < self.recolour:
            places = torch.from_numpy(rng.permutation(3))
            colours = numbers[:COLOURS].view(2, 3)[:, places].flatten()
            garment, numbers = garment[places], torch.cat([colours, numbers[COLOURS:]])
        return {"pixels": normalise(garment[None])[0], "pattern": found["pattern"], "numbers": numbers}


class AttributeReader(nn.Module):
    """The tower, and a head that reads pattern class and numbers from its class token."""

    def __init__(self, tower: nn.Module):
        super().__init__()
        width = tower.config.hidden_size
        self.tower, self.norm = tower, nn.LayerNorm(width)
        self.out = nn.Linear(width, len(PATTERNS) + NUMBERS)
        for weight in (*tower.visual.ln_post.parameters(), tower.visual.proj):  # of CLIP's own head
            weight.requires_grad_(False)

    def forward(self, pixels: Tensor, kept: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS), from the patches `kept` (indices) or from all of them."""
        if kept is None:
            token = self.tower(pixels)[:, 0]
        else:
            visual = self.tower.visual
            places = visual.positional_embedding
            patches = visual.conv1(pixels).flatten(2).transpose(1, 2)[:, kept] + places[1:][kept]
            first = (visual.class_embedding + places[0]).expand(len(patches), 1, -1)
            token = visual.transformer(visual.ln_pre(torch.cat([first, patches], 1)))[:, 0]
        return self.out(self.norm(token)).split([len(PATTERNS), NUMBERS], dim=1)


def colour_errors(numbers: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    """Absolute errors (B, 6) of the two colours of some garments, in [0, 2]; 0 for a second colour nobody sees.

    In `UNORDERED` patterns the two may be told in either order.
    """
    found, wanted = numbers[:, :COLOURS], targets[:, :COLOURS]
    errors, swapped = (found - wanted).abs(), (found - wanted.roll(3, 1)).abs()
    unordered = torch.isin(classes, torch.tensor(UNORDERED, device=classes.device))
    errors = torch.where((unordered & (swapped.sum(1) < errors.sum(1)))[:, None], swapped, errors)
    seen = torch.ones_like(errors)
    seen[:, 3:][classes == PATTERNS.index("solid")] = 0
    return errors * seen


def attribute_loss(
    logits: Tensor, numbers: Tensor, classes: Tensor, targets: Tensor, colour_weight: float = 4.0
) -> Tensor:
    """Cross-entropy of the class, L1 of the colours, smooth L1 of the other numbers that the pattern has."""
    weights = torch.ones_like(targets)
    repeats = (classes > PATTERNS.index("solid")) & (classes <= PATTERNS.index("dots"))
    weights[:, COLOURS][~repeats] = 0
    others = (F.smooth_l1_loss(numbers, targets, reduction="none") * weights)[:, COLOURS:]
    return (
        F.cross_entropy(logits, classes)
        + 2 * others.mean()
        + colour_weight * colour_errors(numbers, classes, targets).mean()
    )


def reading(
    look: Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]], garments: FlatGarments, device: torch.device | str
) -> tuple[dict[str, float], list[Tensor]]:
    """How well garments are read: figures, and a sheet of those whose pattern is misread first.

    Args:
        look: logits (B, patterns) and numbers (B, NUMBERS) of a batch of all `garments`.
    """
    items = [garments[row, 0, 0] for row in range(len(garments))]
    batch = {name: torch.stack([item[name] for item in items]).to(device) for name in items[0]}
    logits, found = look(batch)
    pattern = batch["pattern"]
    right, plain = (logits.argmax(1) == pattern).float(), pattern == PATTERNS.index("solid")
    errors = colour_errors(found, pattern, batch["numbers"])
    first, second = errors[:, :3].mean() / 2, errors[~plain, 3:].sum() / (6 * (~plain).sum().clamp_min(1))
    worst = right.argsort(stable=True)[torch.arange(8) % len(items)].tolist()
    pictures = torch.stack([garments.scenes.read(row, "garment")["garment"] for row in worst])
    figures = {"pattern_accuracy": right.mean(), "colour_error": first, "second_colour_error": second}
    return {name: float(value) for name, value in figures.items()}, [pictures]


class Vision(TrainingStage):
    """Trains the tower through an attribute head that is thrown away."""

    settings_type = VisionSettings
    settings: VisionSettings
    sheet_titles = ("garment",) * 8

    def __init__(self, settings: VisionSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        train, held_out = open_scenes(settings, run.folder)
        side = settings.preset.vision.image_size
        self.rows = FlatGarments(train, side, settings.recolour, settings.seed)
        self.held_out = FlatGarments(held_out, side)
        known = run.made("vision")  # to go on with a tower that there is
        self.module = AttributeReader(
            load("vision", known, settings.preset) if known else build_vision(settings.preset)
        )

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        kept, share = None, self.settings.patches
        if share < 1 and draws.shared() * WHOLE >= 1:
            places = self.settings.preset.vision
            count = (places.image_size // places.patch_size) ** 2
            # from the numbers all samples of a step have in common, so that processes agree
            rng = np.random.default_rng(int(draws.shared() * 2**52))
            kept = torch.from_numpy(rng.permutation(count)[: max(1, round(share * count))]).to(batch["pixels"].device)
        logits, numbers = module(batch["pixels"], kept)
        found, wanted = (logits.float(), numbers.float()), (batch["pattern"], batch["numbers"])
        return attribute_loss(*found, *wanted, self.settings.colour_weight)

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        return reading(lambda batch: module(batch["pixels"]), self.held_out, self.device)

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"vision": module.tower}
