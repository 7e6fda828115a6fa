"""A pipeline on unseen people of the drawn world, against the rendered truth.

In the unpaired order the world draws what the given garment would look like. Figures are means over samples;
pictures count in [0, 1]. `metrics.py` and `classifier.py` say what the figures are.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch
from torch import Tensor

from ladivton_core.disk.sheet import write_sheet
from ladivton_core.pipeline import TryOnPipeline

from ..world.scene import DrawnWorld
from .classifier import SAME_COLOUR, Cloth, colour_distances, load_classifier, look, right, shown
from .metrics import l1, psnr, ssim
from .truth import Samples, draw, people
from .variants import Variant, encode, run

log = logging.getLogger(__name__)
_SHEET_ROWS = 20
_STRANGERS = range(1_000_000, 1_000_100)  # garments nobody is given; the chance level compares with them


def evaluate(
    seed: int,
    count: int,
    order: str,
    *,
    category: str | None = None,
    variant: Variant | None = None,
    batch: int = 1,
    sheet: Path | None = None,
    pipeline: TryOnPipeline | None = None,
) -> dict[str, float]:
    """Run the pipeline on `count` samples of world `seed`.

    Args:
        order: `paired` or `unpaired`.
        category: only people of one of `upper_body`, `lower_body`, `dresses`.
        variant: how to run the pipeline; the preset's way when None.
        batch: samples at a time; it changes the speed, and rounding.
        sheet: where to write a contact sheet (person, garment, warped, agnostic, result, truth) of the first 20
            samples, if anywhere.
        pipeline: in place of the embedded one.

    Returns:
        `ssim`, `l1` of the whole picture, `ssim_mask`, `l1_mask`, `psnr_mask` inside the inpaint mask, `psnr_outside`,
        `psnr_outside_no_emasc` outside it; `warp_l1_tps`, `warp_l1_refined` of the warped garment against the truly
        worn one; `pattern_right`, `colour_right` shares by the classifier and `colour_chance`, the share of right
        colours had other garments been asked for; `seconds_per_picture` from encoding to decoding. With more than
        one category the same again for each, e.g. `dresses.ssim`.

    Raises:
        ValueError: an unknown order or category, or no samples.
        FileNotFoundError: the classifier's weights are missing.
    """
    pipeline = pipeline or TryOnPipeline.from_embedded()
    variant, classifier = variant or Variant(), load_classifier()
    world = DrawnWorld(seed, pipeline.preset.size)
    others = shown([world.garment(index) for index in _STRANGERS])
    columns: dict[str, list[Tensor]] = {}
    categories: list[str] = []
    rows: list[Tensor] = []
    for block in people(world, count, category, batch):
        samples = draw(world, block, order)
        started = time.monotonic()
        encoded = encode(pipeline, samples)
        result = run(pipeline, encoded, variant)
        images = result.images.cpu()
        seconds = (time.monotonic() - started) / len(block)
        plain = pipeline.decode(result.latents).cpu()
        seen = look(classifier, images, samples.mask)
        figures = compare(images, samples, seen)
        figures["colour_chance"] = (colour_distances(seen, others) <= SAME_COLOUR).float().mean(1)
        figures["psnr_outside_no_emasc"] = psnr(plain, samples.truth, 1 - samples.mask)
        for name, picture in (("warp_l1_tps", encoded.warp.coarse), ("warp_l1_refined", encoded.warp.warped)):
            figures[name] = l1(picture.cpu() / 2 + 0.5, samples.worn)
        figures["seconds_per_picture"] = torch.full((len(block),), seconds)
        for name, values in figures.items():
            columns.setdefault(name, []).append(values)
        categories += samples.categories
        if sheet is not None and len(rows) < _SHEET_ROWS:
            warped, agnostic = (x.cpu() / 2 + 0.5 for x in (encoded.warp.warped, encoded.person.agnostic))
            pictures = (samples.person, samples.garment, warped, agnostic, images, samples.truth)
            rows += list(torch.stack(pictures, dim=1))
        log.info("%d of %d samples", len(categories), count)
    if sheet is not None:
        write_sheet(rows[:_SHEET_ROWS], sheet, titles=("person", "garment", "warped", "agnostic", "result", "truth"))
    return _means({name: torch.cat(values) for name, values in columns.items()}, categories)


def compare(images: Tensor, samples: Samples, seen: Cloth) -> dict[str, Tensor]:
    """Figures (B,) of pictures (B, 3, H, W) in [0, 1] against the truth, and of what the classifier saw, by name."""
    truth, mask = samples.truth, samples.mask
    return {
        "ssim": ssim(images, truth),
        "l1": l1(images, truth),
        "ssim_mask": ssim(images, truth, mask),
        "l1_mask": l1(images, truth, mask),
        "psnr_mask": psnr(images, truth, mask),
        "psnr_outside": psnr(images, truth, 1 - mask),
    } | {f"{name}_right": values for name, values in right(seen, shown(samples.garments)).items()}


def _means(columns: dict[str, Tensor], categories: list[str]) -> dict[str, float]:
    means = {name: round(float(values.mean()), 4) for name, values in columns.items()}
    kinds = sorted(set(categories))
    if len(kinds) > 1:
        for kind in kinds:
            rows = torch.tensor([category == kind for category in categories])
            means |= {f"{kind}.{name}": round(float(values[rows].mean()), 4) for name, values in columns.items()}
    return means
