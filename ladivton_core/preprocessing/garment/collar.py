"""The inside of the back that a garment lying flat shows above its front neckline: worn, it is behind the neck.

The front's edge is one curve from collar point to collar point, and the inside above it lies in its shadow. Curves of
a few numbers (round, pointed, square, leaning) are held against the picture; one counts whose outer side is the
brighter one all along, as it is nowhere further down the cloth. `backdrop.py` has brought the garment onto white.
"""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...mask_edges import grow_mask
from ..labels import Category
from ..masks.body_mask import cloth_on_white
from .backdrop import Centring, centred_on_white

COLLARED: tuple[Category, ...] = ("upper_body", "dresses")
"""Garments that hang from the neck."""

_SIZE = (768, 576)
"""Curves are looked for in a picture of this size, in which the garment is centred."""
_POINTS, _SECTIONS = 48, 8
_DARK, _MOST = 0.06, 0.8
"""Brightness counts by its logarithm from here on; a step counts no more than this."""
_NEAR, _FAR = 0.008, 0.02
"""How far beside a curve it is compared, in widths of the cloth: a thin line, a seam, is none at the second."""
_SHAPES = np.array([(depth, power) for power in (1, 1.3, 1.7, 2.2, 3.2) for depth in np.geomspace(0.25, 2.2, 11)])
_LEAST = np.array([-np.inf, -np.inf, 0.12, 0.2, 0.95, -0.3, -0.2])
_LARGEST = np.array([np.inf, np.inf, 0.42, 2.4, 4.0, 0.3, 0.2])
_STRIDE = np.array([0.02, 0.02, 0.02, 0.12, 0.25, 0.08, 0.05])
"""Bounds and first stride of a curve's numbers, lengths in widths of the cloth; see `_points`."""
_STARTS = 10
_EVIDENT, _EVEN, _DEEP = 0.5, 0.25, 0.3
"""What a neckline needs: size of its step times its evenness, weakest section by the middle one, depth by width."""
_ELSEWHERE = 0.5
"""Cloth that has such an edge, this share as evident, further down has it for a stripe."""
_TRIM = 0.12
"""Widest trim in widths of the cloth: the inside ends at its inner edge."""


def inside_of_collar(garment: Tensor) -> Tensor:
    """Find what a garment's picture shows of the inside of its back, above the front neckline.

    One that cannot be told with certainty is left: shirts, high collars, white on white, quiet edges between prints.

    Args:
        garment: on white (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) float32 in {0, 1} on the garment's device; 1 is the inside and the ground straight above it.
    """
    found = torch.zeros(len(garment), 1, *garment.shape[-2:])
    for mask, item in zip(found, garment.detach().cpu().float(), strict=True):
        curve = _neckline(centred_on_white(item, _SIZE)[None])
        if curve is not None:
            places = Centring.plan(item, _SIZE).source(torch.from_numpy(curve.T)).numpy().T
            mask[0] = torch.from_numpy(_above(*places, tuple(item.shape[-2:])))
    return found.to(garment.device)


