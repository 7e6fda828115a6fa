"""The people of the drawn world: proportions, pose, looks and framing, as numbers.

A person is a dict of numbers, so that the same person can be drawn again in any garment. The mannequin
that carries the flat garment is a person in a fixed pose. What a garment covers is tied to what remains
visible (shoulders, limbs, height), so that a try-on model can know it. Read `body.py` next.
"""

from __future__ import annotations

import numpy as np

from .body import HIPLINE, SIDES, WAISTLINE
from .garments import sample_garment

SKIN_TONES = np.array(
    [
        [0.96, 0.82, 0.72],
        [0.91, 0.74, 0.61],
        [0.82, 0.63, 0.48],
        [0.68, 0.48, 0.35],
        [0.50, 0.34, 0.24],
        [0.36, 0.24, 0.17],
    ]
)
HAIR_TONES = np.array(
    [
        [0.10, 0.08, 0.07],
        [0.25, 0.16, 0.10],
        [0.45, 0.29, 0.16],
        [0.74, 0.58, 0.34],
        [0.55, 0.22, 0.12],
        [0.55, 0.54, 0.53],
    ]
)
CLOTH_TONES = np.array(
    [
        [0.16, 0.18, 0.24],
        [0.22, 0.30, 0.46],
        [0.40, 0.50, 0.66],
        [0.13, 0.13, 0.14],
        [0.62, 0.55, 0.44],
        [0.42, 0.42, 0.40],
        [0.85, 0.84, 0.80],
    ]
)


def sample_person(rng: np.random.Generator, category: str = "upper_body") -> dict:
    """Draw one person for garments of `category`.

    Returns:
        Proportions and pose in drawing units (angles in radians from straight down, outward positive), colours
        (3,) in [0, 1], `category`, and `other`: the garment worn besides the exchanged one, or None. Upper-body people
        are framed from head to knee as in VITON-HD, the others as in Dress Code: for lower bodies from the chest to
        the shoes, for dresses from head to shoes.
    """
    scale = rng.uniform(0.92, 1.08)

    def about(value: float, spread: float = 0.03) -> float:
        return value * scale * rng.uniform(1 - spread, 1 + spread)

    person = {
        "category": category,
        "cx": 192.0,
        "shoulder_y": 142 + rng.uniform(-12, 12),
        "lean": rng.uniform(-0.07, 0.07),
        "shoulder": about(55.5, 0.06),
        "torso": about(189),
        "hip": about(39.5, 0.05),
        "waist": rng.uniform(0.73, 0.82),
        "upper_arm": about(92),
        "forearm": about(84),
        "arm_radius": about(18, 0.04),
        "thigh": about(155),
        "shin": about(150),
        "head": about(0.99),
        "head_tilt": rng.uniform(-7, 7),
        "hair_length": rng.choice([0.0, 0.35, 1.0]) + rng.uniform(0, 0.3),
        "hair_width": rng.uniform(1.12, 1.3),
        "light": rng.uniform(-1, 1),
        "skin": _mix(rng, SKIN_TONES),
        "hair": np.clip(_mix(rng, HAIR_TONES) + rng.uniform(-0.04, 0.04, 3), 0.03, 0.95),
        "shoe": np.clip(_mix(rng, CLOTH_TONES) * 0.8 + rng.uniform(-0.06, 0.06, 3), 0.04, 0.95),
        "background": np.clip(rng.uniform(0.45, 0.95) + rng.uniform(-0.1, 0.1, 3), 0.05, 0.98),
        "background_2": rng.uniform(-0.16, 0.16, 3),
        "background_noise": rng.uniform(-1, 1, (5, 4)),
        "tucked": bool(rng.random() < 0.5),
    }
    stance = rng.uniform(0.0, 0.08)
    bent = rng.choice(["right", "left", "none"], p=[0.3, 0.3, 0.4])
    for side in SIDES:
        person |= _arm_pose(rng, side) | _leg_pose(rng, side, stance, side == bent)
    person["other"] = _other_garment(rng, category)
    if category == "lower_body" and person["tucked"]:
        person["other"]["hem"] = WAISTLINE + 0.025
    return person | _framing(rng, person)


