"""Stage `tryon` of the embedded default: UNet, text encoder and adapter on latents.

First on noised truths, then mostly on latents the model has sampled itself (`painting.py`). Read `finish.py` next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ladivton_core.training.denoiser import PARTS, TryOnDenoiser, starting_parts
from ladivton_core.training.norms import light_norms
from ladivton_core.training.stage import Run

from .draws import BlockDraws
from .painting import Canvas, PaintingSettings, PaintingStage
from .reading import SPEAKERS


@dataclass(frozen=True)
class TryOnSettings(PaintingSettings):
    """Settings of the stage.

    Attributes:
        truths: share of the stage that sees noised truths alone; after it one step in five does.
        drop_garment: as in `PaintingSettings`, in the second half of the stage; `drop_garment_first` in the first.
        time_power, bare_power: timesteps of noised truths are drawn as u ** power; above 1 favours low noise. Samples
            without a warped garment have their own: only where the noise is high do words have anything to say.
        purest: share of noised truths at the last timestep, where sampling begins.
    """

    SHARES = ("truths", "drop_garment_first", "purest")
    truths: float = 0.3
    drop_garment_first: float = 0.4
    time_power: float = 1.3
    bare_power: float = 0.5
    purest: float = 0.25


class TryOn(PaintingStage):
    """Trains all three together."""

    settings_type = TryOnSettings
    settings: TryOnSettings

    def __init__(self, settings: TryOnSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        self.compares = not self.is_new("unet")
        parts = starting_parts(run, self.preset, PARTS)
        light_norms(parts["unet"], device)
        self.module = TryOnDenoiser(parts, PARTS, device).requires_grad_(True)
        self.module.part("text_encoder").token_embedding.weight.requires_grad_(False)

    def groups(self) -> list[dict]:
        rate, settings = self.settings.learning_rate, self.settings
        listening, rest = self.listening(self.module.part("unet"))
        speakers = [
            weight for name in SPEAKERS for weight in self.module.part(name).parameters() if weight.requires_grad
        ]
        return [
            {"params": rest, "lr": rate},
            {"params": listening, "lr": rate * settings.words_rate},
            {"params": speakers, "lr": rate * settings.speakers_rate},
        ]

    def words(self, canvas: Canvas) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            return self.module.words(canvas.tokens, canvas.ids)

    def loss(self, module: TryOnDenoiser, batch: dict[str, Tensor], draws: BlockDraws) -> Tensor:
        settings = self.settings
        canvas = self.canvas(draws, settings.drop_garment_first if self.done < 0.5 else settings.drop_garment)
        words = self.words(canvas)
        if self.done < settings.truths or draws.shared() < 0.2:
            last = len(self.levels) - 1
            power = torch.where(canvas.bare, settings.bare_power, settings.time_power)
            times = (draws.uniform() ** power * (last + 1)).long().clamp(max=last)
            times = torch.where(draws.uniform() < settings.purest, last, times)
            noisy = self.noised(canvas, times, draws)
        else:
            route = self.route(draws)
            noisy = self.rollout(module, route, canvas, words.detach(), draws)
            times = torch.full((len(noisy),), route[-1], device=noisy.device)
        return self.latent_loss(self.found(module, noisy, times, canvas, words), canvas)

    def parts(self, module: TryOnDenoiser) -> Mapping[str, nn.Module]:
        return self.others | {name: module.part(name) for name in PARTS}

    def outputs(self, module: TryOnDenoiser) -> dict[str, nn.Module]:
        return {name: module.part(name) for name in PARTS}
