"""Colours as photographs have them: what shops sell, the Monk skin scale, hair, denim, walls.

All are sRGB in [0, 1]; `linear` goes to light. Read `fabrics.py` next.
"""

from __future__ import annotations

import colorsys

import cv2
import numpy as np

# The ten tones of the Monk skin scale as photographs show them: redder, and the dark half lighter, than its swatches.
_SKIN = np.array(
    [
        (0.95, 0.84, 0.78), (0.93, 0.80, 0.72), (0.91, 0.76, 0.66), (0.87, 0.70, 0.58), (0.80, 0.61, 0.48),
        (0.69, 0.49, 0.37), (0.57, 0.38, 0.28), (0.45, 0.29, 0.21), (0.34, 0.21, 0.16), (0.25, 0.155, 0.12),
    ]
)  # fmt: skip
_HAIR = np.array([(0.07, 0.06, 0.06), (0.12, 0.09, 0.08), (0.22, 0.15, 0.11), (0.36, 0.24, 0.16), (0.55, 0.40, 0.26),
                  (0.74, 0.60, 0.42), (0.45, 0.20, 0.11), (0.55, 0.54, 0.53)])  # fmt: skip
_DENIM = np.array([(0.16, 0.20, 0.29), (0.24, 0.32, 0.46), (0.38, 0.50, 0.66), (0.60, 0.69, 0.80), (0.09, 0.09, 0.11)])


def linear(srgb: np.ndarray) -> np.ndarray:
    """sRGB values to light, by the power 2.2."""
    values = np.maximum(np.asarray(srgb, np.float32), 0)  # OpenCV's power is fast, but takes no plain rows
    return np.power(values, np.float32(2.2)) if values.ndim < 2 else cv2.pow(values, 2.2)


def skin(rng: np.random.Generator) -> np.ndarray:
    """A skin tone (3,): anywhere on the scale with equal right."""
    place = rng.uniform(0, len(_SKIN) - 1)
    low = min(int(place), len(_SKIN) - 2)
    tone = _SKIN[low] + (place - low) * (_SKIN[low + 1] - _SKIN[low])
    return np.clip(tone * (1 + rng.normal(0, 0.025, 3)) + rng.normal(0, 0.01), 0.05, 0.98)


def hair(rng: np.random.Generator) -> np.ndarray:
    """A hair colour (3,), dark ones more often."""
    first, second = rng.choice(len(_HAIR), 2, p=(0.2, 0.2, 0.2, 0.12, 0.1, 0.08, 0.05, 0.05))
    return np.clip(_HAIR[first] + 0.35 * (_HAIR[second] - _HAIR[first]) + rng.normal(0, 0.015, 3), 0.02, 0.95)


def denim(rng: np.random.Generator) -> np.ndarray:
    """A colour of jeans (3,)."""
    first, second = rng.integers(len(_DENIM), size=2)
    return np.clip(_DENIM[first] + rng.uniform(0, 0.5) * (_DENIM[second] - _DENIM[first]), 0.03, 0.95)


def cloth(rng: np.random.Generator) -> np.ndarray:
    """A colour of clothes (3,): white, cream, grey and black as often as in a shop, the rest of any hue."""
    kind = rng.choice(9, p=(0.17, 0.08, 0.09, 0.17, 0.08, 0.12, 0.12, 0.10, 0.07))
    tint = rng.normal(0, 0.008, 3)
    if kind == 0:
        return np.clip(rng.uniform(0.90, 0.985) + tint, 0, 0.99)
    if kind == 1:
        return np.clip(np.array((0.93, 0.89, 0.81)) + rng.uniform(-0.07, 0.04) + tint, 0, 0.98)
    if kind == 2:
        return np.clip(rng.uniform(0.28, 0.8) + tint, 0, 1)
    if kind == 3:
        return np.clip(rng.uniform(0.05, 0.16) + tint, 0.02, 1)
    if kind == 4:
        return np.clip(np.array((0.11, 0.14, 0.25)) + rng.uniform(-0.03, 0.08) + tint, 0.02, 1)
    hue = rng.random()
    saturation, value = {
        5: (rng.uniform(0.65, 0.98), rng.uniform(0.55, 0.95)),  # strong
        6: (rng.uniform(0.10, 0.40), rng.uniform(0.75, 0.96)),  # pastel
        7: (rng.uniform(0.25, 0.65), rng.uniform(0.20, 0.55)),  # dark
        8: (rng.uniform(0.20, 0.55), rng.uniform(0.45, 0.75)),  # earth
    }[int(kind)]
    if kind == 8:
        hue = rng.uniform(0.03, 0.2)
    return np.clip(np.array(colorsys.hsv_to_rgb(hue, saturation, value)) + tint, 0, 1)


def palette(rng: np.random.Generator, count: int, base: np.ndarray | None = None) -> np.ndarray:
    """Colours of one print (count, 3): the first is `base` or drawn, the others stand out from it."""
    colours = [cloth(rng) if base is None else base]
    while len(colours) < count:
        tries = [cloth(rng) for _ in range(3)]
        colours.append(max(tries, key=lambda c: min(np.abs(c - other).sum() for other in colours)))
    return np.array(colours)


def scenery(rng: np.random.Generator, count: int = 5) -> np.ndarray:
    """Colours of what stands in rooms and streets (count, 3): muted, with a few strong ones."""
    hues = (rng.random() + rng.normal(0, 0.12, count)) % 1
    strong = rng.random(count) < 0.2
    saturation = np.where(strong, rng.uniform(0.4, 0.9, count), rng.uniform(0.02, 0.35, count))
    return np.array(
        [colorsys.hsv_to_rgb(*c) for c in zip(hues, saturation, rng.uniform(0.1, 0.95, count), strict=True)]
    )
