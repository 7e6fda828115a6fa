"""Stage `finish`: UNet, decoder and EMASC together on whole pictures, judged by what they paint. Embedded default only.

A small UNet leaves latents that no encoder would have made, and a decoder that has only seen an encoder's cannot know
it. Here the last step of the model's own sampling is decoded with the skip features and held to the true picture. The
encoder, and with it the latents, and the words stay as they are.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ladivton_core.decoding.taps import decode_with_skips, encode_with_taps
from ladivton_core.training.config import ConfigError
from ladivton_core.training.denoiser import TryOnDenoiser
from ladivton_core.training.norms import light_norms
from ladivton_core.training.stage import Run, frozen

from .draws import BlockDraws
from .painting import Canvas, PaintingSettings, PaintingStage
from .pictures import picture_loss
from .reading import SPEAKERS

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class FinishSettings(PaintingSettings):
    """Settings of the stage.

    Attributes:
        latent: weight of the latents' loss beside the pictures'.
        clean: share of samples decoded from the encoder's own latents.
        skipped: share of samples decoded with skip features; the others have to do without.
        decoder_rate, emasc_rate: learning rates, relative to the UNet's.
    """

    SHARES = ("clean", "skipped")
    latent: float = 0.15
    clean: float = 0.12
    skipped: float = 0.85
    decoder_rate: float = 1.0
    emasc_rate: float = 2.4
    moved: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.moved:
            raise ConfigError(f"moved = {self.moved:g} would move latents and not their pictures: leave it at 0.")


class Painter(nn.Module):
    """UNet, decoder and EMASC: what is trained."""

    def __init__(self, unet: nn.Module, vae: nn.Module, emasc: nn.Module):
        super().__init__()
        self.unet, self.emasc = unet, emasc
        self.post_quant_conv, self.decoder = vae.post_quant_conv, vae.decoder  # `decode_with_skips` asks for no more


class Finish(PaintingStage):
    """Trains the three together; writes UNet, EMASC and the whole VAE."""

    settings_type = FinishSettings
    settings: FinishSettings

    def __init__(self, settings: FinishSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        self.compares = True
        self.pool.refresh()
        if len(self.pool) < len(self.latents):
            log.info("%d of %d extracted pairs have their pictures in memory", len(self.pool), len(self.latents))
        self.speakers = TryOnDenoiser({name: run.part(name, self.preset) for name in SPEAKERS}, (), device)
        self.vae = frozen(light_norms(self.others["vae"], device), device)
        unet = light_norms(run.part("unet", self.preset), device)
        self.module = Painter(unet, copy.deepcopy(self.vae), copy.deepcopy(self.others["emasc"])).requires_grad_(True)

    @property
    def count(self) -> int:
        return min(len(self.latents), len(self.pool))

    def groups(self) -> list[dict]:
        rate, settings, module = self.settings.learning_rate, self.settings, self.module
        listening, rest = self.listening(module.unet)
        decoder = [*module.decoder.parameters(), *module.post_quant_conv.parameters()]
        return [
            {"params": rest, "lr": rate},
            {"params": listening, "lr": rate * settings.words_rate},
            {"params": decoder, "lr": rate * settings.decoder_rate},
            {"params": list(module.emasc.parameters()), "lr": rate * settings.emasc_rate},
        ]

    @torch.no_grad()
    def words(self, canvas: Canvas) -> Tensor:
        with torch.autocast(self.device.type, enabled=False):
            return self.speakers.words(canvas.tokens, canvas.ids)

    def loss(self, module: Painter, batch: dict[str, Tensor], draws: BlockDraws) -> Tensor:
        settings = self.settings
        canvas = self.canvas(draws)
        words, route = self.words(canvas), self.route(draws)
        noisy = self.rollout(module, route, canvas, words, draws)
        sampled, found = self.jump(module, noisy, route[-1], -1, canvas, words)
        pair, target, before = canvas.rows
        person, mask = self.pool.pictures("persons", pair, target), self.pool.masks(pair, before)
        masked = self.pool.pictures("persons", pair, before) * (1 - mask)
        clean = (draws.uniform() < settings.clean).view(-1, 1, 1, 1)
        latents = torch.where(clean, canvas.clean, sampled) / self.preset.vae_scale
        with torch.no_grad():
            taps = encode_with_taps(self.vae, masked)[1]
        skips = self.skips(module.emasc, taps, mask)
        used = (draws.uniform() < settings.skipped).float().view(-1, 1, 1, 1)
        result = decode_with_skips(module, latents, [skip * used.to(skip) for skip in skips]).float()
        return picture_loss(result - person, 1 + mask) + settings.latent * self.latent_loss(found, canvas)

    def _decoding(self, module: Painter) -> nn.Module:
        """The VAE with the trained decoder."""
        vae = copy.deepcopy(self.vae)
        vae.decoder.load_state_dict(module.decoder.state_dict())
        vae.post_quant_conv.load_state_dict(module.post_quant_conv.state_dict())
        return vae

    def parts(self, module: Painter) -> Mapping[str, nn.Module]:
        speakers = {name: self.speakers.part(name) for name in SPEAKERS}
        return self.others | speakers | {"unet": module.unet, "vae": self._decoding(module), "emasc": module.emasc}

    def outputs(self, module: Painter) -> dict[str, nn.Module]:
        return {"unet": module.unet, "vae": self._decoding(module), "emasc": module.emasc}
