"""Figures of the garment's own detail in a photo's pixels: `finishing.detail` against the result enlarged.

    python -m drawn_world.figures.detail --world drawn --count 24
    python -m drawn_world.figures.detail --world rendered --count 24 --size 2048 1536

People of either world in another garment, drawn at the photo's size and dressed at 512 x 384: by the shipped models
(`shipped`), and by models that would be right (`right`: the truth at their size). Both hang as the shipped spline says.
In the rendered world, whose true warp is known, also with letters 12 pixels high printed on the garment, hanging as the
true warp says and 3 pixels beside it. A line a person; means by category at the end.
"""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ladivton_core.disk.terminal import to_terminal
from ladivton_core.finishing.detail import garment_detail
from ladivton_core.finishing.editing import bring_back
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.framing.fitting import Fit
from ladivton_core.preprocessing.garment.backdrop import centred_on_white
from ladivton_core.preprocessing.masks.agnostic import agnostic_image
from ladivton_core.preprocessing.masks.body_mask import body_mask, cloth_on_white
from ladivton_core.preprocessing.masks.body_region import body_region
from ladivton_core.preprocessing.pose.pose_map import pose_map
from ladivton_core.runtime.process import prepare_process

from ..photographs.inputs import cut_out, pictures, places
from ..photographs.scene import FIELD, pair
from ..world.scene import UNPAIRED_SHIFT, DrawnWorld
from .metrics import psnr, ssim

MODELS = (512, 384)
LETTER, LINE = 12, 22
"""Pixels: height of a capital, and from line to line."""
READ = 0.8
"""Correlation with the true letter from which it counts as readable."""


@dataclass(frozen=True)
class Case:
    """One person to be dressed, at the photo's size; pictures (3, H, W) in [0, 1].

    Attributes:
        person, truth, worn: before, in the garment, and the garment as worn, on white.
        garment: cut out.
        joints: (18, 2), pixels.
        silhouette: (1, H, W) in {0, 1}.
        category: of the garment.
        field: where in `garment` every cell of 4 x 4 pixels of the photo looks (H / 4, W / 4, 2), pixels; None where
            the world does not tell.
    """

    person: Tensor
    truth: Tensor
    worn: Tensor
    garment: Tensor
    joints: Tensor
    silhouette: Tensor
    category: str
    field: Tensor | None = None


def drawn_people(count: int, seed: int, size: tuple[int, int]) -> Iterator[Case]:
    """People of the drawn world."""
    world = DrawnWorld(seed, size)
    for index in range(count):
        before, after = world.scene([index], [index]), world.scene([index], [index + UNPAIRED_SHIFT])
        yield Case(
            before.person[0], after.person[0], after.worn[0], after.garment[0], before.keypoints[0],
            (before.parse > 0).float(), after.category[0],
        )  # fmt: skip


