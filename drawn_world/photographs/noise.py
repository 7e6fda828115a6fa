"""Noise with the statistics of photographs: 1/f fields and dead leaves, the same scene at any size.

Octaves are drawn from coarse to fine, so a larger picture of the same seed only adds detail.
Sources: Lee, Mumford and Huang, "Occlusion models for natural images" (2001); Baradad et al. and Achddou et al. (2021).
Read `fabrics.py` next.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

_FINEST = 2.0  # pixels a cell of the finest octave spans


def fractal(
    seed: int,
    size: tuple[int, int],
    exponent: float = 1.0,
    cells: float = 3.0,
    stretch: tuple[float, float] = (1.0, 1.0),
    channels: int = 1,
    octaves: int = 12,
) -> np.ndarray:
    """Noise whose amplitude falls as 1/f**exponent, of about unit variance.

    Args:
        size: (height, width) in pixels.
        cells: cells of the coarsest octave along the longer side.
        stretch: (down, across) lengthening of the cells.
        channels: independent fields.
        octaves: at most so many.

    Returns:
        (H, W) float32, or (H, W, channels) where there are several.
    """
    rng, (height, width) = np.random.default_rng(seed), size
    out = np.zeros((height, width) if channels == 1 else (height, width, channels), np.float32)
    side, power = max(size), 0.0
    for octave in range(octaves):
        across = cells * 2**octave / side
        rows, columns = (max(1, math.ceil(n * across / s)) for n, s in zip(size, stretch, strict=True))
        amplitude = 2.0 ** (octave * (1 - exponent))
        power += amplitude**2 * 0.55  # what cubic interpolation keeps of a lattice's variance
        if octave and across * _FINEST > 1:
            continue
        lattice = rng.standard_normal((rows + 3, columns + 3, channels), dtype=np.float32) * amplitude
        # of the lattice, what lies one cell inside its border
        sy, sx = height / rows, width / columns
        big = cv2.resize(lattice, (round(sx * (columns + 3)), round(sy * (rows + 3))), interpolation=cv2.INTER_CUBIC)
        top, left = round(sy), round(sx)
        out += big[top : top + height, left : left + width]
    return out / math.sqrt(power)


def ridges(seed: int, size: tuple[int, int], **kind) -> np.ndarray:
    """Folded noise (H, W), about [-1, 1]: sharp crests between soft valleys, as creases of cloth. See `fractal`."""
    return 1.0 - 1.6 * np.abs(fractal(seed, size, **kind))


def blurred(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur; wide ones at a reduced size."""
    if sigma <= 0.15:
        return picture
    step = int(sigma // 3)
    if step < 2:
        return cv2.GaussianBlur(picture, (0, 0), sigma)
    height, width = picture.shape[:2]
    small = cv2.resize(picture, (max(1, width // step), max(1, height // step)), interpolation=cv2.INTER_AREA)
    return cv2.resize(cv2.GaussianBlur(small, (0, 0), sigma / step), (width, height), interpolation=cv2.INTER_LINEAR)


def spread(field: np.ndarray) -> np.ndarray:
    """A field (h, w) for three channels (h, w, 3): much faster to multiply with than a broadcast one."""
    return cv2.merge([field, field, field])


def dead_leaves(
    seed: int,
    size: tuple[int, int],
    palette: np.ndarray,
    smallest: float = 0.006,
    largest: float = 0.5,
    count: int = 700,
) -> np.ndarray:
    """Opaque shapes over one another with sizes by r**-3: occlusion, edges and spectrum of photographs.

    Args:
        size: (height, width) in pixels.
        palette: colours (N, 3) in [0, 1] that the leaves vary about.
        smallest, largest: radii in shares of the longer side.
        count: leaves.

    Returns:
        (H, W, 3) float32 in [0, 1].
    """
    rng, side = np.random.default_rng(seed), max(size)
    ground, spread = palette[rng.integers(len(palette))], rng.uniform(0.02, 0.16)
    out = np.empty((*size, 3), np.uint8)
    out[:] = (ground * 255).astype(np.uint8)
    grain = np.zeros(size, np.uint8)
    radii = (largest**-2 + rng.random(count) * (smallest**-2 - largest**-2)) ** -0.5 * side
    # a few of them large, or the ground would show through for want of thousands of small ones
    radii[rng.random(count) < 0.08] = 0
    wide = radii == 0
    radii[wide] = rng.uniform(0.05, 0.7, wide.sum()) * largest * side
    centres = rng.uniform(-0.08, 1.08, (count, 2)) * (size[1], size[0])
    turns, ratios, kinds = rng.uniform(0, math.pi, count), rng.uniform(0.3, 1, count), rng.random(count)
    colours = palette[rng.integers(len(palette), size=count)]
    colours = colours + rng.normal(size=(count, 1)) * spread + rng.normal(size=(count, 3)) * spread * 0.4
    colours, rough = (np.clip(colours, 0, 1) * 255).round().tolist(), rng.integers(0, 120, count).tolist()
    angle = np.linspace(0, 2 * math.pi, 25)[:-1]
    circle = np.stack([np.cos(angle), np.sin(angle)], 1)
    square = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * 0.8
    for i in range(count):
        shape = (circle if kinds[i] < 0.65 else square if kinds[i] < 0.85 else circle[::8]) * (1, ratios[i])
        c, s = math.cos(turns[i]), math.sin(turns[i])
        points = shape @ np.array([[c, s], [-s, c]]) * radii[i] + centres[i]
        points = (points * 16).round().astype(np.int32)
        cv2.fillPoly(out, [points], colours[i], cv2.LINE_AA, 4)
        cv2.fillPoly(grain, [points], rough[i], cv2.LINE_8, 4)
    light = fractal(int(rng.integers(2**62)), size, rng.uniform(0.7, 1.2), cells=8)
    return np.clip(out / np.float32(255) * (1 + light * grain * np.float32(1 / 500))[..., None], 0, 1)
