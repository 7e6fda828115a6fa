"""Pose map: one blurred dot a joint, the form in which warper and UNet see the pose; `skeleton` is what others see.

Paper section 3.1, published §1.4. `keypoints.py` reads the joints.
"""

from __future__ import annotations

import colorsys
import itertools
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..modes import PUBLISHED, Mode, mode_of
from .body_size import share_of_reference
from .dialects import JOINTS, finite_joints

if TYPE_CHECKING:
    from PIL.Image import Image

# Published width of a dot in pixels, the same at every picture size (Q3).
SIGMA = 9.0
# float32's machine epsilon: keeps the division finite when a joint is far off the canvas.
_EPSILON = 1.1920929e-07


def heat_maps(points: Tensor, size: tuple[int, int], sigma: float = SIGMA) -> Tensor:
    """Draw each point as exp(-d^2 / sigma^2), scaled so that its highest pixel is 1.

    Args:
        points: (..., N, 2) as (x, y) in pixels; pixel centres are whole numbers. A point whose two coordinates
            are both 0 or less, or not finite, is missing. Points off the canvas shine in as far as they reach.
        size: (height, width).
        sigma: width of the dot; the exponent divides by sigma^2, not by 2 sigma^2.

    Returns:
        (..., N, height, width) float32 in [0, 1], on the device of `points`; zero for missing points.

    Raises:
        ValueError: the last axis is not (x, y).
    """
    if points.ndim < 2 or points.shape[-1] != 2:
        raise ValueError(f"points have the shape {tuple(points.shape)}; expected (..., N, 2) as (x, y) in pixels")
    height, width = size
    # float64 like the reference; computed on the CPU (in two steps) because not every accelerator has it.
    exact = finite_joints(points.detach().cpu().double())
    # The Gaussian is separable: a column times a row instead of height * width exponentials.
    column = torch.exp(-((torch.arange(height, dtype=torch.float64) - exact[..., 1:]) ** 2) / sigma**2)
    row = torch.exp(-((torch.arange(width, dtype=torch.float64) - exact[..., :1]) ** 2) / sigma**2)
    peak = column.amax(-1) * row.amax(-1) + _EPSILON
    shown = (exact > 0).any(dim=-1)
    row = torch.where(shown, 1 / peak, 0.0)[..., None] * row
    maps = torch.empty(*exact.shape[:-1], height, width)
    for place in itertools.product(*map(range, exact.shape[:-1])):  # one dot at a time: 18 of 4096 x 4096 are 1.2 GB
        maps[place] = column[place][:, None] * row[place][None, :]
    return maps.to(points.device)


def pose_map(keypoints: Tensor, size: tuple[int, int], sigma: float = SIGMA, mode: str | Mode = PUBLISHED) -> Tensor:
    """Pose map of COCO-18 joints.

    Args:
        keypoints: (B, 18, 2) as (x, y) in pixels of the output; a missing joint is (0, 0).
        size: (height, width) of the output.
        sigma: width of a dot in pixels. It does not follow the size: the published weights see 9 px at
            512 x 384, which the warper then shrinks with the rest (Q3).
        mode: `published`, or `body`: `sigma` counts on a body of the data sets' size and follows the body's.

    Returns:
        (B, 18, height, width) float32 in [0, 1].

    Raises:
        ValueError: the shape is not (B, 18, 2).

    Source: published §1.4.
    """
    if keypoints.ndim != 3 or keypoints.shape[1:] != (JOINTS, 2):
        raise ValueError(
            f"keypoints have the shape {tuple(keypoints.shape)}; expected (B, {JOINTS}, 2): COCO-18 joints as (x, y) "
            "in pixels. Convert 25-point lists with `coco18_from_body25`"
        )
    if not mode_of(mode).relative:
        return heat_maps(keypoints, size, sigma)
    joints = finite_joints(keypoints.detach().cpu().double())
    return torch.stack([heat_maps(item, size, sigma * share_of_reference(item, size)) for item in joints]).to(
        keypoints.device
    )


LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0),
    (0, 14), (14, 16), (0, 15), (15, 17),
)  # fmt: skip
"""Pairs of COCO-18 joints that are joined, in the order of OpenPose's colours."""


def skeleton(joints: Tensor, size: tuple[int, int]) -> Image:
    """A Pillow picture of one body on black.

    Args:
        joints: (18, 2), (x, y) in pixels of `size`; missing ones (0, 0).
        size: (height, width).
    """
    from PIL import Image, ImageDraw

    colours = [
        tuple(round(255 * part) for part in colorsys.hsv_to_rgb(joint / JOINTS, 1, 1)) for joint in range(JOINTS)
    ]
    canvas = Image.new("RGB", (size[1], size[0]))
    draw, thick = ImageDraw.Draw(canvas), max(2, round(4 * size[0] / 512))
    points = [tuple(point) if max(point) > 0 else None for point in joints.tolist()]
    for (first, last), colour in zip(LIMBS, colours, strict=False):
        if points[first] and points[last]:
            draw.line([points[first], points[last]], tuple(round(0.6 * part) for part in colour), 2 * thick)
    for point, colour in zip(points, colours, strict=True):
        if point:
            x, y = point
            draw.ellipse((x - thick, y - thick, x + thick, y + thick), colour)
    return canvas
