"""Training of the garment classifier on rendered truths of a world of its own (`classifier.py`).

People wear other people's garments, cut by the inpaint mask of their own, as in the unpaired evaluation.
Pictures are softened and grained a little, so that the classifier forgives what a sampler leaves.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ladivton_core.disk.tensors import write_tensors
from ladivton_core.preprocessing.masks.agnostic import GROW

from ..world.scene import UNPAIRED_SHIFT, DrawnWorld
from .classifier import PATH, SHARING, Cloth, GarmentClassifier, look, right, shown, shrunk

log = logging.getLogger(__name__)
WORLD_SEED = 4242
"""Neither the try-on models' world (1) nor one that pictures are judged on."""
HELD_OUT = 200
"""People kept out of the training, to measure on."""
RATE = 3e-3
_OTHERS = (1, 2)  # person i is drawn in garments i + UNPAIRED_SHIFT * these
_BLOCK = 10
_DRAWN, _GROW = (256, 192), GROW // 2  # half the size of the pictures judged later, for speed


def render(seed: int, people: range) -> tuple[Tensor, Tensor, Cloth]:
    """Truths of world `seed`: pictures (N, 3, 128, 96) and masks (N, 1, 128, 96), uint8, and what they show."""
    world = DrawnWorld(seed, _DRAWN)
    pictures, masks, garments = [], [], []
    for start in range(people.start, people.stop, _BLOCK):
        block = list(range(start, min(start + _BLOCK, people.stop)))
        mask = world.scene(block, block).inpaint_mask(_GROW)
        for others in _OTHERS:
            worn = [index + UNPAIRED_SHIFT * others for index in block]
            picture, seen = shrunk(world.scene(block, worn).person, mask)
            pictures.append((picture * 255).round().byte())
            masks.append(seen.byte())
            garments += [world.garment(index) for index in worn]
        if block[-1] % 100 == 99:
            log.info("rendered %d of %d people", block[-1] + 1 - people.start, len(people))
    return torch.cat(pictures), torch.cat(masks), shown(garments)


def worsened(pictures: Tensor, rng: np.random.Generator) -> Tensor:
    """Pictures (B, 3, H, W) a little softer, blotchier, grainier and off in colour, each batch differently."""
    count, _, height, width = pictures.shape
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))

    def normal(*size: int) -> Tensor:
        return torch.randn(count, 3, *size, generator=generator)

    soft = rng.uniform(0.4, 1)
    small = F.interpolate(pictures, scale_factor=soft, mode="bilinear", align_corners=False, antialias=True)
    pictures = F.interpolate(small, size=(height, width), mode="bicubic", align_corners=False)
    blotches = F.interpolate(normal(height // 16, width // 16), size=(height, width), mode="bicubic")
    noise = rng.uniform(0, 0.04) * blotches + rng.uniform(0, 0.04) * normal(height, width)
    return (pictures * (1 + 0.02 * normal(1, 1)) + noise).clamp(0, 1)


def loss(logits: Tensor, colours: Tensor, truth: Cloth) -> Tensor:
    """Cross-entropy of the pattern plus L1 of the colours, in the better order where the colours share the cloth."""
    errors = (colours[:, :, None] - truth.colours[:, None]).abs().mean(-1)  # (B, seen, true)
    straight, crossed = errors[:, 0, 0] + 0.5 * errors[:, 1, 1], errors[:, 0, 1] + 0.5 * errors[:, 1, 0]
    sharing = torch.isin(truth.patterns, torch.tensor(SHARING))
    off = torch.where(sharing, torch.minimum(straight, crossed), straight)
    return F.cross_entropy(logits, truth.patterns, label_smoothing=0.02) + 8 * off.mean()


def accuracy(model: GarmentClassifier, pictures: Tensor, masks: Tensor, truth: Cloth) -> dict[str, float]:
    """Shares of right patterns and right colours."""
    found = right(look(model, pictures.float() / 255, masks.float()), truth)
    return {name: round(float(values.mean()), 4) for name, values in found.items()}


def train(
    path: Path = PATH, *, seed: int = WORLD_SEED, people: int = 1200, steps: int = 2400, batch: int = 24
) -> dict[str, float]:
    """Train into `path` (safetensors, float16) and measure on held-out people.

    Args:
        seed: of the world.
        people: how many, each in two garments.
        steps, batch: of AdamW.

    Returns:
        shares of right `pattern` and `colour` on `HELD_OUT` more people; the file's metadata holds them too.
    """
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    pictures, masks, truth = render(seed, range(people))
    # a gap, so that the held-out people's garments are unseen too
    held_out = render(seed, range(people + 100, people + 100 + HELD_OUT))
    model = GarmentClassifier()
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps, pct_start=0.05)
    started = time.monotonic()
    for step in range(steps):
        rows = torch.from_numpy(rng.integers(0, len(pictures), batch))
        shot, mask = pictures[rows].float() / 255, masks[rows].float()
        if rng.random() < 0.5:
            shot, mask = shot.flip(-1), mask.flip(-1)
        asked = Cloth(truth.patterns[rows], truth.colours[rows])
        value = loss(*model(worsened(shot, rng), mask), asked)
        optimizer.zero_grad(set_to_none=True)
        value.backward()
        optimizer.step()
        schedule.step()
        if step % 200 == 199:
            seconds = (time.monotonic() - started) / (step + 1)
            right = accuracy(model, *held_out)
            log.info("step %d loss %.3f held-out right %s  %.2f s/step", step + 1, value.item(), right, seconds)
    figures = accuracy(model.half().float(), *held_out)  # as stored
    path.parent.mkdir(parents=True, exist_ok=True)
    settings = {"world": seed, "people": people, "steps": steps, "batch": batch}
    metadata = {name: str(value) for name, value in (settings | figures).items()}
    weights = {name: value.half().contiguous() for name, value in model.state_dict().items()}
    write_tensors(path, weights, metadata)
    return figures