def _arm_pose(rng: np.random.Generator, side: str) -> dict[str, float]:
    pose = rng.choice(["relaxed", "bent", "open"], p=[0.5, 0.27, 0.23])
    if pose == "relaxed":
        upper = rng.uniform(0.08, 0.42)
        fore = upper + rng.uniform(-0.42, 0.12)
    elif pose == "bent":
        upper = rng.uniform(0.35, 0.8)
        fore = rng.uniform(-1.35, -0.45)
    else:
        upper = rng.uniform(0.45, 0.95)
        fore = upper + rng.uniform(-0.3, 1.3)
    return {f"upper_{side}": upper, f"fore_{side}": fore}


def _leg_pose(rng: np.random.Generator, side: str, stance: float, bent: bool) -> dict[str, float]:
    thigh = stance + rng.uniform(-0.015, 0.015)
    shin = thigh * rng.uniform(0.2, 0.8) - 0.02
    if bent:
        thigh, shin = thigh + rng.uniform(0.06, 0.12), shin - rng.uniform(0.04, 0.12)
    return {f"thigh_{side}": thigh, f"shin_{side}": shin, f"toe_{side}": rng.uniform(0.15, 0.5)}


def _other_garment(rng: np.random.Generator, category: str) -> dict | None:
    """What else the person wears: plain trousers or skirt under a top, a plain top over trousers."""
    if category == "dresses":
        return None
    garment = sample_garment(rng, "lower_body" if category == "upper_body" else "upper_body")
    garment["colour"] = np.clip(_mix(rng, CLOTH_TONES) + rng.uniform(-0.06, 0.06, 3), 0.04, 0.95)
    garment["colour_2"] = np.clip(garment["colour"] * 0.75 + 0.02, 0, 1)
    striped = category == "lower_body" and rng.random() < 0.25
    garment["pattern"] = 1.0 if striped else 0.0
    return garment | {"fit": 1.17, "flare": 0.03} if category == "lower_body" else garment  # hangs over any waistband


def _framing(rng: np.random.Generator, person: dict) -> dict[str, float]:
    """View of the picture: pixel = zoom * drawing unit + view."""
    shift = rng.uniform(-16, 16)
    if person["category"] == "upper_body":
        return {"zoom": 1.0, "view_x": shift, "view_y": 0.0}
    share = rng.uniform(0.88, 0.94)
    above, below = (1 - share) * 512 * (cut := rng.uniform(0.35, 0.65)), (1 - share) * 512 * (1 - cut)
    if person["category"] == "lower_body":
        first, above = (0.1 + 0.35 * cut) * person["torso"], 0.0  # nobody stands on the upper edge
    else:
        first = -116 * person["head"]
    height = HIPLINE * person["torso"] + person["thigh"] + person["shin"] + 0.85 * person["hip"] - first
    zoom = (512 - above - below) / height
    return {"zoom": zoom, "view_x": 192 * (1 - zoom) + shift, "view_y": above - zoom * (person["shoulder_y"] + first)}


def mannequin(garment: dict) -> dict[str, float]:
    """The fixed pose in which a garment is laid flat and photographed, framed so that it fills the picture."""
    pose = {
        "cx": 192.0, "shoulder_y": 112.0, "lean": 0.0, "shoulder": 80.0, "torso": 278.0, "hip": 62.0, "waist": 0.92,
        "upper_arm": 124.0, "forearm": 110.0, "arm_radius": 25.0, "thigh": 228.0, "shin": 221.0,
        "zoom": 1.0, "view_x": 0.0, "view_y": 0.0,
    }  # fmt: skip
    for side in SIDES:
        pose |= {f"upper_{side}": 0.5, f"fore_{side}": 0.34, f"thigh_{side}": 0.05, f"shin_{side}": 0.03}
    if garment["category"] == "upper_body":
        return pose
    if garment["category"] == "lower_body":
        pose["hip"] = 72.0
        first, width = WAISTLINE, 2 * 72 * (1.35 + garment["flare"])
        last = garment["hem"] if garment["skirt"] else HIPLINE + 0.81 * garment["length"]
    else:
        first, last, width = -0.05, garment["hem"], 300 + 55 * min(garment["sleeve"], 1.5)
    length = (last - first) * pose["torso"]
    zoom = min(464 / length, 350 / width, 1.75 if garment["category"] == "dresses" else 1.4)
    middle = pose["shoulder_y"] + (first + last) / 2 * pose["torso"]
    return pose | {"zoom": zoom, "view_x": 192 * (1 - zoom), "view_y": 256 - zoom * middle}


def _mix(rng: np.random.Generator, tones: np.ndarray) -> np.ndarray:
    first, second = rng.integers(0, len(tones), 2)
    weight = rng.uniform(0, 0.4)
    return tones[first] * (1 - weight) + tones[second] * weight
