"""What is joined to a place through open pixels: grounds that reach a picture's border, pieces that touch a body."""

from __future__ import annotations

import numpy as np


def reached(open_: np.ndarray, seeds: np.ndarray | None = None) -> np.ndarray:
    """Which open pixels are joined to seeds through open ones, sideways and upright: four sweeps until nothing changes.

    Args:
        open_: (H, W) bool.
        seeds: open pixels (H, W) bool to begin at; None begins at the border.

    Returns:
        (H, W) bool.
    """
    found = np.zeros_like(open_)
    if seeds is None:
        found[[0, -1]], found[:, [0, -1]] = open_[[0, -1]], open_[:, [0, -1]]
    else:
        found |= seeds & open_
    while True:
        before = found.sum()
        for grid, free in ((found, open_), (found.T, open_.T)):
            for row in range(1, len(grid)):
                grid[row] |= grid[row - 1] & free[row]
            for row in range(len(grid) - 2, -1, -1):
                grid[row] |= grid[row + 1] & free[row]
        if found.sum() == before:
            return found
