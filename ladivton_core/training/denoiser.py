"""Stages `inversion` and `tryon`: UNet, text encoder and adapter, held-out gates (published §8.3, 8.4).

Both are settings of one stage. `inversion` sees neither pose nor warped garment, so that only the pseudo-words
can say what to paint: the 31-channel UNet with these channels at zero is the inpainting UNet. `tryon` sees
everything. Prediction type and noise schedule are the preset's; `noise.py` has noise, targets and dropping.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ..checkpoints.build import BUILDERS
from ..checkpoints.unet_layout import INPAINTING_CHANNELS
from ..denoising.conditioning import (
    GARMENT_START,
    KEPT_CHANNELS,
    POSE_CHANNELS,
    concat_conditioning,
    sample_posterior,
)
from ..denoising.sampling import denoise
from ..denoising.schedule import alphas_cumprod, ddim_scheduler
from ..inversion.prompts import prompt_for, tokenize
from ..preprocessing.labels import CATEGORIES
from ..presets import Preset
from .chunks import Chunks
from .config import ConfigError, DatasetSettings, TrainingSettings
from .draws import Draws, Rows
from .noise import clean_from, drop, noised, target
from .norms import float_norms
from .stage import SCRATCH, Run, TrainingStage, frozen

PARTS = ("unet", "text_encoder", "inversion_adapter")
"""What may be trained here."""
OTHER = 4
"""How many held-out rows further the garment is whose words the gates try on somebody else."""


@dataclass(frozen=True)
class DenoisingSettings(TrainingSettings, DatasetSettings):
    """Settings of both stages.

    Attributes:
        latents: stage whose extracted rows are read.
        train: which of `PARTS` learn; the others are frozen.
        drop_words, drop_garment, drop_pose, drop_all: probabilities per sample. The published loop drops three
            conditions independently; `drop_all` adds what guidance asks for at inference.
        gradient_checkpointing: recompute the UNet's activations in the backward pass, to save memory.
        sheet_steps: sampling steps of the validation pictures.
    """

    latents: str = "extract"
    train: tuple[str, ...] = PARTS
    drop_words: float = 0.0
    drop_garment: float = 0.0
    drop_pose: float = 0.0
    drop_all: float = 0.0
    gradient_checkpointing: bool = False
    sheet_steps: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.train or any(part not in PARTS for part in self.train):
            raise ConfigError(f"train = {list(self.train)} is a choice of one or more of {', '.join(PARTS)}.")


class _Outside(dict):
    """Modules kept out of another one's parameters; copies of that one share them."""

    def __deepcopy__(self, memo) -> _Outside:
        return self


class TryOnDenoiser(nn.Module):
    """UNet, text encoder and inversion adapter in one call. Only the trained ones are submodules.

    Args:
        parts: modules by name.
        train: names of those that learn.
        device: of the frozen ones (Q23: they need no gradients).
    """

    def __init__(self, parts: Mapping[str, nn.Module], train: tuple[str, ...], device: torch.device | str):
        super().__init__()
        self.outside = _Outside({name: frozen(part, device) for name, part in parts.items() if name not in train})
        for name in train:
            self.add_module(name, parts[name].requires_grad_(True))
        if "text_encoder" in train:  # the pseudo-words carry what must be learned
            parts["text_encoder"].token_embedding.weight.requires_grad_(False)

    def part(self, name: str) -> nn.Module:
        """One of the three, trained or not."""
        return self.outside[name] if name in self.outside else self.get_submodule(name)

    def words(self, tokens: Tensor, ids: Tensor) -> Tensor:
        """Prompt embeddings (B, 77, C) of garment tokens (B, T, W) in prompts (B, 77)."""
        text = self.part("text_encoder")
        pseudo_words = self.part("inversion_adapter")(tokens).unflatten(1, (-1, text.config.hidden_size))
        return text(ids, pseudo_words)

    def forward(self, noisy: Tensor, times: Tensor, conditioning: Tensor, tokens: Tensor, ids: Tensor) -> Tensor:
        """The UNet's prediction (B, 4, h, w)."""
        return self.part("unet")(torch.cat([noisy, conditioning], 1), times, self.words(tokens, ids)).sample


