"""Stage `extract`: what the denoising stages see of every scene, encoded once.

The published recipe writes warped garments as JPEG of quality 95 and CLIP features of every garment, which
later stages read (published §8.1). Here the warped garment goes to the VAE as inference has it, without JPEG, and
posteriors are kept, not samples, so that training still draws its latents anew each time.

Files: `RUNS/<stage>/train` and `RUNS/<stage>/held_out`, chunks of rows (`chunks.py`) with

    tokens    (T, W) float16       last hidden state of the vision tower for the flat garment
    mask      (1, h, w) uint8      inpaint mask at latent size
    masked    (8, h, w) float16    posterior moments of the agnostic image, unscaled
    truth     (8, h, w) float16    of the person
    category  int64                index of `CATEGORIES`
    pose      (18, h, w) float16   pose map at latent size
    warped    (8, h, w) float16    moments of the refined warped garment
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import torch
from torch import Tensor

from ..decoding.taps import encode_with_taps
from ..denoising.conditioning import latent_mask, latent_pose
from ..inversion.pixels import clip_pixels
from ..preprocessing.pose.pose_map import pose_map
from .chunks import CHUNK, has_chunk, trim, write_chunk
from .config import ConfigError, DatasetSettings
from .scenes import Scenes, open_scenes, stacked
from .stage import Run, WorkStage, frozen

log = logging.getLogger(__name__)
SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class ExtractionSettings(DatasetSettings):
    """Settings of the stage.

    Attributes:
        batch: scenes encoded at once.
        precision: `no`, `fp16` or `bf16` autocast of the VAE and the vision tower; the warper is float32.
    """

    batch: int = 1
    precision: str = "no"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision not in ("no", "fp16", "bf16"):
            raise ConfigError(f"precision = {self.precision!r} is unknown; choose one of no, fp16, bf16.")


class Extraction(WorkStage):
    """Encodes the chunks that are not there yet."""

    settings_type = ExtractionSettings
    settings: ExtractionSettings

    def __init__(self, settings: ExtractionSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        preset = settings.preset
        self.vae = frozen(run.part("vae", preset), device)
        self.vision = frozen(run.part("vision", preset), device)
        self.warper = frozen(run.part("warping", preset), device)

    def work(self) -> dict[str, float]:
        counts = {}
        for split, scenes in zip(SPLITS, open_scenes(self.settings), strict=True):
            counts[split] = len(scenes)
            folder = self.run.folder / self.run.stage / split
            if self.run.main:
                trim(folder, counts[split])
            for index in range(self.run.process, -(-counts[split] // CHUNK), self.run.processes):
                rows = range(index * CHUNK, min((index + 1) * CHUNK, counts[split]))
                if not has_chunk(folder, index, len(rows)):
                    write_chunk(folder, index, self.encode(scenes, rows))
                    log.info("%s: %s rows up to %d of %d", self.run.stage, split, rows.stop, counts[split])
        return {f"{split}_rows": float(count) for split, count in counts.items()}

    @torch.no_grad()
    def encode(self, scenes: Scenes, rows: range) -> dict[str, Tensor]:
        """The fields of some rows."""
        blocks = []
        for start in range(rows.start, rows.stop, self.settings.batch):
            some = range(start, min(start + self.settings.batch, rows.stop))
            read = stacked(scenes, some, "person", "agnostic", "garment", "mask", "keypoints", "category")
            blocks.append(self._block({name: value.to(self.device) for name, value in read.items()}))
        return {name: torch.cat([block[name].cpu() for block in blocks]) for name in blocks[0]}

    def _block(self, read: dict[str, Tensor]) -> dict[str, Tensor]:
        person, agnostic, mask, garment = (read[name] for name in ("person", "agnostic", "mask", "garment"))
        pose = pose_map(read["keypoints"], tuple(person.shape[-2:]))
        found = {
            "category": read["category"],
            "pose": latent_pose(pose).half(),
            "warped": self._moments(self.warper(garment, agnostic, pose).warped),
        }
        with self._autocast():
            found["tokens"] = self.vision(clip_pixels(garment, self.vision.config.image_size)).half()
        return found | {
            "mask": latent_mask(mask).byte(),
            "masked": self._moments(agnostic),
            "truth": self._moments(person),
        }

    def _moments(self, pictures: Tensor) -> Tensor:
        with self._autocast():
            return encode_with_taps(self.vae, pictures)[0].parameters.half()

    def _autocast(self):
        dtype = {"no": None, "fp16": torch.float16, "bf16": torch.bfloat16}[self.settings.precision]
        return torch.autocast(torch.device(self.device).type, dtype, enabled=dtype is not None)
