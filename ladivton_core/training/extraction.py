"""Stages `extract` and `extract_small`: what the denoising stages see of every scene, encoded once.

The published recipe writes warped garments as JPEG of quality 95 and CLIP features of every garment, which
later stages read (SPEC 8.1). Here the warped garment goes to the VAE as inference has it, without JPEG, and
posteriors are kept, not samples, so that training still draws its latents anew each time.

Files: `RUNS/<stage>/train` and `RUNS/<stage>/held_out`, chunks of rows (`chunks.py`) with

    tokens    (T, W) float16       last hidden state of the vision tower for the flat garment
    mask      (1, h, w) uint8      inpaint mask at latent size
    masked    (8, h, w) float16    posterior moments of the agnostic image, unscaled
    truth     (8, h, w) float16    of the person
    category  int64                index of `CATEGORIES`
    pose      (18, h, w) float16   pose map at latent size                  } only where
    warped    (8, h, w) float16    moments of the refined warped garment    } `warped` is set
"""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..decoding.taps import encode_with_taps
from ..denoising.conditioning import latent_mask, latent_pose
from ..inversion.pixels import clip_pixels
from ..preprocessing.pose_map import pose_map
from .chunks import CHUNK, has_chunk, trim, write_chunk
from .config import ConfigError, Settings
from .scenes import Scenes, open_scenes, stacked
from .stage import Run, WorkStage, frozen

log = logging.getLogger(__name__)
SPLITS = ("train", "held_out")


@dataclass(frozen=True)
class ExtractionSettings(Settings):
    """Settings of the stages.

    Attributes:
        count: training rows to encode, the first ones; 0 is all.
        warped: whether to warp garments and keep pose maps.
        shrink: by how much pictures are shrunk before the VAE sees them: the colours are the same, and a
            denoising step on half-size latents costs a quarter.
        cut: (height, width) of what is encoded of a training row, multiples of 8; (0, 0) is the whole picture. It lies
            over the inpaint mask, otherwise at random. Held-out rows are whole.
        batch: scenes encoded at once; with a cut always 1.
        precision: `no`, `fp16` or `bf16` autocast of the VAE and the vision tower; the warper is float32.
    """

    count: int = 0
    warped: bool = True
    shrink: int = 1
    cut: tuple[int, int] = (0, 0)
    batch: int = 1
    precision: str = "no"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.warped and self.shrink != 1:
            raise ConfigError("warped garments are encoded at full size: set shrink = 1 or warped = false.")
        if any(self.cut) and any(side % 8 or side < 8 for side in self.cut):
            raise ConfigError(f"cut = {list(self.cut)} is not two multiples of 8.")
        if self.precision not in ("no", "fp16", "bf16"):
            raise ConfigError(f"precision = {self.precision!r} is unknown; choose one of no, fp16, bf16.")


def window_over(mask: Tensor, size: tuple[int, int], rng: np.random.Generator) -> tuple[slice, slice]:
    """Rows and columns that cover what they can of a mask (H, W), on the grid of 8 pixels, otherwise at random."""
    window = []
    for dim, full in enumerate(mask.shape):
        side = min(size[dim], full)
        covered = mask.any(1 - dim).nonzero()
        first, last = (int(covered[0]), int(covered[-1]) + 1) if len(covered) else (0, full)
        # it begins above the mask and ends below it, or inside a mask that is larger
        low, high = sorted((last - side, first))
        start = int(rng.integers(min(max(low, 0), full - side) // 8, min(max(high, 0), full - side) // 8 + 1)) * 8
        window.append(slice(start, start + side))
    return tuple(window)


class Extraction(WorkStage):
    """Encodes the chunks that are not there yet."""

    settings_type = ExtractionSettings
    settings: ExtractionSettings

    def __init__(self, settings: ExtractionSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        preset = settings.preset
        self.vae = frozen(run.part("vae", preset), device)
        self.vision = frozen(run.part("vision", preset), device)
        self.warper = frozen(run.part("warping", preset), device) if settings.warped else None

    def work(self) -> dict[str, float]:
        counts = {}
        for split, scenes in zip(SPLITS, open_scenes(self.settings, self.run.folder), strict=True):
            counts[split] = len(scenes)
            if split == "train" and self.settings.count:
                counts[split] = min(counts[split], self.settings.count)
            folder = self.run.folder / self.run.stage / split
            if self.run.main:
                trim(folder, counts[split])
            for index in range(self.run.process, -(-counts[split] // CHUNK), self.run.processes):
                rows = range(index * CHUNK, min((index + 1) * CHUNK, counts[split]))
                if not has_chunk(folder, index, len(rows)):
                    write_chunk(folder, index, self.encode(scenes, rows, whole=split != "train"))
                    log.info("%s: %s rows up to %d of %d", self.run.stage, split, rows.stop, counts[split])
        return {f"{split}_rows": float(count) for split, count in counts.items()}

    @torch.no_grad()
    def encode(self, scenes: Scenes, rows: range, whole: bool = True) -> dict[str, Tensor]:
        """The fields of some rows, of whole pictures or of the settings' cut."""
        blocks, cutting = [], any(self.settings.cut) and not whole
        batch = 1 if cutting else self.settings.batch
        for start in range(rows.start, rows.stop, batch):
            some = range(start, min(start + batch, rows.stop))
            read = stacked(scenes, some, "person", "agnostic", "garment", "mask", "keypoints", "category")
            window = (slice(None), slice(None))
            if cutting:
                window = window_over(read["mask"][0, 0], self.settings.cut, np.random.default_rng([start, 4]))
            blocks.append(self._block({name: value.to(self.device) for name, value in read.items()}, window))
        return {name: torch.cat([block[name].cpu() for block in blocks]) for name in blocks[0]}

    def _block(self, read: dict[str, Tensor], window: tuple[slice, slice]) -> dict[str, Tensor]:
        person, agnostic, mask, garment = (read[name] for name in ("person", "agnostic", "mask", "garment"))
        found = {"category": read["category"]}
        if self.warper is not None:
            pose = pose_map(read["keypoints"], tuple(person.shape[-2:]))
            found["pose"] = latent_pose(pose[(..., *window)]).half()
            found["warped"] = self._moments(self.warper(garment, agnostic, pose).warped[(..., *window)])
        person, agnostic, mask = (pictures[(..., *window)] for pictures in (person, agnostic, mask))
        if self.settings.shrink > 1:
            small = tuple(side // self.settings.shrink for side in person.shape[-2:])
            mask = F.interpolate(mask, size=small, mode="nearest")
            person, agnostic = (F.interpolate(picture, size=small, mode="area") for picture in (person, agnostic))
            agnostic = agnostic * (1 - mask)
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