def starting_parts(
    run: Run, preset: Preset, train: tuple[str, ...], names: tuple[str, ...] = PARTS
) -> dict[str, nn.Module]:
    """Modules as `Run.part` finds them, or random where `run.init` says so and they are to be trained.

    The adapter is random in the stage `inversion` unless a file is given or the stage `words` made one.

    A random token table is made exact in 8 bits, so that its file can be small, and given a spread the text
    encoder can work with; a random UNet takes pose and garment in from zero, like an extended one.
    """
    parts = {}
    for name in names:
        # no inpainting model has an adapter: the stage that makes it starts it at random, as in the paper
        fresh = run.init == SCRATCH or (name == "inversion_adapter" and run.stage == "inversion")
        random = run.made(name) is None and name in train and fresh
        parts[name] = BUILDERS[name](preset) if random else run.part(name, preset)
        with torch.no_grad():
            if random and name == "text_encoder":
                table = parts[name].token_embedding.weight
                table.copy_((table * (0.25 / table.std())).to(torch.float8_e4m3fn).float())
            if random and name == "unet":
                parts[name].conv_in.weight[:, INPAINTING_CHANNELS:] = 0
    return parts


class Latents(Rows):
    """Extracted rows (`extraction.py`) in float32."""

    def __init__(self, chunks: Chunks):
        self.chunks = chunks

    def __len__(self) -> int:
        return len(self.chunks)

    def item(self, row: int, rng=None, step: int = 0) -> dict[str, Tensor]:
        found = {name: self.chunks.read(row, name) for name in self.chunks.fields}
        return {name: value if name == "category" else value.float() for name, value in found.items()}


