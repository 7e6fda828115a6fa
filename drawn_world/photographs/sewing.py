"""Pieces of garments: cloth with an outline, printed and sewn. `wearing.py` brings them into pictures.

A piece is a picture with alpha over a plane in units of half a shoulder width: `front` and `back` (what the neck of a
flat lay shows of the inside) over the trunk's (across, down), each sleeve and trouser leg over (across, along). The
same pieces are laid flat and put on bodies, so both pictures show the same cloth.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from . import colours
from .bodies import SIDES, TORSO, WAIST, shoulder_line
from .fabrics import fabric_picture
from .frames import smoothstep
from .garments import (
    LEG_TOP,
    SLEEVE_TOP,
    cap,
    hem_line,
    leg_width,
    neck_curve,
    outline,
    sleeve_width,
    trunk_width,
)
from .noise import blurred, spread
from .prints import graphic

_REPEATING = ("stripes", "plaid", "zigzag", "motif", "dots")


@dataclass(frozen=True)
class Piece:
    """A flat piece of cloth.

    Attributes:
        picture: (H, W, 4) float32, sRGB and alpha in [0, 1].
        left, top: place of the first pixel's corner, in units.
        density: pixels a unit.
    """

    picture: np.ndarray
    left: float
    top: float
    density: float


class _Sheet:
    """A piece being sewn.

    Attributes:
        u, v: place of each pixel in units, (1, W) and (H, 1).
        colour: (H, W, 3) sRGB; `shade` (H, W) uint8 is what seams do to it, 128 nothing.
    """

    def __init__(self, left: float, top: float, width: float, height: float, density: float, fabric: dict):
        self.left, self.top, self.density = left, top, density
        self.size = round(height * density), round(width * density)
        self.u = left + (np.arange(self.size[1], dtype=np.float32)[None] + 0.5) / density
        self.v = top + (np.arange(self.size[0], dtype=np.float32)[:, None] + 0.5) / density
        picture = fabric_picture(fabric, (height + 0.02, width + 0.02), density)
        self.colour = np.ascontiguousarray(picture[: self.size[0], : self.size[1]], np.float32)
        self.shade = np.full(self.size, 128, np.uint8)

    def _pixels(self, points) -> np.ndarray:
        return ((np.asarray(points, float) - (self.left, self.top)) * self.density * 16 - 8).round().astype(np.int32)

    def inside(self, distance: np.ndarray) -> np.ndarray:
        """Cover of what lies at a positive distance in units."""
        return np.clip(distance * self.density + 0.5, 0, 1)

    def filled(self, points: np.ndarray) -> np.ndarray:
        """Cover (H, W) of a polygon, in [0, 1]."""
        mask = np.zeros(self.size, np.uint8)
        cv2.fillPoly(mask, [self._pixels(points)], 255, cv2.LINE_AA, 4)
        return mask / np.float32(255)

    def line(self, path, strength: float, width: float = 0.012) -> None:
        """A seam along a path: dark, with a light rim."""
        corners, thick = self._pixels(path), max(1, round(width * self.density))
        rim = corners + int(16 * width * self.density)
        cv2.polylines(self.shade, [rim], False, int(128 + 40 * strength), thick, cv2.LINE_AA, 4)
        cv2.polylines(self.shade, [corners], False, int(128 - 110 * strength), thick, cv2.LINE_AA, 4)

    def darken(self, where: np.ndarray, amount: float) -> None:
        """Multiply the colour by 1 - amount where a mask is."""
        self.colour *= spread((1 - amount * np.broadcast_to(where, self.size)).astype(np.float32))

    def dye(self, where: np.ndarray, colour) -> None:
        """Give cloth another colour where a mask is."""
        self.colour[np.broadcast_to(where, self.size)] = np.asarray(colour, np.float32)

    def stitch(self, distance: np.ndarray, amount: float) -> None:
        """A row of stitches where a distance is 0."""
        self.darken(np.abs(distance) < 0.6 / self.density + 0.004, amount)

    def dot(self, place, radius: float, tone) -> None:
        """A round spot; a shadow where there is no tone."""
        x, y = ((c - start) * self.density - 0.5 for c, start in zip(place, (self.left, self.top), strict=True))
        r = radius * self.density
        rows, columns = (slice(max(int(c - r - 1), 0), max(int(c + r + 3), 0)) for c in (y, x))
        area = self.colour[rows, columns]
        yy, xx = np.ogrid[rows.start : rows.start + area.shape[0], columns.start : columns.start + area.shape[1]]
        cover = np.clip(r - np.hypot(xx - x, yy - y) + 0.5, 0, 1)[..., None].astype(np.float32)
        area += (area * 0.6 - area if tone is None else np.float32(tone) - area) * cover

    def piece(self, alpha: np.ndarray) -> Piece:
        """What has been sewn, with a cover (H, W)."""
        lit = np.clip(self.colour * spread(self.shade.astype(np.float32) / 128), 0, 1)
        picture = np.concatenate([lit, np.broadcast_to(alpha, self.size)[..., None]], -1, dtype=np.float32)
        return Piece(picture, self.left, self.top, self.density)


def cut(garment: dict, scale: float) -> dict[str, Piece]:
    """Cut and sew a garment.

    Args:
        garment: from `sample_garment`.
        scale: picture height over 512; pieces are as fine as pictures of that size need.

    Returns:
        Pieces by name: `front`, `back`, `sleeve_right`, `sleeve_left`, or `leg_right`, `leg_left`.
    """
    density, rng = 138 * scale, np.random.default_rng(garment["seed"])
    if garment["category"] == "lower_body" and not garment["skirt"]:
        return {f"leg_{side}": _leg(garment, density, side) for side in SIDES}
    pieces = _trunk(garment, density, rng)
    if garment["sleeve"]:
        pieces |= {f"sleeve_{side}": _sleeve(garment, density, side) for side in SIDES}
    return pieces


def _trunk(garment: dict, density: float, rng: np.random.Generator) -> dict[str, Piece]:
    lower = garment["neck"] == "waist"
    top, bottom = garment["top"] - 0.1 if lower else -0.5, garment["hem"] + 0.3
    half = float(max(trunk_width(garment, np.linspace(0, 7, 60)).max(), garment.get("shoulder", 0))) + 0.08
    sheet = _Sheet(-half, top, 2 * half, bottom - top, density, garment["fabric"])
    front, back = (_outlined(garment, sheet, side) for side in (False, True))
    below = (hem_line(garment, sheet.u) - sheet.v).astype(np.float32)
    alpha = front * sheet.inside(below)
    _edges(garment, sheet, front, below)
    _seams(garment, sheet, half)
    _closure(garment, sheet, rng)
    if garment["graphic"]:
        _print_on(garment, sheet)
    if garment["neck"] in ("polo", "shirt"):
        alpha = _collar(garment, sheet, alpha)
    if garment["open"]:
        gap = garment["open"] * (0.35 + 0.65 * np.clip(sheet.v / 2.5, 0, 1)) - np.abs(sheet.u)
        alpha = alpha * (1 - sheet.inside(gap) * (sheet.v > garment["neck_depth"] - 0.3))
    alpha = alpha * _laced(garment, sheet, below) * (1 - garment["sheer"])
    made = {"front": sheet.piece(alpha)}
    made["back"] = _inside(garment, sheet, back * sheet.inside(below - 0.12), rng)
    return made


def _outlined(garment: dict, sheet: _Sheet, back: bool) -> np.ndarray:
    """Cover (H, W) of the front or back, down to below the hem."""
    right = outline(garment, back)
    right[np.isclose(right[:, 1], garment["hem"]), 1] += 0.3
    cover = sheet.filled(np.concatenate([right, (right * (-1, 1))[::-1]]))
    if garment.get("straps") == "thin":
        mask, thick = np.zeros(sheet.size, np.uint8), max(1, round(garment["strap_width"] * sheet.density))
        for sign in (-1, 1):
            ends = [[sign * 0.5, garment["pit"] - 0.2], [sign * 0.45, float(shoulder_line(0.45)) - 0.02]]
            cv2.polylines(mask, [sheet._pixels(ends)], False, 255, thick, cv2.LINE_AA, 4)
        cover = np.maximum(cover, mask / np.float32(255))
    return cover


def _edges(garment: dict, sheet: _Sheet, front: np.ndarray, below: np.ndarray) -> None:
    """Trim and stitches along neck, armholes or waist, and above the hem."""
    trim, u, v = garment["trim"], sheet.u, sheet.v
    if garment["neck"] == "waist":
        width, away = garment["band"], v - (garment["top"] + 0.06 * (1 - (u / garment["waist"]) ** 2))
        near = v < garment["top"] + 0.6
    else:
        width = trim["width"]
        upper, limit = np.ones(sheet.size, np.uint8), round((garment["pit"] - sheet.top) * sheet.density)
        upper[:limit] = front[:limit] > 0.5
        away = cv2.distanceTransform(upper, cv2.DIST_L2, 5) / np.float32(sheet.density)
        reach = garment["neck_width"] + width + 0.02 if garment["sleeve"] else 9
        near = (v < garment["pit"] + 0.1) & (np.abs(u) < reach)
        if garment["fabric"]["structure"] in ("rib", "knit", "cable", "jersey"):
            ribs = np.sin(u * (2 * np.pi / 0.05)) * 0.07
            sheet.darken(ribs * ((away < width) & near | (below < garment["hem_band"])), 1.0)
    if trim["colour"] is not None:
        sheet.dye((away < width) & near, trim["colour"])
    sheet.stitch(np.where(near, away - width, 9), garment["stitch"])
    sheet.stitch(below - 0.09, garment["stitch"])


def _seams(garment: dict, sheet: _Sheet, half: float) -> None:
    """Belt, tiers, pleats, pockets, and the folds of a high collar."""
    trim, belt = garment["trim"], garment.get("belt", 0.0)
    if belt:
        paint = trim["colour"] if trim["colour"] is not None else garment["fabric"]["palette"][-1]
        sheet.dye(np.abs(sheet.v - WAIST) < belt, paint)
        sheet.line([[-half, WAIST - belt], [half, WAIST - belt]], 0.35)
        sheet.line([[-half, WAIST + belt], [half, WAIST + belt]], 0.5)
    for tier in range(garment.get("tiers", 0)):
        y = WAIST + (garment["hem"] - WAIST) * (tier + 1) / (garment["tiers"] + 1)
        sheet.line([[-half, y], [half, y]], 0.5)
    for place in np.linspace(-0.9, 0.9, garment.get("pleats", 0)):
        start = [place * garment["waist"], garment["top"] + garment["band"]]
        sheet.line([start, [place * float(trunk_width(garment, garment["hem"])), garment["hem"]]], 0.55)
    if garment["pockets"] == "chest":
        sheet.line([[0.28, 0.75], [0.72, 0.75], [0.72, 1.15], [0.5, 1.27], [0.28, 1.15], [0.28, 0.75]], 0.35, 0.01)
    elif garment["pockets"] == "low" and garment["hem"] > 2.2:
        for sign in (-1, 1):
            sheet.line([[sign * 0.5, 1.75], [sign * 0.78, 2.25]], 0.6, 0.015)
    if garment["neck"] in ("turtle", "mock"):
        sheet.line([[-0.4, -0.08], [0, 0.03], [0.4, -0.08]], 0.4)
    if garment["neck"] == "turtle":
        sheet.line([[-0.4, -0.22], [0, -0.2], [0.4, -0.22]], 0.35)


def _closure(garment: dict, sheet: _Sheet, rng: np.random.Generator) -> None:
    """Buttons or a zip, with the plackets they sit on."""
    if garment["closure"] == "none":
        return
    start = garment["top"] if garment["neck"] == "waist" else max(garment["neck_depth"], -0.1)
    half, middle = garment["closure"] == "half", garment["open"]
    end = start + rng.uniform(0.3, 0.5) if half else garment["hem"]
    for x in (-0.075 - middle, 0.075 + middle):
        sheet.line([[x, start], [x, end]], 0.28, 0.008)
    if half:
        sheet.line([[-0.075, end], [0.075, end]], 0.28, 0.008)
    if garment["closure"] == "zip":
        sheet.line([[0.02 + middle, start], [0.02 + middle, end]], 0.8, 0.02)
        for y in np.arange(start, end, 0.03):
            sheet.dot((middle, y), 0.009, 0.7)
        return
    tone = np.array(0.9 if rng.random() < 0.4 else 0.12) if rng.random() < 0.5 else colours.cloth(rng)
    radius, gap = rng.uniform(0.025, 0.055), rng.uniform(0.22, 0.42)
    for y in np.arange(start + 0.12, end - 0.05, 0.17 if half else gap):
        sheet.dot((middle + 0.012, y + 0.016), radius * 1.1, None)
        sheet.dot((middle, y), radius, tone)
        sheet.dot((middle, y), radius * 0.3, tone * 0.5)


def _print_on(garment: dict, sheet: _Sheet) -> None:
    spec, density = garment["graphic"], sheet.density
    rng = np.random.default_rng(spec["seed"])
    picture = graphic(spec["kind"], rng, max(4, round(spec["width"] * density)), spec["palette"])
    y = max(spec["y"] - picture.shape[0] / density * 0.35, garment["neck_depth"] + 0.12)
    row, column = round((y - sheet.top) * density), round((spec["x"] - sheet.left) * density - picture.shape[1] / 2)
    picture = picture[: max(0, round((garment["hem"] - 0.15 - sheet.top) * density) - row)]
    area = sheet.colour[row : row + picture.shape[0], max(column, 0) : column + picture.shape[1]]
    picture = picture[: area.shape[0], : area.shape[1]] / np.float32(255)
    area += (picture[..., :3] - area) * picture[..., 3:] * np.float32(0.96)


def _collar(garment: dict, sheet: _Sheet, alpha: np.ndarray) -> np.ndarray:
    """Two leaves of a turned-down collar; returns the cover with them."""
    w, d = garment["neck_width"], min(garment["neck_depth"], 0.34)
    reach, end = 0.2 + 0.18 * (garment["seed"] % 7) / 7, float(shoulder_line(w))
    start = 0.02 if garment["neck_depth"] < 0.4 else 0.1
    for sign in (-1, 1):
        leaf = [[start, d], [start + reach * 0.55, d + reach], [w + 0.16, end + 0.06], [w * 0.95, end - 0.16],
                [w * 0.72, end - 0.12]]  # fmt: skip
        leaf = np.array(leaf) * (sign, 1)
        cover = sheet.filled(leaf)
        below = blurred(np.roll(cover, round(0.03 * sheet.density), 0), 0.03 * sheet.density)
        sheet.darken(below * (1 - cover), 0.35)
        if garment["trim"]["colour"] is not None:
            sheet.colour += (garment["trim"]["colour"].astype(np.float32) - sheet.colour) * spread(cover)
        alpha = np.maximum(alpha, cover)
        sheet.line(leaf[:3], 0.5, 0.01)
    return alpha


def _laced(garment: dict, sheet: _Sheet, below: np.ndarray) -> np.ndarray | float:
    """What lace leaves (H, W) of the cover above an edge that lies `below` units further down."""
    if not garment["lace"]:
        return 1.0
    round_holes = np.cos(sheet.u * 52) * np.cos(below * 52) + 0.5 * np.cos(sheet.u * 17 + 1) * np.cos(below * 23)
    return 1 - 0.75 * smoothstep(0.1, 0.5, round_holes) * (below < garment["lace"]) * (below > 0.03)


def _inside(garment: dict, sheet: _Sheet, cover: np.ndarray, rng: np.random.Generator) -> Piece:
    """The inside of the back, with its label."""
    u, v, lower = sheet.u, sheet.v, garment["neck"] == "waist"
    inside = colours.cloth(rng) if rng.random() < 0.15 else garment["fabric"]["palette"][0] * garment["inside"]
    lining = np.empty((*sheet.size, 3), np.float32)
    lining[:] = inside
    lining *= np.float32(0.85) if lower else (1 - 0.25 * smoothstep(0.25, -0.1, v))[..., None].astype(np.float32)
    if garment["label"] and not lower:
        x, y = rng.uniform(-0.06, 0.06), float(neck_curve(garment, True)[0, 1]) + 0.1
        lining[(np.abs(u - x) < 0.1) & (np.abs(v - y) < 0.055)] = 0.93 if rng.random() < 0.7 else 0.08
        lining[(np.abs(u - x) < 0.065) & (np.abs(v - y) < 0.012)] = 0.4
    picture = np.concatenate([lining, cover[..., None]], -1, dtype=np.float32)
    return Piece(picture, sheet.left, sheet.top, sheet.density)


def _sleeve(garment: dict, density: float, side: str) -> Piece:
    length, fabric, trim = garment["sleeve"], garment["fabric"], garment["trim"]
    half = float(sleeve_width(garment, np.linspace(0, length, 30)).max()) + 0.05
    other = 0 if fabric["pattern"] in _REPEATING else 1 + SIDES.index(side)  # a print goes on elsewhere
    cloth = fabric | {"seed": fabric["seed"] + other}
    sheet = _Sheet(-half, SLEEVE_TOP, 2 * half, length + 0.1 - SLEEVE_TOP, density, cloth)
    along, below = sheet.v, length - sheet.v
    width = sleeve_width(garment, along).astype(np.float32)
    start = cap(garment, np.clip(sheet.u / width, -1, 1))
    alpha = sheet.inside(width - np.abs(sheet.u)) * sheet.inside(along - start) * sheet.inside(below)
    if trim["sleeves"]:
        sheet.colour[:] = trim["colour"]
    cuff = garment["cuff_band"]
    if cuff and trim["colour"] is not None:
        sheet.dye(below < cuff, trim["colour"])
    sheet.stitch(below - max(cuff, 0.07), garment["stitch"] + 0.1 * (cuff > 0))
    sheet.darken(np.clip(1 - np.abs(along - start - 0.01) / 0.02, 0, 1), 0.28)
    return sheet.piece(alpha * _laced(garment, sheet, below) * (1 - garment["sheer"]))


def _leg(garment: dict, density: float, side: str) -> Piece:
    length, fabric, sign = garment["length"], garment["fabric"], 1.0 if side == "left" else -1.0  # outward
    half = float(leg_width(garment, np.linspace(-0.2, length, 60)).max()) + 0.05
    other = side == "left" and fabric["pattern"] in ("plain", "dye", "animal")
    sheet = _Sheet(-half, LEG_TOP, 2 * half, length + 0.1 - LEG_TOP, density, fabric | {"seed": fabric["seed"] + other})
    u, along, start = sheet.u, sheet.v, -garment["rise"]
    width = leg_width(garment, along).astype(np.float32)
    if fabric["structure"] == "denim":  # worn pale on the thighs and knees
        worn = np.exp(-((u / (width * 0.55)) ** 2)) * (0.3 + 0.7 * np.exp(-(((along - 1.7) / 1.0) ** 2)))
        pale = np.clip(sheet.colour * 1.35 + 0.06, 0, 1) - sheet.colour
        sheet.colour += pale * spread(worn.astype(np.float32) * np.float32(fabric["rough"] * 0.6))
    over = np.where((u * sign < 0) & (along < TORSO - WAIST), np.float32(0.04), np.float32(0))  # under the other leg
    alpha = sheet.inside(width + over - np.abs(u)) * sheet.inside(along - start) * sheet.inside(length - along)
    low = start + garment["band"]
    if garment["belt"]:
        sheet.dye(along < low, fabric["palette"][-1] * 0.5)
    sheet.line([[-half, low], [half, low]], 0.5)
    outer = leg_width(garment, np.array([0.3, 0.9])) * sign
    sheet.line([[outer[0] - sign * 0.28, low], [outer[0] - sign * 0.2, low + 0.25], [outer[1], low + 0.5]], 0.55)
    if garment["fly"]:
        down = np.linspace(low, 0.95, 8)
        inner = -sign * leg_width(garment, down)
        sheet.line(np.stack([inner + sign * 0.012, down], 1), 0.5)
        if side == "left":
            sheet.line(np.stack([inner[:6] + 0.13, np.linspace(low, 0.8, 6)], 1), 0.3, 0.008)
            sheet.dot((inner[0] + 0.03, start + garment["band"] / 2), 0.045, 0.6)
    if garment["crease"]:
        sheet.line([[0, low + 0.2], [0, length]], 0.35)
    if garment["hem_stitch"]:
        sheet.stitch(length - along - 0.09, 0.08 + garment["stitch"])
    return sheet.piece(alpha)
