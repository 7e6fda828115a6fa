"""The people of the synthetic world: proportions, pose, looks, and the body drawn in layers.

A person is a dict of numbers (one row per item), so that the same person can be drawn again in any
garment. The mannequin that carries the flat garment is a person in a fixed pose. Frame: 512x384
pictures, pixels, x right, y down. Read `synthetic_garments.py` next.
"""

from __future__ import annotations

import math
from functools import wraps

import numpy as np
import torch
from torch import Tensor

from .signed_distance import along_segment, ellipse, smooth_union, smoothstep, tapered_capsule

SIDES = ("right", "left")
"""The person's own sides; right is drawn on the picture's left."""
_OUTWARD = {"right": -1.0, "left": 1.0}

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
TROUSER_TONES = np.array(
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


def sample_person(rng: np.random.Generator) -> dict[str, float | np.ndarray]:
    """Draw one person: proportions in pixels, arm angles in radians from straight down, outward positive."""
    scale = rng.uniform(0.92, 1.08)
    person: dict[str, float | np.ndarray] = {
        "cx": 192 + rng.uniform(-16, 16),
        "shoulder_y": 142 + rng.uniform(-12, 12),
        "lean": rng.uniform(-0.07, 0.07),
        "shoulder": rng.uniform(50, 61) * scale,
        "torso": rng.uniform(178, 200) * scale,
        "hip": rng.uniform(35, 44) * scale,
        "waist": rng.uniform(0.70, 0.86),
        "upper_arm": rng.uniform(86, 98) * scale,
        "forearm": rng.uniform(78, 90) * scale,
        "arm_radius": rng.uniform(15.5, 20.5) * scale,
        "head": rng.uniform(0.92, 1.06) * scale,
        "head_tilt": rng.uniform(-7, 7),
        "hair_length": rng.choice([0.0, 0.35, 1.0]) + rng.uniform(0, 0.3),
        "hair_width": rng.uniform(1.12, 1.3),
        "skirt": float(rng.random() < 0.25),
        "light": rng.uniform(-1, 1),
        "skin": _mix(rng, SKIN_TONES),
        "hair": np.clip(_mix(rng, HAIR_TONES) + rng.uniform(-0.04, 0.04, 3), 0.03, 0.95),
        "trousers": np.clip(_mix(rng, TROUSER_TONES) + rng.uniform(-0.06, 0.06, 3), 0.04, 0.95),
        "background": np.clip(rng.uniform(0.45, 0.95) + rng.uniform(-0.1, 0.1, 3), 0.05, 0.98),
        "background_2": rng.uniform(-0.16, 0.16, 3),
        "background_noise": rng.uniform(-1, 1, (5, 4)),
        "cloth_noise": rng.uniform(-1, 1, (16, 12)),
        "fold_phase": rng.uniform(0, 2 * math.pi, 4),
        "fold_depth": rng.uniform(0.04, 0.11),
    }
    for side in SIDES:
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
        person[f"upper_{side}"], person[f"fore_{side}"] = upper, fore
    return person


def mannequin() -> dict[str, float]:
    """The fixed pose in which a garment is laid flat and photographed for the shop."""
    pose = {
        "cx": 192.0, "shoulder_y": 112.0, "lean": 0.0, "shoulder": 80.0, "torso": 278.0, "hip": 62.0, "waist": 0.92,
        "upper_arm": 124.0, "forearm": 110.0, "arm_radius": 25.0,
    }  # fmt: skip
    return pose | {f"upper_{side}": 0.5 for side in SIDES} | {f"fore_{side}": 0.34 for side in SIDES}


def _mix(rng: np.random.Generator, tones: np.ndarray) -> np.ndarray:
    first, second = rng.integers(0, len(tones), 2)
    weight = rng.uniform(0, 0.4)
    return tones[first] * (1 - weight) + tones[second] * weight


def _once(method):
    """Keep a method's results on its object: distances are asked for by several layers."""

    @wraps(method)
    def kept(self, *arguments):
        key = (method.__name__, *arguments)
        if key not in self._kept:
            self._kept[key] = method(self, *arguments)
        return self._kept[key]

    return kept


class Body:
    """Joints and body-fixed coordinates of a batch of people.

    Args:
        people: the numbers of `sample_person`, each a tensor (B, 1, 1).
        x, y: pixel grid (1, H, W).
    """

    def __init__(self, people: dict[str, Tensor], x: Tensor, y: Tensor):
        self.people, self.x, self.y = people, x, y
        self._kept: dict = {}
        p = people
        sin, cos = torch.sin(p["lean"]), torch.cos(p["lean"])
        self.axis = (sin, cos)
        dx, dy = x - p["cx"], y - p["shoulder_y"]
        self.across = dx * cos - dy * sin  # pixels from the spine, to the picture's right
        self.down = (dx * sin + dy * cos) / p["torso"]  # 0 at the shoulder line, 1 at the hips
        self.joints = {}
        for side in SIDES:
            sign = _OUTWARD[side]
            shoulder = self.point(sign * (p["shoulder"] - 0.45 * p["arm_radius"]), 0.04 * p["torso"] + p["arm_radius"])
            elbow = self._limb(shoulder, p[f"upper_{side}"], p["upper_arm"], sign)
            wrist = self._limb(elbow, p[f"fore_{side}"], p["forearm"], sign)
            self.joints |= {f"shoulder_{side}": shoulder, f"elbow_{side}": elbow, f"wrist_{side}": wrist}
            hip = self.point(sign * p["hip"] * 0.62, p["torso"] * 0.98)
            knee = self.point(sign * p["hip"] * 0.66, p["torso"] * 1.78)
            self.joints |= {f"hip_{side}": hip, f"knee_{side}": knee}
        self.joints["neck"] = self.point(0, -0.01 * p["torso"])

    def point(self, across, down) -> tuple[Tensor, Tensor]:
        """Picture coordinates of a body-fixed point given in pixels."""
        sin, cos = self.axis
        return self.people["cx"] + across * cos + down * sin, self.people["shoulder_y"] - across * sin + down * cos

    def _limb(self, start, angle, length, sign):
        return start[0] + sign * torch.sin(angle) * length, start[1] + torch.cos(angle) * length

    @_once
    def half_width(self) -> Tensor:
        """Half width of the trunk in pixels at each pixel's height (B, H, W)."""
        p = self.people
        v = self.down
        chest, waist, hip = p["shoulder"] * 0.86, p["shoulder"] * p["waist"], p["hip"] * 1.12
        width = chest + (waist - chest) * smoothstep(0.22, 0.62, v)
        return width + (hip - waist) * smoothstep(0.62, 1.0, v)

    @_once
    def arm(self, side: str) -> dict[str, Tensor]:
        """Frame of one arm: `along` (0 shoulder, 1 elbow, 2 wrist), `across` in units of the arm's radius
        (positive away from the body), `distance` to its skin in pixels, `radius` in pixels."""
        p, sign = self.people, _OUTWARD[side]
        (sx, sy), (ex, ey), (wx, wy) = (self.joints[f"{name}_{side}"] for name in ("shoulder", "elbow", "wrist"))
        r0, r1, r2 = p["arm_radius"], p["arm_radius"] * 0.84, p["arm_radius"] * 0.62
        upper = tapered_capsule(self.x, self.y, sx, sy, ex, ey, r0, r1)
        fore = tapered_capsule(self.x, self.y, ex, ey, wx, wy, r1, r2)
        t0, c0, _ = along_segment(self.x, self.y, sx, sy, ex, ey)
        t1, c1, _ = along_segment(self.x, self.y, ex, ey, wx, wy)
        on_upper = (upper < fore).float()
        along = on_upper * t0.clamp_max(1.0) + (1 - on_upper) * (1 + t1.clamp_min(0.0))
        radius = torch.where(on_upper > 0, r0 + t0.clamp(0, 1) * (r1 - r0), r1 + t1.clamp(0, 1) * (r2 - r1))
        across = sign * torch.where(on_upper > 0, c0, c1) / radius
        return {"along": along, "across": across, "distance": smooth_union(upper, fore, 6.0), "radius": radius}

    def hand(self, side: str) -> Tensor:
        """Distance to the hand, an oval beyond the wrist."""
        (ex, ey), (wx, wy) = self.joints[f"elbow_{side}"], self.joints[f"wrist_{side}"]
        t, _, length = along_segment(self.x, self.y, ex, ey, wx, wy)
        radius = self.people["arm_radius"] * 0.72
        reach = 20.0 / length
        return tapered_capsule(
            self.x,
            self.y,
            wx + (wx - ex) * reach * 0.4,
            wy + (wy - ey) * reach * 0.4,
            wx + (wx - ex) * reach * 1.3,
            wy + (wy - ey) * reach * 1.3,
            radius,
            radius * 0.7,
        )

    def trunk(self) -> Tensor:
        """Distance to the bare trunk with its shoulders."""
        slope = -0.035 + 0.075 * (self.across.abs() / self.people["shoulder"]).clamp_max(1.3) ** 1.5
        height = self.people["torso"]
        sides = self.across.abs() - self.half_width()
        return torch.maximum(torch.maximum(sides, (slope - self.down) * height), (self.down - 1.08) * height)

    def head_centre(self) -> tuple[Tensor, Tensor]:
        """Centre of the face."""
        x, y = self.point(0, -66 * self.people["head"])
        return x + self.people["head_tilt"], y

    def keypoints(self) -> Tensor:
        """COCO-18 joints (B, 18, 2), pixels; ankles lie below the picture and are (0, 0)."""
        hx, hy = self.head_centre()
        head = self.people["head"]
        absent = (torch.zeros_like(hx), torch.zeros_like(hx))
        j = self.joints
        face = {"nose": (hx, hy + 6 * head)}
        for side in SIDES:
            sign = _OUTWARD[side]
            face |= {f"eye_{side}": (hx + sign * 12 * head, hy - 5 * head), f"ear_{side}": (hx + sign * 28 * head, hy)}
        order = [face["nose"], j["neck"]]
        for side in SIDES:
            order += [j[f"shoulder_{side}"], j[f"elbow_{side}"], j[f"wrist_{side}"]]
        for side in SIDES:
            order += [j[f"hip_{side}"], j[f"knee_{side}"], absent]
        order += [face["eye_right"], face["eye_left"], face["ear_right"], face["ear_left"]]
        points = torch.stack([torch.stack([a.flatten(), b.flatten()], -1) for a, b in order], 1)
        inside = (
            (points[..., 0] >= 0)
            & (points[..., 0] < self.x.shape[-1])
            & (points[..., 1] >= 0)
            & (points[..., 1] < self.x.shape[-2])
        )
        return points * inside[..., None]

    @_once
    def face(self) -> dict[str, Tensor]:
        """Distances to head, hair behind, hair in front, and features."""
        hx, hy = self.head_centre()
        head = self.people["head"]
        skull = ellipse(self.x, self.y, hx, hy, 29 * head, 38 * head)
        crown = ellipse(self.x, self.y, hx, hy - 8 * head, 29 * head * self.people["hair_width"], 38 * head * 1.06)
        length = self.people["hair_length"]
        fall = tapered_capsule(
            self.x,
            self.y,
            hx,
            hy,
            hx,
            hy + 62 * length * head,
            27 * head * self.people["hair_width"],
            30 * head * self.people["hair_width"],
        )
        behind = torch.minimum(crown, torch.where(length > 0.2, fall, torch.full_like(fall, 1e3)))
        fringe = torch.maximum(
            crown, self.y - (hy - 17 * head + 0.012 * (self.x - hx) ** 2 * self.people["hair_width"])
        )
        eyes = torch.minimum(
            *(ellipse(self.x, self.y, hx + s * 12 * head, hy - 5 * head, 4.2 * head, 2.6 * head) for s in (-1, 1))
        )
        mouth = ellipse(self.x, self.y, hx, hy + 20 * head, 9 * head, 2.8 * head)
        nose = ellipse(self.x, self.y, hx, hy + 7 * head, 3.2 * head, 6 * head)
        return {"skull": skull, "behind": behind, "fringe": fringe, "eyes": eyes, "mouth": mouth, "nose": nose}

    def neck(self) -> Tensor:
        """Distance to the neck."""
        hx, hy = self.head_centre()
        nx, ny = self.joints["neck"]
        width = 16.5 * self.people["head"]
        return tapered_capsule(self.x, self.y, hx, hy + 20, nx, ny + 14, width, width * 1.15)

    def legs(self) -> tuple[Tensor, Tensor]:
        """Distances to the legs and to what covers them: trousers, or a skirt."""
        p = self.people
        trousers = None
        for side in SIDES:
            hip, knee = self.joints[f"hip_{side}"], self.joints[f"knee_{side}"]
            ankle = (knee[0] + (knee[0] - hip[0]) * 0.9, knee[1] + (knee[1] - hip[1]) * 0.9)
            leg = torch.minimum(
                tapered_capsule(self.x, self.y, *hip, *knee, p["hip"] * 0.72, p["hip"] * 0.52),
                tapered_capsule(self.x, self.y, *knee, *ankle, p["hip"] * 0.52, p["hip"] * 0.4),
            )
            trousers = leg if trousers is None else torch.minimum(trousers, leg)
        waistband = torch.maximum(
            self.across.abs() - self.half_width() * 1.02, (self.down - 0.99).abs() * p["torso"] - 0.09 * p["torso"]
        )
        skirt = torch.maximum(
            self.across.abs() - p["hip"] * (1.1 + 0.75 * (self.down - 0.95).clamp_min(0)),
            (0.92 - self.down) * p["torso"],
        )
        skirt = torch.maximum(skirt, (self.down - 1.7) * p["torso"])
        below = (0.90 - self.down) * p["torso"]
        trousers = torch.maximum(torch.minimum(trousers, waistband), below)
        return trousers, torch.where(p["skirt"] > 0, skirt, trousers)