class Denoising(TrainingStage):
    """Trains UNet, text encoder and adapter, or some of them, to denoise extracted latents."""

    settings_type = DenoisingSettings
    sheet_titles = ("masked", "warped", "result", "person")

    def __init__(self, settings: DenoisingSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.preset, self.device = settings, settings.preset, device
        folder = run.folder / settings.latents
        self.rows = Latents(Chunks(folder / "train", settings.latents))
        self.held_out = Latents(Chunks(folder / "held_out", settings.latents))
        parts = starting_parts(run, self.preset, settings.train)
        float_norms(parts["unet"])
        if settings.gradient_checkpointing:
            parts["unet"].enable_gradient_checkpointing()
        self.module = TryOnDenoiser(parts, settings.train, device)
        self.vae = frozen(run.part("vae", self.preset), device)  # for the sheet alone
        self.alphas = alphas_cumprod(self.preset.schedule).to(device)
        # one row a category, the empty prompt last
        self.ids = tokenize([*(prompt_for(name, self.preset.num_words) for name in CATEGORIES), ""]).to(device)

    def conditions(self, batch: dict[str, Tensor], draws: Draws) -> tuple[Tensor, Tensor]:
        """Clean latents (B, 4, h, w) and conditioning (B, 27, h, w); posteriors are sampled anew (Q6)."""

        def latents(field: str) -> Tensor:
            moments = batch[field]
            return sample_posterior(moments, noise=draws.normal(*moments[0, :4].shape)) * self.preset.vae_scale

        truth, mask = latents("truth"), batch["mask"]
        pose = batch.get("pose", mask.new_zeros(len(mask), POSE_CHANNELS, *mask.shape[2:]))
        warped = latents("warped") if "warped" in batch else torch.zeros_like(truth)
        return truth, concat_conditioning(mask, latents("masked"), pose, warped)

    def prompts(self, category: Tensor, dropped: Tensor) -> Tensor:
        """Token ids (B, 77): the prompt of each category, the empty one where the words are dropped."""
        return self.ids[torch.where(dropped, len(CATEGORIES), category)]

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        settings = self.settings
        clean, conditioning = self.conditions(batch, draws)
        conditioning, dropped = drop(
            conditioning,
            draws,
            words=settings.drop_words,
            garment=settings.drop_garment,
            pose=settings.drop_pose,
            everything=settings.drop_all,
        )
        times = (draws.uniform() * len(self.alphas)).long()
        noise, alphas = draws.normal(*clean.shape[1:]), self.alphas[times]
        ids = self.prompts(batch["category"], dropped)
        predicted = module(noised(clean, noise, alphas), times, conditioning, batch["tokens"], ids).float()
        wanted = target(clean, noise, alphas, self.preset.schedule.prediction_type)
        return (predicted - wanted).square().mean()

    def validate(self, module: TryOnDenoiser) -> tuple[dict[str, float], list[Tensor]]:
        return self.gates(module), self.sheet(module)

    def _batch(self, rows: range) -> tuple[dict[str, Tensor], Draws]:
        items = [self.held_out.item(row) for row in rows]
        batch = {name: torch.stack([item[name] for item in items]).to(self.device) for name in items[0]}
        return batch, Draws(self.settings.seed, 0, rows, self.device)

    def gates(self, module: TryOnDenoiser, block: int = 3 * OTHER) -> dict[str, float]:
        """Held-out error of the clean latents inside the hole, from pure noise: with and without words and garment.

        The words of another row's garment are tried where there are rows enough.
        """
        sums: dict[str, float] = {}
        total = 0.0
        count = min(self.settings.held_out, len(self.held_out))
        swapped = count >= 2 * OTHER
        if swapped:
            count -= count % OTHER
        for start in range(0, count, block):
            rows = range(start, min(start + block, count))
            batch, draws = self._batch(rows)
            clean, conditioning = self.conditions(batch, draws)
            noise = draws.normal(*clean.shape[1:])
            times = torch.full((len(clean),), len(self.alphas) - 1, device=clean.device)
            alphas, mask = self.alphas[times], conditioning[:, :1]
            noisy = noised(clean, noise, alphas)
            bare = conditioning.clone()
            bare[:, GARMENT_START:] = 0
            none = torch.ones(len(clean), dtype=torch.bool, device=clean.device)
            own, empty = self.prompts(batch["category"], ~none), self.prompts(batch["category"], none)
            tokens = batch["tokens"]
            cases = {
                "all": (conditioning, tokens, own),
                "no_words": (conditioning, tokens, empty),
                "no_garment": (bare, tokens, own),
                "neither": (bare, tokens, empty),
            }
            if swapped:
                others = [self.held_out.item((row + OTHER) % count)["tokens"] for row in rows]
                cases["no_garment_wrong_words"] = (bare, torch.stack(others).to(self.device), own)
            for name, (channels, words, ids) in cases.items():
                predicted = module(noisy, times, channels, words, ids)
                found = clean_from(noisy, predicted, alphas, self.preset.schedule.prediction_type)
                sums[name] = sums.get(name, 0.0) + float(((found - clean).square() * mask).sum())
            total += float(4 * mask.sum())
        return {f"x0_error_{name}": value / total for name, value in sums.items()}

    def sheet(self, module: TryOnDenoiser, count: int = 6) -> list[Tensor]:
        """Held-out rows as pictures: masked person, warped garment, what is sampled without guidance, the truth."""
        rows = []
        for row in range(min(count, len(self.held_out))):
            batch, draws = self._batch(range(row, row + 1))
            clean, conditioning = self.conditions(batch, draws)
            keep = torch.zeros(1, dtype=torch.bool, device=clean.device)
            words = module.words(batch["tokens"], self.prompts(batch["category"], keep))
            result = denoise(
                module.part("unet"),
                ddim_scheduler(self.preset.schedule),
                draws.normal(*clean.shape[1:]),
                conditioning,
                words,
                steps=self.settings.sheet_steps,
                guidance_scale=1.0,
            )
            masked, warped = conditioning[:, 1:KEPT_CHANNELS], conditioning[:, GARMENT_START:]
            latents = torch.cat([masked, warped, result, clean]) / self.preset.vae_scale
            rows.append(torch.cat([self.vae.decode(latent[None]).sample for latent in latents]))
        return rows

    def outputs(self, module: TryOnDenoiser) -> dict[str, nn.Module]:
        return {name: module.part(name) for name in self.settings.train}
