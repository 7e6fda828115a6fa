"""Parts of a body drawn from its joints: trunk, legs, head, neck, arms, hands and feet, (height, width) bool each.

`BodyFrame` says where they are, the missing ones guessed from the rest, in pixels, (x, y), right and left the person's
own; `SHAPES` how far cloth, hands, head and hair reach around them, by the category of the garment: fitted on people of
the drawn world (seed 11), with their true joints and with those that BlazePose finds in their pictures, which lie a
little elsewhere (`docs/photos.md` has figures of other people). `body_region.py`, `silhouette.py` and `body_mask.py`
put the parts together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..labels import ATR18, LIP20, Category, LabelSet
from ..pose.body_size import body_size
from ..pose.dialects import HAND, JOINTS, KNUCKLES, TIPS
from .arms import is_missing


@dataclass(frozen=True)
class Shape:
    """Lengths in body sizes (`body.body_size`).

    Attributes:
        shoulder, hip: how far cloth reaches beyond the joint.
        neck: how far the trunk rises above the line of the shoulders, towards the neck.
        hem: how far a top hangs below the hips.
        waist: how far trousers rise above the hips.
        thigh, shin: half the width of a leg with its cloth, at the hip and at the ankle.
        skirt: share of the thigh down to which the space between the legs is cloth.
        ankle: how far below the ankle the foot begins.
        head: half width and half height of the head around the middle of eyes, ears and nose.
        hair: how far from the neck's middle hair falls beside it: from, to; and how far above the shoulders it ends.
        arm: half the width of an arm that is kept.
        hand: half the width of the hand, and how far beyond the wrist it reaches.
    """

    shoulder: float = 0.12
    hip: float = 0.16
    neck: float = 0.0
    hem: float = 0.2
    waist: float = 0.18
    thigh: float = 0.22
    shin: float = 0.14
    skirt: float = 0.0
    ankle: float = 0.05
    head: tuple[float, float] = (0.3, 0.36)
    hair: tuple[float, float, float] = (0.18, 0.38, 0.28)
    arm: float = 0.14
    hand: tuple[float, float] = (0.18, 0.36)


SHAPES: dict[Category, Shape] = {
    "upper_body": Shape(shoulder=0.16, hip=0.25, hem=0.2, hair=(0.15, 0.33, 0.28), hand=(0.115, 0.38)),
    "lower_body": Shape(waist=0.3, thigh=0.255, shin=0.105, skirt=0.04, ankle=0.08, arm=0.1),
    "dresses": Shape(
        shoulder=0.09, hip=0.14, thigh=0.25, shin=0.08, skirt=1.0, ankle=0.1, head=(0.47, 0.48),
        hair=(0.12, 0.34, 0.28), hand=(0.11, 0.37),
    ),
}  # fmt: skip

AROUND = 0.3
"""How far cloth may lie beside a shape, where a silhouette says that it is the person."""

RULES: dict[Category, LabelSet] = {"upper_body": LIP20, "lower_body": ATR18, "dresses": ATR18}
"""Whose rule a category takes, where none is asked for: that of the data set it comes from."""

_HEAD = (0, 14, 15, 16, 17)
_ARMS = ((2, 3, 4), (5, 6, 7))
_LEGS = ((9, 10), (12, 13))
_DOWN = np.array([0.0, 1.0])

# How far beyond the wrist a sleeve may reach: a share of the palm, or body sizes where no hand is known.
_CUFF, _CUFF_BY_FOREARM = 0.25, 0.08


@dataclass(frozen=True)
class BodyFrame:
    """Landmarks of one body.

    Attributes:
        size: the body's size in pixels (`body.body_size`).
        down: unit vector along the spine, from the shoulders to the hips.
        shoulders, hips: right and left point (2, 2).
        arms: right and left: the joints of the arm that are known, from the shoulder on.
        legs: right and left: hip, knee, ankle; what is not known is continued straight down.
        ankles: right and left; None where it is not known.
        hands: right and left: the known points of `pose.hands` by their number; empty where none is.
        cuffs: right and left: where a long sleeve ends; None without a wrist.
        head: known points of nose, eyes and ears (N, 2).
    """

    size: float
    down: np.ndarray
    shoulders: np.ndarray
    hips: np.ndarray
    arms: tuple[list[np.ndarray], list[np.ndarray]]
    legs: tuple[list[np.ndarray], list[np.ndarray]]
    ankles: tuple[np.ndarray | None, np.ndarray | None]
    hands: tuple[dict[int, np.ndarray], dict[int, np.ndarray]]
    cuffs: tuple[np.ndarray | None, np.ndarray | None]
    head: np.ndarray

    @property
    def waist(self) -> np.ndarray:
        """Middle of the hips (2,)."""
        return self.hips.mean(0)

    @property
    def chest(self) -> np.ndarray:
        """Middle of the shoulders (2,)."""
        return self.shoulders.mean(0)

    @property
    def across(self) -> np.ndarray:
        """Unit vector across the spine, to the right of the picture (2,)."""
        return np.array([self.down[1], -self.down[0]])

    def depth(self, size: tuple[int, int]) -> np.ndarray:
        """How far below the hips every pixel of a picture lies along the spine, in body sizes; (height, width)."""
        rows, columns = np.mgrid[: size[0], : size[1]]
        return ((columns - self.waist[0]) * self.down[0] + (rows - self.waist[1]) * self.down[1]) / self.size


def body_frame(joints: Tensor) -> BodyFrame | None:
    """The frame of joints (18, 2), or joints and hands (60, 2); None when neither shoulders nor hips are known."""
    size, points = body_size(joints), joints.double().numpy()
    if size is None:
        return None

    def found(*indices: int) -> list[np.ndarray]:
        return [points[index] for index in indices if not is_missing(points[index])]

    top, bottom, knees = (np.mean(pair, 0) if pair else None for pair in (found(2, 5), found(8, 11), found(9, 12)))
    if top is None and bottom is None:
        return None
    above, below = (top, bottom) if top is not None and bottom is not None else (bottom, knees)
    down = _DOWN if above is None or below is None else below - above
    length = float(np.linalg.norm(down))
    down = down / length if length > 1e-6 else _DOWN
    bottom = top + down * 1.6 * size if bottom is None else bottom
    top = bottom - down * 1.6 * size if top is None else top
    across = np.array([down[1], -down[0]])  # to the right of the picture, where a person who faces it has the left
    lists = points[JOINTS:].reshape(-1, HAND, 2) if len(points) > JOINTS else np.zeros((2, HAND, 2))
    hands = tuple({place: point for place, point in enumerate(hand) if not is_missing(point)} for hand in lists)
    return BodyFrame(
        size=size,
        down=down,
        shoulders=_pair(points[[2, 5]], top, across, 0.45 * size),
        hips=(hips := _pair(points[[8, 11]], bottom, across, 0.3 * size)),
        arms=tuple(found(*arm) for arm in _ARMS),
        legs=tuple(_leg(hip, points[list(leg)], down, size) for hip, leg in zip(hips, _LEGS, strict=True)),
        ankles=tuple(next(iter(found(ankle)), None) for ankle in (10, 13)),
        hands=hands,
        cuffs=tuple(_cuff(points[list(arm[1:])], hand, size) for arm, hand in zip(_ARMS, hands, strict=True)),
        head=np.array(found(*_HEAD)).reshape(-1, 2),
    )


def _pair(pair: np.ndarray, centre: np.ndarray, across: np.ndarray, half: float) -> np.ndarray:
    """Right and left point, a missing one put where it belongs beside the other."""
    right, left = (None if is_missing(point) else point for point in pair)
    if right is None and left is None:
        return np.stack([centre - across * half, centre + across * half])
    if right is None:
        return np.stack([left - across * 2 * half, left])
    if left is None:
        return np.stack([right, right + across * 2 * half])
    return pair


def _cuff(forearm: np.ndarray, hand: dict[int, np.ndarray], size: float) -> np.ndarray | None:
    """End of a sleeve on a forearm, elbow and wrist (2, 2)."""
    elbow, wrist = forearm
    if is_missing(wrist):
        return None
    knuckles = [hand[place] for place in KNUCKLES if place in hand]
    if knuckles:
        return wrist + (np.mean(knuckles, 0) - wrist) * _CUFF
    along = wrist - elbow
    length = float(np.linalg.norm(along))
    return wrist if is_missing(elbow) or length < 1e-6 else wrist + along / length * _CUFF_BY_FOREARM * size


def _leg(hip: np.ndarray, rest: np.ndarray, down: np.ndarray, size: float) -> list[np.ndarray]:
    knee, ankle = (None if is_missing(point) else point for point in rest)
    knee = hip + down * 1.33 * size if knee is None else knee
    return [hip, knee, knee + (knee - hip) * 0.96 if ankle is None else ankle]


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
