"""Frames of long things: a smooth line with a place along it and a distance across it, both ways.

Sleeves, limbs and legs of trousers are told in such frames, on a body as on a table, so that cloth travels from one
to the other. Points are (x, y), x right and y down.
"""

from __future__ import annotations

import numpy as np


def smoothstep(low: float, high: float, value):
    """Hermite step from 0 at `low` to 1 at `high`."""
    t = np.clip((value - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


class Tube:
    """A frame along a line of straight pieces with rounded corners.

    Args:
        corners: (N, 2) points.
        along: value at each corner, rising; the unit is the caller's.
        roundness: share of a piece that its corners round off.
    """

    def __init__(self, corners, along, roundness: float = 0.45):
        corners, along = np.asarray(corners, float), np.asarray(along, float)
        points, values = [corners[:1]], [along[:1]]
        for i in range(1, len(corners) - 1):
            before = corners[i] + (corners[i - 1] - corners[i]) * roundness
            after = corners[i] + (corners[i + 1] - corners[i]) * roundness
            t = np.linspace(0, 1, 8)[:, None]
            points.append((1 - t) ** 2 * before + 2 * t * (1 - t) * corners[i] + t**2 * after)
            ends = along[i] + (along[i - 1] - along[i]) * roundness, along[i] + (along[i + 1] - along[i]) * roundness
            u = t[:, 0]
            values.append((1 - u) ** 2 * ends[0] + 2 * u * (1 - u) * along[i] + u**2 * ends[1])
        self.points = np.concatenate([*points, corners[-1:]])
        self.along = np.concatenate([*values, along[-1:]])
        steps = np.diff(self.points, axis=0)
        self._lengths = np.linalg.norm(steps, axis=1)
        self._directions = steps / np.maximum(self._lengths, 1e-6)[:, None]
        at_points = np.concatenate([self._directions[:1], self._directions[:-1] + self._directions[1:],
                                    self._directions[-1:]])  # fmt: skip
        self._tangents = at_points / np.linalg.norm(at_points, axis=1, keepdims=True)

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Frame coordinates of points: along, and signed distance across, positive to the left on screen
        of somebody who looks down the page and along the line (towards larger x of a line that runs down)."""
        best = along = across = None
        last = len(self._lengths) - 1
        for i, (length, (dx, dy)) in enumerate(zip(self._lengths, self._directions, strict=True)):
            px, py = x - np.float32(self.points[i, 0]), y - np.float32(self.points[i, 1])
            t = (px * np.float32(dx) + py * np.float32(dy)) / np.float32(max(length, 1e-6))
            side = px * np.float32(dy) - py * np.float32(dx)
            inside = np.clip(t, 0, 1)
            off = (t - inside) * np.float32(length)
            far = side * side + off * off
            step = np.float32(self.along[i + 1] - self.along[i])
            held = np.minimum(t, 1) if i == 0 and last else np.maximum(t, 0) if i == last and last else inside
            held = t if last == 0 else held
            value = np.float32(self.along[i]) + held * step
            if best is None:
                best, along, across = far, value, side
            else:
                nearer = far < best
                best = np.where(nearer, far, best)
                along = np.where(nearer, value, along)
                across = np.where(nearer, side, across)
        return along, across

    def place(self, along, across) -> np.ndarray:
        """Points (..., 2) of frame coordinates; beyond the ends the line goes on straight."""
        along, across = np.asarray(along, float), np.asarray(across, float)
        x, y, tx, ty = (
            np.interp(along, self.along, values)
            for values in (self.points[:, 0], self.points[:, 1], self._tangents[:, 0], self._tangents[:, 1])
        )
        for end, sign in ((0, -1), (-1, 1)):
            speed = self._lengths[end] / max(self.along[1] - self.along[0] if end == 0 else
                                             self.along[-1] - self.along[-2], 1e-6)  # fmt: skip
            over = np.maximum(sign * (along - self.along[end]), 0) * sign * speed
            x, y = x + over * self._directions[end, 0], y + over * self._directions[end, 1]
        norm = np.hypot(tx, ty)
        return np.stack([x + across * ty / norm, y - across * tx / norm], -1)


def arc(q: np.ndarray, depth: float = 0.62) -> np.ndarray:
    """Share of the front of an elliptic cylinder's surface left of `q`, from -1 to 1, q in [-1, 1] of its half width.

    Args:
        depth: of the ellipse, in half widths. Cloth that goes round a body is seen foreshortened at its sides.
    """
    angle = np.linspace(-np.pi / 2, np.pi / 2, 97)
    speed = np.hypot(np.cos(angle), depth * np.sin(angle))
    way = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2)])
    return np.interp(q, np.sin(angle), way / way[-1] * 2 - 1).astype(np.float32)
