"""Garments as numbers, and the shapes they are cut to: widths, necklines, sleeves, hems, in units of half a shoulder.

`sewing.py` cuts the pieces, `wearing.py` lays them flat and puts them on bodies.
"""

from __future__ import annotations

import math

import numpy as np

from . import colours
from .bodies import SHIN, THIGH, TORSO, WAIST, shoulder_line
from .fabrics import pick, sample_fabric
from .frames import smoothstep

SLEEVE_TOP = -0.45
"""Along a sleeve, where its piece begins: the shoulder joint is 0."""
CAP = -0.2
"""Along a sleeve, where its seam meets the shoulder line."""
LEG_TOP = -0.22
ANKLE = TORSO + THIGH + SHIN
NECKS = {
    "crew": 0.26, "scoop": 0.16, "v": 0.18, "square": 0.06, "boat": 0.06, "polo": 0.06, "shirt": 0.10, "turtle": 0.05,
    "mock": 0.04, "sweetheart": 0.03,
}  # fmt: skip


def sample_garment(rng: np.random.Generator, category: str, simple: bool = False) -> dict:
    """Numbers of a garment of a category.

    Args:
        simple: a plain companion: what is worn beside the garment that is exchanged.
    """
    if category == "lower_body":
        garment = _skirt(rng) if rng.random() < 0.3 else _trousers(rng)
        jeans = not garment["skirt"] and rng.random() < (0.5 if simple else 0.35) or rng.random() < 0.08
        fabric = sample_fabric(
            rng, colours.denim(rng) if jeans else None, "plain" if simple or rng.random() < 0.55 else None
        )
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
        "lace": float(rng.random() < 0.05) * rng.uniform(0.15, 0.45),
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
    cuff = (
        upper * rng.uniform(0.8, 1.05)
        if length < 1.2
        else upper + (0.2 + 0.3 * loose**2 - upper) * min(length / 2.7, 1)
    )
    puff = float(rng.random() < 0.12) * rng.uniform(0.05, 0.2)
    band = rng.uniform(0.08, 0.22) if rng.random() < 0.5 else 0.0
    return {"sleeve": length, "sleeve_width": upper, "cuff": cuff, "puff": puff, "cuff_band": band}


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
        "flare": float(
            rng.choice([rng.uniform(-0.12, 0.05), rng.uniform(0.1, 0.4), rng.uniform(0.4, 0.9)], p=[0.35, 0.4, 0.25])
        ),
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
        knots, widths = (
            [garment["top"], WAIST + 0.05, 2.35],
            [garment["waist"], garment["waist"] + 0.04, garment["hip"]],
        )
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
    tight = (
        0.07
        * smoothstep(length - garment["cuff_band"] - 0.1, length - garment["cuff_band"], along)
        * (garment["cuff_band"] > 0)
    )
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


def neck_curve(garment: dict, back: bool = False) -> np.ndarray:
    """Right half of the neckline (N, 2), from the middle of the front to the shoulder."""
    width, depth, power = (garment[f"neck_{k}"] for k in ("width", "depth", "power"))
    end = float(shoulder_line(width)) - 0.02
    if back:
        depth, power = min(depth, end + 0.1), 2.5
    x = width * np.sin(np.linspace(0, np.pi / 2, 24))
    y = end + (depth - end) * np.maximum(1 - (x / width) ** power, 0) ** (1 / power)
    return np.stack([x, y], 1)


def outline(garment: dict, back: bool) -> np.ndarray:
    """Right half of the outline of the front or back (N, 2), from the middle of the neck to the middle of the hem."""
    if garment["neck"] == "waist":
        dip = 0.0 if back else 0.06
        x = np.linspace(0, garment["waist"], 8)
        points = [np.stack([x, garment["top"] + dip * (1 - (x / garment["waist"]) ** 2)], 1)]
        start = garment["top"]
    else:
        straps, pit, chest = garment["straps"], garment["pit"], garment["chest"]
        neck, start = neck_curve(garment, back), pit
        shoulder = garment["shoulder"]
        if garment["neck"] in ("turtle", "mock"):
            w = garment["neck_width"]
            neck = np.array(
                [
                    [0, garment["neck_depth"]],
                    [w * 0.92, garment["neck_depth"] + 0.02],
                    [w * 0.94, -0.15],
                    [w * 1.15, -0.06],
                ]
            )
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
            y = (
                edge * smoothstep(0.3, 1, x / chest)
                + depth * (1 - smoothstep(0.3, 1, x / chest))
                - (0.16 if not back else 0) * cup
            )
            points = [np.concatenate([x, y], 1)]
    down = np.linspace(start, garment["hem"], 40)
    sides = np.stack([trunk_width(garment, down), down], 1)
    low = np.linspace(sides[-1, 0], 0, 16)
    return np.concatenate([*points, sides[:-1], np.stack([low, low * 0 + garment["hem"]], 1)])
