"""What `tryon` and `finish` share: batches of latents, sampling by the model itself, losses, and a look at the result.

A small UNet that only ever sees noised truths takes what its own earlier steps left for the truth. Here most steps
start from latents that the model has sampled itself from pure noise, by the steps it is used with.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ladivton_core.denoising.conditioning import GARMENT_START, concat_conditioning, sample_posterior
from ladivton_core.denoising.schedule import alphas_cumprod, timesteps
from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.labels import CATEGORIES
from ladivton_core.training.config import ConfigError
from ladivton_core.training.noise import clean_from, drop, noised
from ladivton_core.training.stage import Run, frozen

from .draws import BlockDraws
from .in_memory import MemorySettings, MemoryStage, Seen
from .latents import open_latents
from .pictures import PAINTED, decibels, pose_latent, pose_whole
from .pool import Pool


@dataclass(frozen=True)
class PaintingSettings(MemorySettings):
    """Settings of both stages.

    Attributes:
        drop_words, drop_garment, drop_pose, drop_all: probabilities per sample, as in `denoiser.DenoisingSettings`.
        hole: further weight of the latents' loss inside the inpaint mask.
        latent_weights: weight of each latent channel: by how much it changes the decoded picture.
        moved: share of samples that are moved by up to `shift` (rows, columns) latents, the border repeated.
        words_rate, speakers_rate: learning rates of the UNet's cross-attention, and of text encoder and adapter,
            relative to the rest. A UNet that has long had the warped garment to look at starts to listen late.
    """

    SHARES = ("drop_words", "drop_garment", "drop_pose", "drop_all", "moved")
    drop_words: float = 0.04
    drop_garment: float = 0.25
    drop_pose: float = 0.02
    drop_all: float = 0.0
    hole: float = 1.5
    latent_weights: tuple[float, ...] = (2.2, 0.9, 0.8, 0.4)
    moved: float = 0.3
    shift: tuple[int, int] = (3, 4)
    words_rate: float = 1.0
    speakers_rate: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.words_rate <= 0 or self.speakers_rate < 0:
            raise ConfigError(f"words_rate = {self.words_rate:g} is above 0, speakers_rate at least 0.")
        if self.preset.schedule.prediction_type != "v_prediction":
            raise ConfigError(f"the model samples from its own v-prediction; {self.models} predicts something else.")


@dataclass(frozen=True)
class Canvas:
    """A batch to paint.

    Attributes:
        clean: true latents (B, 4, h, w), scaled.
        conditioning: (B, 27, h, w).
        tokens, ids: of the words, see `denoiser.TryOnDenoiser.words`.
        bare: samples without a warped garment (B,).
        known: samples (B, 1, 1, 1) that have garment or words: of the others nobody can know the truth.
        rows: pair, garment to wear and garment worn before (B,).
    """

    clean: Tensor
    conditioning: Tensor
    tokens: Tensor
    ids: Tensor
    bare: Tensor
    known: Tensor
    rows: tuple[Tensor, Tensor, Tensor]


class PaintingStage(MemoryStage):
    """Batches, rollouts and losses. Subclasses set `module` with a child `unet`, and say who speaks the words."""

    settings: PaintingSettings
    sheet_titles = ("person", "garment", "warped", "masked", "result", "truth")
    scores = PAINTED
    sheet_rows = 12
    tolerance = 0.1

    def __init__(self, settings: PaintingSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        preset = self.preset
        self.latents = open_latents(run, device)
        alphas = alphas_cumprod(preset.schedule)
        self.alphas, self.levels = alphas.to(device), alphas.tolist()  # the latter for the host, which need not wait
        self.visits = timesteps(preset.schedule, preset.steps).tolist()
        # one row a category, the empty prompt last
        self.ids = tokenize([*(prompt_for(name, preset.num_words) for name in CATEGORIES), ""]).to(device)
        self.weights = torch.tensor(settings.latent_weights, device=device).view(1, -1, 1, 1)
        # what looks at the result: everything but what is trained
        self.others = {name: frozen(run.part(name, preset), device) for name in ("vae", "emasc", "vision", "warping")}

    @property
    def rows(self) -> Pool:
        return self.latents

    @property
    def count(self) -> int:
        """Rows to draw from."""
        return len(self.latents)

    def words(self, canvas: Canvas) -> Tensor:
        """Prompt embeddings (B, 77, C), in float32."""
        raise NotImplementedError

    def parts(self, module: nn.Module) -> Mapping[str, nn.Module]:
        """Every part of a pipeline, those of `module` as they are."""
        raise NotImplementedError

    def canvas(self, draws: BlockDraws, drop_garment: float | None = None) -> Canvas:
        """A batch of the extracted rows."""
        settings, rows = self.settings, self.latents
        pair, place = draws.integers(self.count), draws.integers(3)
        target, before = rows["plans"][pair, place].unbind(1)

        def latents(moments: Tensor) -> Tensor:
            noise = draws.normal(4, *moments.shape[2:])
            return sample_posterior(moments.float(), noise=noise) * self.preset.vae_scale

        clean = latents(rows["truth"][pair, target])
        conditioning = concat_conditioning(
            rows["holes"][pair, before].float(),
            latents(rows["masked"][pair, before]),
            pose_latent(rows["keypoints"][pair], settings.size),
            latents(rows["warped"][pair, place]),
        )
        conditioning, silent = drop(
            conditioning,
            draws,
            words=settings.drop_words,
            garment=settings.drop_garment if drop_garment is None else drop_garment,
            pose=settings.drop_pose,
            everything=settings.drop_all,
        )
        bare = ~conditioning[:, GARMENT_START:].flatten(1).any(1)
        if settings.moved:
            both = moved(torch.cat([clean, conditioning], 1), settings.shift, settings.moved, draws)
            clean, conditioning = both.split([clean.shape[1], conditioning.shape[1]], 1)
        return Canvas(
            clean=clean,
            conditioning=conditioning,
            tokens=rows["tokens"][pair, target].float(),
            ids=self.ids[torch.where(silent, len(CATEGORIES), rows["category"][pair])],
            bare=bare,
            known=(~(bare & silent)).view(-1, 1, 1, 1),
            rows=(pair, target, before),
        )

    def noised(self, canvas: Canvas, times: Tensor, draws: BlockDraws) -> Tensor:
        """True latents with the noise of some timesteps (B,)."""
        return noised(canvas.clean, draws.normal(*canvas.clean.shape[1:]), self.alphas[times])

    def predict(self, module: nn.Module, noisy: Tensor, times: Tensor, canvas: Canvas, words: Tensor) -> Tensor:
        """The UNet's v (B, 4, h, w)."""
        inputs = torch.cat([noisy, canvas.conditioning], 1)
        return module.get_submodule("unet")(inputs, times, encoder_hidden_states=words).sample.float()

    def found(self, module: nn.Module, noisy: Tensor, times: Tensor, canvas: Canvas, words: Tensor) -> Tensor:
        """The clean latents it takes noisy ones of some timesteps (B,) for."""
        return clean_from(noisy, self.predict(module, noisy, times, canvas, words), self.alphas[times], "v_prediction")

    def jump(
        self, module: nn.Module, noisy: Tensor, now: int, then: int, canvas: Canvas, words: Tensor
    ) -> tuple[Tensor, Tensor]:
        """One DDIM step from timestep `now` to `then`, -1 for the end: the latents there, and the clean ones seen."""
        a, b = self.levels[now], self.levels[max(then, 0)]
        times = torch.full((len(noisy),), now, device=noisy.device)
        v = self.predict(module, noisy, times, canvas, words)
        clean = math.sqrt(a) * noisy - math.sqrt(1 - a) * v
        left = math.sqrt(a) * v + math.sqrt(1 - a) * noisy
        return math.sqrt(b) * clean + math.sqrt(1 - b) * left, clean

    def route(self, draws: BlockDraws) -> list[int]:
        """Timesteps of a sampling, the last one being where a step is learned.

        Three quarters are beginnings of the preset's own; the others end where more steps would, reached in a few
        jumps: half of them in the last step of all, half anywhere.
        """
        rng, last = draws.host, len(self.levels) - 1
        if rng.random() < 0.75:
            # more often at the first step, which decides what is painted, and at the last ones, which finish it
            weights = [1.0] * len(self.visits)
            weights[0] += 0.9
            weights[-1] += 1.0
            share = [weight / sum(weights) for weight in weights]
            return self.visits[: int(rng.choice(len(weights), p=share)) + 1]
        if rng.random() < 0.6:
            end = len(self.levels) // int(rng.choice((4, 8, 10, 20, 50))) - 1
        else:
            end = int(rng.integers(len(self.levels) // 50 - 1, last - 39))
        jumps = int(rng.integers(1, 5))
        return [last - (last - end) * place // jumps for place in range(jumps)] + [end]

    @torch.no_grad()
    def rollout(self, module: nn.Module, route: list[int], canvas: Canvas, words: Tensor, draws: BlockDraws) -> Tensor:
        """Noisy latents at the route's last timestep: the model's own, or noised truths where none can be known."""
        noisy = draws.normal(*canvas.clean.shape[1:])
        for now, then in zip(route[:-1], route[1:], strict=True):
            noisy = self.jump(module, noisy, now, then, canvas, words)[0]
        truth = self.noised(canvas, torch.full((len(noisy),), route[-1], device=noisy.device), draws)
        return torch.where(canvas.known, noisy, truth)

    def latent_loss(self, found: Tensor, canvas: Canvas) -> Tensor:
        """Between squares and L1 of the clean latents, heavier inside the hole."""
        square = (found - canvas.clean).square()
        weight = self.weights * (1 + self.settings.hole * canvas.conditioning[:, :1])
        return ((0.6 * square + 0.4 * (square + 0.01).sqrt()) * weight).mean()

    def listening(self, unet: nn.Module) -> tuple[list[Tensor], list[Tensor]]:
        """Weights of the UNet's cross-attention, and all the others."""
        named = list(unet.named_parameters())
        return [w for name, w in named if ".attn2." in name], [w for name, w in named if ".attn2." not in name]

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        """The pipeline on held-out people in the other garment, as the preset samples."""
        parts = {name: part.eval() for name, part in self.parts(module).items()}
        return super().validate(TryOnPipeline.from_parts(self.preset, parts))

    def examine(self, module: TryOnPipeline, pair: Tensor, before: Tensor, after: Tensor) -> Seen:
        people = self.held_out
        person, truth = (people.pictures("persons", pair, which) for which in (before, after))
        garment, mask = people.pictures("garments", pair, after), people.masks(pair, before)
        encoded = module.encode_person(person, mask, pose_whole(people["keypoints"][pair], self.settings.size))
        category = CATEGORIES[int(people["category"][pair])]
        warp = module.warp(garment, encoded)
        warped = torch.where(people["refined"][pair].view(-1, 1, 1, 1), warp.warped, warp.coarse)
        result = module(encoded, garment, warped=warped, category=category, seeds=int(pair))
        image = result.images * 2 - 1
        figures = {"psnr_mask": decibels(image, truth, mask), "psnr_outside": decibels(image, truth, 1 - mask)}
        return figures, [person, garment, result.warped, encoded.agnostic, image, truth]


def moved(pictures: Tensor, limits: tuple[int, int], share: float, draws: BlockDraws) -> Tensor:
    """A share of samples of (B, C, h, w) moved by up to `limits` (rows, columns), the border repeated."""
    use = draws.uniform() < share
    dy, dx = ((draws.integers(2 * limit + 1) - limit) * use for limit in limits)
    height, width = pictures.shape[-2:]
    ys = (torch.arange(height, device=pictures.device) + dy[:, None]).clamp(0, height - 1)
    xs = (torch.arange(width, device=pictures.device) + dx[:, None]).clamp(0, width - 1)
    index = torch.arange(len(pictures), device=pictures.device).view(-1, 1, 1, 1)
    channels = torch.arange(pictures.shape[1], device=pictures.device).view(1, -1, 1, 1)
    return pictures[index, channels, ys[:, None, :, None], xs[:, None, None, :]]
