"""Pieces of garments in pictures: laid flat, and on a body; where every point of the cloth comes to lie.

A `Layer` says for the pixels of a rectangle which point of which piece they show, and how the surface there is turned.
The same pieces make both pictures, so the
picture of the worn garment is a warp of the flat one, times light.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from .bodies import OUT, SIDES, TORSO, WAIST, Body, shoulder_line
from .frames import SIZE, Tube, arc, grid, smoothstep
from .garments import ANKLE, CAP, SLEEVE_TOP, armhole, leg_width, sleeve_width, trunk_width
from .light import slopes
from .noise import blurred, fractal, ridges
from .sewing import Piece

TILE, TILE_UNITS = 160, 4.0


@dataclass
class Layer:
    """One piece in a picture.

    Attributes:
        piece: its name.
        rows, columns: the rectangle, in the picture's pixels.
        u, v: place on the piece (h, w), in units.
        edge: distance from the silhouette (h, w) in pixels, positive inside.
        normal: x, y, z of the surface (h, w) each.
        true: whether the place is on the part of the piece that the flat picture shows (h, w).
    """

    piece: str
    rows: slice
    columns: slice
    u: np.ndarray
    v: np.ndarray
    edge: np.ndarray
    normal: tuple[np.ndarray, np.ndarray, np.ndarray]
    true: np.ndarray | None = None


def look_up(piece: Piece, layer: Layer, pixels: float) -> tuple[np.ndarray, np.ndarray]:
    """Colours (h, w, 3) in sRGB and cover (h, w) of a layer.

    Args:
        pixels: of the picture, a unit: the piece is reduced so far that nothing flickers.
    """
    source, density = piece.picture, piece.density
    if density > 1.7 * pixels:
        density = 1.5 * pixels
        size = (
            max(1, round(source.shape[1] * density / piece.density)),
            max(1, round(source.shape[0] * density / piece.density)),
        )
        source = cv2.resize(source, size, interpolation=cv2.INTER_AREA)
    x = (layer.u - np.float32(piece.left)) * np.float32(density) - np.float32(0.5)
    y = (layer.v - np.float32(piece.top)) * np.float32(density) - np.float32(0.5)
    found = np.clip(cv2.remap(source, x, y, cv2.INTER_CUBIC, borderMode=cv2.BORDER_CONSTANT), 0, 1)
    alpha = found[..., 3] * np.clip(layer.edge + 0.5, 0, 1)
    return found[..., :3], alpha


# --- folds ---------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=64)  # both pictures of a garment ask for the same
def _tile(
    seed: int, stretch: tuple[float, float], cells: float, exponent: float = 1.35, crest: bool = True
) -> np.ndarray:
    make = ridges if crest else fractal
    return make(seed, (TILE, TILE), exponent=exponent, cells=cells, stretch=stretch, octaves=5)


def _on_tile(tile: np.ndarray, across: np.ndarray, down: np.ndarray) -> np.ndarray:
    step = np.float32(TILE / TILE_UNITS)
    shape = np.broadcast_shapes(across.shape, down.shape)
    x, y = (
        np.ascontiguousarray(np.broadcast_to(c * step + np.float32(TILE / 2), shape), np.float32)
        for c in (across, down)
    )
    return cv2.remap(tile, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)


def trunk_folds(garment: dict, x: np.ndarray, v: np.ndarray, pulled: float = 1.0) -> np.ndarray:
    """Height (h, w) of a worn trunk's folds in units: pulls from the armpits, slack at the waist, a skirt's drape."""
    rng = np.random.default_rng([garment["seed"], 5])
    seeds = rng.integers(2**62, size=5).tolist()
    amount, loose = garment["folds"], garment["loose"]
    skew = rng.uniform(0.3, 0.9)
    pull = _on_tile(_tile(seeds[0], (3.5, 1), 5), np.abs(x + 0.12 * v) + skew * v, v - np.sign(x) * 0.7)
    slack = _on_tile(_tile(seeds[1], (1, 3.0), 5), x + 0.4, v + rng.uniform(-0.6, 0.6) * x)
    drape = _on_tile(
        _tile(seeds[2], (9, 1), 4 + 3 * rng.random(), crest=False), x * (1.7 / np.maximum(0.6 + 0.3 * v, 1)), v * 0.5
    )
    soft = _on_tile(_tile(seeds[3], (1.3, 1), 4, 1.6, crest=False), x, v)
    upper = smoothstep(0.1, 0.6, v) * (1 - smoothstep(1.3, 2.4, v))
    waist = np.exp(-(((v - WAIST - 0.1) / 0.5) ** 2))
    below = smoothstep(WAIST - 0.2, garment["hem"], v) if garment.get("hem", 0) > 1.7 else 0 * v
    flare = max(garment.get("flare", 0.0), 0.02)
    height = (
        0.018 * pull * upper * (0.6 + loose) * smoothstep(0.02, 0.5, np.abs(x))
        + 0.024 * slack * waist * (0.5 + 0.7 * loose) * pulled
    )
    height = height + drape * below * (0.03 + 0.12 * flare) + 0.014 * soft * (0.7 + loose)
    return (height * amount).astype(np.float32)


def tube_folds(
    garment: dict, name: str, along: np.ndarray, across: np.ndarray, bend: float, at: float, end: float
) -> np.ndarray:
    """Height of the folds of a sleeve or trouser leg in units: creases at the bend, slack above its end."""
    rng = np.random.default_rng([garment["seed"], 6, sum(map(ord, name))])
    seeds = rng.integers(2**62, size=3).tolist()
    crease = _on_tile(_tile(seeds[0], (1, 2.6), 7), across, along + rng.uniform(-0.9, 0.9) * across)
    hang = _on_tile(_tile(seeds[1], (4, 1), 5), across + rng.uniform(-0.3, 0.3) * along, along)
    soft = _on_tile(_tile(seeds[2], (1.5, 1), 5, 1.5, crest=False), across, along)
    near = np.exp(-(((along - at) / 0.42) ** 2)) * (0.35 + bend) + 0.5 * np.exp(-(((along - end + 0.15) / 0.35) ** 2))
    height = 0.026 * crease * near + 0.010 * hang + 0.010 * soft
    return (height * garment["folds"]).astype(np.float32)


# --- on a table ----------------------------------------------------------------------------------------------------


def sample_layout(rng: np.random.Generator, garment: dict) -> dict:
    """Numbers of how a garment is laid for its picture: place, size, turn, sleeves."""
    return {
        "fill": rng.uniform(0.82, 0.97) if rng.random() < 0.82 else rng.uniform(0.4, 0.82),
        "x": rng.normal(0, 0.012) if rng.random() < 0.85 else rng.normal(0, 0.05),
        "y": rng.normal(0, 0.012) if rng.random() < 0.85 else rng.normal(0, 0.05),
        "turn": rng.normal(0, 0.012),
        "sleeve_turn": rng.uniform(0.0, 0.45),
        "sleeve_end": rng.uniform(0.03, 0.33),
        "legs": rng.uniform(0.0, 0.1),
        "round": rng.uniform(0.15, 0.9),
        "wobble": rng.uniform(0, 0.02),
        "seed": int(rng.integers(2**62)),
    }


class Flat:
    """A garment laid flat in a picture.

    Args:
        garment: from `sample_garment`.
        layout: from `sample_layout`.
        size: (height, width) of the picture.

    Attributes:
        unit: points a unit.
        layers: from back to front.
    """

    def __init__(self, garment: dict, layout: dict, size: tuple[int, int]):
        self.garment, self.layout, self.size = garment, layout, size
        self._tubes: dict[str, Tube] = {}
        trousers = garment["category"] == "lower_body" and not garment["skirt"]
        lines = self._legs() if trousers else self._sleeves()
        low, high = self._extent(lines, trousers)
        fill = layout["fill"]
        self.unit = min(fill * SIZE[1] / (high[0] - low[0]), fill * SIZE[0] / (high[1] - low[1]))
        middle = (low + high) / 2
        c, s = math.cos(layout["turn"]), math.sin(layout["turn"])
        self._matrix = np.array([[c, -s], [s, c]]) * self.unit
        shift = np.array([layout["x"] * SIZE[1], layout["y"] * SIZE[0]]) * (1.6 - fill)
        self._origin = np.array([SIZE[1], SIZE[0]]) / 2 + shift - self._matrix @ middle
        x, y = grid(size)
        rng = np.random.default_rng(layout["seed"])
        self._waves = (
            rng.uniform(0, 2 * math.pi, 4),
            rng.normal(0, 0.014, (4, 2)),
            rng.normal(0, layout["wobble"], (4, 2)),
        )
        inverse = np.linalg.inv(self._matrix)
        px, py = x - self._origin[0], y - self._origin[1]
        self._x = (inverse[0, 0] * px + inverse[0, 1] * py).astype(np.float32)
        self._y = (inverse[1, 0] * px + inverse[1, 1] * py).astype(np.float32)
        dx, dy = self._wobble(x, y)
        self._x, self._y = self._x + dx, self._y + dy
        for name, (corners, along) in lines.items():
            self._tubes[name] = Tube(corners, along)
        self.layers = self._leg_layers() if trousers else self._trunk_layers()

    def _sleeves(self) -> dict:
        g, lay = self.garment, self.layout
        if not g["sleeve"]:
            return {}
        tip, pit, width, step = armhole(g)
        length = float(np.linalg.norm(tip - pit))
        alpha = math.atan2(pit[0] - tip[0], pit[1] - tip[1])
        first = alpha + math.acos(min(step / length, 1))
        lines = {}
        for side in SIDES:
            d = np.array([math.sin(first), math.cos(first)])
            n = np.array([d[1], -d[0]])
            start = tip - width * n - CAP * d
            if g["sleeve"] < 1.2:
                last = first - 0.25 - lay["sleeve_turn"]
            else:
                last = lay["sleeve_end"] * (1.6 if g["loose"] > 0.5 else 1.0)
            e = np.array([math.sin(last), math.cos(last)])
            near = min(0.3, 0.4 * g["sleeve"])
            corners = np.array([start, start + near * d, start + near * d + (g["sleeve"] - near) * e])
            lines[f"sleeve_{side}"] = (corners * (OUT[side], 1), [0, near, g["sleeve"]])
        return lines

    def _legs(self) -> dict:
        g = self.garment
        lines = {}
        for side in SIDES:
            out, spread = OUT[side], self.layout["legs"]
            hips = g["hip"] * 0.5
            corners = [[out * g["waist"] * 0.5, 0], [out * hips, TORSO - WAIST]]
            crotch = TORSO - WAIST + 0.15
            gap = max(g["thigh"] - hips, 0)  # legs of wide trousers lie beside each other
            corners += [[out * (hips + gap + 0.03), crotch + 0.2]]
            corners += [[out * (max(hips + gap, g["ankle"]) + 0.03 + spread * 4), ANKLE - WAIST]]
            lines[f"leg_{side}"] = (np.array(corners), [0, TORSO - WAIST, crotch + 0.2, ANKLE - WAIST])
        return lines

    def _extent(self, lines: dict, trousers: bool) -> tuple[np.ndarray, np.ndarray]:
        g = self.garment
        if trousers:
            end = Tube(*lines["leg_left"]).place(
                np.array([0.0, 0.9, 2.0, g["length"]]), leg_width(g, np.array([0.0, 0.9, 2.0, g["length"]]))
            )
            half = max(end[:, 0].max(), g["hip"])
            return np.array([-half, -g["rise"]]), np.array([half, end[-1, 1]])
        top = (
            g["top"]
            if g["neck"] == "waist"
            else min(g["neck_depth"] if g["neck"] in ("turtle", "mock") else -0.1, -0.1)
        )
        if g["neck"] in ("polo", "shirt"):
            top = -0.3
        half = float(trunk_width(g, np.linspace(max(top, 0), g["hem"], 40)).max())
        bottom = g["hem"]
        if lines:
            along = np.linspace(0, g["sleeve"], 9)
            for across in (-1, 1):
                edge = Tube(*lines["sleeve_left"]).place(along, across * sleeve_width(g, along))
                half, bottom = max(half, edge[:, 0].max()), max(bottom, edge[:, 1].max())
        return np.array([-half, top]), np.array([half, bottom])

    def place(self, piece: str, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        """Points (..., 2) of the picture at which places of a piece are seen."""
        if piece in self._tubes:
            out = OUT[piece.split("_")[1]]
            table = self._tubes[piece].place(v, u * (out if piece.startswith("sleeve") else 1))
        else:
            table = np.stack([u, v], -1).astype(float)
        places = table @ self._matrix.T + self._origin
        for _ in range(3):  # against the wobble, which is a function of the place in the picture
            moved = np.stack(self._wobble(places[..., 0], places[..., 1]), -1)
            places = (table - moved) @ self._matrix.T + self._origin
        return places

    def _wobble(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """How far cloth at points of the picture is pushed out of its shape, in units: nobody lays cloth exactly."""
        dx = dy = np.float32(0)
        for phase, (fx, fy), (ax, ay) in zip(*self._waves, strict=True):
            wave = np.sin(x * np.float32(fx) + y * np.float32(fy) + np.float32(phase))
            dx, dy = dx + np.float32(ax) * wave, dy + np.float32(ay) * wave
        return dx, dy

    def _rectangle(self, low: np.ndarray, high: np.ndarray) -> tuple[slice, slice]:
        corners = (
            np.array([[x, y] for x in (low[0], high[0]) for y in (low[1], high[1])]) @ self._matrix.T + self._origin
        )
        scale = np.array([self.size[1] / SIZE[1], self.size[0] / SIZE[0]])
        first = np.maximum(np.floor(corners.min(0) * scale - 3).astype(int), 0)
        last = np.minimum(np.ceil(corners.max(0) * scale + 3).astype(int), (self.size[1], self.size[0]))
        return slice(first[1], last[1]), slice(first[0], last[0])

    def _layer(self, piece: str, box, u, v, q, height) -> Layer:
        hx, hy = slopes(height)
        scale = np.float32(self.unit * self.size[0] / SIZE[0])
        bulge = np.float32(self.layout["round"])
        nx = bulge * np.sign(q) * np.abs(q) ** 3 - hx * scale
        return Layer(piece, *box, u, v, np.full_like(u, 9.0), (nx, -hy * scale, np.ones_like(nx)))

    def _trunk_layers(self) -> list[Layer]:
        g = self.garment
        half = float(trunk_width(g, np.linspace(0, 7, 50)).max()) + 0.1
        box = self._rectangle(np.array([-half, -0.6]), np.array([half, g["hem"] + 0.3]))
        u, v = self._x[box], self._y[box]
        q = np.clip(u / trunk_width(g, v).astype(np.float32), -1, 1)
        height = trunk_folds(g, u, v, 0.3) * np.float32(0.9)
        front = self._layer("front", box, u, v, q, height)
        back = self._layer("back", box, u, v, q, height * 0)
        layers = [back, front]
        for side in SIDES:
            if f"sleeve_{side}" in self._tubes:
                layers.append(
                    self._tube_layer(f"sleeve_{side}", g["sleeve"], sleeve_width, OUT[side], SLEEVE_TOP, 1.45)
                )
        return layers

    def _leg_layers(self) -> list[Layer]:
        g = self.garment
        return [self._tube_layer(f"leg_{s}", g["length"], leg_width, 1.0, -0.3, TORSO - WAIST + 2.1) for s in SIDES]

    def _tube_layer(self, name: str, length: float, width, sign: float, top: float, bend: float) -> Layer:
        g, tube = self.garment, self._tubes[name]
        along = np.linspace(top, length + 0.1, 12)
        reach = np.asarray(width(g, along)).max() + 0.1
        ends = tube.place(along, along * 0)
        box = self._rectangle(ends.min(0) - reach, ends.max(0) + reach)
        v, across = tube.locate(self._x[box], self._y[box])
        v, u = v.astype(np.float32), (across * sign).astype(np.float32)
        q = np.clip(across / np.asarray(width(g, v), np.float32), -1, 1)
        height = tube_folds(g, name, v, u, 0.15, bend, length) * np.float32(0.85)
        return self._layer(name, box, u, v, q, height)


# --- on a body -----------------------------------------------------------------------------------------------------


class Worn:
    """A garment on a body.

    Args:
        garment: from `sample_garment`.
        body: at the size of the picture.
        tucked: whether a top ends under the waistband.

    Attributes:
        trunk: layers of the trunk, or of the trousers' legs, from back to front.
        sleeves: side to its layer.
    """

    def __init__(self, garment: dict, body: Body, tucked: bool = False):
        self.garment, self.body, self.tucked = garment, body, tucked
        trousers = garment["category"] == "lower_body" and not garment["skirt"]
        self.trunk = [self._leg(side) for side in SIDES] if trousers else [self._trunk()]
        self.sleeves = {side: self._sleeve(side) for side in SIDES} if garment["sleeve"] else {}

    def _pixels(self) -> float:
        """Pixels a unit."""
        return self.body.unit * self.body.size[0] / SIZE[0]

    def _width(self) -> tuple[np.ndarray, np.ndarray]:
        """Half width of the worn trunk over heights: what is under it, or what hangs by itself."""
        g, body = self.garment, self.body
        down = np.linspace(-0.6, 8.5, 183)
        under = body.half_width(np.maximum(down, 0)) * 1.015 + 0.012
        if g["hem"] > 2.6:  # skirts go round the legs
            for side in SIDES:
                tube = body.limbs[f"leg_{side}"]
                along = np.linspace(0.9, 5.0, 40)
                edge = tube.place(along, OUT[side] * body.limb_radius(f"leg_{side}", along) * body.unit)
                out = OUT[side] * (edge[:, 0] - body.centre(edge[:, 1])) / body.unit
                under = np.where(
                    down > TORSO + 0.1, np.maximum(under * 0.9, np.interp(down, self._down_of(edge), out) * 1.03), under
                )
        share = 0.735 + 0.05 * g["loose"]
        own = trunk_width(g, np.maximum(down, 0)) * share * math.hypot(body.cos, 0.75 * math.sin(body.numbers["yaw"]))
        if self.tucked:
            own = np.minimum(own, under + 0.02 + 0.14 * smoothstep(WAIST, WAIST - 0.5, down))
        own = np.where(down < 0.75, np.minimum(own, under), own)
        both = np.maximum(under, own) + 0.004 * np.sin(np.arange(183) * 0.37)
        kernel = np.hanning(9)[1:-1] / np.hanning(9).sum()
        return down, np.convolve(np.pad(both, 3, mode="edge"), kernel, "valid")

    def _down_of(self, points: np.ndarray) -> np.ndarray:
        p = self.body.numbers
        return (points[:, 1] - p["y"]) / self.body.unit * (TORSO / p["torso"])

    def _trunk(self) -> Layer:
        g, body = self.garment, self.body
        p = body.numbers
        down, widths = self._width()
        # the rectangle: rows by heights, columns by the widest place
        first = (g["top"] - 0.2 if g["neck"] == "waist" else -0.75) * p["torso"] / TORSO
        last = (g["hem"] + 0.35) * p["torso"] / TORSO
        reach = widths[(down < g["hem"] + 0.3)].max() + 0.1
        sx, sy = body.size[1] / SIZE[1], body.size[0] / SIZE[0]
        ys = np.clip(np.array([first, last]) * body.unit + p["y"] + (-0.12 * body.unit, 0.12 * body.unit), 0, SIZE[0])
        xs = body.centre(np.linspace(*ys, 9))
        first_row = min(int(ys[0] * sy), body.size[0] - 2)
        rows = slice(first_row, max(int(math.ceil(ys[1] * sy)), first_row + 2))
        left = int(np.clip((xs.min() - reach * body.unit) * sx - 2, 0, body.size[1] - 2))
        columns = slice(left, int(np.clip((xs.max() + reach * body.unit) * sx + 3, left + 2, body.size[1])))
        x, v = body.across[rows, columns], body.garment_down()[rows, columns]
        worn = np.interp(v, down, widths).astype(np.float32)
        height = trunk_folds(g, x, v)
        hx, hy = slopes(height)
        scale = np.float32(self._pixels())
        hx, hy = hx * scale, hy * scale
        q = np.clip(x / worn, -1, 1)
        turned = np.float32(math.atan2(0.62 * math.sin(p["yaw"]), body.cos) / (math.pi / 2))
        along = arc(q) - turned
        true = (np.abs(along) < 1) & (np.abs(q) < 0.995)
        along = np.where(along > 1, 2 - along, np.where(along < -1, -2 - along, along))
        flat = trunk_width(g, v).astype(np.float32)
        low = flat * along * np.float32(0.985)
        shoulder = g.get("shoulder", 1.0) if g["sleeve"] else 1.0
        high = x * np.float32(shoulder / (0.95 * body.half_width(0.1))) - turned * np.float32(0.6)
        if g["neck"] in ("turtle", "mock"):
            ratio = g["neck_width"] / (p["neck"] + 0.02)
            high = high * (1 + (ratio - 1) * smoothstep(0.12, -0.1, v))
        t = smoothstep(0.3, 0.95, v).astype(np.float32)
        u = high + (low - high) * t
        slope = body.shoulder_line(x) - shoulder_line(u)
        fade = 1 - smoothstep(0.15, 1.1, v)
        rounded = np.sqrt(np.maximum(1 - q * q, 0))
        v2 = v - slope * fade + np.float32(0.035) * fade - np.float32(0.045) * np.maximum(v - 0.6, 0) * (rounded - 0.5)
        away = smoothstep(0.2, 0.9, v).astype(np.float32)  # seams hold shoulders and neckline
        u, v2 = u - _pushed(hx, scale) * away, v2 - _pushed(hy, scale) * away
        # the trunk's round form with chest and belly
        nx, nz = 0.62 * q, np.maximum(rounded, 0.06)
        bx, by = _chest(body, x, v)
        normal = (nx - (hx + bx) * nz, 0.05 - (hy + by) * nz, nz)
        edge = worn - np.abs(x)
        if self.tucked:
            edge = np.minimum(edge, WAIST + np.float32(0.2) - v)
        edge = edge * scale
        return Layer(
            "front", rows, columns, u.astype(np.float32), v2.astype(np.float32), edge.astype(np.float32), normal, true
        )

    def _sleeve(self, side: str) -> Layer:
        g, body = self.garment, self.body
        name, sign = f"arm_{side}", OUT[side]
        tube = body.limbs[name]
        knots = np.linspace(-0.6, 3.2, 60)
        bare = body.limb_radius(name, knots)
        own = sleeve_width(g, np.clip(knots, 0, g["sleeve"])) * 0.68
        close = bare * 1.05 + 0.02
        radius = close + np.maximum(own - close, 0) * smoothstep(-0.1, 0.55, knots)  # the shoulder fits
        box, v, across = body.on_limb(name)
        across = across * np.float32(sign)
        worn = np.interp(v, knots, radius).astype(np.float32)
        q = np.clip(across / worn, -1, 1)
        shape = np.broadcast_shapes(v.shape, across.shape)
        bend = _bend(tube)
        height = tube_folds(g, f"sleeve_{side}", v, across, bend, 1.45, g["sleeve"])
        flat = np.asarray(sleeve_width(g, v), np.float32)
        u = arc(q, 0.9) * flat * np.float32(0.985)
        # beyond the shoulder the sleeve's upper end is round
        edge = worn - np.hypot(across, np.minimum(v - np.float32(0.06), 0.0))
        return self._finish(f"sleeve_{side}", box, u, v, q * sign, edge, height, shape, tube)

    def _leg(self, side: str) -> Layer:
        g, body = self.garment, self.body
        name, sign = f"leg_{side}", OUT[side]
        tube = body.limbs[name]
        knots = np.linspace(-0.6, 6.4, 90)
        bare = body.limb_radius(name, knots)
        own = leg_width(g, np.maximum(knots, 0)) * np.interp(knots, [0, 0.9, 1.6], [0.76, 0.76, 0.68])
        radius = np.maximum(bare * 1.03 + 0.015, own)
        # above the crotch both legs meet in the middle: what is wider goes outward
        shift = (radius - bare) * (1 - smoothstep(0.85, 1.6, knots)) * sign
        box, v, across = body.on_limb(name)
        across = across - np.interp(v, knots, shift).astype(np.float32)
        worn = np.interp(v, knots, radius).astype(np.float32)
        q = np.clip(across / worn, -1, 1)
        height = tube_folds(g, name, v, across, _bend(tube) + 0.2, 0.9 + 2.1, g["length"])
        height += tube_folds(g, name + "crotch", v, across, 0.5, 0.95, 0.95) * np.float32(0.8)
        flat = np.asarray(leg_width(g, v), np.float32)
        # at the hips each leg is half of a round trunk, below a round of its own
        half = np.clip((q * sign + 1) / 2, 0, 1)
        trunk = (arc(half) * 2 - 1) * sign
        t = smoothstep(0.8, 1.5, v).astype(np.float32)
        u = (trunk + (arc(q, 0.9) - trunk) * t) * flat * np.float32(0.985)
        round_q = (half * sign) + (q - half * sign) * t
        return self._finish(name, box, u, v, round_q, worn - np.abs(across), height, v.shape, tube)

    def _finish(self, name, box, u, v, q, edge, height, shape, tube: Tube) -> Layer:
        """`q` is across the round, to the right of the line's direction on screen."""
        hx, hy = slopes(np.ascontiguousarray(np.broadcast_to(height, shape)))
        scale = np.float32(self._pixels())
        hx, hy = hx * scale, hy * scale
        nz = np.sqrt(np.maximum(1 - q * q, 0.01))
        dx, dy = (tube.points[-1] - tube.points[0]) / np.linalg.norm(tube.points[-1] - tube.points[0])
        normal = (q * np.float32(dy) - hx * nz, -q * np.float32(dx) - hy * nz + 0.05, nz)
        u, v = u - _pushed(hx, scale), v - _pushed(hy, scale)
        edge = np.broadcast_to(edge, shape) * scale
        return Layer(
            name, *box, u.astype(np.float32), v.astype(np.float32), edge.astype(np.float32), normal, np.abs(q) < 0.995
        )


