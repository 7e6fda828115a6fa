"""The embedded default on unseen people of the synthetic world, against the rendered truth.

In the unpaired order person i wears the garment of person i + 1, and the world draws what that looks like.
Figures are means over samples; pictures count in [0, 1].
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import torch
from torch import Tensor

from ..datasets.synthetic import SyntheticWorld
from ..preprocessing.agnostic import agnostic_mask
from ..preprocessing.labels import LIP20
from ..preprocessing.pose_map import pose_map

log = logging.getLogger(__name__)
ORDERS = ("paired", "unpaired")


def evaluate(
    seed: int,
    count: int,
    order: str,
    *,
    sheet: Path | None = None,
    steps: int | None = None,
    guidance_scale: float | None = None,
    pipeline=None,
) -> dict[str, float]:
    """Run the pipeline on `count` samples of world `seed`.

    Args:
        order: `paired` or `unpaired`.
        sheet: where to write a contact sheet (person, garment, warped, agnostic, result, truth), if anywhere.
        steps, guidance_scale: the preset's when None.
        pipeline: a `TryOnPipeline` in place of the embedded one.

    Returns:
        `l1`, `l1_mask`, `psnr_mask`, `psnr_outside`, `psnr_outside_no_emasc`, `warp_l1_tps`, `warp_l1_refined`,
        `seconds_per_picture`.

    Raises:
        ValueError: an unknown order, or no samples.
    """
    if order not in ORDERS or count < 1:
        raise ValueError(f"order is one of {', '.join(ORDERS)} and count at least 1; got {order!r} and {count}")
    if pipeline is None:
        from ..pipeline import TryOnPipeline

        pipeline = TryOnPipeline.from_embedded()
    world, shift = SyntheticWorld(seed), int(order == "unpaired")
    sums: dict[str, float] = {}
    rows: list[Tensor] = []
    for index in range(count):
        before, truth = world.scene([index], [index]), world.scene([index], [index + shift])
        mask = agnostic_mask(before.parse, before.keypoints, "upper_body", LIP20, missing_joints="skip")
        person, garment = before.person * 2 - 1, truth.garment * 2 - 1
        started = time.monotonic()
        encoded = pipeline.encode_person(person, mask, pose_map(before.keypoints, world.size))
        result = pipeline(encoded, garment, seeds=index, steps=steps, guidance_scale=guidance_scale)
        seconds = time.monotonic() - started
        figures = _figures(result, truth, mask) | {"seconds_per_picture": seconds}
        plain = pipeline.decode(result.latents)
        figures["psnr_outside_no_emasc"] = _psnr(plain, truth.person, 1 - mask)
        for name, value in figures.items():
            sums[name] = sums.get(name, 0.0) + value / count
        rows.append(
            torch.cat(
                [
                    before.person,
                    truth.garment,
                    result.warped / 2 + 0.5,
                    (person * (1 - mask)) / 2 + 0.5,
                    result.images,
                    truth.person,
                ]
            )
        )
        log.info("sample %d of %d", index + 1, count)
    if sheet is not None:
        write_sheet(rows, sheet)
    return {name: round(value, 4) for name, value in sums.items()}


def _figures(result, truth, mask: Tensor) -> dict[str, float]:
    difference = (result.images - truth.person).abs()
    worn = truth.worn
    return {
        "l1": float(difference.mean()),
        "l1_mask": float((difference * mask).sum() / (3 * mask.sum())),
        "psnr_mask": _psnr(result.images, truth.person, mask),
        "psnr_outside": _psnr(result.images, truth.person, 1 - mask),
        "warp_l1_tps": float((result.coarse / 2 + 0.5 - worn).abs().mean()),
        "warp_l1_refined": float((result.warped / 2 + 0.5 - worn).abs().mean()),
    }


def _psnr(image: Tensor, truth: Tensor, where: Tensor) -> float:
    """Decibels over the pixels of a mask."""
    error = ((image - truth).square() * where).sum() / (3 * where.sum())
    return float(-10 * torch.log10(error.clamp_min(1e-10)))


def write_sheet(rows: list[Tensor], path: Path, height: int = 256) -> None:
    """Tile rows of pictures (N, 3, H, W) in [0, 1] into one image file, each `height` pixels high."""
    import numpy as np
    from PIL import Image

    small = [
        torch.nn.functional.interpolate(
            row.clamp(0, 1), size=(height, height * row.shape[-1] // row.shape[-2]), mode="area"
        )
        for row in rows
    ]
    table = torch.cat([torch.cat(list(row), dim=2) for row in small], dim=1)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((table.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8)).save(path, quality=90)