class _Cloth:
    """A garment (1, 3, H, W) as curves are held against it.

    Attributes:
        width, middle: of its upper part, pixels.
        top: its highest row by column (W,), H where there is none.
        light: logarithm of its brightness (H, W), smooth.
        inner, outer: where the upper and the lower side of a neckline may be looked at (H, W).
    """

    def __init__(self, picture: Tensor) -> None:
        cloth = cloth_on_white(picture)[0, 0].numpy() > 0
        rows = np.flatnonzero(cloth.any(1))
        upper = cloth[: rows[0] + (rows[-1] - rows[0]) * 2 // 5] if len(rows) else cloth
        columns = np.nonzero(upper)[1] if upper.any() else np.zeros(1)
        self.width, self.middle = float(np.subtract(*np.percentile(columns, (95, 5)))), float(np.median(columns))
        top = np.pad(np.where(cloth.any(0), cloth.argmax(0), len(cloth)), 4, mode="edge")
        self.top = np.median(np.lib.stride_tricks.sliding_window_view(top, 9), 1).astype(int)
        # white that a white garment's picture has lost is cloth where there is some on both sides
        down, across = (
            np.maximum.accumulate(cloth, axis) & np.flip(np.maximum.accumulate(np.flip(cloth, axis), axis), axis)
            for axis in (0, 1)
        )
        self.inner, self.outer = (
            grow_mask(torch.from_numpy(area)[None, None].float(), -2)
            for area in (cloth | (down & across), cloth | down | across)
        )
        light = torch.log(picture.clamp(0, 1) + _DARK).mean(1, keepdim=True)
        smooth, seen = (F.avg_pool2d(x * self.outer, 5, 1, 2) for x in (light, torch.ones_like(light)))
        self.light = (smooth / seen.clamp_min(1e-6))[0, 0].numpy()
        self.inner, self.outer = (area[0, 0].numpy() > 0 for area in (self.inner, self.outer))

    def steps(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How much brighter the lower side of curves (..., N) is than the upper, and where that can be told."""
        across, down = np.gradient(y, axis=-1), -np.gradient(x, axis=-1)
        length = np.maximum(np.hypot(across, down), 1e-9)
        made = []
        for far in (max(2.5, _NEAR * self.width), max(6.0, _FAR * self.width)):
            off_x, off_y = across / length * far, down / length * far
            above, below = self._places(x - off_x, y - off_y), self._places(x + off_x, y + off_y)
            told = self.inner[above] & self.outer[below]
            made.append((np.clip(self.light[below] - self.light[above], -_MOST, _MOST), told))
        (near, told), (far, both) = made
        weaker = np.where(np.abs(far) < np.abs(near), far, near) * (near * far > 0)
        return np.where(both, weaker, near) * told, told

    def _places(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = self.light.shape
        return np.rint(y).astype(int).clip(0, rows - 1), np.rint(x).astype(int).clip(0, columns - 1)

    def strength(self, x: np.ndarray, y: np.ndarray, half: np.ndarray, sign: int = 1) -> np.ndarray:
        """Of curves (n, N): their weaker half, more for a wide one; -1 where too little of it lies on cloth."""
        step, told = self.steps(x, y)
        sections = np.sort(np.nan_to_num(_sections(step * sign, told), nan=_MOST), -1)[:, : _SECTIONS // 2].mean(-1)
        blind = (told.reshape(len(told), _SECTIONS, -1).sum(-1) < 2).sum(-1)
        fits = (told.mean(-1) > 0.75) & (told[:, _POINTS // 4 : -_POINTS // 4].mean(-1) > 0.95)
        return np.where(fits, sections * (1 - 0.2 * blind) * np.sqrt(5 * half / self.width), -1)


def _sections(step: np.ndarray, told: np.ndarray) -> np.ndarray:
    """Means along curves (..., N) in equal parts; NaN where nothing can be told."""
    step, told = (values.reshape(*values.shape[:-1], _SECTIONS, -1) for values in (step, told))
    seen = told.sum(-1)
    return np.where(seen > 1, step.sum(-1) / np.maximum(seen, 1), np.nan)


def _points(numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """x and y (n, N) at equal distances along curves, right to left.

    Args:
        numbers: (n, 7): x and y of the middle between the ends, half the width, in pixels; depth by half the width,
            power (1 is a V, 2 round, 4 nearly square), how far the lowest point is moved aside, lean.
    """
    turn = np.linspace(0, np.pi, 91)[None]
    x, y, half, depth, power, aside, lean = (column[:, None] for column in numbers.T)
    across = np.sign(np.cos(turn)) * np.abs(np.cos(turn)) ** (2 / power)
    low = np.sin(turn).clip(0) ** (2 / power)
    down, across = depth * low + lean * across, across + aside * low
    along = np.pad(np.cumsum(np.hypot(np.diff(across), np.diff(down)), 1), ((0, 0), (1, 0)))
    at = (np.arange(_POINTS) + 0.5) / _POINTS * along[:, -1:]
    across, down = (np.stack([np.interp(*one) for one in zip(at, along, side, strict=True)]) for side in (across, down))
    return x + half * across, y + half * down


def _evidence(cloth: _Cloth, x: np.ndarray, y: np.ndarray, sign: int = 1) -> tuple[float, float]:
    """Of one curve (N,): weaker half of its steps times mean by spread, and weakest section by the middle one."""
    step, told = cloth.steps(x, y)
    step = step * sign
    if told.mean() < 0.6:
        return 0.0, 0.0
    sections = _sections(step, told)
    sections = np.sort(sections[np.isfinite(sections)])
    values = step[told]
    size = sections[: _SECTIONS // 2].mean() * max(values.mean(), 0) / max(values.std(), 0.01)
    return float(size), float(sections[0] / max(np.median(sections), 1e-3))


def _neckline(picture: Tensor) -> np.ndarray | None:
    """Points (2, N), x and y in pixels, of the edge at which the inside of a garment (1, 3, H, W) ends, or None."""
    cloth = _Cloth(picture)
    if cloth.width < 50:  # nothing, or next to nothing
        return None
    best = _strongest(cloth)
    if best is None or best[3] < _DEEP:
        return None
    x, y = (line[0] for line in _points(best[None]))
    wide = np.sqrt(5 * best[2] / cloth.width)
    evident, even = _evidence(cloth, x, y)
    if evident * wide < _EVIDENT or even < _EVEN:
        return None
    lower = [_evidence(cloth, x, y + best[2] * further)[0] for further in np.arange(0.25, 1.6, 0.03)]
    if max(lower) > _ELSEWHERE * evident:
        return None
    return np.concatenate(_points(_inmost(cloth, best, _EVIDENT / wide)[None]))


def _strongest(cloth: _Cloth) -> np.ndarray | None:
    """Numbers (7,) of the strongest curve between two places of the upper edge."""
    shapes = np.concatenate([np.tile([0.0, 0.0, 1.0], (len(_SHAPES), 1)), _SHAPES, np.zeros((len(_SHAPES), 2))], 1)
    across, down = _points(shapes)
    found = []
    for x in cloth.middle + np.arange(-3, 4) * 0.015 * cloth.width:
        for half in np.geomspace(0.12, 0.38, 11) * cloth.width:
            ends = np.rint([x - half, x + half]).astype(int)
            if ends[0] < 0 or ends[1] >= len(cloth.top):
                continue
            y = cloth.top[ends]
            deep = y.mean() + _SHAPES[:, 0] * half
            inside = (deep - cloth.top[round(x)] > 0.15 * half) & (deep < len(cloth.light) - 3)
            if y.max() == len(cloth.light) or abs(y[0] - y[1]) > 0.25 * half or not inside.any():
                continue
            strength = cloth.strength(x + half * across[inside], y.mean() + half * down[inside], half)
            found.append((strength.max(), (x, y.mean(), half, *shapes[inside][strength.argmax()][3:])))
    found = sorted((one for one in found if one[0] > 0), reverse=True)[: 6 * _STARTS : 6]
    if not found:
        return None
    numbers, most = _climbed(cloth, np.array([one[1] for one in found]))
    return numbers[most.argmax()]


def _climbed(cloth: _Cloth, numbers: np.ndarray, sign: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Curves (n, 7) changed, number by number in ever smaller strides, while they get stronger; and how strong."""
    scale, ways = np.array([cloth.width] * 3 + [1.0] * 4), np.concatenate([np.eye(7), -np.eye(7)])
    stride, most = np.tile(_STRIDE * scale, (len(numbers), 1, 1)), np.full(len(numbers), -2.0)
    for _ in range(60):
        near = (numbers[:, None] + stride * ways).clip(_LEAST * scale, _LARGEST * scale)
        every = near.reshape(-1, 7)
        strength = cloth.strength(*_points(every), every[:, 2], sign).reshape(len(numbers), -1)
        best, better = strength.argmax(1), strength.max(1) > most + 1e-6
        numbers = np.where(better[:, None], near[np.arange(len(numbers)), best], numbers)
        most, stride = np.maximum(most, strength.max(1)), stride / np.where(better, 1, 2)[:, None, None]
        if stride[:, 0, 0].max() < 0.4:
            break
    return numbers, most


def _inmost(cloth: _Cloth, numbers: np.ndarray, least: float) -> np.ndarray:
    """Numbers (7,) of a curve, or of the inner edge of the trim along it, where that is darker than the inside."""
    inner = np.tile(numbers, (6, 1))
    inner[:, 2] -= np.linspace(0.02, _TRIM, len(inner)) * cloth.width
    inner[:, 3] = 1 + (numbers[3] - 1) * numbers[2] / inner[:, 2]  # as much less deep as less than half as wide
    for curve in _climbed(cloth, inner, -1)[0]:
        evident, even = _evidence(cloth, *(line[0] for line in _points(curve[None])), -1)
        higher = numbers[1:3] @ (1, numbers[3]) - curve[1:3] @ (1, curve[3])
        if evident > least and even > _EVEN and higher > 0.01 * cloth.width and curve[2] < numbers[2]:
            numbers = curve
    return numbers


def _above(x: np.ndarray, y: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Pixels (H, W) enclosed by a curve (N,), going on at its ends for a tenth, and straight up from there."""
    beside, above = (4 * line[[0, -1]] - 3 * line[[2, -3]] for line in (x, y))
    x, y = np.array([beside[0], beside[0], *x, beside[1], beside[1]]), np.array([-1.0, above[0], *y, above[1], -1.0])
    rows, columns = np.arange(size[0])[:, None], np.arange(size[1])[None]
    inside = np.zeros(size, bool)
    for x0, y0, x1, y1 in zip(x, y, np.roll(x, -1), np.roll(y, -1), strict=True):
        part = slice(*np.ceil(np.clip(sorted((y0, y1)), 0, size[0])).astype(int))
        if y1 != y0:
            inside[part] ^= columns > x0 + (rows[part] - y0) * (x1 - x0) / (y1 - y0)
    return inside
