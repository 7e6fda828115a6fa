"""Bodies: proportions, pose and framing as numbers, and where every joint and outline lies.

Lengths are in units of half a shoulder width, places in points of a 512 x 384 picture. Right is the person's own and
lies on the picture's left. Read `wearing.py` next.
"""

from __future__ import annotations

import math

import numpy as np

from .frames import SIZE, Tube, arc, grid, smoothstep
from .frames import box as box_of

SIDES = ("right", "left")
OUT = {"right": -1.0, "left": 1.0}
TORSO, UPPER_ARM, FOREARM, THIGH, SHIN = 2.5, 1.45, 1.25, 2.1, 2.0
"""Lengths that garments are made for; places on a garment are given on such a body."""
WAIST = 1.62
"""Where waistbands sit below the line of the shoulders."""


def sample_body(rng: np.random.Generator, category: str) -> dict:
    """Numbers of a person's body, pose and framing for garments of `category`."""
    build, weight = rng.beta(1.6, 1.8), rng.beta(1.2, 2.6)  # 0 feminine, 1 masculine; 0 slim, 1 very broad

    def about(value: float, spread: float = 0.04) -> float:
        return value * rng.uniform(1 - spread, 1 + spread)

    body = {
        "category": category,
        "build": build,
        "weight": weight,
        "yaw": float(np.clip(rng.normal(0, 0.22), -0.6, 0.6)),
        "lean": rng.normal(0, 0.04),
        "sway": rng.normal(0, 0.07),
        "tilt": rng.normal(0, 0.035),
        "hip_tilt": rng.normal(0, 0.03),
        "slope": about(0.34 + 0.05 * (1 - build), 0.15),
        "torso": about(TORSO),
        "neck": about(0.25 + 0.045 * build + 0.05 * weight),
        "chest": about(0.77 + 0.06 * build + 0.30 * weight),
        "waist": about(0.60 + 0.13 * build + 0.52 * weight**1.2),
        "hip": about(0.88 - 0.09 * build + 0.40 * weight),
        "bust": max(0.0, rng.normal(0.10, 0.04)) * (1 - 0.75 * smoothstep(0.4, 0.7, build)) + 0.05 * weight,
        "belly": 0.16 * weight**1.5,
        "arm": about(0.195 + 0.045 * build + 0.12 * weight),
        "leg": about(0.92 + 0.35 * weight, 0.05),
        "upper_arm": about(UPPER_ARM),
        "forearm": about(FOREARM),
        "thigh": about(THIGH),
        "shin": about(SHIN),
        "head": about(0.98, 0.06),
        "head_turn": float(np.clip(rng.normal(0, 0.35), -0.9, 0.9)),
        "head_roll": rng.normal(0, 0.09),
        "head_nod": rng.normal(0, 0.04),
        "neck_length": about(0.30, 0.15),
        "seated": category != "lower_body" and rng.random() < 0.06 or category == "lower_body" and rng.random() < 0.04,
    }
    poses = [_arm_pose(rng, body) for _ in SIDES]
    if rng.random() < 0.35:
        poses[1] = poses[0] | {"x": poses[0]["x"] * rng.uniform(0.85, 1.15)}
    for side, pose in zip(SIDES, poses, strict=True):
        body |= {f"arm_{side}": pose, f"leg_{side}": _leg_pose(rng, body)}
    return body | _framing(rng, body)


def _arm_pose(rng: np.random.Generator, body: dict) -> dict:
    """Where the wrist goes: `x` outward from the spine, `y` below the shoulders, in units."""
    hip, torso = body["hip"], body["torso"]
    kind = str(rng.choice(["relaxed", "hip", "pocket", "behind", "front", "raised", "open"],
                          p=[0.52, 0.10, 0.12, 0.05, 0.10, 0.04, 0.07]))  # fmt: skip
    if body["seated"]:
        kind = "front" if rng.random() < 0.5 else "thigh"
    hand = float(rng.uniform(-0.2, 0.3))
    if kind == "relaxed":
        x, y = hip + rng.uniform(0.12, 0.55), 0.2 + UPPER_ARM + FOREARM - rng.uniform(0.05, 0.3)
    elif kind == "hip":
        x, y, hand = body["waist"] * 0.3 + hip * 0.62, torso * rng.uniform(0.72, 0.9), rng.uniform(0.5, 1.2)
    elif kind == "pocket":
        x, y, hand = hip * rng.uniform(0.75, 0.92), torso * rng.uniform(0.96, 1.06), 0.25
    elif kind == "behind":
        x, y = hip * rng.uniform(0.1, 0.5), torso * rng.uniform(0.8, 0.95)
    elif kind == "front":
        x, y, hand = rng.uniform(-0.35, 0.45), torso * rng.uniform(0.45, 0.95), rng.uniform(-0.5, 0.9)
    elif kind == "raised":
        x, y, hand = rng.uniform(0.4, 0.75), rng.uniform(-1.3, -0.5), rng.uniform(0, 0.6)
    elif kind == "thigh":
        x, y = hip * rng.uniform(0.5, 0.9), torso + rng.uniform(0.2, 0.5)
    else:
        x, y = hip + rng.uniform(0.5, 1.3), rng.uniform(1.4, 2.4)
    return {"kind": kind, "x": x, "y": y, "hand": hand, "short": rng.uniform(0.82, 0.98), "curl": rng.uniform(0, 1)}


