"""Garments as they are cut: flat pieces of cloth with an outline, printed and sewn. What they are is numbers.

A piece is a picture with alpha over a plane in units of half a shoulder width: `front` and `back` (what the neck of a
flat lay shows of the inside) over the trunk's (across, down), each sleeve and trouser leg over (across, along).
`wearing.py` lays the same pieces flat and puts them on bodies, so both pictures show the same cloth.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from . import colours
from .bodies import SHIN, SIDES, THIGH, TORSO, WAIST, shoulder_line
from .fabrics import fabric_picture, pick, sample_fabric
from .frames import smoothstep
from .noise import blurred
from .prints import graphic

SLEEVE_TOP = -0.45
"""Along a sleeve, where its piece begins: the shoulder joint is 0."""
CAP = -0.2
"""Along a sleeve, where its seam meets the shoulder line."""
LEG_TOP = -0.12
ANKLE = TORSO + THIGH + SHIN
NECKS = {
    "crew": 0.26, "scoop": 0.16, "v": 0.18, "square": 0.06, "boat": 0.06, "polo": 0.06, "shirt": 0.10, "turtle": 0.05,
    "mock": 0.04, "sweetheart": 0.03,
}  # fmt: skip


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


def sample_garment(rng: np.random.Generator, category: str, simple: bool = False) -> dict:
    """Numbers of a garment of a category.

    Args:
        simple: a plain companion: what is worn beside the garment that is exchanged.
    """
    if category == "lower_body":
        garment = _skirt(rng) if rng.random() < 0.3 else _trousers(rng)
        jeans = not garment["skirt"] and rng.random() < (0.5 if simple else 0.35) or rng.random() < 0.08
        fabric = sample_fabric(rng, colours.denim(rng) if jeans else None, "plain" if simple or rng.random() < 0.55 else None)
        if jeans:
            fabric |= {"structure": "denim", "pattern": "plain", "shine": 0.0}
    else:
        garment = _top(rng) if category == "upper_body" else _dress(rng)
        fabric = sample_fabric(rng, None, "plain" if simple and rng.random() < 0.7 else None)
    garment |= {
        "category": category,
        "fabric": fabric,
        "seed": int(rng.integers(2**62)),
        "trim": _trim(rng, fabric),
        "stitch": rng.uniform(0.0, 0.22),
        "inside": rng.uniform(0.55, 0.9),
        "label": rng.random() < 0.6,
        "folds": rng.uniform(0.5, 1.5),
        "sheer": float(rng.random() < 0.03) * rng.uniform(0.1, 0.35),
        "graphic": None,
    }
    if category != "lower_body" and fabric["pattern"] == "plain" and not simple and rng.random() < 0.55:
        garment["graphic"] = _graphic(rng, fabric["palette"][0])
    return garment


def _trim(rng: np.random.Generator, fabric: dict) -> dict:
    contrast = rng.random() < 0.22
    colour = colours.palette(rng, 2, fabric["palette"][0])[1] if contrast else None
    return {"width": rng.uniform(0.03, 0.13), "colour": colour, "sleeves": contrast and rng.random() < 0.25}


def _graphic(rng: np.random.Generator, ground: np.ndarray) -> dict:
    kind = pick(rng, {"letters": 0.42, "logo": 0.26, "picture": 0.32})
    small = kind == "logo" and rng.random() < 0.6
    palette = colours.palette(rng, 4, ground)
    if rng.random() < 0.45:  # white on dark, dark on white
        palette[1] = 0.96 if ground.mean() < 0.55 else 0.06
    return {
        "kind": kind,
        "palette": palette,
        "width": rng.uniform(0.18, 0.3) if small else rng.uniform(0.7, 1.45),
        "x": 0.45 if small else rng.normal(0, 0.02),
        "y": 0.75 if small else rng.uniform(0.7, 1.2),
        "seed": int(rng.integers(2**62)),
    }


def _neckline(rng: np.random.Generator) -> dict:
    kind = pick(rng, NECKS)
    width, depth, power = {
        "crew": (rng.uniform(0.33, 0.46), rng.uniform(0.12, 0.28), 2.2),
        "scoop": (rng.uniform(0.42, 0.72), rng.uniform(0.35, 0.75), 2.2),
        "v": (rng.uniform(0.34, 0.55), rng.uniform(0.45, 1.15), 1.05),
        "square": (rng.uniform(0.45, 0.7), rng.uniform(0.35, 0.65), 7.0),
        "boat": (rng.uniform(0.6, 0.85), rng.uniform(0.05, 0.2), 2.4),
        "polo": (rng.uniform(0.33, 0.42), rng.uniform(0.35, 0.6), 1.0),
        "shirt": (rng.uniform(0.33, 0.42), rng.uniform(0.2, 0.7), 1.0),
        "turtle": (0.33, -0.4, 2.0),
        "mock": (0.35, -0.2, 2.0),
        "sweetheart": (0.62, rng.uniform(0.45, 0.7), 2.0),
    }[kind]
    return {"neck": kind, "neck_width": width, "neck_depth": depth, "neck_power": power}


def _sleeves(rng: np.random.Generator, none: float = 0.27) -> dict:
    kind = pick(rng, {"none": none, "cap": 0.05, "short": 0.33, "elbow": 0.07, "three": 0.06, "long": 0.24})
    length = {
        "none": 0.0, "cap": rng.uniform(0.25, 0.45), "short": rng.uniform(0.5, 0.95), "elbow": rng.uniform(1.1, 1.5),
        "three": rng.uniform(1.7, 2.2), "long": rng.uniform(2.5, 2.85),
    }[kind]  # fmt: skip
    loose = rng.beta(1.5, 2.5)
    upper = 0.32 + 0.28 * loose
    cuff = upper * rng.uniform(0.8, 1.05) if length < 1.2 else upper + (0.2 + 0.3 * loose**2 - upper) * min(length / 2.7, 1)
    return {"sleeve": length, "sleeve_width": upper, "cuff": cuff, "puff": float(rng.random() < 0.12) * rng.uniform(0.05, 0.2),
            "cuff_band": rng.uniform(0.08, 0.22) if rng.random() < 0.5 else 0.0}  # fmt: skip


def _bodice(rng: np.random.Generator) -> dict:
    loose = rng.beta(1.3, 2.6)
    sleeves = _sleeves(rng)
    drop = loose * rng.uniform(0, 0.28) if sleeves["sleeve"] else 0.0
    neck = _neckline(rng)
    if neck["neck"] in ("polo", "shirt") and sleeves["sleeve"] < 0.5 and rng.random() < 0.7:
        sleeves = sleeves | {"sleeve": 0.8}
    straps = "wide"
    if not sleeves["sleeve"] and neck["neck"] in ("scoop", "v", "square", "sweetheart", "boat"):
        straps = pick(rng, {"wide": 0.5, "thin": 0.32, "none": 0.1, "halter": 0.08})
    chest = 0.86 + 0.5 * loose
    return neck | sleeves | {
        "straps": straps,
        "strap_width": rng.uniform(0.02, 0.05) if rng.random() < 0.6 else rng.uniform(0.05, 0.12),
        "shoulder": 0.9 + drop if sleeves["sleeve"] else rng.uniform(0.68, 0.92),
        "pit": rng.uniform(0.78, 0.95) + 0.35 * loose,
        "chest": chest,
        "waist": chest - rng.uniform(0.02, 0.26) * (1 - loose),
        "hip": chest + rng.uniform(-0.04, 0.16),
        "loose": loose,
        "asymmetric": float(rng.random() < 0.05),
    }  # fmt: skip


def _top(rng: np.random.Generator) -> dict:
    top = _bodice(rng)
    length = str(rng.choice(["crop", "regular", "long"], p=[0.16, 0.68, 0.16]))
    hem = {"crop": rng.uniform(1.35, 2.0), "regular": rng.uniform(2.55, 3.15), "long": rng.uniform(3.1, 3.8)}[length]
    open_front = top["sleeve"] > 1.0 and top["neck"] in ("v", "crew", "shirt") and rng.random() < 0.2
    closure = "none"
    if top["neck"] in ("shirt", "polo") or open_front or rng.random() < 0.1:
        closure = "half" if top["neck"] == "polo" else "buttons" if rng.random() < 0.7 else "zip"
    if top["straps"] in ("none", "halter"):
        hem = min(hem, 2.8)
    return top | {
        "hem": hem,
        "flare": rng.uniform(-0.05, 0.08) if rng.random() < 0.85 else rng.uniform(0.1, 0.35),
        "hem_curve": float(rng.choice([0.0, rng.uniform(-0.05, 0.1), rng.uniform(0.1, 0.35)], p=[0.45, 0.35, 0.2])),
        "hem_band": rng.uniform(0.12, 0.3) if top["sleeve"] > 1.5 and rng.random() < 0.45 else 0.0,
        "closure": closure,
        "open": rng.uniform(0.06, 0.45) if open_front else 0.0,
        "pockets": str(rng.choice(["none", "chest", "low"], p=[0.8, 0.13, 0.07])),
        "skirt": False,
    }  # fmt: skip


def _dress(rng: np.random.Generator) -> dict:
    dress = _bodice(rng)
    hem = float(rng.choice([rng.uniform(3.3, 4.2), rng.uniform(4.2, 5.2), rng.uniform(5.4, 6.5)], p=[0.45, 0.33, 0.22]))
    closure = "none" if rng.random() < 0.8 else "buttons"
    return dress | {
        "chest": min(dress["chest"], 1.2),
        "waist": min(dress["waist"], 1.1) - (0.1 if rng.random() < 0.5 else 0),
        "hip": max(dress["hip"], 1.05),
        "hem": hem,
        "flare": float(rng.choice([rng.uniform(-0.12, 0.05), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.9)], p=[0.35, 0.4, 0.25])),
        "hem_curve": float(rng.choice([0.0, rng.uniform(-0.1, 0.15)])),
        "hem_band": 0.0,
        "closure": closure,
        "open": 0.0,
        "belt": float(rng.random() < 0.25) * rng.uniform(0.05, 0.14),
        "pockets": "none",
        "tiers": int(rng.choice([0, 0, 0, 2, 3])),
        "skirt": True,
    }


def _skirt(rng: np.random.Generator) -> dict:
    hem = float(rng.choice([rng.uniform(3.0, 3.8), rng.uniform(3.9, 5.0), rng.uniform(5.0, 6.4)], p=[0.4, 0.35, 0.25]))
    return {
        "skirt": True, "hem": hem, "waist": rng.uniform(0.74, 0.86), "hip": rng.uniform(1.02, 1.16), "loose": 0.3,
        "flare": float(rng.choice([rng.uniform(-0.1, 0.06), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.9)])),
        "hem_curve": rng.uniform(-0.05, 0.1), "hem_band": 0.0, "top": WAIST - rng.uniform(0.0, 0.16),
        "band": rng.uniform(0.08, 0.25), "closure": "buttons" if rng.random() < 0.12 else "none", "open": 0.0,
        "pleats": int(rng.integers(6, 16)) if rng.random() < 0.25 else 0, "tiers": int(rng.choice([0, 0, 0, 2])),
        "pockets": "none", "sleeve": 0.0, "neck": "waist", "belt": 0.0,
    }  # fmt: skip


def _trousers(rng: np.random.Generator) -> dict:
    cut = pick(rng, {"skinny": 0.28, "straight": 0.3, "wide": 0.2, "shorts": 0.22})
    end = SHIN + THIGH + TORSO - WAIST
    length = rng.uniform(1.2, 2.2) if cut == "shorts" else end * rng.uniform(0.86, 1.03)
    thigh, knee, ankle = {
        "skinny": (0.50, 0.31, 0.21), "straight": (0.56, 0.42, rng.uniform(0.3, 0.4)),
        "wide": (0.62, 0.55, rng.uniform(0.5, 0.75)), "shorts": (rng.uniform(0.55, 0.72), 0.6, 0.6),
    }[cut]  # fmt: skip
    return {
        "skirt": False, "cut": cut, "length": length, "waist": rng.uniform(0.76, 0.86), "hip": rng.uniform(1.05, 1.15),
        "thigh": thigh, "knee": knee * rng.uniform(0.94, 1.08), "ankle": ankle, "band": rng.uniform(0.1, 0.17),
        "rise": rng.uniform(-0.05, 0.16), "fly": rng.random() < 0.8, "pockets": "sides", "crease": rng.random() < 0.15,
        "belt": float(rng.random() < 0.2), "hem_stitch": rng.random() < 0.6, "sleeve": 0.0, "loose": 0.3,
    }  # fmt: skip


def trunk_width(garment: dict, down) -> np.ndarray:
    """Half width of the flat front at heights (units)."""
    if "chest" in garment:
        knots = [0, garment["pit"], WAIST, 2.35]
        widths = [garment["chest"], garment["chest"], garment["waist"], garment["hip"]]
    else:
        knots, widths = [garment["top"], WAIST + 0.05, 2.35], [garment["waist"], garment["waist"] + 0.04, garment["hip"]]
    end = max(garment["hem"], 2.6)
    knots, widths = [*knots, end], [*widths, garment["hip"] + garment["flare"] * (0.5 if end < 3 else 1.0)]
    fine = np.linspace(0, 7, 141)
    smooth = np.interp(fine, knots, widths)
    kernel = np.hanning(9)[1:-1] / np.hanning(9).sum()
    smooth = np.convolve(np.pad(smooth, 3, mode="edge"), kernel, "valid")
    if garment.get("hem_band"):
        smooth = smooth - 0.1 * smoothstep(garment["hem"] - garment["hem_band"] - 0.15, garment["hem"], fine)
    return np.interp(down, fine, smooth)


def sleeve_width(garment: dict, along) -> np.ndarray:
    """Half width of the flat sleeve at places along it (units)."""
    length = garment["sleeve"]
    start = armhole(garment)[2]
    upper = start + (garment["sleeve_width"] - start) * smoothstep(0.1, 0.7, along)
    width = upper + (garment["cuff"] - garment["sleeve_width"]) * np.clip(np.asarray(along) / length, 0, 1)
    bulge = garment["puff"] * np.maximum(np.sin(np.pi * np.clip(np.asarray(along) / length, 0, 1)), 0) ** 0.7
    tight = 0.07 * smoothstep(length - garment["cuff_band"] - 0.1, length - garment["cuff_band"], along) * (garment["cuff_band"] > 0)
    return width + bulge - tight * (garment["cuff"] > 0.22)


def leg_width(garment: dict, along) -> np.ndarray:
    """Half width of the flat trouser leg at places below the waistband's edge (units)."""
    crotch, knee = TORSO - WAIST + 0.15, TORSO + THIGH - WAIST
    knots = [0, crotch - 0.15, crotch + 0.15, knee, ANKLE - WAIST]
    widths = [garment["waist"] * 0.5, garment["hip"] * 0.5, garment["thigh"], garment["knee"], garment["ankle"]]
    fine = np.linspace(-0.5, 6, 131)
    kernel = np.hanning(9)[1:-1] / np.hanning(9).sum()
    smooth = np.convolve(np.pad(np.interp(fine, knots, widths), 3, mode="edge"), kernel, "valid")
    return np.interp(along, fine, smooth)