def _pushed(slope: np.ndarray, pixels: float) -> np.ndarray:
    """How far folds of a slope shift the cloth that is seen, in units."""
    return np.clip(blurred(slope, 0.06 * float(pixels)), -0.6, 0.6) * np.float32(0.025)


def _bend(tube: Tube) -> float:
    """How far a limb is bent at its middle, 0 to 1."""
    first, last = tube.points[1] - tube.points[0], tube.points[-1] - tube.points[-2]
    cosine = first @ last / np.linalg.norm(first) / np.linalg.norm(last)
    return float((1 - cosine) / 2 + 0.5 * math.sqrt(max(0, 1 - cosine**2)))


def _chest(body: Body, x: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slopes of chest and belly (h, w) each: to the right and down."""
    p = body.numbers
    centre = 0.36 * p["chest"] / 0.77
    turned = 0.5 * math.sin(p["yaw"])
    gx, gy = np.zeros_like(x), np.zeros_like(v)
    bumps = [(s * centre + turned, 0.92, 0.30, 0.30, p["bust"]) for s in (-1, 1)] + [
        (turned, 1.75, 0.6, 0.55, p["belly"])
    ]
    for bx, by, wx, wy, amount in bumps:
        if amount < 0.01:
            continue
        ex, ey = (x - bx) / wx, (v - by) / wy
        ey = np.where(ey > 0, ey * 1.4, ey)
        bump = amount * np.exp(-ex * ex - ey * ey)
        gx -= 2 * ex / wx * bump
        gy -= 2 * ey / wy * bump * np.where(ey > 0, 1.4, 1)
    return gx, gy
