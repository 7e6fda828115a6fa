"""Inputs as they come: joints as a detector gives them, silhouettes with ragged edges and holes, filled borders.

The truth stays what was rendered; only what a model is told is worse. Training draws anew from a rendered pair.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from torch import Tensor

from ladivton_core.preprocessing.garment.garment import garment_on_white

from .noise import fractal

_SHARE = np.array([0.5, 0.6, 0.7, 1.0, 1.1, 0.7, 1.0, 1.1, 1.6, 1.2, 1.1, 1.6, 1.2, 1.1, 0.4, 0.4, 0.5, 0.5])
"""How unsure each COCO-18 joint is, in relation: hips under cloth most, eyes least."""


def detected(rng: np.random.Generator, joints: np.ndarray, unit: float, size: tuple[int, int]) -> np.ndarray:
    """Joints (18, 3) as a detector finds them.

    Args:
        joints: exact ones (18, 3), x, y in pixels and 1 where they lie in the picture.
        unit: half a shoulder width in pixels.
        size: (height, width) of the picture.

    Returns:
        x, y in pixels and a score in [0, 1]; a missing joint is (0, 0, 0).
    """
    found = joints.copy()
    hips, shoulders = [8, 11], [2, 5]
    # its own idea of where joints are, which differs by person and cloth more than by chance
    middle = found[hips, :2].mean(0)
    found[hips, :2] = middle + (found[hips, :2] - middle) * rng.uniform(0.8, 1.12) + (0, unit * rng.normal(0.06, 0.12))
    middle = found[shoulders, :2].mean(0)
    found[shoulders, :2] = (
        middle + (found[shoulders, :2] - middle) * rng.uniform(0.95, 1.06) + (0, unit * rng.normal(-0.02, 0.05))
    )
    jitter = rng.normal(0, 0.045, (18, 2)) * unit * _SHARE[:, None]
    found[:, :2] += jitter * rng.uniform(0.3, 1.4)
    found[1, :2] = found[shoulders, :2].mean(0)
    found[:, 2] = np.clip(rng.normal(0.93, 0.08, 18) * joints[:, 2], 0, 1)
    missing = rng.random(18) < 0.025 * _SHARE
    missing[[1, 2, 5]] = False
    if rng.random() < 0.08:  # an arm or leg not seen
        start = int(rng.choice([3, 6, 9, 12]))
        missing[start : start + 2] = True
    outside = (found[:, 0] < 0) | (found[:, 1] < 0) | (found[:, 0] >= size[1]) | (found[:, 1] >= size[0])
    found[missing | outside | (joints[:, 2] == 0)] = 0
    return found


def pictures(made: np.ndarray) -> Tensor:
    """Rendered pictures (N, H, W, 3) uint8 as (N, 3, H, W) in [0, 1]."""
    return torch.from_numpy(made).movedim(-1, 1).float() / 255


def cut_out(garments: np.ndarray, covers: np.ndarray) -> Tensor:
    """Garments (N, H, W, 3) uint8 on white by their covers (N, H, W) uint8, as Prepare Garment does with a mask.

    Returns:
        (N, 3, H, W) in [0, 1].
    """
    return (garment_on_white(pictures(garments) * 2 - 1, torch.from_numpy(covers)[:, None].float() / 255) + 1) / 2


def places(joints: np.ndarray) -> Tensor:
    """Joints (18, 3) as the library takes them (18, 2): in pixels, those that are not seen (0, 0)."""
    return torch.from_numpy(joints[:, :2] * (joints[:, 2:] > 0)).double()


def ragged(rng: np.random.Generator, silhouette: np.ndarray) -> np.ndarray:
    """A silhouette (H, W) in [0, 1] as a small segmentation graph gives it: coarse, soft, bitten, with holes."""
    height, width = silhouette.shape
    soft = silhouette.astype(np.float32)
    coarse = int(rng.choice([96, 144, 256])) / max(height, width)
    small = max(1, round(width * coarse)), max(1, round(height * coarse))
    soft = cv2.resize(
        cv2.resize(soft, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_LINEAR
    )
    noise = fractal(int(rng.integers(2**62)), (height, width), 1.1, 10, octaves=5)
    away = cv2.distanceTransform((soft > 0.5).astype(np.uint8), cv2.DIST_L2, 3) - cv2.distanceTransform(
        (soft <= 0.5).astype(np.uint8), cv2.DIST_L2, 3
    )
    reach = rng.uniform(0.0, 4.0) * height / 512
    result = np.clip((away + noise * reach + rng.normal(0, 1.0) * height / 512) / (2.5 * height / 512) + 0.5, 0, 1)
    if rng.random() < 0.3:
        holes = fractal(int(rng.integers(2**62)), (height, width), 1.4, 4, octaves=4)
        result = result * np.clip((rng.uniform(1.9, 2.6) - holes) / 0.2, 0, 1)
    return result.astype(np.float32)


def bordered(rng: np.random.Generator, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Part of the picture (top, left, height, width) that a photo fills; the rest is border, as Fit Person fills it."""
    top, left, height, width = 0, 0, *size
    side = rng.random()
    if side < 0.4:  # a narrow photo
        width = int(size[1] * rng.uniform(0.6, 0.97))
        left = int((size[1] - width) * rng.uniform(0.2, 0.8))
    elif side < 0.75:
        height = int(size[0] * rng.uniform(0.75, 0.97))
    else:
        height = int(size[0] * rng.uniform(0.8, 0.97))
        top = size[0] - height
    return top, left, height, width