def armhole(garment: dict) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Seam between trunk and sleeve on the left side: shoulder's end and armpit (2,), the sleeve's half width there,
    and how much further along the sleeve the armpit lies than the shoulder's end."""
    tip = np.array([garment["shoulder"], float(shoulder_line(garment["shoulder"]))])
    pit = np.array([float(trunk_width(garment, garment["pit"])), garment["pit"]])
    length = float(np.linalg.norm(tip - pit))
    width = min(garment["sleeve_width"], 0.46 * length)
    return tip, pit, width, math.sqrt(max(length**2 - 4 * width**2, 0.02))


def cap(garment: dict, across) -> np.ndarray:
    """Where the sleeve is sewn to the trunk, along it, at places across (1 is the shoulder's side, -1 the armpit's)."""
    return CAP + armhole(garment)[3] * ((1 - np.asarray(across)) / 2) ** 1.5


def hem_line(garment: dict, across) -> np.ndarray:
    """Height of the lower edge of the front at places across, in units."""
    u = np.asarray(across) / np.maximum(trunk_width(garment, garment["hem"]), 0.1)
    line = garment["hem"] - garment["hem_curve"] * np.minimum(np.abs(u), 1) ** 2.5
    return line + garment.get("asymmetric", 0.0) * 0.25 * u


