"""Stages `tps` and `refinement` of the embedded default: the spline on small pictures, the U-Net on whole ones.

Objectives as in `training/warper.py`, with an outline for the spline and gradients in place of VGG19's features.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ladivton_core.training.perceptual import gradient_l1
from ladivton_core.training.stage import SCRATCH, Run, frozen
from ladivton_core.training.warper import cloth_mask, load_spline
from ladivton_core.warping.thin_plate_spline import bending_penalty
from ladivton_core.warping.warper import GarmentWarper, sample_garment

from .draws import BlockDraws
from .in_memory import MemorySettings, MemoryStage, Seen
from .pictures import pose_small, pose_whole

_SETTLING = 24  # batches that running averages are taken over anew


def _off(picture: Tensor, worn: Tensor) -> Tensor:
    return (picture - worn).abs().mean() / 2


@dataclass(frozen=True)
class TpsSettings(MemorySettings):
    """Settings of the stage.

    Attributes:
        bending: weight of the second-order constraints.
        outline: weight of the L1 between the outlines of warped and worn garment; the paper has none.
    """

    bending: float = 0.01
    outline: float = 0.5


class Tps(MemoryStage):
    """Trains the geometric matcher."""

    settings_type = TpsSettings
    settings: TpsSettings
    full_size = False
    sheet_titles = ("garment", "agnostic", "warped", "worn")
    scores = {"l1": -1.0}
    tolerance = 2e-4

    def __init__(self, settings: TpsSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        self.compares = not self.is_new("warping")
        self.module = self.starts_from("warping").tps.requires_grad_(True)

    def _inputs(self, pool, pair: Tensor, target: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Garment, agnostic image with pose (B, 21, h, w), and worn garment."""
        garment, worn = (pool.pictures(name, pair, target) for name in ("garments", "worn"))
        pose = pose_small(pool["keypoints"][pair], self.settings.size, self.preset.warp_size)
        return garment, torch.cat([pool.pictures("agnostic", pair, before), pose], 1), worn

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: BlockDraws) -> Tensor:
        garment, person, worn = self._inputs(self.pool, *self.pairs(draws))
        grid, points = module(garment, person)
        warped = sample_garment(garment, grid)
        outline = (sample_garment(cloth_mask(garment), grid) - cloth_mask(worn)).abs().mean()
        bent = bending_penalty(points).mean()
        return (warped - worn).abs().mean() + self.settings.bending * bent + self.settings.outline * outline

    def settle(self, module: nn.Module) -> None:
        settle_norms(module, lambda draws: module(*self._inputs(self.pool, *self.pairs(draws))[:2]), self)

    def examine(self, module: nn.Module, pair: Tensor, before: Tensor, after: Tensor) -> Seen:
        garment, person, worn = self._inputs(self.held_out, pair, after, before)
        warped = sample_garment(garment, module(garment, person)[0])
        return {"l1": _off(warped, worn), "l1_unwarped": _off(garment, worn)}, [garment, person[:, :3], warped, worn]

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"tps": module}


@dataclass(frozen=True)
class RefinementSettings(MemorySettings):
    """Settings of the stage.

    Attributes:
        gradients: weight of the gradients' L1, at the start and at the end of the stage.
    """

    gradients: tuple[float, float] = (0.4, 0.15)


