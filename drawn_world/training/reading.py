"""Stages `vision` and `words`: a tower that sees what garments differ in, and words that say it.

The paper takes CLIP ViT-H/14 as given; it cannot be shipped here. A tower of the same form learns to read what drawn
garments differ in (pattern class, colours, cut) from the flat pictures, so that its last hidden state says about a
garment what CLIP's would.

The paper's adapter is taught by a pretrained UNet that understands the text encoder. Here all three start from nothing,
and a UNet hears little in words that say little: it takes the warped garment instead. So adapter and text encoder first
learn, behind the frozen tower, that pattern and colours can be read from the prompt's embedding, by attention that
looks at every token alike. Read `tryon.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ladivton_core.inversion.pixels import CLIP_MEAN, CLIP_STD
from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.training.denoiser import starting_parts
from ladivton_core.training.stage import Run, frozen

from ..world.patterns import PATTERNS
from .draws import BlockDraws
from .in_memory import MemorySettings, MemoryStage
from .pool import Pool
from .world import NUMBERS

COLOURS = 6
"""The first numbers of a garment: red, green and blue of its two colours, in [-1, 1]."""
UNORDERED = tuple(PATTERNS.index(name) for name in ("stripes", "bars"))
"""Patterns in which nothing tells which of the two colours is the first."""
SPEAKERS = ("text_encoder", "inversion_adapter")
"""Who says the words."""
_PERMUTATIONS = ((0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0))


@dataclass(frozen=True)
class ReadingSettings(MemorySettings):
    """Settings of both stages.

    Attributes:
        colour_weight: of the L1 of the colours, beside the cross-entropy of the pattern and the rest. A squared error
            of numbers this small would hardly pull: patterns would be told and no colours.
        recolour: share of garments whose red, green and blue change places.
        head_rate: learning rate of the head that is thrown away, relative to the rest.
    """

    SHARES = ("recolour",)
    colour_weight: float = 6.0
    recolour: float = 0.6
    head_rate: float = 1.0


class Head(nn.Module):
    """Reads pattern class and numbers from a vector."""

    def __init__(self, width: int):
        super().__init__()
        self.norm, self.out = nn.LayerNorm(width), nn.Linear(width, len(PATTERNS) + NUMBERS)

    def forward(self, vector: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS) of (B, width)."""
        return self.out(self.norm(vector)).split([len(PATTERNS), NUMBERS], dim=1)


def garments(pool: Pool, pair: Tensor, which: Tensor, order: Tensor | None = None) -> dict[str, Tensor]:
    """Flat garments as the tower sees them, 8 bit as at inference (Q4), with what is to be read.

    Args:
        order: places (B, 3) that red, green and blue are taken from; None leaves them.

    Returns:
        `pixels` (B, 3, S, S), `category`, `patterns` (B,) and `numbers` (B, NUMBERS).
    """
    levels, numbers = pool["clip"][pair, which].float() / 255, pool["numbers"][pair, which]
    if order is not None:
        levels = levels.gather(1, order[:, :, None, None].expand_as(levels))
        colours = numbers[:, :COLOURS].unflatten(1, (2, 3)).gather(2, order[:, None].expand(-1, 2, -1))
        numbers = torch.cat([colours.flatten(1), numbers[:, COLOURS:]], 1)
    mean, deviation = (torch.tensor(x, device=levels.device).view(1, 3, 1, 1) for x in (CLIP_MEAN, CLIP_STD))
    return {
        "pixels": (levels - mean) / deviation,
        "category": pool["category"][pair],
        "patterns": pool["patterns"][pair, which],
        "numbers": numbers,
    }


def colour_errors(numbers: Tensor, classes: Tensor, targets: Tensor) -> Tensor:
    """Absolute errors (B, 6) of the two colours of some garments, in [0, 2]; 0 for a second colour nobody sees.

    In `UNORDERED` patterns the two may be told in either order.
    """
    found, wanted = numbers[:, :COLOURS], targets[:, :COLOURS]
    errors, swapped = (found - wanted).abs(), (found - wanted.roll(3, 1)).abs()
    unordered = sum(classes == place for place in UNORDERED) > 0
    errors = torch.where((unordered & (swapped.sum(1) < errors.sum(1)))[:, None], swapped, errors)
    seen = torch.ones_like(errors)
    seen[:, 3:] *= (classes != PATTERNS.index("solid"))[:, None]
    return errors * seen


def attribute_loss(
    logits: Tensor, numbers: Tensor, classes: Tensor, targets: Tensor, colour_weight: float = 6.0
) -> Tensor:
    """Cross-entropy of the class, L1 of the colours, smooth L1 of the other numbers that the pattern has."""
    repeats = (classes > PATTERNS.index("solid")) & (classes <= PATTERNS.index("dots"))
    weights = torch.ones_like(targets)
    weights[:, COLOURS] *= repeats
    others = (F.smooth_l1_loss(numbers, targets, reduction="none") * weights)[:, COLOURS:]
    colours = colour_errors(numbers, classes, targets).mean()
    return F.cross_entropy(logits, classes) + 2 * others.mean() + colour_weight * colours


class ReadingStage(MemoryStage):
    """A stage that learns to read garments. Subclasses say how `module` looks at a batch of `garments`."""

    settings: ReadingSettings
    full_size = False
    needed = ("patterns", "numbers")
    scores = {"pattern_accuracy": 0.25, "colour_error": -1.0, "second_colour_error": -1.0}
    sheet_titles = ("garment",) * 8

    def look(self, module: nn.Module, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Logits (B, patterns) and numbers (B, NUMBERS)."""
        raise NotImplementedError

    def groups(self) -> list[dict]:
        rate, head = self.settings.learning_rate, list(self.module.head.parameters())
        known = set(map(id, head))
        rest = [w for w in self.module.parameters() if w.requires_grad and id(w) not in known]
        return [{"params": rest, "lr": rate}, {"params": head, "lr": rate * self.settings.head_rate}]

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: BlockDraws) -> Tensor:
        pair, which, place = draws.integers(len(self.pool)), draws.integers(2), draws.integers(6)
        place = place * (draws.uniform() < self.settings.recolour)
        order = torch.tensor(_PERMUTATIONS, device=self.device)[place]
        read = garments(self.pool, pair, which, order)
        logits, numbers = self.look(module, read)
        wanted = (read["patterns"], read["numbers"])
        return attribute_loss(logits.float(), numbers.float(), *wanted, self.settings.colour_weight)

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        """How well held-out garments are read, and a sheet of those whose pattern is misread first."""
        rows = torch.arange(2 * len(self.held_out), device=self.device)
        pair, which = rows // 2, rows % 2
        read = garments(self.held_out, pair, which)
        logits, numbers = self.look(module, read)
        pattern = read["patterns"]
        right, plain = (logits.argmax(1) == pattern).float(), pattern == PATTERNS.index("solid")
        errors = colour_errors(numbers.float(), pattern, read["numbers"])
        figures = {
            "pattern_accuracy": right.mean(),
            "colour_error": errors[:, :3].mean() / 2,
            "second_colour_error": errors[~plain, 3:].sum() / (6 * (~plain).sum().clamp_min(1)),
        }
        worst = right.argsort(stable=True)[torch.arange(8, device=self.device) % len(right)]
        pictures = self.held_out.pictures("garments", pair[worst], which[worst])
        return {name: float(value) for name, value in figures.items()}, [pictures]


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
