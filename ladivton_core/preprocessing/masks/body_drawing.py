"""Parts of a body drawn from its frame: trunk, legs, head, neck, arms, hands and feet, (height, width) bool each.

`body_frame.py` says where they are, `body_shapes.py` how far they reach; `body_region.py`, `silhouette.py` and
`body_mask.py` put them together.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..pose.hands import KNUCKLES, TIPS
from .body_frame import BodyFrame
from .body_shapes import Shape

# Length of a forearm seen from the side.
_FOREARM = 0.7
# Half the width of the neck, which Dress Code's rule keeps above the neck line; VITON-HD's repaints it to the chin.
NECK = 0.18
# Fingers beyond their knuckles, in palms, and how thick they are.
_FINGERS, _THICK = 0.85, 0.055

Size = tuple[int, int]
"""(height, width) of a picture."""


def trunk(frame: BodyFrame, shape: Shape, size: Size) -> np.ndarray:
    """Shoulders to hem."""
    unit = frame.size
    (right, left), (right_hip, left_hip) = frame.shoulders, frame.hips
    out, hip_out = direction(left - right) * shape.shoulder * unit, direction(left_hip - right_hip) * shape.hip * unit
    hem, neck_end = frame.down * shape.hem * unit, frame.chest - frame.down * shape.neck * unit
    corners = [right - out, neck_end, left + out, left_hip + hip_out, left_hip + hip_out + hem]
    return filled(size, [corners + [right_hip - hip_out + hem, right_hip - hip_out]])


def legs(frame: BodyFrame, shape: Shape, size: Size, below: Sequence[float] = (0.0, 0.0)) -> np.ndarray:
    """Waist to ankles, and on by `below` body sizes beyond the right and left ankle."""
    unit = frame.size
    right, left = frame.hips
    out, rise = direction(left - right) * shape.thigh * unit, frame.down * shape.waist * unit
    polygons = [[right - out, right - out - rise, left + out - rise, left + out]]
    if shape.skirt:
        right_end, left_end = (leg[0] + (leg[1] - leg[0]) * shape.skirt for leg in frame.legs)
        polygons.append([right - out, left + out, left_end + out, right_end - out])
    limbs = []
    for leg, end in zip(frame.legs, below, strict=True):
        hem = leg[2] + direction(leg[2] - leg[1]) * max(end, 0.0) * unit
        limbs.append(limb([*leg[:2], hem], shape.thigh * unit, shape.shin * unit))
    polygons += [polygon for limb_polygons, _ in limbs for polygon in limb_polygons]
    return filled(size, polygons, [disk for _, disks in limbs for disk in disks])


def arms(frame: BodyFrame, first: float, last: float, size: Size) -> np.ndarray:
    """Shoulders to cuffs, narrowing from half width `first` to `last` in body sizes."""
    polygons, disks = [], []
    for arm, cuff in zip(frame.arms, frame.cuffs, strict=True):
        part, ends = limb([*arm, *(() if cuff is None else (cuff,))], first * frame.size, last * frame.size)
        polygons, disks = polygons + part, disks + ends
    return filled(size, polygons, disks)


def hands(frame: BodyFrame, shape: Shape, size: Size) -> np.ndarray:
    """Hands beyond the cuffs: around their points; along the forearms for a body of which nobody looked for hands."""
    polygons: list[Sequence[np.ndarray]] = []
    disks: list = []
    for arm, cuff, hand in zip(frame.arms, frame.cuffs, frame.hands, strict=True):
        if hand:
            corners = _hull([*(() if cuff is None else (cuff,)), *hand.values(), *_fingers(hand, cuff)])
            thick = _THICK * frame.size
            rim, ends = limb([*corners, corners[0]], thick, thick)
            polygons, disks = polygons + [corners, *rim] if len(corners) > 2 else polygons + rim, disks + ends
        elif len(arm) == 3 and not any(frame.hands):
            half, reach = (length * frame.size for length in shape.hand)
            along = direction(arm[2] - arm[1])
            # a forearm that points at the camera is short, and so is the hand at its end
            reach *= min(1.0, float(np.linalg.norm(arm[2] - arm[1])) / (_FOREARM * frame.size))
            part, ends = limb([cuff + along * half, arm[2] + along * max(reach - half, half)], half, half)
            polygons, disks = polygons + part, disks + ends
    return filled(size, polygons, disks)


def _fingers(hand: dict[int, np.ndarray], cuff: np.ndarray | None) -> list[np.ndarray]:
    """Ends of the fingers of a hand of which the knuckles alone are known."""
    knuckles = [hand[place] for place in KNUCKLES if place in hand]
    if cuff is None or not knuckles or any(place in hand for place in TIPS):
        return []
    along = (np.mean(knuckles, 0) - cuff) * _FINGERS / 0.75  # the cuff lies a quarter of the palm beyond the wrist
    return [knuckle + along for knuckle in knuckles]


def head(frame: BodyFrame, shape: Shape, size: Size) -> np.ndarray:
    """Head, and the hair that falls beside the neck."""
    if not len(frame.head):
        return np.zeros(size, bool)
    centre, unit = frame.head.mean(0), frame.size
    across = frame.across * unit
    inner, outer, above = shape.hair
    end = frame.chest - frame.down * above * unit
    falls = [
        [centre + side * across * inner, centre + side * across * outer, end + side * across * outer,
         end + side * across * inner] for side in (-1, 1)
    ]  # fmt: skip
    return filled(size, falls, [(centre, shape.head[0] * unit, shape.head[1] * unit)])


def neck_above(frame: BodyFrame, lift: float, size: Size) -> np.ndarray:
    """From the middle of the head down to `lift` pixels above the shoulders."""
    if not len(frame.head):
        return np.zeros(size, bool)
    across = frame.across * NECK * frame.size
    top, end = frame.head.mean(0), frame.chest - frame.down * lift
    return filled(size, [[top - across, top + across, end + across, end - across]])


def feet(frame: BodyFrame, below: Sequence[float], size: Size) -> np.ndarray:
    """Everything around a foot but the other leg, from `below` body sizes below the right and left ankle on."""
    drawn, across = np.zeros(size, bool), frame.across * 0.45 * frame.size
    for side, (ankle, end) in enumerate(zip(frame.ankles, below, strict=True)):
        if ankle is not None:
            top = ankle + frame.down * end * frame.size
            bottom = top + frame.down * 1.5 * frame.size
            other, ends = limb(frame.legs[1 - side], 0.25 * frame.size, 0.1 * frame.size)
            foot = filled(size, [[top - across, top + across, bottom + across, bottom - across]])
            drawn |= foot & ~filled(size, other, ends)
    return drawn


def limb(points: Sequence[np.ndarray], first: float, last: float) -> tuple[list, list]:
    """Polygons and disks of a limb that narrows from half width `first` to `last`."""
    radii = np.linspace(first, last, len(points))
    polygons = []
    for a, b, at_a, at_b in zip(points, points[1:], radii, radii[1:], strict=False):
        across = direction(b - a)[::-1] * np.array([-1.0, 1.0])
        polygons.append([a + across * at_a, b + across * at_b, b - across * at_b, a - across * at_a])
    return polygons, [(point, radius, radius) for point, radius in zip(points, radii, strict=True)]


def filled(size: Size, polygons: Sequence = (), disks: Sequence = ()) -> np.ndarray:
    """(height, width) bool: inside any polygon (corners (x, y)) or ellipse (centre, half width, half height)."""
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    for corners in polygons:
        draw.polygon([tuple(map(float, corner)) for corner in np.clip(corners, -30_000, 30_000)], fill=1)
    for (x, y), half_width, half_height in disks:
        draw.ellipse((x - half_width, y - half_height, x + half_width, y + half_height), fill=1)
    return np.array(canvas)


def direction(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1; to the right where it has none."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else np.array([1.0, 0.0])


def _hull(points: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Corners of the convex hull, in order."""
    ordered = sorted({(float(x), float(y)) for x, y in points})
    halves: list[list[tuple[float, float]]] = []
    for row in (ordered, ordered[::-1]):
        half: list[tuple[float, float]] = []
        for x, y in row:
            while len(half) > 1 and (half[-1][0] - half[-2][0]) * (y - half[-2][1]) <= (half[-1][1] - half[-2][1]) * (
                x - half[-2][0]
            ):
                half.pop()
            half.append((x, y))
        halves.append(half[:-1])
    return [np.array(corner) for corner in halves[0] + halves[1]] or [np.array(ordered[0])]
