"""Losses of pictures, and pose maps on the device at the three sizes the networks see."""

from __future__ import annotations

from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from ladivton_core.preprocessing.pose.pose_map import SIGMA
from ladivton_core.training.perceptual import gradient_l1

from ..figures.metrics import psnr

_EPSILON = 1.1920929e-07  # as in `preprocessing.pose_map`
PAINTED = {"psnr_mask": 1.0, "psnr_outside": 0.25}
"""What decibels in and outside the mask weigh in the score of a stage that paints."""


def picture_loss(difference: Tensor, weight: Tensor | float = 1.0) -> Tensor:
    """L1, gradients at two scales, twice the squares, and mean colours of 16- and 32-pixel cells against clouds.

    Args:
        difference: (B, 3, H, W), both sides at least 32.
        weight: (B, 1, H, W) of every pixel's L1 and square.
    """
    return (
        (difference.abs() * weight).mean()
        + 0.5 * gradient_l1(difference)
        + 0.25 * gradient_l1(F.avg_pool2d(difference, 2))
        + 2 * (difference.square() * weight).mean()
        + 0.5 * F.avg_pool2d(difference, 16).abs().mean()
        + 0.5 * F.avg_pool2d(difference, 32).abs().mean()
    )


def decibels(result: Tensor, truth: Tensor, where: Tensor) -> Tensor:
    """PSNR (B,) of pictures (B, 3, H, W) in [-1, 1] where a mask (B, 1, H, W) is 1."""
    return psnr(result.clamp(-1, 1) / 2, truth / 2, where)


def cut(buffer: Tensor, pair: Tensor, which: Tensor, top: Tensor, left: Tensor, size: tuple[int, int]) -> Tensor:
    """Crops (B, C, *size) of some rows of (N, 2, C, H, W), each at its own place; the buffer's type."""
    device = buffer.device
    rows = (top[:, None] + torch.arange(size[0], device=device)).view(-1, 1, size[0], 1)
    columns = (left[:, None] + torch.arange(size[1], device=device)).view(-1, 1, 1, size[1])
    channels = torch.arange(buffer.shape[2], device=device).view(1, -1, 1, 1)
    return buffer[pair.view(-1, 1, 1, 1), which.view(-1, 1, 1, 1), channels, rows, columns]


def pose_axes(keypoints: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Columns (B, 18, H) and rows (B, 18, W) whose products are the pose map of joints (B, 18, 2).

    `preprocessing.pose_map` in float32 on the joints' device, and not multiplied out yet.
    """
    x, y = keypoints[..., :1], keypoints[..., 1:]

    def bell(centre: Tensor, length: int) -> Tensor:
        return torch.exp(-((torch.arange(length, device=centre.device) - centre) ** 2) / SIGMA**2)

    column, row = bell(y, size[0]), bell(x, size[1])
    peak = column.amax(-1) * row.amax(-1) + _EPSILON
    shown = (keypoints > 0).any(-1)
    return column, torch.where(shown, 1 / peak, 0.0)[..., None] * row


def pose_whole(keypoints: Tensor, size: tuple[int, int]) -> Tensor:
    """Pose map (B, 18, H, W)."""
    return _product(*pose_axes(keypoints, size))


def pose_small(keypoints: Tensor, size: tuple[int, int], to: tuple[int, int]) -> Tensor:
    """Pose map of `size` shrunk to `to` as the warper shrinks it: bilinear, antialiased, one axis after the other."""
    axes = zip(pose_axes(keypoints, size), size, to, strict=True)
    return _product(*(axis @ _shrinking(full, length, axis.device).T for axis, full, length in axes))


def pose_latent(keypoints: Tensor, size: tuple[int, int]) -> Tensor:
    """Pose map at latent size, as `denoising.conditioning.latent_pose` has it: the two middle pixels of eight."""
    return _product(*((axis[..., 3::8] + axis[..., 4::8]) / 2 for axis in pose_axes(keypoints, size)))


def _product(column: Tensor, row: Tensor) -> Tensor:
    return column[..., :, None] * row[..., None, :]


@lru_cache(maxsize=8)
def _shrinking(full: int, length: int, device: torch.device) -> Tensor:
    """Matrix (length, full) of an antialiased bilinear resize along one axis."""
    eye = torch.eye(full)[None, None]
    made = F.interpolate(eye, size=(length, full), mode="bilinear", align_corners=False, antialias=True)
    return made[0, 0].to(device)
