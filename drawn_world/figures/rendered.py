"""Figures on photographs of the rendered world, with its truth: warp and picture, as the photo graphs run them.

    python -m drawn_world.photographs render FOLDER --count 100 --seed 4999
    python -m drawn_world.figures.rendered FOLDER --count 100 --json out.json

Joints are as a detector gives them, the warper sees the person without what `body_region` finds from joints and
silhouette, garments are cut out and centred, the sampler repaints the body's mask, and what of it goes into the photo
is pasted. Each file is both orders: person 0 in garment 0 again, and in garment 1.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ladivton_core.disk.sheet import write_sheet
from ladivton_core.disk.terminal import to_terminal
from ladivton_core.disk.writing import write_text
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.mask_edges import grow_mask
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.garment.backdrop import Centring, centred_on_white
from ladivton_core.preprocessing.labels import LIP20
from ladivton_core.preprocessing.masks.body_mask import cloth_on_white
from ladivton_core.preprocessing.masks.body_region import body_region
from ladivton_core.preprocessing.pose.pose_map import pose_map
from ladivton_core.preprocessing.prepare import FramedPerson
from ladivton_core.presets import TINY
from ladivton_core.runtime.process import prepare_process
from ladivton_core.warping.warper import WarpResult

from ..photographs.inputs import cut_out, pictures, places
from ..photographs.scene import LANDMARKS, Pair
from ..photographs.store import path_of, read
from .metrics import l1, psnr, ssim

log = logging.getLogger(__name__)

COLLAR = tuple(LANDMARKS.index(n) for n in LANDMARKS if n.startswith(("neck", "shoulder", "waist")))
"""Points by which a garment hangs: neckline and shoulders, or the waist."""
_ARMS = ("left_arm", "right_arm")
_SHEET_ROWS = 24


@dataclass(frozen=True)
class Sample:
    """One person to be dressed. Pictures (1, 3, H, W) in [0, 1], masks (1, 1, H, W) in {0, 1}.

    Attributes:
        person, truth: before, and in the garment.
        garment: cut out and centred on white.
        worn, cloth: the garment as worn, on white, and where it lies.
        joints: as detected (1, 18, 2), pixels; missing ones (0, 0).
        region: what `body_region` leaves out for the warper.
        silhouette: of the person before.
        body: the person before or after.
        arms: bare arms of the truth.
        landmarks: points of the garment in `garment` and as worn (2, N, 2), pixels.
        category: of the garment.
    """

    person: Tensor
    truth: Tensor
    garment: Tensor
    worn: Tensor
    cloth: Tensor
    joints: Tensor
    region: Tensor
    silhouette: Tensor
    body: Tensor
    arms: Tensor
    landmarks: Tensor
    category: str


def samples(made: Pair) -> Iterator[Sample]:
    """Person 0 in its own garment again, then in the other; none where too few joints are known."""
    persons, worn, flats = pictures(made.persons), pictures(made.worn), cut_out(made.garments, made.garment_masks)
    silhouettes = (torch.from_numpy(made.silhouettes)[:, None] > 127).float()
    size = (persons.shape[-2], persons.shape[-1])
    joints = places(made.detected)[None]
    given = {"silhouette": silhouettes[:1], "picture": persons[:1], "say": lambda _: None}
    try:
        region = body_region(joints, made.category, size, **given)
    except ValueError as error:
        log.info("left out: %s", error)
        return
    for after, flat in enumerate(flats):
        points = torch.from_numpy(made.landmarks[after].copy())
        points[0] = Centring.plan(flat, size).place(points[0])
        parse = torch.from_numpy(made.parse[after])[None, None]
        yield Sample(
            persons[:1], persons[after : after + 1], centred_on_white(flat, size)[None], worn[after : after + 1],
            (worn[after : after + 1] < 1).any(1, keepdim=True).float(), joints, region, silhouettes[:1],
            torch.maximum(silhouettes[:1], silhouettes[after : after + 1]),
            torch.isin(parse, torch.tensor(LIP20.ids(_ARMS))).float(), points, made.category,
        )  # fmt: skip


def landmarks_off(warp: WarpResult, sample: Sample) -> Tensor:
    """Distances (N,) of the garment's points from where they are worn, pixels at a height of 512; NaN where unknown."""
    height, width = sample.garment.shape[-2:]
    # what a place shows, in pixels, as `sample_garment` reads the grid
    seen = ((warp.grid[0].cpu() + 1) * torch.tensor([width, height]) - 1) / 2
    flat, there = sample.landmarks
    found = torch.full_like(flat, torch.nan)
    for number, point in enumerate(flat):
        if point.isfinite().all():
            nearest = int((seen - point).square().sum(-1).argmin())
            found[number] = torch.tensor([float(nearest % width), float(nearest // width)])
    return (found - there).norm(dim=-1) * 512 / height


@torch.no_grad()
def figures_of(
    pipeline: TryOnPipeline, sample: Sample, seed: int, refined: bool
) -> tuple[dict[str, float], list[Tensor]]:
    """What the pipeline makes of a sample: figures by name, and the sheet's pictures."""
    pose = pose_map(sample.joints, (sample.person.shape[-2], sample.person.shape[-1]))
    people = torch.zeros(1, 1, 60, 3, dtype=torch.float64)
    people[0, 0, : len(sample.joints[0])] = torch.cat([sample.joints, (sample.joints > 0).any(-1, keepdim=True)], -1)
    framed = FramedPerson(sample.person * 2 - 1, sample.region, pose, people, sample.silhouette)
    warp = pipeline.warp(sample.garment * 2 - 1, framed, refined=refined, photograph=True)
    warped = warp.warped.cpu()
    lies = cloth_on_white(warped / 2 + 0.5)
    mask, *_ = framed.under(warped, sample.category, say=lambda _: None)
    result = pipeline(
        framed, sample.garment * 2 - 1, category=sample.category, warped=warped, seeds=seed, paste_back=True
    ).images.cpu()
    off = landmarks_off(warp, sample)
    wall, arms, inside = mask * (1 - grow_mask(sample.body, 2)), mask * sample.arms, mask * sample.cloth
    figures = {
        "ssim": ssim(result, sample.truth), "psnr_mask": psnr(result, sample.truth, mask),
        "warp_l1": l1(warped / 2 + 0.5, sample.worn),
        "collar": off[list(COLLAR)].nanmedian(), "landmarks": off.nanmedian(),
        "coverage": (lies * sample.cloth).sum() / torch.maximum(lies, sample.cloth).sum().clamp_min(1),
        "halo": psnr(result, sample.truth, wall).clamp(max=40) if wall.sum() > 50 else torch.tensor(torch.nan),
        "garment": psnr(result, sample.truth, inside),
        "contrast": _spread(result, inside) / _spread(sample.truth, inside).clamp_min(1e-3),
        "skin": _colour_off(result, sample.truth, arms) if arms.sum() > 50 else torch.tensor(torch.nan),
        "white": (sample.worn * sample.cloth).sum() / (3 * sample.cloth.sum()).clamp_min(1),
    }  # fmt: skip
    shown = [sample.person, sample.garment, warped / 2 + 0.5, sample.person * (1 - mask), result, sample.truth]
    return {name: float(value) for name, value in figures.items()}, shown


def _spread(picture: Tensor, where: Tensor) -> Tensor:
    """Spread of the colours inside a mask."""
    values = picture.movedim(1, -1)[where[:, 0] > 0]
    return (values - values.mean(0)).square().mean().sqrt() if len(values) else torch.tensor(torch.nan)


def _colour_off(picture: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """Distance of the mean colours inside a mask, in levels of 255."""
    area = where.sum((2, 3)).clamp_min(1)
    return (((picture - truth) * where).sum((2, 3)) / area).norm(dim=1).mean() * 255


def evaluate(
    folder: Path, count: int, pipeline: TryOnPipeline | None = None, refined: bool = False, sheet: Path | None = None
) -> dict[str, float | None]:
    """Figures over the first `count` pairs of a folder, in both orders.

    Args:
        folder: of `python -m drawn_world.photographs render`.
        pipeline: in place of the embedded one.
        refined: the refined garment in place of the spline's.
        sheet: where to write person, garment, warped, agnostic, result, truth of the first samples.

    Returns:
        Means of `ssim`, `psnr_mask`, `warp_l1`, `coverage` (intersection of warped and truly worn cloth over their
        union), `halo` (dB of repainted ground, 40 at most), `garment` (dB), `contrast` (spread of its colours over the
        truth's), `skin` (levels off), medians of `collar` and `landmarks` (pixels at 512), `white_garment` (dB of the
        whitest quarter); the same again by order and by category. None where no sample tells.

    Raises:
        FileNotFoundError: fewer pairs than that.
    """
    pipeline = pipeline or TryOnPipeline.from_embedded()
    rows, lines = [], []
    for index in range(count):
        made = read(path_of(folder, index))
        for order, sample in zip(("paired", "unpaired"), samples(made), strict=False):
            figures, pictures = figures_of(pipeline, sample, index, refined)
            rows.append(({order, sample.category}, figures))
            if len(lines) < _SHEET_ROWS:
                lines.append(torch.cat(pictures))
        log.info("%d of %d pairs", index + 1, count)
    if sheet is not None:
        write_sheet(lines, sheet, titles=("person", "garment", "warped", "agnostic", "result", "truth"))
    groups = sorted(set.union(*(kinds for kinds, _ in rows)))
    result = _means([figures for _, figures in rows])
    for group in groups:
        result |= {f"{group}.{name}": v for name, v in _means([f for kinds, f in rows if group in kinds]).items()}
    return result


def _means(rows: list[dict[str, float]]) -> dict[str, float | None]:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    white = columns.pop("white")
    columns["white_garment"] = columns["garment"][white >= np.quantile(white, 0.75)]
    means: dict[str, float | None] = {}
    for name, values in columns.items():
        told = values[np.isfinite(values)]
        middle = np.median if name in ("collar", "landmarks") else np.mean
        means[name] = round(float(middle(told)), 4) if len(told) else None
    return means


def main(given: list[str] | None = None) -> None:
    """Run what the command line says."""
    parser = argparse.ArgumentParser(
        "python -m drawn_world.figures.rendered", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument("folder", type=Path)
    parser.add_argument("--count", type=int, default=100)
    parser.add_argument("--weights", type=Path, help="folder of `export`: its files in place of the shipped ones")
    parser.add_argument("--refined", action="store_true", help="the refined garment in place of the spline's")
    parser.add_argument("--json", type=Path, help="write the figures here, and a contact sheet beside them")
    chosen = parser.parse_args(given)
    prepare_process()
    to_terminal()
    pipeline = None
    if chosen.weights:
        made = {part: chosen.weights / f"{part}.safetensors" for part in PARTS}
        pipeline = TryOnPipeline.from_files(
            {part: file if file.is_file() else embedded_path(part) for part, file in made.items()}, TINY
        )
    sheet = chosen.json and chosen.json.with_suffix(".jpg")
    figures = evaluate(chosen.folder, chosen.count, pipeline, chosen.refined, sheet)
    if chosen.json:
        write_text(chosen.json, json.dumps(figures, indent=1, allow_nan=False) + "\n")
    log.info("%s", json.dumps(figures, indent=1, allow_nan=False))


if __name__ == "__main__":
    main()
