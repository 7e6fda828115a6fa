"""The network that tells a flat garment's parts, trained on garments of the photographs' world.

    python -m drawn_world.training.garment_parts --minutes 60 --out RUNS/parts.safetensors
    python -m drawn_world.training.garment_parts --out RUNS/parts.safetensors --into RUNS/warping.safetensors

The first renders garments and trains until the minutes are over, the second puts the result into a warping file.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import math
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ladivton_core.checkpoints.build import load, save
from ladivton_core.checkpoints.reading import read_state_dict
from ladivton_core.disk.tensors import write_tensors
from ladivton_core.disk.terminal import to_terminal
from ladivton_core.presets import TINY
from ladivton_core.warping.garment_parts import ALONG, PARTS, POINTS, GarmentParts, centres

from ..photographs.bodies import SIDES
from ..photographs.frames import SIZE
from ..photographs.garments import sample_garment
from ..photographs.sewing import cut
from ..photographs.tables import draw_flat, sample_table
from ..photographs.wearing import look_up

log = logging.getLogger(__name__)

RENDERED = (256, 192)
CYCLE = ("upper_body", "upper_body", "dresses", "lower_body")
_TRUNK = {"chest": (0.0, 0.35), "shoulder_right": (-0.8, 0.35), "shoulder_left": (0.8, 0.35), "belly": (0.0, 2.0)}
_PIECES = {"front": "front", "back": "inside"}
_WEIGHTS = {"inside": 3.0, "sleeve_right": 1.5, "sleeve_left": 1.5}
_BATCH, _POOL, _RATE = 16, 3000, 2e-3


def _mirrored(names: tuple[str, ...]) -> list[int]:
    """The number of each name's other side."""
    other = {name: name.replace("right", "L").replace("left", "right").replace("L", "left") for name in names}
    return [names.index(other[name]) for name in names]


class Flat(NamedTuple):
    """A garment on a table: picture (H, W, 3) uint8, parts and cover (H, W) uint8, points (len(POINTS), 2) in pixels,
    not numbers where they are not there, and pixels a unit."""

    picture: np.ndarray
    parts: np.ndarray
    cover: np.ndarray
    points: np.ndarray
    unit: float


def draw(seed: int, index: int, size: tuple[int, int] = RENDERED) -> Flat:
    """Garment `index` of a seed."""
    rng = np.random.default_rng([seed, index])
    garment = sample_garment(rng, CYCLE[index % len(CYCLE)])
    return draw_table(garment, sample_table(rng, garment), size)


def draw_table(garment: dict, table: dict, size: tuple[int, int]) -> Flat:
    """A garment on a table, from `sample_garment` and `sample_table`, in (height, width) pixels."""
    scale = size[0] / SIZE[0]
    pieces = cut(garment, scale)
    flat, picture, cover = draw_flat(garment, pieces, table, size)
    parts, points = np.zeros(size, np.uint8), np.full((len(POINTS), 2), np.nan, np.float32)
    for layer in flat.layers:
        seen = look_up(pieces[layer.piece], layer, flat.unit * scale)[1] > 0.5
        parts[layer.rows, layer.columns][seen] = PARTS.index(_PIECES.get(layer.piece, layer.piece))
    places = {name: ("front", *place) for name, place in _TRUNK.items()} if "front" in pieces else {}
    kind, length = ("sleeve", garment["sleeve"]) if places else ("leg", garment["length"])
    along = (0, min(0.3, 0.4 * length), length / 2, length) if places else (0, 0.88, (length + 0.88) / 2, length)
    for side in SIDES if length else ():
        places |= {f"{kind}_{side}_{i}": (f"{kind}_{side}", 0.0, along[i]) for i in range(ALONG)}
    for name, (piece, u, v) in places.items():
        points[POINTS.index(name)] = flat.place(piece, np.array(u), np.array(v)) * scale - 0.5
    return Flat(picture, parts, cover, points, flat.unit * scale)