def rendered_people(count: int, seed: int, size: tuple[int, int]) -> Iterator[Case]:
    """People of the photographs' world: both of a pair, each in the other's garment, with letters."""
    for index in range((count + 1) // 2):
        made = pair(seed, index, size)
        persons, worn, flats = pictures(made.persons), pictures(made.worn), cut_out(made.garments, made.garment_masks)
        for old, new in ((0, 1), (1, 0))[: count - 2 * index]:
            field = torch.from_numpy(made.fields[new])
            yield Case(
                persons[old], persons[new], worn[new], flats[new], places(made.detected).float(),
                torch.from_numpy(made.silhouettes[old] > 127)[None].float(), made.category, field,
            )  # fmt: skip


WORLDS = {"drawn": drawn_people, "rendered": rendered_people}


def lettered(case: Case) -> tuple[Tensor, Tensor, Tensor]:
    """Garment and truth with letters printed on, and how much of each pixel of the truth is letter (1, H, W)."""
    height, width = case.garment.shape[-2:]
    ink = np.zeros((height, width), np.uint8)
    for line, y in enumerate(range(LINE, height, LINE)):
        text = "".join(chr(65 + (7 * line + 5 * place) % 26) for place in range(width // 12))
        cv2.putText(ink, text, (0, y), cv2.FONT_HERSHEY_SIMPLEX, LETTER / 21, 255, 1, cv2.LINE_AA)
    print_ = torch.from_numpy(ink)[None].float() / 255
    hangs = F.grid_sample(print_[None], _grid(case.field, (height, width)), mode="bicubic", align_corners=False)[0]
    hangs = hangs.clamp(0, 1) * (case.worn < 0.98).any(0)
    colour = 1 - (case.truth.mean() > 0.4).float()  # told from cloth by light or dark
    garment, truth = (
        picture * (1 - share) + colour * share for picture, share in ((case.garment, print_), (case.truth, hangs))
    )
    return garment * (case.garment < 0.98).any(0) + (case.garment >= 0.98).all(0), truth, hangs


def _grid(field: Tensor, size: tuple[int, int]) -> Tensor:
    """A field of cells, in pixels of the garment's picture, as a grid (1, *size, 2), continued beyond the cloth."""
    known = field.isfinite().all(-1)[None, None].float()
    pixels = torch.tensor([field.shape[1], field.shape[0]]) * FIELD
    values = ((torch.nan_to_num(field) + 0.5) * 2 / pixels - 1).permute(2, 0, 1)[None] * known
    for _ in range(40):  # cells beyond the cloth
        near = F.avg_pool2d(known, 3, 1, 1)
        grown = F.avg_pool2d(values, 3, 1, 1) / near.clamp_min(1e-6)
        values, known = torch.where(known > 0, values, grown), ((known > 0) | (near > 0)).float()
    return F.interpolate(values, size, mode="bilinear", align_corners=False).permute(0, 2, 3, 1)


def _shaken(grid: Tensor, pixels: float) -> Tensor:
    """A grid (1, H, W, 2) whose places wander smoothly by so many pixels (root of the mean square)."""
    noise = torch.randn(1, 2, 6, 5, generator=torch.Generator().manual_seed(7))
    away = F.interpolate(noise, grid.shape[1:3], mode="bicubic", align_corners=False) * pixels
    y, x = torch.meshgrid(*(torch.arange(side) + 0.5 for side in grid.shape[1:3]), indexing="ij")
    places = torch.stack([(x + away[0, 0]) * 2 / grid.shape[2] - 1, (y + away[0, 1]) * 2 / grid.shape[1] - 1], -1)
    moved = F.grid_sample(grid.permute(0, 3, 1, 2), places[None], padding_mode="border", align_corners=False)
    return moved.permute(0, 2, 3, 1)


@torch.no_grad()
def figures_of(case: Case, pipeline: TryOnPipeline, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    """(whose result, figures) of a person: what detail adds to PSNR and SSIM on the cloth, and how letters read."""
    fit = Fit.plan(tuple(case.person.shape[-2:]), MODELS, "stretch")
    shown = fit.apply(case.person[None])
    times = case.person.shape[-2] // MODELS[0]
    small, large = (centred_on_white(case.garment, MODELS, times=more) for more in (1, times))
    joints = case.joints[None] * (MODELS[0] / case.person.shape[-2])
    given = {"silhouette": (fit.apply(case.silhouette[None]) > 0.5).float(), "picture": shown, "say": lambda _: None}
    pose = pose_map(joints, MODELS)
    warp = pipeline.warper(
        small[None] * 2 - 1, agnostic_image(shown * 2 - 1, body_region(joints, case.category, MODELS, **given)), pose
    )
    lies = cloth_on_white(warp.coarse / 2 + 0.5)
    mask = body_mask(case.category, MODELS, keypoints=joints, cloth=lies, **given)
    made = pipeline(
        shown * 2 - 1, small[None] * 2 - 1, mask=mask, pose_map=pose, category=case.category, warped=warp.coarse,
        seeds=seed,
    ).images  # fmt: skip
    ways = [("shipped", made, warp.grid[0], large, case.truth, None)]
    ways.append(("right", fit.apply(case.truth[None]), warp.grid[0], large, case.truth, None))
    if case.field is not None:
        garment, truth, letters = lettered(case)
        for name, off in (("right, letters, true warp", 0.0), ("right, letters, warp 3 pixels off", 3.0)):
            spline = _shaken(_grid(case.field, MODELS), off)[0]
            ways.append((name, fit.apply(truth[None]), spline, garment, truth, letters))
    for name, result, spline, garment, truth, letters in ways:
        # a right result has the photo's colours; the surroundings, in which the old clothes are, would shift them
        plain, taken = bring_back(
            result[0], case.person, fit, mask=mask[0], feather=3, match_colour=name == "shipped", say=lambda _: None
        )
        detailed, weight = garment_detail(plain, garment, fit, spline=spline, region=taken, say=lambda _: None)
        cloth = ((case.worn < 0.98).any(0, keepdim=True) & (taken > 0.5)).float()[None]
        before, after = (
            (psnr(picture[None], truth[None], cloth), ssim(picture[None], truth[None], cloth))
            for picture in (plain, detailed)
        )
        figures = {"psnr": after[0] - before[0], "ssim": after[1] - before[1], "was": before[0]}
        figures["weight"] = (weight * cloth).sum() / cloth.sum()
        if letters is not None:
            figures["read before"], figures["read"] = (
                _readable(picture, truth, letters, cloth) for picture in (plain, detailed)
            )
        yield name, {figure: float(value) for figure, value in figures.items()}


def _readable(picture: Tensor, truth: Tensor, letters: Tensor, cloth: Tensor) -> float:
    """Share of the places with letters on the cloth that correlate with the true ones, in squares of two letters."""
    side = 2 * LETTER

    def squares(values: Tensor) -> Tensor:
        return F.unfold(values.mean(0, keepdim=True)[None], side, stride=side)[0].T  # (N, side²)

    wanted = (squares(letters).mean(1) > 0.08) & (squares(cloth[0]).amin(1) > 0)
    ours, theirs = (part - part.mean(1, keepdim=True) for part in (squares(picture)[wanted], squares(truth)[wanted]))
    alike = (ours * theirs).sum(1) / (ours.norm(dim=1) * theirs.norm(dim=1)).clamp_min(1e-6)
    return float((alike > READ).float().mean())


def main(given: list[str] | None = None) -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--world", choices=WORLDS, default="drawn")
    parser.add_argument("--count", type=int, default=24, help="people (%(default)s)")
    parser.add_argument("--seed", type=int, default=770178, help="of their world (%(default)s)")
    parser.add_argument("--size", type=int, nargs=2, default=(1024, 768), metavar=("H", "W"))
    chosen = parser.parse_args(given)
    prepare_process()
    to_terminal()
    pipeline, rows = TryOnPipeline.from_embedded(), defaultdict(list)
    for number, case in enumerate(WORLDS[chosen.world](chosen.count, chosen.seed, tuple(chosen.size))):
        for name, figures in figures_of(case, pipeline, number):
            print(number, case.category, name, {key: round(value, 3) for key, value in figures.items()}, flush=True)
            for group in (case.category, "all"):
                rows[name, group].append(figures)
    for (name, group), figures in sorted(rows.items()):
        means = {key: round(float(np.nanmean([one[key] for one in figures])), 4) for key in figures[0]}
        worst = min(one["psnr"] for one in figures)
        print(f"{name}, {len(figures)} {group}: {means}, worst {worst:+.3f}")


if __name__ == "__main__":
    main()