def _leg_pose(rng: np.random.Generator, body: dict) -> dict:
    if body["seated"]:
        return {"thigh": rng.uniform(0.2, 0.6), "shin": rng.uniform(-0.15, 0.15), "short": rng.uniform(0.35, 0.6)}
    thigh = rng.normal(0.05, 0.045)
    bent = rng.random() < 0.25
    return {
        "thigh": thigh + (rng.uniform(0.03, 0.12) if bent else 0),
        "shin": rng.normal(0.0, 0.03) - (rng.uniform(0.02, 0.12) if bent else 0),
        "short": rng.uniform(0.94, 1.0),
    }


def _framing(rng: np.random.Generator, body: dict) -> dict:
    """Points a unit, and where the middle of the shoulders lies: VITON-HD's half bodies, Dress Code's cuts."""
    crown = -(body["neck_length"] + 1.22 * body["head"])
    legs = body["torso"] + body["thigh"] + body["shin"] + 0.45
    if body["seated"]:
        legs = body["torso"] + 0.5 * body["thigh"] + body["shin"] + 0.45
    category, draw = body["category"], rng.random()
    if category == "upper_body" and draw < 0.72 or category == "dresses" and draw < 0.1:  # half bodies
        first = crown - rng.uniform(-0.15, 0.5)
        if rng.random() < 0.22:
            first = crown + rng.uniform(0.25, 0.95)  # the head cut at brow, nose or mouth
        last = body["torso"] + rng.uniform(0.05, 1.3)
    elif category == "lower_body" and draw < 0.7:  # from chest or waist to the shoes
        first, last = rng.uniform(0.2, 1.55), legs + rng.uniform(0.05, 0.5)
    else:
        first, last = crown - rng.uniform(0.1, 0.9), legs + rng.uniform(0.1, 0.7)
    unit = SIZE[0] / (last - first)
    wide = 2 * max(1.15, *(body[f"arm_{s}"]["x"] + 0.15 for s in SIDES))
    unit = min(unit, SIZE[1] / wide * rng.uniform(0.95, 1.2))
    spare = SIZE[0] - unit * (last - first)
    return {
        "unit": unit,
        "x": SIZE[1] / 2 + rng.normal(0, 0.05) * SIZE[1] * 0.5,
        "y": -first * unit + spare * (0.85 if category == "lower_body" else rng.uniform(0.2, 0.8)),
    }


def bent(start: np.ndarray, target: np.ndarray, first: float, second: float, outward: float) -> tuple:
    """Middle joint and end of a chain of two pieces that reaches for a target, bending outward."""
    way = target - start
    distance = float(np.clip(np.linalg.norm(way), abs(first - second) + 1e-3, (first + second) * 0.995))
    direction = way / max(np.linalg.norm(way), 1e-6)
    near = (first**2 - second**2 + distance**2) / (2 * distance)
    off = math.sqrt(max(first**2 - near**2, 0))
    normal = np.array([direction[1], -direction[0]]) * outward
    return start + direction * near + normal * off, start + direction * distance


