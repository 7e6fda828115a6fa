"""The body of the drawn world: joints, body-fixed coordinates, and the distances to its parts.

Frame: 512x384 drawing units, x right, y down; the view (zoom and shift) takes them to the picture.
Sides are the person's own; right is drawn on the picture's left. Read `cuts.py` next.
"""

from __future__ import annotations

import math
from functools import wraps

import torch
from torch import Tensor

from .signed_distance import along_segment, ellipse, pixel_grid, smooth_union, smoothstep, tapered_capsule

SIZE = (512, 384)
SIDES = ("right", "left")
OUTWARD = {"right": -1.0, "left": 1.0}
WAISTLINE = 0.86
"""Where every lower garment begins, in torso lengths below the shoulder line."""
HIPLINE = 0.98


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
    """One person, or the mannequin of the flat pictures, on a canvas.

    Args:
        numbers: proportions and pose, as `sample_person` and `mannequin` give them.
        size: (height, width) of the picture.

    Attributes:
        x, y: drawing coordinates of the pixels (H, W).
        across: units from the spine (H, W), to the picture's right.
        down: 0 at the shoulder line, 1 at the hips (H, W).
        joints: name to (x, y) in drawing units.
        pixels: picture pixels per drawing unit.
    """

    def __init__(self, numbers: dict, size: tuple[int, int]):
        p = self.numbers = numbers
        self._size = size
        self._kept: dict = {}
        x, y = pixel_grid(size)
        self.x = (x * (SIZE[1] / size[1]) - p["view_x"]) / p["zoom"]
        self.y = (y * (SIZE[0] / size[0]) - p["view_y"]) / p["zoom"]
        self.pixels = p["zoom"] * size[0] / SIZE[0]
        self._sin, self._cos = math.sin(p["lean"]), math.cos(p["lean"])
        dx, dy = self.x - p["cx"], self.y - p["shoulder_y"]
        self.across = dx * self._cos - dy * self._sin
        self.down = (dx * self._sin + dy * self._cos) / p["torso"]
        self.joints = {"neck": self._point(0, -0.01 * p["torso"])}
        for side in SIDES:
            sign = OUTWARD[side]
            shoulder = self._point(sign * (p["shoulder"] - 0.45 * p["arm_radius"]), 0.04 * p["torso"] + p["arm_radius"])
            elbow = _limb(shoulder, sign * p[f"upper_{side}"], p["upper_arm"])
            wrist = _limb(elbow, sign * p[f"fore_{side}"], p["forearm"])
            hip = self._point(sign * p["hip"] * 0.58, p["torso"] * HIPLINE)
            knee = _limb(hip, sign * p[f"thigh_{side}"], p["thigh"])
            ankle = _limb(knee, sign * p[f"shin_{side}"], p["shin"])
            chain = {"shoulder": shoulder, "elbow": elbow, "wrist": wrist, "hip": hip, "knee": knee, "ankle": ankle}
            self.joints |= {f"{name}_{side}": joint for name, joint in chain.items()}

    def _point(self, across: float, down: float) -> tuple[float, float]:
        p = self.numbers
        return p["cx"] + across * self._cos + down * self._sin, p["shoulder_y"] - across * self._sin + down * self._cos

    def coverage(self, distance: Tensor) -> Tensor:
        """How much of each pixel a shape covers (H, W), in [0, 1]: a one-pixel ramp around distance 0."""
        return (0.5 - distance * self.pixels).clamp(0, 1)

    @_once
    def half_width(self) -> Tensor:
        """Half width of the trunk at each pixel's height (H, W)."""
        p = self.numbers
        chest, waist, hip = p["shoulder"] * 0.86, p["shoulder"] * p["waist"], p["hip"] * 1.12
        width = chest + (waist - chest) * smoothstep(0.22, 0.62, self.down)
        return width + (hip - waist) * smoothstep(0.62, 1.0, self.down)

    @_once
    def arm(self, side: str) -> dict[str, Tensor]:
        """Frame of one arm, see `_frame`: 0 shoulder, 1 elbow, 2 wrist."""
        radius = self.numbers["arm_radius"]
        return self._frame(side, ("shoulder", "elbow", "wrist"), (radius, radius * 0.84, radius * 0.62))

    @_once
    def leg(self, side: str) -> dict[str, Tensor]:
        """Frame of one leg, see `_frame`: 0 hip, 1 knee, 2 ankle."""
        hip = self.numbers["hip"]
        return self._frame(side, ("hip", "knee", "ankle"), (hip * 0.62, hip * 0.43, hip * 0.26))

    def _frame(self, side: str, names: tuple[str, ...], radii: tuple[float, ...]) -> dict[str, Tensor]:
        """`along` (0, 1, 2 at the joints), `across` in units of the limb's radius (positive away from the body),
        `distance` to its skin, `radius`."""
        (r0, r1, r2), (first, middle, last) = radii, (self.joints[f"{name}_{side}"] for name in names)
        upper = tapered_capsule(self.x, self.y, *first, *middle, r0, r1)
        lower = tapered_capsule(self.x, self.y, *middle, *last, r1, r2)
        t0, c0 = along_segment(self.x, self.y, *first, *middle)
        t1, c1 = along_segment(self.x, self.y, *middle, *last)
        on_upper = upper < lower
        radius = torch.where(on_upper, r0 + t0.clamp(0, 1) * (r1 - r0), r1 + t1.clamp(0, 1) * (r2 - r1))
        return {
            "along": torch.where(on_upper, t0.clamp_max(1), 1 + t1.clamp_min(0)),
            "across": OUTWARD[side] * torch.where(on_upper, c0, c1) / radius,
            "distance": smooth_union(upper, lower, 6.0),
            "radius": radius,
        }

    @_once
    def hand(self, side: str) -> Tensor:
        """Distance to the hand: palm, the block of fingers, and the thumb on the body's side."""
        (ex, ey), (wx, wy) = self.joints[f"elbow_{side}"], self.joints[f"wrist_{side}"]
        r = self.numbers["arm_radius"]
        length = math.hypot(wx - ex, wy - ey)
        dx, dy = (wx - ex) / length, (wy - ey) / length
        nx, ny = -OUTWARD[side] * dy, OUTWARD[side] * dx  # across the hand, towards the body

        def part(start: tuple[float, float], end: tuple[float, float], r0: float, r1: float) -> Tensor:
            (a, b), (c, d) = ((wx + r * (t * dx + n * nx), wy + r * (t * dy + n * ny)) for t, n in (start, end))
            return tapered_capsule(self.x, self.y, a, b, c, d, r * r0, r * r1)

        palm = part((0.3, 0.0), (0.95, 0.0), 0.58, 0.66)
        fingers = part((1.0, -0.06), (2.15, -0.12), 0.58, 0.36)
        thumb = part((0.55, 0.45), (1.35, 0.85), 0.28, 0.2)
        return torch.minimum(smooth_union(palm, fingers, 3.0), thumb)

    def shoe(self, side: str) -> Tensor:
        """Distance to the shoe, seen from the front."""
        x, y = self.joints[f"ankle_{side}"]
        unit, turn = self.numbers["hip"], OUTWARD[side] * self.numbers[f"toe_{side}"]
        shaft = tapered_capsule(self.x, self.y, x, y + 0.05 * unit, x, y + 0.3 * unit, 0.27 * unit, 0.3 * unit)
        toe = tapered_capsule(
            self.x, self.y, x, y + 0.3 * unit, x + turn * unit, y + 0.56 * unit, 0.28 * unit, 0.31 * unit
        )
        top = torch.maximum(y - 0.06 * unit - self.y, self.y - (y + 0.8 * unit))
        return torch.maximum(smooth_union(shaft, toe, 4.0), top)

    def trunk(self) -> Tensor:
        """Distance to the bare trunk with its shoulders."""
        slope = -0.035 + 0.075 * (self.across.abs() / self.numbers["shoulder"]).clamp_max(1.3) ** 1.5
        height = self.numbers["torso"]
        sides = self.across.abs() - self.half_width()
        return torch.maximum(torch.maximum(sides, (slope - self.down) * height), (self.down - 1.08) * height)

    def neck(self) -> Tensor:
        """Distance to the neck."""
        hx, hy = self.head_centre()
        nx, ny = self.joints["neck"]
        width = 16.5 * self.numbers["head"]
        return tapered_capsule(self.x, self.y, hx, hy + 20, nx, ny + 14, width, width * 1.15)

    def head_centre(self) -> tuple[float, float]:
        """Centre of the face."""
        x, y = self._point(0, -66 * self.numbers["head"])
        return x + self.numbers["head_tilt"], y

    @_once
    def face(self) -> dict[str, Tensor]:
        """Distances to head, hair behind, hair in front, and features."""
        (hx, hy), x, y = self.head_centre(), self.x, self.y
        head, full, length = (self.numbers[key] for key in ("head", "hair_width", "hair_length"))
        crown = ellipse(x, y, hx, hy - 8 * head, 29 * head * full, 38 * head * 1.06)
        behind = crown
        if length > 0.2:
            fall = tapered_capsule(x, y, hx, hy, hx, hy + 62 * length * head, 27 * head * full, 30 * head * full)
            behind = torch.minimum(crown, fall)
        eyes = (ellipse(x, y, hx + s * 12 * head, hy - 5 * head, 4.2 * head, 2.6 * head) for s in (-1, 1))
        return {
            "skull": ellipse(x, y, hx, hy, 29 * head, 38 * head),
            "behind": behind,
            "fringe": torch.maximum(crown, y - (hy - 17 * head + 0.012 * (x - hx) ** 2 * full)),
            "eyes": torch.minimum(*eyes),
            "mouth": ellipse(x, y, hx, hy + 20 * head, 9 * head, 2.8 * head),
            "nose": ellipse(x, y, hx, hy + 7 * head, 3.2 * head, 6 * head),
        }

    def keypoints(self) -> Tensor:
        """COCO-18 joints (18, 2), picture pixels; joints outside the picture are (0, 0)."""
        (hx, hy), head, p = self.head_centre(), self.numbers["head"], self.numbers
        face = {}
        for side in SIDES:
            sign = OUTWARD[side]
            face |= {f"eye_{side}": (hx + sign * 12 * head, hy - 5 * head), f"ear_{side}": (hx + sign * 28 * head, hy)}
        order = [(hx, hy + 6 * head), self.joints["neck"]]
        for chain in (("shoulder", "elbow", "wrist"), ("hip", "knee", "ankle")):
            order += [self.joints[f"{name}_{side}"] for side in SIDES for name in chain]
        order += [face[f"{name}_{side}"] for name in ("eye", "ear") for side in SIDES]
        points = torch.tensor(order, dtype=torch.float64) * p["zoom"]
        points += torch.tensor([p["view_x"], p["view_y"]], dtype=torch.float64)
        points *= torch.tensor([self._size[1] / SIZE[1], self._size[0] / SIZE[0]], dtype=torch.float64)
        limit = torch.tensor([self._size[1], self._size[0]])
        inside = ((points >= 0) & (points < limit)).all(-1, keepdim=True)
        return (points * inside).float()


def _limb(start: tuple[float, float], angle: float, length: float) -> tuple[float, float]:
    """End of a limb that hangs at `angle` from straight down."""
    return start[0] + math.sin(angle) * length, start[1] + math.cos(angle) * length
