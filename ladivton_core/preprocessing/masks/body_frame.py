"""Where shoulders, hips, limbs and hands of a body are, the missing ones guessed from the rest.

What `body_drawing.py` draws. Everything is in pixels, (x, y); right and left are the person's own.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from ..pose.body_size import body_size
from ..pose.dialects import JOINTS
from ..pose.hands import HAND, KNUCKLES
from .arms import is_missing

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
