"""Stages `sample` and `decoder`: the VAE's decoder and EMASC, tuned together on what the try-on UNet paints.

Not in the paper. A small UNet leaves latents that no encoder would have made: a little grain, and a little drift
outside the mask. EMASC trained on clean latents (`emasc.py`) cannot know that. Here the decoder learns to smooth
the grain and to trust the skip features where there are some; the encoder, and so the latents, stay as they are.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ...decoding.emasc import mask_features
from ...decoding.taps import decode_with_skips, downscale_factor, encode_with_taps
from ...embedded import PARTS
from ...pipeline import TryOnPipeline
from ...preprocessing.labels import CATEGORIES
from ...preprocessing.pose_map import pose_map
from ..chunks import CHUNK, Chunks, has_chunk, trim, write_chunk
from ..config import ConfigError, Settings, TrainingSettings
from ..draws import Draws, Rows
from ..norms import float_norms
from ..scenes import Scenes, open_scenes, stacked
from ..stage import Run, TrainingStage, WorkStage, frozen
from .vae import reconstruction_loss

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SampleSettings(Settings):
    """Settings of the stage `sample`.

    Attributes:
        first, count: training rows to sample; those the UNet was not trained on show it as it is on new people.
        sampling_steps, guidance: of the sampler; the rows take turns.
    """

    first: int = 0
    count: int = 100
    sampling_steps: tuple[int, ...] = (4, 8, 20)
    guidance: tuple[float, ...] = (1.0, 1.5)


class Sample(WorkStage):
    """Runs the whole pipeline on people in their own garments: `RUNS/sample`, chunks of `latents` (4, h, w), scaled."""

    settings_type = SampleSettings
    settings: SampleSettings

    def work(self) -> dict[str, float]:
        settings, folder = self.settings, self.run.folder / "sample"
        preset = settings.preset
        pipeline = TryOnPipeline.from_parts(preset, {part: self.run.part(part, preset) for part in PARTS})
        pipeline.to(self.device)
        scenes, _ = open_scenes(settings, self.run.folder)
        count = min(settings.count, len(scenes) - settings.first)
        if count < 1:
            raise ConfigError(f"first = {settings.first} is beyond the {len(scenes)} training rows there are.")
        if self.run.main:
            trim(folder, count)
        for index in range(self.run.process, -(-count // CHUNK), self.run.processes):
            rows = range(index * CHUNK, min((index + 1) * CHUNK, count))
            if not has_chunk(folder, index, len(rows)):
                latents = torch.cat([self.latents(pipeline, scenes, row) for row in rows])
                write_chunk(folder, index, {"latents": latents.cpu()})
                log.info("sampled rows up to %d of %d", rows.stop, settings.count)
        return {"rows": float(count)}

    def latents(self, pipeline: TryOnPipeline, scenes: Scenes, row: int) -> Tensor:
        """Scaled latents (1, 4, h, w) of one row, seeded by it."""
        settings = self.settings
        read = stacked(scenes, [settings.first + row], "agnostic", "garment", "mask", "keypoints", "category")
        return pipeline(
            read["agnostic"],
            read["garment"],
            mask=read["mask"],
            pose_map=pose_map(read["keypoints"], tuple(read["agnostic"].shape[-2:])),
            category=CATEGORIES[int(read["category"])],
            seeds=row,
            steps=settings.sampling_steps[row % len(settings.sampling_steps)],
            guidance_scale=settings.guidance[row % len(settings.guidance)],
        ).latents.float()


class Painted(Rows):
    """Crops of people, of their inpaint masks, and of the latents that were sampled for them.

    Args:
        scenes: people, from row `first` on.
        chunks: the latents of those rows.
        stop: rows used.
        sizes: sides of the crops; one a step.
        clean: share of crops whose latents are to come from the encoder (`clean` is 1).
        factor: pixels a latent.
    """

    def __init__(
        self, scenes: Scenes, first: int, chunks: Chunks, stop: int, sizes: Sequence[int], clean: float, factor: int,
        seed: int,
    ):  # fmt: skip
        self.scenes, self.first, self.chunks, self.stop = scenes, first, chunks, stop
        self.sizes, self.clean, self.factor, self.seed = sizes, clean, factor, seed

    def __len__(self) -> int:
        return self.stop

    def item(self, row: int, rng: np.random.Generator, step: int) -> dict[str, Tensor]:
        found = self.scenes.read(self.first + row, "person", "agnostic", "mask")
        height, width = found["person"].shape[1:]
        size = min(self.sizes[step % len(self.sizes)], height, width)
        top, left = (self.factor * int(rng.integers(0, (full - size) // self.factor + 1)) for full in (height, width))
        cut = {name: value[:, top : top + size, left : left + size] for name, value in found.items()}
        y, x, side = top // self.factor, left // self.factor, size // self.factor
        latents = self.chunks.read(row, "latents")[:, y : y + side, x : x + side]
        return cut | {"latents": latents, "clean": torch.tensor(float(rng.random() < self.clean))}


@dataclass(frozen=True)
class DecoderSettings(TrainingSettings):
    """Settings of the stage `decoder`.

    Attributes:
        first: as in `SampleSettings`.
        crops: sides of the training crops, multiples of 8; the steps take turns.
        clean: share of samples decoded from the encoder's own latents.
        plain: share of samples decoded without skip features, as a stock VAE decoder does.
        emasc_rate: learning rate of EMASC, relative to the decoder's.
    """

    first: int = 0
    crops: tuple[int, ...] = (128, 160, 192)
    clean: float = 0.3
    plain: float = 0.33
    emasc_rate: float = 4.0


class Painter(nn.Module):
    """Decoder and EMASC: latents and skip features to a picture.

    Args:
        grow, feather: of the hole in the skip features, see `decoding.emasc.mask_features`.
    """

    def __init__(self, vae: nn.Module, emasc: nn.Module, grow: int = 0, feather: int = 0):
        super().__init__()
        self.post_quant_conv, self.decoder, self.emasc = vae.post_quant_conv, vae.decoder, emasc
        self.grow, self.feather = grow, feather

    def forward(self, latents: Tensor, taps: list[Tensor], mask: Tensor, skipped: Tensor) -> Tensor:
        """Picture (B, 3, H, W) of unscaled latents; rows where `skipped` (B,) is 0 get no skip features."""
        skips = mask_features(self.emasc(taps), mask, grow=self.grow, feather=self.feather)
        return decode_with_skips(self, latents, [skip * skipped.view(-1, 1, 1, 1).to(skip) for skip in skips])


class Decoder(TrainingStage):
    """Trains the decoder and EMASC; writes the whole VAE and EMASC."""

    settings_type = DecoderSettings
    sheet_titles = ("masked", "without", "with EMASC", "person")

    def __init__(self, settings: DecoderSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        self.vae = frozen(float_norms(run.part("vae", settings.preset)), device)
        preset, emasc = settings.preset, run.part("emasc", settings.preset)
        self.module = Painter(copy.deepcopy(self.vae), emasc, preset.skip_grow, preset.skip_feather)
        self.module.requires_grad_(True)
        scenes, _ = open_scenes(settings, run.folder)
        chunks = Chunks(run.folder / "sample", "sample")
        held_out = max(1, min(settings.held_out, len(chunks) // 10))
        self.rows, self.held_out = (
            Painted(scenes, settings.first, chunks, stop, crops, clean, downscale_factor(self.vae), settings.seed)
            for stop, crops, clean in (
                (len(chunks) - held_out, settings.crops, settings.clean),
                (len(chunks), (min(settings.size),), 0.0),
            )
        )

    def groups(self) -> list[dict]:
        rate, module = self.settings.learning_rate, self.module
        decoder = [*module.post_quant_conv.parameters(), *module.decoder.parameters()]
        return [
            {"params": decoder, "lr": rate},
            {"params": list(module.emasc.parameters()), "lr": rate * self.settings.emasc_rate},
        ]

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        person = batch["person"]
        result = module(*self.inputs(batch), (draws.uniform() >= self.settings.plain).float())
        return reconstruction_loss(result.float(), person)

    @torch.no_grad()
    def inputs(self, batch: dict[str, Tensor]) -> tuple[Tensor, list[Tensor], Tensor]:
        """Unscaled latents, sampled or clean, the taps of the masked person, and the mask."""
        person, mask = batch["person"], batch["mask"]
        sampled = batch["latents"] / self.settings.preset.vae_scale
        clean = encode_with_taps(self.vae, person)[0].mean.float()
        latents = torch.where(batch["clean"].view(-1, 1, 1, 1) > 0, clean, sampled)
        return latents, encode_with_taps(self.vae, batch["agnostic"])[1], mask

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        """PSNR outside the mask on sampled latents of held-out people, without and with EMASC."""
        errors, sheet = [], []
        for row in range(len(self.rows), len(self.held_out)):
            item = self.held_out.item(row, np.random.default_rng(row), 0)
            batch = {name: value[None].to(self.device) for name, value in item.items()}
            person, mask = batch["person"], batch["mask"]
            inputs = self.inputs(batch)
            both = [module(*inputs, torch.full((1,), skipped, device=person.device)) for skipped in (0.0, 1.0)]
            weight = 3 * (1 - mask).sum().clamp_min(1)
            errors.append([float(((x - person).square() * (1 - mask)).sum() / weight) for x in both])
            sheet.append(torch.cat([batch["agnostic"], *both, person]))
        plain, with_emasc = (float(10 * np.log10(4 / np.mean(column))) for column in zip(*errors, strict=True))
        return {"psnr_outside": with_emasc, "psnr_outside_no_emasc": plain}, sheet[:6]

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        vae = copy.deepcopy(self.vae)
        vae.decoder.load_state_dict(module.decoder.state_dict())
        vae.post_quant_conv.load_state_dict(module.post_quant_conv.state_dict())
        return {"vae": vae, "emasc": module.emasc}
