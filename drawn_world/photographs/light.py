"""Light on surfaces: a main light from any side, the room's own, and soft shadows of one thing on the next.

Normals are those of round bodies with the folds of their cloth; all arithmetic is in light, not in sRGB.
"""

from __future__ import annotations

import cv2
import numpy as np

from .noise import blurred, spread


def sample_light(rng: np.random.Generator, flat: bool = False) -> dict:
    """Numbers of a light: direction to it, share of the room's light, colours of both, softness of shadows.

    Args:
        flat: for a garment photographed by itself: frontal and soft.
    """
    side, up = (rng.normal(0, 0.3), rng.uniform(0.1, 0.5)) if flat else (rng.normal(0, 0.55), rng.uniform(0.05, 0.8))
    direction = np.array([side, -up, rng.uniform(0.7, 1.1)])
    warm = rng.normal(0, 0.02)
    return {
        "direction": direction / np.linalg.norm(direction),
        "room": rng.uniform(0.45, 0.85) if flat else rng.uniform(0.3, 0.8),
        "colour": np.array([1 + warm, 1.0, 1 - warm]),
        "shadow": rng.uniform(0.25, 0.6),
        "soft": rng.uniform(0.05, 0.2),
    }


def shading(light: dict, nx: np.ndarray, ny: np.ndarray, nz: np.ndarray) -> np.ndarray:
    """Brightness (H, W) of a matte surface, 1 where it faces the camera; normals need not have unit length."""
    lx, ly, lz = (np.float32(c) for c in light["direction"])
    length = np.sqrt(nx * nx + ny * ny + nz * nz)
    lit = np.maximum((nx * lx + ny * ly + nz * lz) / length + 0.12, 0)
    room = np.float32(light["room"])
    bounce = 0.85 + 0.15 * nz / length - 0.12 * ny / length  # more from above and from the camera's side
    return (room * bounce + (1 - room) * lit) / (room + (1 - room) * (lz + 0.12))


def highlight(light: dict, nx: np.ndarray, ny: np.ndarray, nz: np.ndarray, sharpness: float = 12.0) -> np.ndarray:
    """Mirror light (H, W) of a shining surface in [0, 1]."""
    lx, ly, lz = light["direction"] + (0, 0, 1)
    norm = np.sqrt(lx * lx + ly * ly + lz * lz)
    length = np.sqrt(nx * nx + ny * ny + nz * nz) * np.float32(norm)
    return np.maximum((nx * np.float32(lx) + ny * np.float32(ly) + nz * np.float32(lz)) / length, 0) ** np.float32(
        sharpness
    )


def cloth(light: dict, albedo: np.ndarray, normal: tuple, shine: float) -> np.ndarray:
    """Light (H, W, 3) that cloth sends to the camera: matte, with a faint sheen that lets black folds be seen.

    Args:
        albedo: (H, W, 3), linear.
        normal: x, y, z (H, W) each.
        shine: share of mirrored light; 0 for cotton.
    """
    lit = albedo * spread(shading(light, *normal))
    sheen = highlight(light, *normal, 3.0) * np.float32(0.014)
    if shine:
        # what shines more than the surface that faces the camera, or satin would be pale all over
        facing = highlight(light, *(np.float32([[n]]) for n in (0, 0, 1)))
        sheen += np.maximum(highlight(light, *normal) - np.float32(0.8) * facing, 0) * np.float32(0.3 * shine)
    return lit + spread(sheen)


def slopes(height: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gradient of a height map (H, W) in its own pixels: to the right and down."""
    height = np.ascontiguousarray(height, np.float32)
    right = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3, scale=0.125)
    return right, cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3, scale=0.125)


def cast(light: dict, cover: np.ndarray, reach: float, distance: float) -> np.ndarray:
    """Shadow (H, W) in [0, 1] that a shape throws on what lies behind it.

    Args:
        cover: of the shape (H, W) in [0, 1].
        reach: pixels a unit.
        distance: from the shape to what is behind it, in units.
    """
    step = 4 if reach > 60 else 2
    small = cv2.resize(cover, (-(-cover.shape[1] // step), -(-cover.shape[0] // step)), interpolation=cv2.INTER_AREA)
    lx, ly, lz = light["direction"]
    dx, dy = (-distance * c / lz * reach / step for c in (lx, ly))
    shift = np.float32([[1, 0, dx], [0, 1, dy]])
    small = cv2.warpAffine(small, shift, (small.shape[1], small.shape[0]))
    small = blurred(small, max(0.6, (light["soft"] + 0.35 * distance) * reach / step))
    return cv2.resize(small, (cover.shape[1], cover.shape[0]), interpolation=cv2.INTER_LINEAR)
