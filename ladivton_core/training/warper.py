"""Stages `tps` and `refinement`: the garment warper, first the spline, then the U-Net (paper 3.2).

Objectives of published §8.1. Stages with steps of their own, so that a resumed refinement ends where it was meant
to (Q26: the published script adds a full set of epochs). Read `extraction.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_warper, load
from ..checkpoints.layouts import load_strict
from ..checkpoints.reading import read_state_dict
from ..preprocessing.pose.pose_map import heat_maps, pose_map
from ..warping.thin_plate_spline import bending_penalty
from ..warping.warper import GarmentWarper, sample_garment
from .config import DatasetSettings, TrainingSettings
from .draws import Draws, Rows
from .perceptual import configured
from .scenes import Scenes, WholeScenes, open_scenes, stacked
from .stage import Run, TrainingStage, frozen

POSE_SIGMA = 9
"""Of the pose map's dots at 512 rows (published §1.4)."""


def shrink(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """What inference does to the matcher's inputs: bilinear, antialiased."""
    return F.interpolate(pictures, size=size, mode="bilinear", align_corners=False, antialias=True)


def shrunk_joints(keypoints: Tensor, factor: float) -> Tensor:
    """Joints (18, 2) where `shrink` moves them: pixel centres are whole numbers. Missing ones stay (0, 0)."""
    present = (keypoints > 0).any(-1, keepdim=True)
    return torch.where(present, (keypoints + 0.5) * factor - 0.5, 0.0)


def cloth_mask(picture: Tensor) -> Tensor:
    """Where a garment on white is (B, 1, H, W), soft enough to be learned from."""
    return ((0.94 - picture.amin(1, keepdim=True)) * 12).clamp(0, 1)


class SmallScenes(Rows):
    """Scenes at the matcher's size, as inference shrinks them.

    Not Q3: the published matcher was trained on pictures, dots and masks built at 256x192, and is run on ones
    built at 512x384 and shrunk. Here it learns on what it will be run on.
    """

    def __init__(self, scenes: Scenes, size: tuple[int, int]):
        self.scenes, self.size = scenes, size

    def __len__(self) -> int:
        return len(self.scenes)

    def item(self, row: int, rng: np.random.Generator | None = None, step: int = 0) -> dict[str, Tensor]:
        found = self.scenes.read(row, "agnostic", "garment", "worn", "keypoints")
        factor = self.size[0] / found["worn"].shape[1]
        pictures = [found["garment"], found["worn"], found["agnostic"]]
        garment, worn, agnostic = shrink(torch.stack(pictures), self.size).clamp(-1, 1)
        pose = heat_maps(shrunk_joints(found["keypoints"], factor), self.size, POSE_SIGMA * factor)
        return {"garment": garment, "worn": worn, "agnostic": agnostic, "pose": pose}


@dataclass(frozen=True)
class TpsSettings(TrainingSettings, DatasetSettings):
    """Settings of the stage.

    Attributes:
        bending: weight of the second-order constraints.
    """

    bending: float = 0.01


class Tps(TrainingStage):
    """Trains the geometric matcher."""

    settings_type = TpsSettings
    sheet_titles = ("garment", "agnostic", "warped", "worn")

    def __init__(self, settings: TpsSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        train, held_out = open_scenes(settings)
        size = settings.preset.warp_size
        self.rows, self.held_out = SmallScenes(train, size), SmallScenes(held_out, size)
        known = run.made("warping")  # to go on with a spline that there is
        self.module = (load("warping", known, settings.preset) if known else build_warper(settings.preset)).tps
        self.grid = frozen(build_warper(settings.preset).tps.gridGen, device)

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        garment, worn = batch["garment"], batch["worn"]
        _, points = module(garment, torch.cat([batch["agnostic"], batch["pose"]], 1))
        with torch.autocast(garment.device.type, enabled=False):  # half precision would bend the grid itself
            grid = self.grid(points.float())
            warped = sample_garment(garment, grid)
            # Q24: the two bending terms count for every sample, not only for the first of the batch
            return (warped - worn).abs().mean() + self.settings.bending * bending_penalty(points.float()).mean()

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        sums, sheet = {"l1": 0.0, "l1_unwarped": 0.0}, []
        for row in range(len(self.held_out)):
            item = {name: value[None].to(self.device) for name, value in self.held_out.item(row).items()}
            _, points = module(item["garment"], torch.cat([item["agnostic"], item["pose"]], 1))
            warped = sample_garment(item["garment"], self.grid(points.float()))  # as in `loss`
            sums["l1"] += float((warped - item["worn"]).abs().mean()) / 2
            sums["l1_unwarped"] += float((item["garment"] - item["worn"]).abs().mean()) / 2
            if row < 8:
                sheet.append(torch.cat([item["garment"], item["agnostic"], warped, item["worn"]]))
        return {name: value / len(self.held_out) for name, value in sums.items()}, sheet

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"tps": module}


@dataclass(frozen=True)
class RefinementSettings(TrainingSettings, DatasetSettings):
    """Settings of the stage.

    Attributes:
        perceptual, vgg: see `perceptual.configured`.
        perceptual_weight: of that term, beside an L1 of weight 1.
    """

    perceptual: str = "vgg19"
    vgg: str = ""
    perceptual_weight: float = 0.25


class Refinement(TrainingStage):
    """Trains the refinement U-Net behind the frozen spline and writes both as the published warping file."""

    settings_type = RefinementSettings
    sheet_titles = ("agnostic", "spline", "refined", "worn")

    def __init__(self, settings: RefinementSettings, run: Run, device: torch.device | str) -> None:
        self.settings, self.device = settings, device
        train, self.held_out = open_scenes(settings)
        self.rows = WholeScenes(train, settings.seed, "agnostic", "garment", "worn", "keypoints")
        self.perceptual = configured(settings.perceptual, settings.vgg, device)
        known = run.made("warping")  # to go on with a warper that there is
        self.warper = load("warping", known, settings.preset) if known else build_warper(settings.preset)
        if not known or run.made("tps"):
            load_spline(self.warper, run)
        frozen(self.warper.tps, device)
        self.module = self.warper.refinement.requires_grad_(True)

    def coarse(self, batch: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        """Agnostic image, pose map and coarsely warped garment of a batch."""
        agnostic = batch["agnostic"]
        pose = pose_map(batch["keypoints"], tuple(agnostic.shape[-2:]))
        with torch.no_grad():
            return agnostic, pose, self.warper.coarse_warp(batch["garment"], agnostic, pose).coarse

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: Draws) -> Tensor:
        worn = batch["worn"]
        result = module(torch.cat(self.coarse(batch), 1)).float()
        return F.l1_loss(result, worn) + self.settings.perceptual_weight * self.perceptual(result, worn)

    def validate(self, module: nn.Module) -> tuple[dict[str, float], list[Tensor]]:
        sums, sheet = {"l1": 0.0, "l1_spline": 0.0}, []
        count = min(12, len(self.held_out))
        for row in range(count):
            read = stacked(self.held_out, [row], "agnostic", "garment", "worn", "keypoints")
            batch = {name: value.to(self.device) for name, value in read.items()}
            agnostic, pose, coarse = self.coarse(batch)
            refined = module(torch.cat([agnostic, pose, coarse], 1)).clamp(-1, 1)
            sums["l1"] += float((refined - batch["worn"]).abs().mean()) / 2
            sums["l1_spline"] += float((coarse - batch["worn"]).abs().mean()) / 2
            if row < 8:
                sheet.append(torch.cat([agnostic, coarse, refined, batch["worn"]]))
        return {name: value / count for name, value in sums.items()}, sheet

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"warping": GarmentWarper(self.warper.tps, module, self.warper.photo_tps, self.warper.garment_parts)}


def load_spline(warper: GarmentWarper, run: Run) -> None:
    """Fill a warper's matcher from the stage `tps` (or from `--weights tps=FILE`).

    Raises:
        FileNotFoundError: neither is there.
    """
    file = run.made("tps")
    if file is None:
        raise FileNotFoundError(f"stage {run.stage} needs {run.file('tps', 'tps')}: run the stage tps first.")
    load_strict(warper.tps, read_state_dict(file), "tps", file)