def shown(made: Flat, rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, float]:
    """A garment as it may come: cut out or not, of any size and place, turned, mirrored, in other colours, soft.

    Returns:
        Picture (3, H, W) in [-1, 1] and parts (H, W) at the network's size, points (len(POINTS), 2) in [0, 1], and the
        logarithm of a unit in heights.
    """
    picture = torch.from_numpy(made.picture).movedim(-1, 0).float() / 255
    if rng.random() < 0.7:
        picture = 1 - (1 - picture) * (torch.from_numpy(made.cover).float() / 255)
    height, width = made.parts.shape
    rows, columns = np.nonzero(made.parts)
    low, high = (np.array([f(columns), f(rows)], float) for f in (np.min, np.max))
    share = ((high - low) / (width, height)).max()
    fill = rng.uniform(0.6, 1.0) if rng.random() < 0.3 else rng.uniform(0.85, 1.0)
    broad, turn = float(np.clip(rng.normal(1, 0.05), 0.88, 1.14)), rng.normal(0, 0.03)
    scale, (c, s) = share / fill, (math.cos(turn), math.sin(turn))
    # from the picture shown to the one rendered, both in [-1, 1]
    matrix = scale * np.array([[c / broad, -s / broad * height / width], [s * width / height, c]])
    start = ((low + high) + 1) / (width, height) - 1 - matrix @ (rng.uniform(-0.6, 0.6, 2) * (1 - fill))
    theta = torch.from_numpy(np.concatenate([matrix, start[:, None]], 1))[None].float()
    grid = F.affine_grid(theta, [1, 3, *GarmentParts.SIZE], align_corners=False)
    ground = picture[:, :1, :1]
    picture = F.grid_sample((picture - ground)[None], grid, align_corners=False)[0] + ground
    labels = F.one_hot(torch.from_numpy(made.parts).long(), len(PARTS)).movedim(-1, 0).float()
    labels = F.grid_sample(labels[None], grid, align_corners=False)[0]
    labels[0] += 1 - labels.sum(0)
    parts = labels.argmax(0)
    points = (2 * (made.points + 0.5) / (width, height) - 1 - start) @ np.linalg.inv(matrix).T
    points = torch.from_numpy((points + 1) / 2).float()
    if rng.random() < 0.5:
        picture, parts = picture.flip(-1), torch.tensor(_mirrored(PARTS))[parts.flip(-1)]
        points = points[_mirrored(POINTS)] * torch.tensor([-1.0, 1.0]) + torch.tensor([1.0, 0.0])
    if rng.random() < 0.5:
        picture = picture[torch.from_numpy(rng.permutation(3))]
    if rng.random() < 0.5:
        picture = picture.clamp(0, 1) ** float(np.exp(rng.normal(0, 0.25)))
    if rng.random() < 0.3:
        noise = torch.from_numpy(rng.normal(0, rng.uniform(0, 0.03), tuple(picture.shape)))
        picture = picture + noise.float()
    if rng.random() < 0.3:
        small = F.interpolate(picture[None], scale_factor=float(rng.uniform(0.5, 0.9)), mode="bilinear")
        picture = F.interpolate(small, GarmentParts.SIZE, mode="bilinear")[0]
    return picture * 2 - 1, parts, points, math.log(made.unit * math.sqrt(broad) / (scale * height))


def losses(network: GarmentParts, batch: tuple[Tensor, Tensor, Tensor, Tensor]) -> tuple[Tensor, dict[str, float]]:
    """Loss of a batch, and what of it can be read: share of right parts, points' errors in heights."""
    picture, parts, points, unit = batch
    labels, maps, found_unit = network.maps(picture)
    weights = torch.tensor([_WEIGHTS.get(part, 1.0) for part in PARTS])
    there = points.isfinite().all(-1) & (points > 0).all(-1) & (points < 1).all(-1)
    truth = points.nan_to_num()
    off = (centres(maps) - truth).abs().sum(-1)[there].mean()
    height, width = maps.shape[-2:]
    column, row = ((truth[..., i] * n).long().clamp(0, n - 1) for i, n in enumerate((width, height)))
    peaked = F.cross_entropy(maps.flatten(2)[there], (row * width + column)[there])
    loss = F.cross_entropy(labels, parts, weights) + 0.3 * peaked + 10 * off + (found_unit - unit).abs().mean()
    right = (labels.argmax(1) == parts)[parts > 0].float().mean()
    told = {"right": right, "off": off, "unit": (found_unit - unit).abs().mean()}
    return loss, {name: float(value.detach()) for name, value in told.items()}


def train(minutes: float, seed: int) -> GarmentParts:
    """Render and train until the minutes are over; the rate falls to nothing by then."""
    torch.manual_seed(seed)
    network, rng = GarmentParts(), np.random.default_rng(seed)
    optimiser = torch.optim.AdamW(network.parameters(), _RATE, weight_decay=1e-2)
    pool, numbers, start = [], itertools.count(), time.monotonic()
    for step in itertools.count(1):
        done = (time.monotonic() - start) / (60 * minutes)
        if done >= 1:
            break
        fresh = [draw(seed, next(numbers)) for _ in range(64 if not pool else 4)]
        pool = [*fresh, *pool][:_POOL]
        rows = [shown(pool[rng.integers(len(pool))], rng) for _ in range(_BATCH)]
        batch = tuple(torch.stack([torch.as_tensor(value) for value in column]) for column in zip(*rows, strict=True))
        for group in optimiser.param_groups:
            group["lr"] = _RATE * min(1, step / 100) * (0.02 + 0.49 * (1 + math.cos(math.pi * done)))
        loss, told = losses(network, batch)
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 5.0)
        optimiser.step()
        if step % 50 == 0:
            log.info("step %d, %.0f %%: %s", step, 100 * done, {name: round(value, 4) for name, value in told.items()})
    return network.eval()


def main(given: list[str] | None = None) -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        "python -m drawn_world.training.garment_parts", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="safetensors file of the network")
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=7001)
    parser.add_argument("--into", type=Path, help="a warping file that gets it; nothing is trained")
    chosen = parser.parse_args(given)
    to_terminal()
    if chosen.into is None:
        write_tensors(chosen.out, train(chosen.minutes, chosen.seed).state_dict(), {"part": "garment_parts"})
        return
    warper = load("warping", chosen.into, TINY)
    warper.garment_parts = GarmentParts()
    warper.garment_parts.load_state_dict(read_state_dict(chosen.out))
    save("warping", warper, chosen.into)


if __name__ == "__main__":
    main()
