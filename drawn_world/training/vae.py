"""Stage `vae`: a small VAE in Stable Diffusion's layout (factor 8, 4 latent channels) together with its EMASC.

On people, masked people, flat and worn garments; every third step on whole pictures, the others on crops. The latents
of what it writes are standardised. Read `tryon.py` for who paints in them, `finish.py` for the decoder's last lesson.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ladivton_core.decoding.taps import decode_with_skips, downscale_factor, encode_with_taps
from ladivton_core.training.emasc import silent_emasc
from ladivton_core.training.norms import light_norms
from ladivton_core.training.stage import Run

from .draws import BlockDraws
from .in_memory import MemorySettings, MemoryStage, Seen
from .linear_code import principal_code, standardise, start_as_linear_code
from .pictures import PAINTED, cut, decibels, picture_loss


@dataclass(frozen=True)
class VaeSettings(MemorySettings):
    """Settings of the stage. `batch` counts the people of a step of crops.

    Attributes:
        whole: share of the steps that see whole pictures, a quarter as many.
        kl: weight of the posterior's divergence from a standard normal.
        grain: deviation of the noise that a quarter of the latents gets on top, as large as what a sampler leaves.
        skipped: share of people that are decoded with EMASC's skip features; the others have to do without.
        rest_rate, path_rate, emasc_rate: learning rates of the decoder's path, of the encoder's, which carries the
            code, and of EMASC, relative to that of the residual branches.
    """

    SHARES = ("whole", "skipped")
    whole: float = 1 / 3
    kl: float = 1e-4
    grain: float = 0.05
    skipped: float = 0.7
    rest_rate: float = 0.67
    path_rate: float = 0.17
    emasc_rate: float = 2.5


class Codec(nn.Module):
    """VAE and EMASC, as one module to train."""

    def __init__(self, vae: nn.Module, emasc: nn.Module):
        super().__init__()
        self.vae, self.emasc = vae, emasc


class Vae(MemoryStage):
    """Trains VAE and EMASC."""

    settings_type = VaeSettings
    settings: VaeSettings
    sheet_titles = ("masked", "without", "with EMASC", "person")
    scores = PAINTED
    tolerance = 0.2

    def __init__(self, settings: VaeSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        self.compares = not self.is_new("vae", "emasc")
        vae = self.starts_from("vae")
        emasc = self.starts_from("emasc") if self.compares else silent_emasc(self.preset)
        if self.is_new("vae"):
            start_as_linear_code(vae, *principal_code(self.some_pictures().cpu()))
        self.module = Codec(light_norms(vae, device), emasc).requires_grad_(True)

    def some_pictures(self, count: int = 24) -> Tensor:
        """People and half as many garments, all over the pool: the code is found in them, and latents standardised."""
        pair = torch.linspace(0, len(self.pool) - 1, min(count, len(self.pool)), device=self.device).round().long()
        which = torch.arange(len(pair), device=self.device) % 2
        flat = self.pool.pictures("garments", pair[::2], which[::2])
        return torch.cat([self.pool.pictures("persons", pair, which), flat])

    def groups(self) -> list[dict]:
        kinds = {"residual": [], "rest": [], "path": []}
        for name, weight in self.module.vae.named_parameters():
            residual = "resnets" in name and "shortcut" not in name or "attentions" in name
            encoder = name.startswith(("encoder", "quant"))
            kinds["residual" if residual else "path" if encoder else "rest"].append(weight)
        kinds["emasc"] = list(self.module.emasc.parameters())
        own, rate = self.settings, self.settings.learning_rate
        factors = {"residual": 1.0, "rest": own.rest_rate, "path": own.path_rate, "emasc": own.emasc_rate}
        return [{"params": kinds[kind], "lr": rate * factor} for kind, factor in factors.items()]

    def _read(self, names: tuple[str, ...], draws: BlockDraws, size: tuple[int, int]) -> list[Tensor]:
        """Crops of the same places of some fields, people and garments in [-1, 1], masks in {0, 1}."""
        factor = downscale_factor(self.module.vae)
        pair, which = draws.integers(len(self.pool)), draws.integers(2)
        top, left = (
            draws.integers((full - part) // factor + 1) * factor
            for full, part in zip(self.settings.size, size, strict=True)
        )
        cuts = [cut(self.pool[name], pair, which, top, left, size).float() for name in names]
        return [c if name == "masks" else c / 127.5 - 1 for name, c in zip(names, cuts, strict=True)]

    def loss(self, module: Codec, batch: dict[str, Tensor], draws: BlockDraws) -> Tensor:
        settings = self.settings
        whole = draws.shared() < settings.whole
        size = settings.size if whole else tuple(side // 2 for side in settings.size)
        people = max(1, draws.count // 4) if whole else draws.count
        few, fewer = draws.fewer(people), draws.fewer(max(1, people // 3))
        person, mask = self._read(("persons", "masks"), few, size)
        others = [self._read((name,), fewer, size)[0] for name in ("garments", "worn")]
        images = torch.cat([person, person * (1 - mask), *others])
        posterior, taps = encode_with_taps(module.vae, images)
        mean, log_variance = posterior.parameters.float().chunk(2, 1)
        every = draws.fewer(len(mean))
        grain = settings.grain / self.preset.vae_scale * (every.uniform() < 0.25).float().view(-1, 1, 1, 1)
        deviation = torch.exp(0.5 * log_variance.clamp(-30, 20)) + grain
        latents = mean + deviation * every.normal(*mean.shape[1:])
        skips = self.skips(module.emasc, [tap[people : 2 * people] for tap in taps], mask)
        used = (few.uniform() < settings.skipped).float().view(-1, 1, 1, 1)
        result = decode_with_skips(module.vae, latents[:people], [skip * used.to(skip) for skip in skips]).float()
        plain = decode_with_skips(module.vae, latents[people:]).float()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).mean()
        return (
            0.55 * picture_loss(result - person, 1 + 0.5 * mask)
            + 0.45 * picture_loss(plain - images[people:])
            + settings.kl * divergence
        )

    def examine(self, module: Codec, pair: Tensor, before: Tensor, after: Tensor) -> Seen:
        """A truth encoded, and decoded with the skip features of the same person masked in the other garment."""
        truth, mask = self.held_out.pictures("persons", pair, after), self.held_out.masks(pair, before)
        masked = self.held_out.pictures("persons", pair, before) * (1 - mask)
        latents = encode_with_taps(module.vae, truth)[0].mean
        skips = self.skips(module.emasc, encode_with_taps(module.vae, masked)[1], mask)
        plain, result = (decode_with_skips(module.vae, latents, some) for some in (None, skips))
        figures = {
            "psnr_mask": decibels(result, truth, mask),
            "psnr_outside": decibels(result, truth, 1 - mask),
            "psnr_outside_no_emasc": decibels(plain, truth, 1 - mask),
        }
        return figures, [masked, plain, result, truth]

    def outputs(self, module: Codec) -> dict[str, nn.Module]:
        vae = copy.deepcopy(module.vae)
        standardise(vae, self.some_pictures(), self.preset.vae_scale)
        return {"vae": vae, "emasc": module.emasc}
