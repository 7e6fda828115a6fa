"""Cloth by the yard: what a garment is cut from, as a picture of its albedo.

A fabric is a dict of numbers (`sample_fabric`), drawn at any density by `fabric_picture`. It has a pattern (stripes,
plaids, florals, ...) and a structure (jersey, knit, denim, ...). Graphics printed on a garment are in `prints.py`.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from . import colours
from .noise import dead_leaves, fractal

PATTERNS = {
    "plain": 0.45, "stripes": 0.11, "plaid": 0.06, "floral": 0.09, "dots": 0.04, "animal": 0.04, "brush": 0.04,
    "dye": 0.03, "zigzag": 0.025, "leaves": 0.04, "motif": 0.04, "blocks": 0.025, "gradient": 0.01,
}  # fmt: skip
STRUCTURES = {
    "jersey": 0.34, "weave": 0.22, "rib": 0.09, "knit": 0.07, "cable": 0.03, "melange": 0.09, "satin": 0.06,
    "denim": 0.03, "velvet": 0.03, "leather": 0.03, "crochet": 0.01,
}  # fmt: skip
SHINE = {"satin": 0.5, "leather": 0.65, "velvet": 0.25}


def pick(rng: np.random.Generator, table: dict[str, float]) -> str:
    """A key, by its weight."""
    weights = np.array(list(table.values()))
    return str(rng.choice(list(table), p=weights / weights.sum()))


def sample_fabric(rng: np.random.Generator, colour: np.ndarray | None = None, pattern: str | None = None) -> dict:
    """Numbers of a fabric.

    Args:
        colour: of its ground (3,) in [0, 1]; drawn where None.
        pattern: one of `PATTERNS`; drawn where None.
    """
    pattern = pattern or pick(rng, PATTERNS)
    structure = pick(rng, STRUCTURES)
    ground = colours.denim(rng) if structure == "denim" and colour is None else colour
    return {
        "pattern": "plain" if structure in ("denim", "leather", "velvet") else pattern,
        "structure": structure,
        "palette": colours.palette(rng, int(rng.integers(2, 6)), ground),
        "period": 0.035 * 2 ** rng.uniform(0, 3.6),  # 0.7 to 8.5 cm
        "angle": float(rng.choice([0, math.pi / 2, rng.uniform(0, math.pi)], p=[0.6, 0.3, 0.1])),
        "rough": rng.uniform(0.3, 1.4),
        "shine": SHINE.get(structure, 0.0) * rng.uniform(0.4, 1.2),
        "seed": int(rng.integers(2**62)),
    }


def fabric_picture(fabric: dict, size: tuple[float, float], density: float) -> np.ndarray:
    """Draw a fabric.

    Args:
        fabric: from `sample_fabric`.
        size: (height, width) in units.
        density: pixels a unit.

    Returns:
        (H, W, 3) float32 sRGB in [0, 1].
    """
    height, width = (math.ceil(side * density) for side in size)
    y, x = np.ogrid[0:height, 0:width]
    x, y = (x / density).astype(np.float32), (y / density).astype(np.float32)
    picture = _PATTERN.get(fabric["pattern"], _plain)(fabric, x, y, density)
    if picture.shape[:2] != (height, width):
        picture = np.broadcast_to(picture, (height, width, 3))
    relief = _structure(fabric, x, y, (height, width), density)
    return np.clip(picture * (1 + relief)[..., None] + np.maximum(relief, 0)[..., None] * 0.04, 0, 1)


def _rng(fabric: dict, stream: int = 0) -> np.random.Generator:
    return np.random.default_rng([fabric["seed"], stream])


def _mix(palette: np.ndarray, share: np.ndarray, first: int = 0, second: int = 1) -> np.ndarray:
    a, b = palette[first].astype(np.float32), palette[second].astype(np.float32)
    return a + share[..., None] * (b - a)


def _turned(fabric: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    angle = fabric["angle"]
    if angle == 0:
        return y
    if angle == math.pi / 2:
        return x
    return x * np.float32(math.sin(angle)) + y * np.float32(math.cos(angle))


def _edge(value: np.ndarray, width: float) -> np.ndarray:
    """A step at 0, `width` wide."""
    return np.clip(value / width + 0.5, 0, 1)


def _plain(fabric, x, y, density):
    return fabric["palette"][:1].astype(np.float32)[None]


def _bands(fabric: dict, place: np.ndarray, density: float, stream: int = 0) -> np.ndarray:
    """A repeat of coloured bands along `place` (in units) -> palette colours."""
    rng, palette = _rng(fabric, stream), fabric["palette"]
    count = int(rng.integers(2, 5)) if rng.random() < 0.5 else 2
    widths = rng.uniform(0.15, 1, count)
    ids = [0] + [int(i) for i in rng.integers(1, len(palette), count - 1)]
    table = np.repeat(palette[ids], np.maximum(1, (widths / widths.sum() * 256).astype(int)), axis=0)
    period = fabric["period"] * count
    softness = max(1, int(256 / max(period * density, 1)))
    table = cv2.blur(np.concatenate([table] * 3).astype(np.float32)[:, None], (1, softness))[:, 0]
    at = np.float32(len(table) / 3) * ((place / np.float32(period)) % 1) + np.float32(len(table) / 3)
    return table[at.astype(np.int32)]


def _stripes(fabric, x, y, density):
    return _bands(fabric, _turned(fabric, x, y), density)


def _plaid(fabric, x, y, density):
    across, down = _bands(fabric, x, density), _bands(fabric, y, density, int(_rng(fabric, 9).random() < 0.4))
    if _rng(fabric, 10).random() < 0.35:  # gingham: the colours add up
        return across * down / np.maximum(fabric["palette"][0].astype(np.float32), 0.3)
    twill = (((x + y) * density / 3).astype(np.int32) & 1)[..., None]
    return np.where(twill, across, down) * 0.5 + (across + down) * 0.25


def _dots(fabric, x, y, density):
    period, rng = fabric["period"] * 1.6, _rng(fabric)
    radius = period * rng.uniform(0.15, 0.36)
    v = y / period
    u = x / period + 0.5 * (np.floor(v) % 2)
    distance = np.hypot(u % 1 - 0.5, v % 1 - 0.5) * period
    return _mix(fabric["palette"], _edge(radius - distance, 1.5 / density))


def _zigzag(fabric, x, y, density):
    period = fabric["period"] * 2
    tooth = np.abs((x / period) % 1 - 0.5) * period * _rng(fabric).uniform(0.6, 1.6)
    return _bands(fabric, y + tooth, density)


def _animal(fabric, x, y, density):
    rng, size = _rng(fabric), (y.shape[0], x.shape[1])
    cells = max(size) / density / (fabric["period"] * 2.2)
    field = fractal(fabric["seed"], size, 1.6, cells, (1 if rng.random() < 0.6 else 3.0, 1), octaves=3)
    ring = _edge(0.35 - np.abs(field - 0.55), 0.25) if rng.random() < 0.6 else _edge(field - 0.2, 0.2)
    picture = _mix(fabric["palette"], ring)
    return picture + _edge(field - 0.9, 0.3)[..., None] * (fabric["palette"][-1].astype(np.float32) - picture)


def _dye(fabric, x, y, density):
    size = (y.shape[0], x.shape[1])
    fields = fractal(fabric["seed"], size, 1.5, max(size) / density * 0.7, channels=2)
    palette = fabric["palette"]
    picture = _mix(palette, _edge(fields[..., 0], 1.4))
    return picture + _edge(fields[..., 1] - 0.3, 1.2)[..., None] * (palette[-1].astype(np.float32) - picture)


def _gradient(fabric, x, y, density):
    return _mix(fabric["palette"], np.clip(y / 3.2, 0, 1) + 0 * x)


def _blocks(fabric, x, y, density):
    rng, palette = _rng(fabric), fabric["palette"]
    edges = np.sort(rng.uniform(0.3, 3.5, len(palette) - 1))
    return palette[np.searchsorted(edges, y + x * rng.choice([0, 0, 0.5]))].astype(np.float32)


def _leaves(fabric, x, y, density):
    size = (y.shape[0], x.shape[1])
    largest = min(0.4, fabric["period"] * 2.5 * density / max(size))
    return dead_leaves(fabric["seed"], size, fabric["palette"], max(0.004, largest / 25), largest, 1200)


def _brush(fabric, x, y, density):
    rng, palette = _rng(fabric), fabric["palette"]
    size = (y.shape[0], x.shape[1])
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = (palette[0] * 255).astype(np.uint8)
    for _ in range(int(rng.integers(25, 90))):
        start, angle = rng.uniform(0, 1, 2) * (size[1], size[0]), rng.uniform(0, 2 * math.pi)
        steps = np.cumsum(rng.normal(0, 0.25, 12)) + angle
        reach = fabric["period"] * density * rng.uniform(0.2, 1.0)
        path = start + np.cumsum(np.stack([np.cos(steps), np.sin(steps)], 1), 0) * reach
        colour = np.clip(palette[rng.integers(1, len(palette))] + rng.normal(0, 0.04), 0, 1) * 255
        thick = max(1, int(fabric["period"] * density * rng.uniform(0.15, 0.9)))
        cv2.polylines(picture, [path.round().astype(np.int32)], False, colour.tolist(), thick, cv2.LINE_AA)
    dry = fractal(fabric["seed"], size, 0.8, max(size) / density * 4, (1, 4))
    return picture / np.float32(255) * (1 + 0.05 * dry)[..., None]


def flower(rng: np.random.Generator, picture: np.ndarray, centre, radius: float, colour, heart) -> None:
    """Paint a flower or leaf shape into a uint8 picture."""
    petals, turn = int(rng.integers(4, 8)), rng.uniform(0, math.pi)
    angle = np.linspace(0, 2 * math.pi, 40)
    shape = (
        0.62 + 0.38 * np.cos(petals * angle) if rng.random() < 0.7 else 0.8 + 0.2 * np.abs(np.cos(petals / 2 * angle))
    )
    for scale, shade in ((1.0, 1.0), (0.62, rng.uniform(0.8, 1.25))):
        r = shape * radius * scale
        points = np.stack([np.cos(angle + turn) * r, np.sin(angle + turn) * r], 1) + centre
        paint = np.clip(np.asarray(colour) * shade * 255, 0, 255).tolist()
        cv2.fillPoly(picture, [(points * 16).astype(np.int32)], paint, cv2.LINE_AA, 4)
    place = tuple(int(c * 16) for c in centre)
    cv2.circle(picture, place, int(radius * 0.22 * 16), (np.asarray(heart) * 255).tolist(), -1, cv2.LINE_AA, 4)


def _floral(fabric, x, y, density):
    rng, palette = _rng(fabric), fabric["palette"]
    size = (y.shape[0], x.shape[1])
    picture = np.empty((*size, 3), np.uint8)
    picture[:] = (palette[0] * 255).astype(np.uint8)
    radius = fabric["period"] * density * 0.9
    count = int(min(260, size[0] * size[1] / radius**2 * rng.uniform(0.12, 0.5)))
    green = np.array((0.2, 0.4, 0.2)) + rng.normal(0, 0.1, 3)
    for _ in range(count):
        centre, r = rng.uniform(0, 1, 2) * (size[1], size[0]), radius * rng.uniform(0.35, 1.1)
        for _ in range(int(rng.integers(0, 4))):
            turn = rng.uniform(0, 360)
            tip = centre + r * 1.1 * np.array([math.cos(math.radians(turn)), math.sin(math.radians(turn))])
            axes = (int(r * 16), int(r * 6))
            leaf = np.clip(green + rng.normal(0, 0.05), 0, 1) * 255
            place = (tip * 16).astype(int).tolist()
            cv2.ellipse(picture, place, axes, turn, 0, 360, leaf.tolist(), -1, cv2.LINE_AA, 4)
        flower(rng, picture, centre, r, palette[rng.integers(1, len(palette))], palette[rng.integers(len(palette))])
    return picture / np.float32(255)


def _motif(fabric, x, y, density):
    """One small drawing, repeated."""
    rng, palette = _rng(fabric), fabric["palette"]
    side = max(8, int(fabric["period"] * 2.6 * density))
    tile = np.empty((side, side, 3), np.uint8)
    tile[:] = (palette[0] * 255).astype(np.uint8)
    colour = (palette[1] * 255).tolist()
    kind = rng.integers(4)
    if kind == 0:
        flower(rng, tile, np.array([side / 2, side / 2]), side * 0.36, palette[1], palette[-1])
    elif kind == 1:
        cv2.putText(tile, chr(rng.integers(65, 91)), (side // 5, side * 3 // 4), int(rng.integers(0, 8)), side / 32,
                    colour, max(1, side // 14), cv2.LINE_AA)  # fmt: skip
    else:
        points = rng.uniform(0.15, 0.85, (int(rng.integers(3, 7)), 2)) * side
        if kind == 2:
            cv2.fillPoly(tile, [cv2.convexHull((points * 16).astype(np.int32))], colour, cv2.LINE_AA, 4)
        else:
            cv2.polylines(tile, [(points * 16).astype(np.int32)], True, colour, max(1, side // 16), cv2.LINE_AA, 4)
    rows, columns = -(-y.shape[0] // side) + 1, -(-x.shape[1] // side) + 1
    sheet = np.concatenate([np.tile(tile, (1, columns + 1, 1))[:, (r % 2) * side // 2 :][:, : columns * side]
                            for r in range(rows)])  # fmt: skip
    return sheet[: y.shape[0], : x.shape[1]] / np.float32(255)


_PATTERN = {
    "stripes": _stripes, "plaid": _plaid, "dots": _dots, "zigzag": _zigzag, "animal": _animal, "dye": _dye,
    "gradient": _gradient, "blocks": _blocks, "leaves": _leaves, "brush": _brush, "floral": _floral, "motif": _motif,
}  # fmt: skip


def _structure(fabric: dict, x: np.ndarray, y: np.ndarray, size: tuple[int, int], density: float) -> np.ndarray:
    """Relative brightness (H, W) of the threads: what makes plain cloth look like cloth."""
    kind, rough, seed = fabric["structure"], fabric["rough"], fabric["seed"]
    length = max(size) / density
    grain = fractal(seed + 1, size, 0.75, length * 14, octaves=4)
    if kind == "denim":
        wash = fractal(seed + 2, size, 1.2, length * 1.2, (1.6, 1))
        twill = np.sin((x * 1.0 + y * 0.8) * np.float32(2 * math.pi / 0.03))
        slub = fractal(seed + 3, size, 0.6, length * 16, (5, 0.7), octaves=4)
        return rough * (0.035 * wash + 0.03 * twill + 0.05 * slub + 0.03 * grain)
    if kind == "melange":
        return rough * 0.06 * fractal(seed + 2, size, 0.5, length * 22, (0.7, 3), octaves=4) + 0.02 * grain
    if kind in ("rib", "knit", "cable", "crochet"):
        rng = _rng(fabric, 3)
        period = np.float32(rng.uniform(0.04, 0.11) if kind == "rib" else rng.uniform(0.045, 0.13))
        wale = np.cos(x * (2 * math.pi / period)) + 0 * y
        if kind == "rib":
            return rough * (0.10 * wale + 0.02 * grain)
        if kind == "cable":
            wide = period * 5
            twist = np.cos((x + 0.12 * wide * np.sin(y * (2 * math.pi / (wide * 0.8)))) * (2 * math.pi / wide) * 2)
            return rough * (0.12 * twist + 0.04 * wale + 0.03 * grain)
        lean = np.abs((x / period) % 1 - 0.5)
        stitch = np.cos((y / period + lean * 1.2) * 2 * math.pi)
        depth = 0.22 if kind == "crochet" else 0.09
        return rough * (depth * np.minimum(stitch, wale + 0.4) + 0.03 * grain)
    if kind == "velvet":
        return rough * (0.035 * fractal(seed + 2, size, 1.1, length * 3) + 0.03 * grain)
    if kind == "leather":
        crack = np.abs(fractal(seed + 2, size, 1.0, length * 12, octaves=3))
        return rough * (0.05 * np.minimum(crack * 3, 1) - 0.05 + 0.02 * grain)
    if kind == "satin":
        return 0.012 * grain
    if kind == "weave":
        threads = fractal(seed + 2, size, 0.3, length * 30, (0.3, 8), octaves=2)
        threads += fractal(seed + 3, size, 0.3, length * 30, (8, 0.3), octaves=2)
        return rough * (0.012 * threads + 0.010 * grain)
    wales = np.sin(x * np.float32(2 * math.pi / 0.025)) if density > 170 else 0
    return rough * (0.022 * grain + 0.02 * wales)