class Body:
    """A body in a picture.

    Args:
        numbers: from `sample_body`.
        size: (height, width) of the fields, in pixels.

    Attributes:
        joints: name to (x, y) in points.
        x, y: points of the fields' pixels.
        across, down: trunk coordinates (H, W) in units: outward from the spine to the picture's right, and below the
            line of the shoulders.
        limbs: name ("arm_left", "leg_right", ...) to `Tube`, along in the lengths garments are made for.
    """

    def __init__(self, numbers: dict, size: tuple[int, int]):
        p = self.numbers = numbers
        self.size, self.unit = size, p["unit"]
        self.x, self.y = grid(size)
        self.cos = math.cos(p["yaw"])
        self.joints, self.limbs = {}, {}
        self._on_limbs: dict = {}
        down = (self.y - p["y"]) / self.unit
        self._centre_table = np.array([[-2.5, -0.4, 0.0, p["torso"] * 0.6, p["torso"], p["torso"] + 4.4],
                                       [0.0, 0.0, 0.0, 0.55 * p["sway"], p["sway"], p["sway"] * 0.3]])  # fmt: skip
        across = (self.x - self.centre(down * self.unit + p["y"])) / self.unit
        tilt = p["tilt"] + (p["hip_tilt"] - p["tilt"]) * smoothstep(0, p["torso"], down)
        self.across, self.down = across.astype(np.float32), (down - tilt * across).astype(np.float32)
        self.neck = self.at(0, 0.0)
        for side in SIDES:
            self._arm(side)
            self._leg(side)

    def centre(self, y):
        """x of the spine at heights in points."""
        p = self.numbers
        down = (np.asarray(y) - p["y"]) / self.unit
        knots = np.linspace(-2.5, 8, 43)
        values = np.interp(knots, *self._centre_table)
        values = np.convolve(np.pad(values, 3, mode="edge"), np.hanning(9)[1:-1] / np.hanning(9).sum(), "valid")
        return p["x"] + self.unit * (np.interp(down, knots, values) + p["lean"] * down)

    def at(self, across: float, down: float) -> np.ndarray:
        """Point (2,) of trunk coordinates."""
        p = self.numbers
        tilt = p["tilt"] + (p["hip_tilt"] - p["tilt"]) * smoothstep(0, p["torso"], down)
        y = p["y"] + self.unit * (down + tilt * across)
        return np.array([self.centre(y) + across * self.unit, y])

    def _arm(self, side: str) -> None:
        p, pose, sign = self.numbers, self.numbers[f"arm_{side}"], OUT[side]
        turned = math.sin(p["yaw"]) * 0.12
        reach = 1 - p["arm"] * 1.05
        top = float(shoulder_line(reach, p["slope"]))
        shoulder = self.at(sign * reach * self.cos + turned, top + p["arm"] * 1.05)
        lengths = np.array([p["upper_arm"], p["forearm"]]) * self.unit
        target = self.at(sign * pose["x"], pose["y"])
        if pose["kind"] in ("relaxed", "open"):  # nearly stretched, whatever the arm's length
            lengths *= np.linalg.norm(target - shoulder) / lengths.sum() * (1.002 + 0.1 * (1 - pose["short"]))
        else:
            lengths *= pose["short"]
        elbow, wrist = bent(shoulder, target, *lengths, outward=-sign if pose["kind"] == "raised" else sign)
        self.joints |= {f"shoulder_{side}": shoulder, f"elbow_{side}": elbow, f"wrist_{side}": wrist}
        self.limbs[f"arm_{side}"] = Tube([shoulder, elbow, wrist], [0, UPPER_ARM, UPPER_ARM + FOREARM], 0.3)

    def _leg(self, side: str) -> None:
        p, pose, sign = self.numbers, self.numbers[f"leg_{side}"], OUT[side]
        hip = self.at(sign * p["hip"] * 0.5 * max(self.cos, 0.8), p["torso"])
        thigh, shin = p["thigh"] * self.unit * pose["short"], p["shin"] * self.unit
        knee = hip + thigh * np.array([sign * math.sin(pose["thigh"]), math.cos(pose["thigh"])])
        ankle = knee + shin * np.array([sign * math.sin(pose["shin"]), math.cos(pose["shin"])])
        self.joints |= {f"hip_{side}": hip, f"knee_{side}": knee, f"ankle_{side}": ankle}
        waist = self.at(sign * p["waist"] * 0.5 * self.cos, WAIST * p["torso"] / TORSO)
        along = np.array([WAIST, TORSO, TORSO + THIGH, TORSO + THIGH + SHIN]) - WAIST
        self.limbs[f"leg_{side}"] = Tube([waist, hip, knee, ankle], along, 0.3)

    def half_width(self, down) -> np.ndarray:
        """Half width of the bare trunk at heights in garment units, as seen: a turned ellipse."""
        p = self.numbers
        knots = [0.0, 0.2, 0.75, 1.0, WAIST, 2.15, TORSO + 0.05, TORSO + 0.35, TORSO + 0.8, TORSO + 8]
        chest, waist, hip = p["chest"], p["waist"], p["hip"]
        widths = [
            1.0,
            1.0,
            chest,
            chest * 0.98,
            waist,
            (hip + waist) / 2 + 0.05 * hip,
            hip,
            hip * 0.97,
            hip * 0.9,
            hip * 0.85,
        ]
        fine = np.linspace(0, 11, 221)
        smooth = np.interp(fine, knots, widths)
        kernel = np.hanning(13)[1:-1] / np.hanning(13).sum()
        smooth = np.convolve(np.pad(smooth, 5, mode="edge"), kernel, "valid")
        return np.interp(down, fine, smooth) * math.hypot(self.cos, 0.62 * math.sin(p["yaw"]))

    def garment_down(self) -> np.ndarray:
        """`down` in the lengths garments are made for (H, W)."""
        return self.down * np.float32(TORSO / self.numbers["torso"])

    def shoulder_line(self, across) -> np.ndarray:
        """Height of the shoulders' upper edge at places across, in units below the joints' line."""
        return shoulder_line(np.abs(across) / self.cos, self.numbers["slope"])

    def trunk(self) -> np.ndarray:
        """Distance to the bare trunk without neck (H, W), in units, negative inside."""
        v = self.garment_down()
        broad = np.minimum(
            self.half_width(v), np.interp(v, [0.0, 0.5, 0.8], [0.84, 0.9, 9.0]) * self.cos
        )  # arms are round
        sides = np.abs(self.across) - broad
        top = self.shoulder_line(self.across) - self.down
        bottom = v - (TORSO + 0.2 - 0.3 * np.abs(self.across))
        return np.maximum(np.maximum(sides, top * 0.92), bottom * 0.8).astype(np.float32)

    def around(self) -> tuple[np.ndarray, np.ndarray]:
        """Place across the bare trunk (H, W) from -1 to 1 of its half width, and that along its surface."""
        q = np.clip(self.across / self.half_width(self.garment_down()), -1, 1)
        return q, arc(q)

    def on_limb(self, name: str) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray]:
        """A limb's surroundings, with room for wide cloth.

        Returns:
            Its rectangle, and there (h, w) each: the place along the limb, in the lengths garments are made for, and
            across it in units, to the right on screen of a line that runs down.
        """
        if name not in self._on_limbs:
            tube = self.limbs[name]
            box = box_of(tube, (0.75 if name.startswith("arm") else 1.0) * self.unit, self.size)
            along, across = tube.locate(self.x[:, box[1]], self.y[box[0]])
            self._on_limbs[name] = box, along.astype(np.float32), (across / self.unit).astype(np.float32)
        return self._on_limbs[name]

    def limb_radius(self, name: str, along) -> np.ndarray:
        """Radius of a bare limb in units at garment lengths along it."""
        p = self.numbers
        if name.startswith("arm"):
            r = p["arm"]
            return np.interp(along, [-0.3, 0.15, 0.7, UPPER_ARM, 1.75, 2.45, UPPER_ARM + FOREARM],
                             [r * 1.1, r * 1.14, r * 1.0, r * 0.82, r * 0.84, r * 0.62, r * 0.58])  # fmt: skip
        hip, k = p["hip"] * max(self.cos, 0.85), p["leg"]
        crotch, knee, ankle = TORSO - WAIST, TORSO + THIGH - WAIST, TORSO + THIGH + SHIN - WAIST
        knots = [0, crotch, crotch + 0.5, crotch + 1.3, knee, knee + 0.55, knee + 1.4, ankle]
        radii = [p["waist"] * 0.5, hip * 0.5, 0.44 * k, 0.36 * k, 0.255 * k, 0.275 * k, 0.19 * k, 0.15 * k]
        return np.interp(along, knots, radii)

    def keypoints(self, head: dict) -> np.ndarray:
        """COCO-18 joints (18, 3): x, y in points, and 1 where they lie in the picture.

        Args:
            head: nose, eyes and ears from the head, by name, each (2,).
        """
        order = ["nose", "neck"]
        for side in SIDES:
            order += [f"{part}_{side}" for part in ("shoulder", "elbow", "wrist")]
        for side in SIDES:
            order += [f"{part}_{side}" for part in ("hip", "knee", "ankle")]
        order += ["eye_right", "eye_left", "ear_right", "ear_left"]
        # annotators and detectors point at the surface, not at the centres that limbs turn about
        moved = {"shoulder": (0.10, -0.09), "hip": (0.0, 0.10), "ankle": (0.03, -0.10)}
        named = {
            name: place + self.unit * np.array(moved.get(name.split("_")[0], (0, 0))) * (OUT[name.split("_")[1]], 1)
            for name, place in self.joints.items()
        } | head
        named["neck"] = (named["shoulder_right"] + named["shoulder_left"]) / 2
        places = np.array([named[name] for name in order])
        seen = ((places >= 0) & (places < (SIZE[1], SIZE[0]))).all(1)
        return np.concatenate([places, seen[:, None]], 1)


def shoulder_line(across, slope: float = 0.36) -> np.ndarray:
    """Upper edge of shoulders, in units below the joints' line, from the neck's root outward."""
    x = np.clip(np.abs(across), 0, 1.6)
    return (slope * smoothstep(-0.35, 1.25, x) * 1.12 - 0.22 - 0.2 * smoothstep(0.5, 0.15, x)).astype(np.float32)