def _neck_curve(garment: dict, back: bool = False) -> np.ndarray:
    """Right half of the neckline (N, 2), from the middle of the front to the shoulder."""
    width, depth, power = (garment[f"neck_{k}"] for k in ("width", "depth", "power"))
    end = float(shoulder_line(width)) - 0.02
    if back:
        depth, power = min(depth, end + 0.1), 2.5
    x = width * np.sin(np.linspace(0, np.pi / 2, 24))
    y = end + (depth - end) * np.maximum(1 - (x / width) ** power, 0) ** (1 / power)
    return np.stack([x, y], 1)


def _side(garment: dict, back: bool) -> np.ndarray:
    """Right half of the trunk's outline (N, 2), from the middle of the neck to the middle of the hem."""
    if garment["neck"] == "waist":
        dip = 0.0 if back else 0.06
        x = np.linspace(0, garment["waist"], 8)
        points = [np.stack([x, garment["top"] + dip * (1 - (x / garment["waist"]) ** 2)], 1)]
        start = garment["top"]
    else:
        straps, pit, chest = garment["straps"], garment["pit"], garment["chest"]
        neck, start = _neck_curve(garment, back), pit
        shoulder = garment["shoulder"]
        if garment["neck"] in ("turtle", "mock"):
            w = garment["neck_width"]
            neck = np.array([[0, garment["neck_depth"]], [w * 0.92, garment["neck_depth"] + 0.02], [w * 0.94, -0.15], [w * 1.15, -0.06]])
        if straps == "wide":
            rim = max(shoulder, neck[-1, 0] + 0.1)
            xs = np.linspace(neck[-1, 0], rim, 6)[1:]
            top = np.stack([xs, shoulder_line(xs)], 1)
            inset = -0.1 if garment["sleeve"] else 0.1 * (1.0 - min(shoulder, 1.0)) + 0.07
            t = np.linspace(0, 1, 14)[1:, None]
            a, b, c = top[-1], np.array([rim - inset, pit * 0.72]), np.array([chest, pit])
            points = [neck, top, (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c]
        elif straps == "halter":
            t = np.linspace(0, 1, 10)[1:, None]
            a, b, c = np.array([0.36, shoulder_line(0.36) - 0.03]), np.array([0.5, pit * 0.6]), np.array([chest, pit])
            lower = neck if back else np.stack([neck[:, 0] / neck[-1, 0] * 0.27, np.minimum(neck[:, 1], 0.75)], 1)
            points = [lower, (1 - t) ** 2 * a + 2 * t * (1 - t) * b + t**2 * c]
        else:  # cloth ends above the chest; thin straps are sewn on
            x = np.linspace(0, 1, 20)[:, None] * chest * 0.98
            edge = pit - 0.08
            depth = edge - 0.28 if garment["neck"] == "boat" else min(garment["neck_depth"], edge)
            cup = np.exp(-(((x - 0.5) / 0.22) ** 2))
            y = edge * smoothstep(0.3, 1, x / chest) + depth * (1 - smoothstep(0.3, 1, x / chest)) - (0.16 if not back else 0) * cup
            points = [np.concatenate([x, y], 1)]
    down = np.linspace(start, garment["hem"], 40)
    sides = np.stack([trunk_width(garment, down), down], 1)
    low = np.linspace(sides[-1, 0], 0, 16)
    return np.concatenate([*points, sides[:-1], np.stack([low, low * 0 + garment["hem"]], 1)])


def cut(garment: dict, scale: float) -> dict[str, Piece]:
    """Cut and sew a garment.

    Args:
        garment: from `sample_garment`.
        scale: picture height over 512; pieces are as fine as pictures of that size need.

    Returns:
        Pieces by name: `front`, `back`, `sleeve_right`, `sleeve_left`, or `leg_right`, `leg_left`.
    """
    density = 138 * scale
    rng = np.random.default_rng(garment["seed"])
    if garment["category"] == "lower_body" and not garment["skirt"]:
        return _cut_legs(garment, density, rng)
    pieces = _cut_trunk(garment, density, rng)
    if garment["sleeve"]:
        pieces |= _cut_sleeves(garment, density, rng)
    return pieces


def _filled(points: np.ndarray, left: float, top: float, size: tuple[int, int], density: float) -> np.ndarray:
    mask = np.zeros(size, np.uint8)
    corners = (points - (left, top)) * density - 0.5
    cv2.fillPoly(mask, [(corners * 16).round().astype(np.int32)], 255, cv2.LINE_AA, 4)
    return mask


def _lines(shade: np.ndarray, path, left, top, density, strength: float, width: float = 0.012) -> None:
    """A seam along a path of (across, down): darker, with a light rim."""
    corners = ((np.asarray(path) - (left, top)) * density * 16).round().astype(np.int32)
    thick = max(1, round(width * density))
    dark = int(128 - 110 * strength)
    cv2.polylines(shade, [corners + int(16 * width * density)], False, int(128 + 40 * strength), thick, cv2.LINE_AA, 4)
    cv2.polylines(shade, [corners], False, dark, thick, cv2.LINE_AA, 4)


def _shaded(colour: np.ndarray, shade: np.ndarray) -> np.ndarray:
    return np.clip(colour * (1 + (shade.astype(np.float32) - 128) / 128)[..., None], 0, 1)


def _cut_trunk(garment: dict, density: float, rng: np.random.Generator) -> dict[str, Piece]:
    lower = garment["neck"] == "waist"
    top = garment["top"] - 0.1 if lower else -0.5
    bottom = garment["hem"] + 0.3
    half = float(max(trunk_width(garment, np.linspace(0, 7, 60)).max(), garment.get("shoulder", 0))) + 0.08
    size = (round((bottom - top) * density), round(2 * half * density))
    left = -half
    u = left + (np.arange(size[1], dtype=np.float32)[None] + 0.5) / density
    v = top + (np.arange(size[0], dtype=np.float32)[:, None] + 0.5) / density
    colour = fabric_picture(garment["fabric"], (bottom - top + 0.02, 2 * half + 0.02), density)[: size[0], : size[1]]
    hem = hem_line(garment, u).astype(np.float32)
    below = np.clip((hem - v) * density + 0.5, 0, 1)

    def outline(back: bool) -> np.ndarray:
        right = _side(garment, back)
        sides = [right.copy(), right.copy()]
        for one in sides:
            one[np.isclose(one[:, 1], garment["hem"]), 1] += 0.3
        return np.concatenate([sides[0], (sides[1] * (-1, 1))[::-1]])

    front = _filled(outline(False), left, top, size, density)
    back = _filled(outline(True), left, top, size, density)
    if not lower and garment["straps"] == "thin":
        for mask in (front, back):
            for sign in (-1, 1):
                ends = np.array([[sign * 0.5, garment["pit"] - 0.2], [sign * 0.45, float(shoulder_line(0.45)) - 0.02]])
                cv2.polylines(mask, [((ends - (left, top)) * density * 16).astype(np.int32)], False, 255,
                              max(1, round(garment["strap_width"] * density)), cv2.LINE_AA, 4)  # fmt: skip
    alpha = front / np.float32(255) * below
    shade = np.full(size, 128, np.uint8)
    trim = garment["trim"]
    # edges: the distance from what is cut out above (neck, armholes), and from the hem
    upper = np.zeros(size, np.uint8)
    limit = round(((garment["top"] + 0.5 if lower else garment["pit"]) - top) * density)
    upper[:limit] = front[:limit]
    upper[limit:] = 255
    away = cv2.distanceTransform((upper > 127).astype(np.uint8), cv2.DIST_L2, 5) / np.float32(density)
    neck_only = np.abs(u) < (garment.get("neck_width", 0) + trim["width"] + 0.02 if garment["sleeve"] else 9)
    if lower:
        away = v - (garment["top"] + 0.06 * (1 - (u / garment["waist"]) ** 2))
    width = garment["band"] if lower else trim["width"]
    band = (away < width) & neck_only & (v < (garment["top"] + 0.6 if lower else garment["pit"] + 0.1))
    if trim["colour"] is not None:
        colour = np.where(band[..., None], trim["colour"].astype(np.float32), colour)
    stitch = np.abs(away - width) < 0.6 / density + 0.004
    colour = colour * (1 - garment["stitch"] * (stitch & neck_only)[..., None])
    if garment["fabric"]["structure"] in ("rib", "knit", "cable", "jersey") and not lower:
        ribs = np.sin(u * (2 * np.pi / 0.05)) * 0.07
        colour = colour * (1 + ribs * band)[..., None]
        if garment["hem_band"]:
            colour = colour * (1 + ribs * (hem - v < garment["hem_band"]))[..., None]
    near = np.abs(hem - v - 0.09) < 0.6 / density + 0.004
    colour = colour * (1 - garment["stitch"] * near)[..., None]
    if garment.get("belt"):
        at = np.abs(v - WAIST) < garment["belt"]
        paint = trim["colour"] if trim["colour"] is not None else garment["fabric"]["palette"][-1]
        colour = np.where(at[..., None], paint.astype(np.float32), colour)
        _lines(shade, [[-half, WAIST - garment["belt"]], [half, WAIST - garment["belt"]]], left, top, density, 0.35)
        _lines(shade, [[-half, WAIST + garment["belt"]], [half, WAIST + garment["belt"]]], left, top, density, 0.5)
    for tier in range(garment.get("tiers", 0)):
        y = WAIST + (garment["hem"] - WAIST) * (tier + 1) / (garment["tiers"] + 1)
        _lines(shade, [[-half, y], [half, y]], left, top, density, 0.5)
    if garment.get("pleats"):
        for pleat in np.linspace(-0.9, 0.9, garment["pleats"]):
            low = trunk_width(garment, garment["hem"]) * pleat
            _lines(shade, [[pleat * garment["waist"], garment["top"] + garment["band"]], [low, garment["hem"]]], left, top, density, 0.55)
    _closure(garment, colour, shade, left, top, density, rng)
    if garment["pockets"] != "none" and not lower:
        _pocket(garment, shade, left, top, density)
    if garment["graphic"]:
        _print_on(garment, colour, left, top, density)
    if garment["neck"] in ("polo", "shirt"):
        colour, alpha = _collar(garment, colour, alpha, shade, left, top, density)
    if garment["neck"] in ("turtle", "mock"):
        _lines(shade, [[-0.4, -0.08], [0, 0.03], [0.4, -0.08]], left, top, density, 0.4)
        if garment["neck"] == "turtle":
            _lines(shade, [[-0.4, -0.22], [0, -0.2], [0.4, -0.22]], left, top, density, 0.35)
    if garment["open"]:
        spread = garment["open"] * (0.35 + 0.65 * np.clip(v / 2.5, 0, 1))
        gap = np.clip((spread - np.abs(u)) * density + 0.5, 0, 1) * (v > garment["neck_depth"] - 0.3)
        alpha = alpha * (1 - gap)
    alpha = alpha * (1 - garment["sheer"])
    inside = colours.cloth(rng) if rng.random() < 0.15 else garment["fabric"]["palette"][0] * garment["inside"]
    lining = np.empty((*size, 3), np.float32)
    lining[:] = inside
    lining *= (1 - 0.25 * smoothstep(0.25, -0.1, v) + 0 * u)[..., None] if not lower else np.float32(0.85)
    if garment["label"] and not lower:
        x0, y0 = rng.uniform(-0.06, 0.06), float(_neck_curve(garment, True)[0, 1]) + 0.05
        tag = (np.abs(u - x0) < 0.1) & (np.abs(v - y0 - 0.05) < 0.055)
        lining[tag] = 0.93 if rng.random() < 0.7 else 0.08
        lining[(np.abs(u - x0) < 0.065) & (np.abs(v - y0 - 0.05) < 0.012)] = 0.4
    inner = back / np.float32(255) * np.clip((hem - 0.12 - v) * density + 0.5, 0, 1)
    return {
        "front": Piece(np.concatenate([_shaded(colour, shade), alpha[..., None]], -1).astype(np.float32), left, top, density),
        "back": Piece(np.concatenate([lining, inner[..., None]], -1).astype(np.float32), left, top, density),
    }


def _closure(garment: dict, colour: np.ndarray, shade: np.ndarray, left, top, density, rng) -> None:
    if garment["closure"] == "none":
        return
    if garment["neck"] == "waist":
        start = garment["top"]
    else:
        start = max(garment["neck_depth"], -0.1)
    half = garment["closure"] == "half"
    end = start + rng.uniform(0.3, 0.5) if half else garment["hem"]
    middle = garment["open"]
    for x in (-0.075 - middle, 0.075 + middle):
        _lines(shade, [[x, start], [x, end]], left, top, density, 0.28, 0.008)
    if half:
        _lines(shade, [[-0.075, end], [0.075, end]], left, top, density, 0.28, 0.008)
    if garment["closure"] == "zip":
        _lines(shade, [[0.02 + middle, start], [0.02 + middle, end]], left, top, density, 0.8, 0.02)
        step = 0.03
        for y in np.arange(start, end, step):
            _dot(colour, (0.0 + middle, y), 0.009, 0.7, left, top, density)
        return
    tone = np.array(0.9 if rng.random() < 0.4 else 0.12) if rng.random() < 0.5 else colours.cloth(rng)
    radius, gap = rng.uniform(0.025, 0.055), rng.uniform(0.22, 0.42)
    for y in np.arange(start + 0.12, end - 0.05, gap if not half else 0.17):
        _dot(colour, (middle + 0.012, y + 0.016), radius * 1.1, None, left, top, density)
        _dot(colour, (middle, y), radius, tone, left, top, density)
        _dot(colour, (middle, y), radius * 0.3, tone * 0.5, left, top, density)


def _dot(colour: np.ndarray, place, radius: float, tone, left, top, density) -> None:
    """A round spot; a shadow where there is no tone."""
    x, y, r = (place[0] - left) * density - 0.5, (place[1] - top) * density - 0.5, radius * density
    rows, columns = slice(max(int(y - r - 1), 0), int(y + r + 3)), slice(max(int(x - r - 1), 0), int(x + r + 3))
    area = colour[rows, columns]
    yy, xx = np.ogrid[rows.start : rows.start + area.shape[0], columns.start : columns.start + area.shape[1]]
    cover = np.clip(r - np.hypot(xx - x, yy - y) + 0.5, 0, 1)[..., None].astype(np.float32)
    area += (area * 0.6 - area if tone is None else np.float32(tone) - area) * cover


def _pocket(garment: dict, shade: np.ndarray, left, top, density) -> None:
    if garment["pockets"] == "chest":
        box = [[0.28, 0.75], [0.72, 0.75], [0.72, 1.15], [0.5, 1.27], [0.28, 1.15], [0.28, 0.75]]
        _lines(shade, box, left, top, density, 0.35, 0.01)
    elif garment["hem"] > 2.2:
        for sign in (-1, 1):
            _lines(shade, [[sign * 0.5, 1.75], [sign * 0.78, 2.25]], left, top, density, 0.6, 0.015)


def _print_on(garment: dict, colour: np.ndarray, left, top, density) -> None:
    spec = garment["graphic"]
    rng = np.random.default_rng(spec["seed"])
    picture = graphic(spec["kind"], rng, max(4, round(spec["width"] * density)), spec["palette"])
    limit = garment["hem"] - 0.15
    y = max(spec["y"] - picture.shape[0] / density * 0.35, garment["neck_depth"] + 0.12)
    row, column = round((y - top) * density), round((spec["x"] - left) * density - picture.shape[1] / 2)
    picture = picture[: max(0, round((limit - top) * density) - row)]
    area = colour[row : row + picture.shape[0], max(column, 0) : column + picture.shape[1]]
    picture = picture[: area.shape[0], : area.shape[1]] / np.float32(255)
    area += (picture[..., :3] - area) * picture[..., 3:] * np.float32(0.96)


def _collar(garment: dict, colour, alpha, shade, left, top, density):
    w, d = garment["neck_width"], garment["neck_depth"]
    reach = 0.2 + 0.18 * (garment["seed"] % 7) / 7
    end = float(shoulder_line(w))
    tone = garment["trim"]["colour"]
    for sign in (-1, 1):
        start = 0.02 if d < 0.4 else 0.1
        leaf = np.array([[start, min(d, 0.34)], [start + reach * 0.55, min(d, 0.34) + reach], [w + 0.16, end + 0.06],
                         [w * 0.95, end - 0.16], [w * 0.72, end - 0.12]]) * (sign, 1)  # fmt: skip
        cover = _filled(leaf, left, top, alpha.shape, density) / np.float32(255)
        dark = blurred(np.roll(cover, (round(0.03 * density), round(-sign * 0.0 * density)), (0, 1)), 0.03 * density)
        colour = colour * (1 - 0.35 * dark * (1 - cover))[..., None]
        if tone is not None:
            colour = colour + (tone.astype(np.float32) - colour) * cover[..., None]
        alpha = np.maximum(alpha, cover)
        _lines(shade, np.concatenate([leaf[:3]]), left, top, density, 0.5, 0.01)
    return colour, alpha


def _cut_sleeves(garment: dict, density: float, rng: np.random.Generator) -> dict[str, Piece]:
    length = garment["sleeve"]
    bottom, half = length + 0.1, float(sleeve_width(garment, np.linspace(0, length, 30)).max()) + 0.05
    size = (round((bottom - SLEEVE_TOP) * density), round(2 * half * density))
    u = -half + (np.arange(size[1], dtype=np.float32)[None] + 0.5) / density
    a = SLEEVE_TOP + (np.arange(size[0], dtype=np.float32)[:, None] + 0.5) / density
    fabric, trim = garment["fabric"], garment["trim"]
    width = sleeve_width(garment, a).astype(np.float32)
    across = u / width
    edge = np.clip((1 - np.abs(across)) * width * density + 0.5, 0, 1)
    alpha = edge * np.clip((a - cap(garment, np.clip(across, -1, 1))) * density + 0.5, 0, 1) * np.clip((length - a) * density + 0.5, 0, 1)
    result = {}
    for side in SIDES:
        shifted = fabric | {"seed": fabric["seed"] + (0 if fabric["pattern"] in ("stripes", "plaid", "zigzag", "motif", "dots") else 1 + SIDES.index(side))}
        colour = fabric_picture(shifted, (bottom - SLEEVE_TOP + 0.02, 2 * half + 0.02), density)[: size[0], : size[1]]
        if trim["sleeves"]:
            colour = colour * 0 + trim["colour"].astype(np.float32)
        band = length - a < garment["cuff_band"]
        if garment["cuff_band"] and trim["colour"] is not None:
            colour = np.where((band & (u == u))[..., None], trim["colour"].astype(np.float32), colour)
        line = np.abs(length - a - max(garment["cuff_band"], 0.07)) < 0.6 / density + 0.004
        colour = colour * (1 - (garment["stitch"] + 0.1 * (garment["cuff_band"] > 0)) * line)[..., None]
        seam = np.clip(1 - np.abs(a - cap(garment, np.clip(across, -1, 1)) - 0.01) / 0.02, 0, 1)
        colour = colour * (1 - 0.28 * seam)[..., None]
        result[f"sleeve_{side}"] = Piece(
            np.concatenate([colour, (alpha * (1 - garment["sheer"]))[..., None]], -1).astype(np.float32), -half, SLEEVE_TOP, density
        )
    return result


def _cut_legs(garment: dict, density: float, rng: np.random.Generator) -> dict[str, Piece]:
    length = garment["length"]
    bottom = length + 0.1
    half = float(leg_width(garment, np.linspace(-0.2, length, 60)).max()) + 0.05
    size = (round((bottom - LEG_TOP - 0.1) * density), round(2 * half * density))
    top = LEG_TOP - 0.1
    size = (round((bottom - top) * density), size[1])
    u = -half + (np.arange(size[1], dtype=np.float32)[None] + 0.5) / density
    a = top + (np.arange(size[0], dtype=np.float32)[:, None] + 0.5) / density
    width = leg_width(garment, a).astype(np.float32)
    fabric = garment["fabric"]
    start = -garment["rise"]
    result = {}
    for side in SIDES:
        sign = 1.0 if side == "left" else -1.0  # outward in screen x
        colour = fabric_picture(fabric | {"seed": fabric["seed"] + (side == "left") * (fabric["pattern"] in ("plain", "dye", "animal"))},
                                (bottom - top + 0.02, 2 * half + 0.02), density)[: size[0], : size[1]]  # fmt: skip
        shade = np.full(size, 128, np.uint8)
        if fabric["structure"] == "denim":  # worn pale on the thighs and knees, dark along the seams
            worn = np.exp(-((u / (width * 0.55)) ** 2)) * (0.3 + 0.7 * np.exp(-(((a - 1.7) / 1.0) ** 2)))
            colour = colour + (np.clip(colour * 1.35 + 0.06, 0, 1) - colour) * worn[..., None] * (fabric["rough"] * 0.6)
        over = np.where((u * sign < 0) & (a < TORSO - WAIST), np.float32(0.04), np.float32(0))  # under the other leg
        alpha = np.clip((width + over - np.abs(u)) * density + 0.5, 0, 1) * np.clip((a - start) * density + 0.5, 0, 1)
        alpha = alpha * np.clip((length - a) * density + 0.5, 0, 1)
        band = (a - start) < garment["band"]
        _lines(shade, [[-half, start + garment["band"]], [half, start + garment["band"]]], -half, top, density, 0.5)
        if garment["belt"]:
            colour = np.where((band & (u == u))[..., None], np.float32(fabric["palette"][-1] * 0.5), colour)
        outer = leg_width(garment, np.array([0.3, 0.9])) * sign
        low = start + garment["band"]
        if garment["pockets"] == "sides":
            _lines(shade, [[outer[0] - sign * 0.28, low], [outer[0] - sign * 0.2, low + 0.25], [outer[1], low + 0.5]], -half, top, density, 0.55)
        inner = -sign * leg_width(garment, np.linspace(low, 0.95, 8))
        if garment["fly"]:
            _lines(shade, np.stack([inner + sign * 0.012, np.linspace(low, 0.95, 8)], 1), -half, top, density, 0.5)
            if side == "left":
                _lines(shade, np.stack([inner[:6] + 0.13, np.linspace(low, 0.8, 6)], 1), -half, top, density, 0.3, 0.008)
                _dot(colour, (inner[0] + 0.03, start + garment["band"] / 2), 0.045, 0.6, -half, top, density)
        if garment["crease"]:
            _lines(shade, [[0, low + 0.2], [0, length]], -half, top, density, 0.35)
        if garment["hem_stitch"]:
            line = np.abs(length - a - 0.09) < 0.6 / density + 0.004
            colour = colour * (1 - (0.08 + garment["stitch"]) * line)[..., None]
        result[f"leg_{side}"] = Piece(np.concatenate([_shaded(colour, shade), alpha[..., None]], -1).astype(np.float32), -half, top, density)
    return result
