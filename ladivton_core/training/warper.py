"""Training of the garment warper: the thin-plate spline first, then the refinement U-Net (paper 3.2).

Objectives of SPEC 8.1 with two changes for the embedded default: the spline is trained on the pictures that
inference shrinks (Q3 trains it on data built small), and where VGG19's weights cannot be had, an L1 on
gradients stands in for the perceptual loss. Read `emasc.py` next.
"""

from __future__ import annotations

import argparse
import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..preprocessing.pose_map import heat_maps, pose_map
from ..presets import TINY, Preset
from ..warping.thin_plate_spline import bending_penalty
from ..warping.warper import GarmentWarper, sample_garment
from .perceptual import gradient_l1
from .steps import RunningAverage, checkpoint, cosine_schedule, descend, resume
from .world_cache import WorldCache

log = logging.getLogger(__name__)


def shrink(pictures: Tensor, size: tuple[int, int]) -> Tensor:
    """What inference does to the matcher's inputs: bilinear, antialiased."""
    return F.interpolate(pictures, size=size, mode="bilinear", align_corners=False, antialias=True)


class SmallScenes:
    """All scenes of a cache at the matcher's size, held in memory as uint8."""

    def __init__(self, cache: WorldCache, size: tuple[int, int], block: int = 25):
        self.size = size
        shelves: dict[str, list[Tensor]] = {"garment": [], "worn": [], "agnostic": []}
        for start in range(0, len(cache), block):
            rows = range(start, start + block)
            for name in shelves:
                picture = cache.agnostic(rows) if name == "agnostic" else cache.pictures(name, rows)
                shelves[name].append(((shrink(picture, size).clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8))
        self.shelves = {name: torch.cat(parts) for name, parts in shelves.items()}
        self.keypoints = torch.cat([cache.raw("keypoints", range(s, s + block)) for s in range(0, len(cache), block)])

    def batch(self, rows: np.ndarray) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Garment, worn garment and agnostic image (B, 3, h, w) in [-1, 1], pose map (B, 18, h, w)."""
        pictures = [self.shelves[name][rows].float() / 127.5 - 1 for name in ("garment", "worn", "agnostic")]
        factor = self.size[0] / 512  # a dot of sigma 9 at 512 rows, shrunk with the picture
        return *pictures, heat_maps(self.keypoints[rows] * factor, self.size, 9 * factor)


def cloth_mask(picture: Tensor) -> Tensor:
    """Where a garment on white is (B, 1, H, W), soft enough to be learned from."""
    return ((0.94 - picture.amin(1, keepdim=True)) * 12).clamp(0, 1)


def train_spline(
    world: Path, out: Path, preset: Preset = TINY, steps: int = 1400, batch: int = 16, seed: int = 0
) -> None:
    """Train `ConvNetTPS` into `out/tps.pt`: L1 of the warped garment and of its outline, 0.01 bending penalty."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    scenes = SmallScenes(WorldCache(world), preset.warp_size)
    warper = GarmentWarper.from_preset(preset)
    net, held_out = warper.tps.train(), min(100, len(scenes.keypoints) // 10)
    average = RunningAverage(net, 0.995)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = cosine_schedule(optimizer, steps)
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    first, started, losses = resume(out / "tps.pt", **parts), time.monotonic(), []
    for step in range(first, steps):
        garment, worn, agnostic, pose = scenes.batch(rng.integers(held_out, len(scenes.keypoints), batch))
        grid, points = net(garment, torch.cat([agnostic, pose], 1))
        warped = sample_garment(garment, grid)
        outline = (sample_garment(cloth_mask(garment), grid) - cloth_mask(worn)).abs().mean()
        loss = (warped - worn).abs().mean() + 0.5 * outline + 0.01 * bending_penalty(points).mean()
        descend(loss, optimizer, schedule)
        average.update(net)
        losses.append(loss.item())
        if step % 50 == 0 or step == steps - 1:
            log.info(
                "tps step %d loss %.4f  %.2f s/step",
                step,
                np.mean(losses[-50:]),
                (time.monotonic() - started) / (step - first + 1),
            )
        if step % 250 == 249 or step == steps - 1:
            checkpoint(out / "tps.pt", step + 1, **parts)
            _report_spline(average.module.eval(), scenes, held_out, out / "tps.png")


@torch.no_grad()
def _report_spline(net: nn.Module, scenes: SmallScenes, held_out: int, sheet: Path) -> None:
    from torchvision.utils import save_image

    garment, worn, agnostic, pose = scenes.batch(np.arange(held_out))
    warped = sample_garment(garment, net(garment, torch.cat([agnostic, pose], 1))[0])
    log.info(
        "tps held-out L1 %.4f (unwarped %.4f)", (warped - worn).abs().mean() / 2, (garment - worn).abs().mean() / 2
    )
    rows = [(x[:8] + 1) / 2 for x in (garment, agnostic, warped, worn)]
    save_image(torch.cat(rows).clamp(0, 1), sheet, nrow=8)


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


def train_refinement(
    world: Path,
    out: Path,
    preset: Preset = TINY,
    steps: int = 700,
    batch: int = 4,
    seed: int = 0,
    crop: tuple[int, int] = (320, 256),
) -> None:
    """Train `RefinementUNet` into `out/refinement.pt` on crops, the spline frozen: L1 + L1 of gradients."""
    torch.manual_seed(seed)
    cache, rng, held_out = WorldCache(world), np.random.default_rng(seed), 100
    warper = GarmentWarper.from_preset(preset)
    warper.tps.load_state_dict(spline_weights(out))
    warper.tps.eval()
    net = warper.refinement.train()
    sample = cache.pictures("worn", range(24))
    start_from_coarse(net, sample.mean((0, 2, 3)), sample.std((0, 2, 3)))
    average = RunningAverage(net, 0.99)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    schedule = cosine_schedule(optimizer, steps)
    parts = {"net": net, "average": average, "optimizer": optimizer, "schedule": schedule}
    first, started, losses = resume(out / "refinement.pt", **parts), time.monotonic(), []
    for step in range(first, steps):
        person, worn, coarse, pose = coarse_scenes(warper, cache, rng.integers(held_out, len(cache), batch))
        top, left = rng.integers(0, person.shape[2] - crop[0] + 1), rng.integers(0, person.shape[3] - crop[1] + 1)
        window = (..., slice(top, top + crop[0]), slice(left, left + crop[1]))
        inputs = torch.cat([person, pose, coarse], 1)[window].contiguous()
        with torch.autocast("cpu", torch.bfloat16):
            result = net(inputs)
        difference = result.float() - worn[window]
        loss = difference.abs().mean() + 0.5 * gradient_l1(difference)
        descend(loss, optimizer, schedule)
        average.update(net)
        losses.append(loss.item())
        if step % 25 == 0 or step == steps - 1:
            log.info(
                "refinement step %d loss %.4f  %.2f s/step",
                step,
                np.mean(losses[-25:]),
                (time.monotonic() - started) / (step - first + 1),
            )
        if step % 150 == 149 or step == steps - 1:
            checkpoint(out / "refinement.pt", step + 1, **parts)
            warper.refinement = average.module.eval()
            _report_refinement(warper, cache, out / "refinement.png")


def spline_weights(out: Path) -> dict[str, Tensor]:
    """Averaged weights of a spline training, keys as published."""
    state = torch.load(out / "tps.pt", map_location="cpu", weights_only=True)["average"]
    return {key.removeprefix("module."): value for key, value in state.items()}


@torch.no_grad()
def coarse_scenes(
    warper: GarmentWarper, cache: WorldCache, rows, garments=None
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Agnostic image, worn garment, coarse warp (B, 3, H, W) and pose map (B, 18, H, W) of cached scenes.

    Args:
        garments: rows whose flat garments to warp instead of the people's own.
    """
    agnostic = cache.agnostic(rows)
    pose = pose_map(cache.raw("keypoints", rows), tuple(agnostic.shape[-2:]))
    garment = cache.pictures("garment", rows if garments is None else garments)
    coarse, _, _ = warper.coarse_warp(garment, agnostic, pose)
    return agnostic, cache.pictures("worn", rows), coarse, pose


@torch.no_grad()
def _report_refinement(warper: GarmentWarper, cache: WorldCache, sheet: Path, count: int = 12) -> None:
    from torchvision.utils import save_image

    agnostic, worn, coarse, pose = coarse_scenes(warper, cache, range(count))
    warped = warper.refine(coarse, agnostic, pose).clamp(-1, 1)
    log.info("held-out L1: TPS %.4f refined %.4f", (coarse - worn).abs().mean() / 2, (warped - worn).abs().mean() / 2)
    rows = [(x[:6] + 1) / 2 for x in (agnostic, coarse, warped, worn)]
    save_image(torch.cat(rows).clamp(0, 1), sheet, nrow=6)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["spline", "refinement"])
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given = {} if options.steps is None else {"steps": options.steps}
    (train_spline if options.part == "spline" else train_refinement)(options.world, options.out, **given)
