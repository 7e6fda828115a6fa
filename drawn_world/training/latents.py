"""Stage `extract` of the embedded default: every rendered pair encoded once, and those rows in a device's memory.

Files `RUNS/extract/00000.safetensors`, ... of `PAIRS` rows, in the order of `world.open_pairs`:

    truth      (2, 8, h, w) float16      posterior moments of the person in either garment, unscaled
    masked     (2, 8, h, w) float16      of the person masked in either
    warped     (3, 8, h, w) float16      of the warped garment, refined where the pair says so, for three `plans`
    plans      (3, 2) int64              the garment to wear, and the one the masked person wears
    holes      (2, 1, h, w) uint8        inpaint masks at latent size
    tokens     (2, T, W) float16         last hidden state of the vision tower for either flat garment
    keypoints  (18, 2) float32, category int64
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ladivton_core.decoding.taps import encode_with_taps
from ladivton_core.denoising.conditioning import latent_mask
from ladivton_core.inversion.pixels import clip_pixels
from ladivton_core.training.accelerator import precision_on
from ladivton_core.training.chunks import has_chunk, trim, write_chunk
from ladivton_core.training.config import ConfigError, Settings
from ladivton_core.training.norms import light_norms
from ladivton_core.training.stage import Run, WorkStage, frozen

from .pairs import PAIRS, Fields, Files, Pairs
from .pictures import pose_whole
from .pool import Pool, whole
from .world import open_pairs, world_settings

log = logging.getLogger(__name__)
PLANS = ((0, 1), (1, 0), (0, 0), (1, 1))
"""(garment to wear, garment worn before). Every pair has the first two, and one of the others in turn."""


@dataclass(frozen=True)
class LatentSettings(Settings):
    """Settings of the stage.

    Attributes:
        share: as in `MemorySettings`.
        minutes: it ends after so many, though never before the first file; 0 is no limit.
        precision: of VAE, tower and refinement; `auto` is bf16 where the hardware multiplies it.
    """

    share: float = 0.03
    minutes: float = 0.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision not in ("no", "bf16", "auto"):
            raise ConfigError(f"precision = {self.precision!r} is unknown; choose one of no, bf16, auto.")


class Latents(WorkStage):
    """Encodes what is not there yet, in the world's order."""

    settings_type = LatentSettings
    settings: LatentSettings

    def __init__(self, settings: LatentSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        preset = settings.preset
        self.vae = light_norms(frozen(run.part("vae", preset), device), device)
        self.vision, self.warper = (frozen(run.part(part, preset), device) for part in ("vision", "warping"))
        self.mixed = precision_on(device, settings.precision) == "bf16"

    def work(self) -> dict[str, float]:
        folder, pairs = self.run.folder / self.run.stage, open_pairs(self.run.folder, "train")
        count, end = world_settings(self.run.folder)["count"], time.monotonic() + 60 * self.settings.minutes
        rows, errors = 0, []
        while read := pairs.read(rows, min(rows + PAIRS, count)):
            if self.settings.minutes and rows and time.monotonic() > end:
                break
            size = len(read["category"])
            if not has_chunk(folder, rows // PAIRS, size):
                fields, error = self.encode(whole({name: value.to(self.device) for name, value in read.items()}))
                write_chunk(folder, rows // PAIRS, {name: value.cpu() for name, value in fields.items()})
                errors.append(error)
            rows += size
            if size < PAIRS:  # further ones may just have been rendered: they are for the next call
                break
        if not rows:
            raise FileNotFoundError("there are no pairs: run the stage `world` first.")
        trim(folder, rows, PAIRS)  # of a larger world that was there before
        figures = {"pairs": float(rows), "rows": 3.0 * rows}
        if errors:
            spline, refined = torch.stack(errors).mean(0).tolist()
            figures |= {"l1_spline": spline, "l1": refined}
        return figures

    @torch.no_grad()
    def encode(self, read: Fields) -> tuple[Fields, Tensor]:
        """The fields of some pairs, and L1 of warped garments against the worn ones: of the spline, refined (2,)."""
        count, device = len(read["category"]), read["category"].device
        persons, flats, worn = (read[name].float() / 127.5 - 1 for name in ("persons", "garments", "worn"))
        masks = read["masks"].float()
        agnostic = persons * (1 - masks)
        pose, index = pose_whole(read["keypoints"], tuple(persons.shape[-2:])), torch.arange(count, device=device)
        with self._autocast():
            tokens = self.vision(clip_pixels(flats.flatten(0, 1), self.vision.config.image_size))
        plans = torch.tensor(PLANS, device=device)
        plans = torch.stack([plans[0].expand(count, 2), plans[1].expand(count, 2), plans[2 + index % 2]], 1)
        warped, errors, drawn = [], [], read["refined"].view(-1, 1, 1, 1)
        for plan in plans.unbind(1):
            before = agnostic[index, plan[:, 1]]
            flat = flats[index, plan[:, 0]]
            ways = [
                self.warper.coarse_warp(flat, before, pose, photograph=photograph).coarse
                for photograph in (True, False)
            ]
            coarse = torch.where(drawn, ways[1], ways[0])
            with self._autocast():
                refined = self.warper.refinement(torch.cat([before, pose, coarse], 1)).float().clamp(-1, 1)
            warped.append(self._moments(torch.where(drawn, refined, coarse)))
            truly = worn[index, plan[:, 0]]
            errors.append(torch.stack([(picture - truly).abs().mean() / 2 for picture in (coarse, refined)]))
        both = (count, 2)
        return {
            "truth": self._moments(persons.flatten(0, 1)).unflatten(0, both),
            "masked": self._moments(agnostic.flatten(0, 1)).unflatten(0, both),
            "warped": torch.stack(warped, 1),
            "plans": plans,
            "holes": latent_mask(masks.flatten(0, 1)).byte().unflatten(0, both),
            "tokens": tokens.half().unflatten(0, both),
            "keypoints": read["keypoints"],
            "category": read["category"],
        }, torch.stack(errors).mean(0).cpu()

    def _moments(self, pictures: Tensor) -> Tensor:
        with self._autocast():
            return encode_with_taps(self.vae, pictures)[0].parameters.half()

    def _autocast(self):
        return torch.autocast(torch.device(self.device).type, torch.bfloat16, enabled=self.mixed)


def open_latents(run: Run, device: torch.device | str) -> Pool:
    """Every extracted row on the device; opened once in a call.

    Raises:
        FileNotFoundError: the stage `extract` has not run.
    """
    folder: Path = run.folder / "extract"
    files = len(list(folder.glob("[0-9]*.safetensors")))
    if not files:
        raise FileNotFoundError(f"{folder} holds no latents: run the stage `extract` first.")
    if "latents" not in run.memory:
        run.memory["latents"] = Pool(Pairs([Files(folder)]), device, dict, files * PAIRS)
    return run.memory["latents"]
