"""Stage `emasc` (paper 3.4, published §8.2): the VAE frozen, latents of the whole picture, taps of the masked one.

The loss is over the whole picture. Read `denoiser.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_emasc
from ..decoding.emasc import mask_features
from ..decoding.taps import decode_with_skips, encode_with_taps
from ..denoising.conditioning import sample_posterior
from ..presets import Preset
from .config import DatasetSettings, TrainingSettings
from .draws import Draws
from .norms import float_norms
from .perceptual import configured
from .scenes import WholeScenes, open_scenes, stacked
from .stage import Run, TrainingStage, frozen


@dataclass(frozen=True)
class EmascSettings(TrainingSettings, DatasetSettings):
    """Settings of the stage.

    Attributes:
        perceptual, vgg: see `perceptual.configured`.
        perceptual_weight: beside an L1 of weight 1.
    """

    perceptual: str = "vgg19"
    vgg: str = ""
    perceptual_weight: float = 0.5


def silent_emasc(preset: Preset) -> nn.Module:
    """A random EMASC whose last convolutions are zero (Q25: the published nonlinear branches do not start so)."""
    emasc = build_emasc(preset)
    for branch in emasc.conv:
        last = branch if isinstance(branch, nn.Conv2d) else branch[-1]
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
    return emasc


class Emasc(TrainingStage):
    """Trains the skip connections."""

    settings_type = EmascSettings
    sheet_titles = ("masked", "without", "with EMASC", "person")

    def __init__(self, settings: EmascSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        self.vae = frozen(float_norms(run.part("vae", settings.preset)), device)
        train, self.held_out = open_scenes(settings)
        self.rows = WholeScenes(train, settings.seed, "person", "agnostic", "mask")
        self.perceptual = configured(settings.perceptual, settings.vgg, device)
        self.module = silent_emasc(settings.preset)

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        person, mask = batch["person"], batch["mask"]
        with torch.no_grad():
            moments = encode_with_taps(self.vae, person)[0].parameters.float()
            taps = encode_with_taps(self.vae, batch["agnostic"])[1]
        # not scaled either way, as at inference after the division (published §8.2)
        latents = sample_posterior(moments, noise=draws.normal(*moments[0, :4].shape))
        result = decode_with_skips(self.vae, latents, mask_features(module(taps), mask)).float()
        return F.l1_loss(result, person) + self.settings.perceptual_weight * self.perceptual(result, person)

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        """PSNR outside the mask, without and with EMASC."""
        errors, sheet = [], []
        for row in range(min(4, len(self.held_out))):
            read = stacked(self.held_out, [row], "person", "agnostic", "mask")
            person, agnostic, mask = (read[name].to(self.device) for name in ("person", "agnostic", "mask"))
            latents = encode_with_taps(self.vae, person)[0].mean
            skips = mask_features(module(encode_with_taps(self.vae, agnostic)[1]), mask)
            both = [decode_with_skips(self.vae, latents, s) for s in (None, skips)]
            weight = 3 * (1 - mask).sum()
            errors.append([float(((x - person).square() * (1 - mask)).sum() / weight) for x in both])
            sheet.append(torch.cat([agnostic, *both, person]))
        plain, with_emasc = (float(10 * np.log10(4 / np.mean(column))) for column in zip(*errors, strict=True))
        return {"psnr_outside": with_emasc, "psnr_outside_no_emasc": plain}, sheet

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        # Q27 has no counterpart: every kind of EMASC takes and returns lists, and no kind is called "none".
        return {"emasc": module}