class Refinement(MemoryStage):
    """Trains the refinement U-Net behind the frozen spline and writes both as the published warping file.

    Weights that are given keep the running averages they bring, as inference uses them; random ones normalise by the
    batch.
    """

    settings_type = RefinementSettings
    settings: RefinementSettings
    sheet_titles = ("agnostic", "spline", "refined", "worn")
    scores = {"l1": -1.0}
    tolerance = 1e-4

    def __init__(self, settings: RefinementSettings, run: Run, device: torch.device | str) -> None:
        super().__init__(settings, run, device)
        self.compares = not self.is_new("warping")
        self.warper = self.starts_from("warping")
        if run.made("tps") or run.init == SCRATCH:
            load_spline(self.warper, run)
        frozen(self.warper, self.device)
        self.module = self.warper.refinement.requires_grad_(True)
        if not self.compares:
            pair = torch.arange(min(24, len(self.pool)), device=self.device)
            worn = self.pool.pictures("worn", pair, pair % 2)
            start_from_coarse(self.module, worn.mean((0, 2, 3)), worn.std((0, 2, 3)))

    def _inputs(self, pool, pair: Tensor, target: Tensor, before: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The U-Net's input (B, 24, H, W), whose last three channels are the spline's result, worn garment, mask."""
        garment, worn = (pool.pictures(name, pair, target) for name in ("garments", "worn"))
        mask = pool.masks(pair, before)
        agnostic = pool.pictures("persons", pair, before) * (1 - mask)
        pose = pose_whole(pool["keypoints"][pair], self.settings.size)
        with torch.no_grad():
            coarse = self.warper.coarse_warp(garment, agnostic, pose).coarse
        return torch.cat([agnostic, pose, coarse], 1), worn, mask

    def loss(self, module: nn.Module, batch: dict[str, Tensor], draws: BlockDraws) -> Tensor:
        if self.compares:
            for part in module.modules():
                if isinstance(part, nn.BatchNorm2d):
                    part.eval()
        inputs, worn, mask = self._inputs(self.pool, *self.pairs(draws))
        difference = module(inputs).float() - worn
        cloth = (worn < 0.98).any(1, keepdim=True).float()
        first, last = self.settings.gradients
        gradients = first + (last - first) * self.done
        return (difference.abs() * (0.7 + mask + cloth)).mean() + gradients * gradient_l1(difference)

    def settle(self, module: nn.Module) -> None:
        if not self.compares:
            settle_norms(module, lambda draws: module(self._inputs(self.pool, *self.pairs(draws))[0]), self)

    def examine(self, module: nn.Module, pair: Tensor, before: Tensor, after: Tensor) -> Seen:
        inputs, worn, _ = self._inputs(self.held_out, pair, after, before)
        refined, coarse = module(inputs).clamp(-1, 1), inputs[:, -3:]
        return {"l1": _off(refined, worn), "l1_spline": _off(coarse, worn)}, [inputs[:, :3], coarse, refined, worn]

    def outputs(self, module: nn.Module) -> dict[str, nn.Module]:
        return {"warping": GarmentWarper(self.warper.tps, module, self.warper.photo_tps, self.warper.garment_parts)}


@torch.no_grad()
def settle_norms(module: nn.Module, run, stage: MemoryStage) -> None:
    """Take the batch norms' running averages anew: those in the module are of the weights before averaging.

    Args:
        run: feeds the module a batch of some draws.
    """
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over the batches
    module.train()
    rounds = min(_SETTLING, -(-4 * len(stage.pool) // stage.settings.batch))
    for index in range(rounds):
        run(BlockDraws(stage.settings.seed + 1, index, range(stage.settings.batch), stage.device))
    module.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum


@torch.no_grad()
def start_from_coarse(net: nn.Module, mean: Tensor, deviation: Tensor) -> None:
    """Let a `RefinementUNet` start as the identity on the coarsely warped garment, its last three inputs.

    Three channels run through the first and the last scale: their batch norms get a bias that keeps ReLU
    linear on them, and the last layer undoes the normalisation.
    """
    first, last = net.inc.double_conv, net.up4.conv.double_conv
    for block, taken in ((first, range(net.n_channels - 3, net.n_channels)), (last, range(3))):
        for conv, norm, sources in ((block[0], block[1], taken), (block[3], block[4], range(3))):
            conv.weight[:3].zero_()
            for channel, source in enumerate(sources):
                conv.weight[channel, source, 1, 1] = 1
            norm.bias[:3] = 4.0
            norm.running_mean[:3] = 4.0
    first[1].running_mean[:3], first[1].running_var[:3] = mean, deviation**2
    out = net.outc.conv
    out.weight.mul_(0.05)
    out.weight[:, :3].zero_()
    for channel in range(3):
        out.weight[channel, channel] = deviation[channel]
        out.bias[channel] = mean[channel] - 4.0 * deviation[channel]
