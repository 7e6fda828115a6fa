"""Pictures of 512 x 384 points, whatever their pixels, and where in them the tubes of bodies and clothes lie."""

from __future__ import annotations

import numpy as np

from ladivton_core.body.tubes import Tube, arc, smoothstep

__all__ = ["SIZE", "Tube", "arc", "box", "grid", "smoothstep"]

SIZE = (512, 384)
"""(height, width) of a picture in points, whatever its pixels."""


def grid(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of a picture's pixel centres in points: x (1, W) and y (H, 1), float32."""
    x = (np.arange(size[1], dtype=np.float32) + 0.5) * np.float32(SIZE[1] / size[1])
    y = (np.arange(size[0], dtype=np.float32) + 0.5) * np.float32(SIZE[0] / size[0])
    return x[None], y[:, None]


def box(tube: Tube, reach: float, size: tuple[int, int]) -> tuple[slice, slice]:
    """Rows and columns of a picture that lie within `reach` points of a tube's line."""
    scale = np.array([size[1] / SIZE[1], size[0] / SIZE[0]])
    low = np.floor((tube.points.min(0) - reach) * scale).astype(int)
    high = np.ceil((tube.points.max(0) + reach) * scale).astype(int)
    low = np.clip(low, 0, (size[1] - 2, size[0] - 2))  # two pixels where nothing is in the picture
    high = np.clip(high, low + 2, (size[1], size[0]))
    return slice(low[1], high[1]), slice(low[0], high[0])
