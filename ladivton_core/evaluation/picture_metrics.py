"""What is measured picture by picture: SSIM and LPIPS against the truth, and what the Inception Score sees.

Published §9. `set_metrics.py` has what compares whole sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..disk.pictures import open_picture
from ..preprocessing.pictures import on_white
from ..start import installing

if TYPE_CHECKING:
    from PIL.Image import Image
    from torchmetrics import Metric

SIZE = (512, 384)
"""(height, width) at which pictures are compared, whatever they have on disk."""

SPLITS = 10
"""Parts of the set over which the Inception Score is averaged."""


def read(path: Path, size: tuple[int, int] | None = None) -> Tensor:
    """A picture's `pixels`.

    Raises:
        ValueError: it is no picture, damaged, or too large.
    """
    return pixels(open_picture(path), str(path), size)


def pixels(picture: Image, called: str, size: tuple[int, int] | None = None) -> Tensor:
    """A picture (3, H, W) float32 in [0, 1]: RGB, bilinear with antialiasing, as torchvision's Resize does it.

    Args:
        called: what messages call it.
        size: (height, width); None is `SIZE`.
    """
    from PIL.Image import Resampling

    size = size or SIZE
    picture = on_white(picture, called)
    if picture.size != (size[1], size[0]):
        picture = picture.resize((size[1], size[0]), Resampling.BILINEAR)
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous().float() / 255


def ssim(made: Tensor, truth: Tensor) -> float:
    """Structural similarity of pictures (3, H, W) in [0, 1], as the paper's torchmetrics 0.11.4 counts it.

    That one leaves the 5 pixels at the border out of the mean, as scikit-image does. Later versions count them, and cut
    variances that rounding made negative off at 0 but not the covariance, which costs even equal pictures with flat
    areas up to 1e-3; and they take 20 times as long on a CPU.

    Raises:
        ImportError: scikit-image is missing.
    """
    try:
        from skimage.metrics import structural_similarity
    except ImportError as error:
        raise ImportError(f"SSIM needs scikit-image: {installing(extra='eval')}") from error
    sides = (side.double().cpu().numpy() for side in (made, truth))
    return float(
        structural_similarity(
            *sides, data_range=1.0, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, channel_axis=0
        )
    )


def ssims(pairs: Sequence[tuple[Path, Path]], device: torch.device | str, batch: int = 8, tick=None) -> Tensor:
    """Structural similarity (N,) of (result, truth) files; computed on the CPU in double precision."""
    batches = _batches(pairs, "cpu", batch, tick)
    return torch.tensor([ssim(*pair) for pictures in batches for pair in zip(*pictures, strict=True)]).double()


def lpips(
    metric: Metric, pairs: Sequence[tuple[Path, Path]], device: torch.device | str, batch: int = 8, tick=None
) -> Tensor:
    """LPIPS (N,) of (result, truth) files; `metric` as `backbones.lpips` gives it."""
    return torch.cat(
        [
            torch.stack([distance(metric, *pair).cpu() for pair in zip(*pictures, strict=True)])
            for pictures in _batches(pairs, device, batch, tick)
        ]
    )


@torch.no_grad()
def distance(metric: Metric, made: Tensor, truth: Tensor) -> Tensor:
    """LPIPS of one picture (3, H, W) in [0, 1]."""
    metric.reset()
    metric.update(made[None], truth[None])
    return metric.compute()


def class_logits(
    metric: Metric, files: Sequence[Path], device: torch.device | str, batch: int = 8, tick=None
) -> Tensor:
    """What the Inception Score's network sees in each file (N, classes); `metric` of `backbones.inception_score`."""
    metric.reset()
    with torch.no_grad():
        for (made,) in _batches([(file,) for file in files], device, batch, tick):
            metric.update(made)
    return torch.cat(list(metric.features)).cpu()


def inception_score(logits: Tensor) -> float:
    """Mean over the splits, by torchmetrics; which pictures share a split is drawn from a seed of its own."""
    from torchmetrics.image.inception import InceptionScore

    metric = InceptionScore(torch.nn.Identity(), splits=SPLITS)
    metric.update(logits)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return float(metric.compute()[0])


def _batches(rows: Sequence[tuple[Path, ...]], device: torch.device | str, batch: int, tick: Callable | None):
    for start in range(0, len(rows), batch):
        block = rows[start : start + batch]
        yield [torch.stack([read(path) for path in column]).to(device) for column in zip(*block, strict=True)]
        if tick:
            tick(len(block))
