"""A body as a trunk, two arms and two legs: frames that say where on a person a place lies, and how wide bodies are.

Clothes are dressed along these frames (`warping/skeleton.py`), and what they bare is drawn along them
(`preprocessing/masks/underlay.py`). Lengths are in units of half the line between the shoulders' ends. Right is the
person's own and lies on the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from .tubes import Tube

WAIST, HIP, KNEE, ANKLE = 1.62, 2.5, 4.6, 6.6
"""How far below the shoulders' ends a body has them."""
ELBOW, WRIST = 1.45, 2.7
"""How far along an arm."""
_JOINT, _JOINTS, _HIPS = 0.77, 0.43, 2.7
"""Half the distance between the shoulders' joints, and how far they and the hips' lie below the line of the shoulders'
ends: .35 and 2.5 on rendered people, lower where BlazePose sees them in photographs."""
TRUNK_HALF = ([0.0, 0.2, 0.75, 1.0, WAIST, 2.15, 2.55, 3.3, 9.0], [1.0, 1.0, 0.84, 0.82, 0.70, 0.85, 0.94, 0.85, 0.78])
"""Half the width of a trunk, by the height."""
ARM_HALF = ([-0.3, 0.15, 0.7, ELBOW, 1.75, 2.45, WRIST], [0.26, 0.27, 0.24, 0.2, 0.2, 0.15, 0.14])
LEG_HALF = ([0.0, 0.88, 1.38, 2.18, 2.98, 3.53, 4.38, 4.98], [0.35, 0.46, 0.44, 0.36, 0.26, 0.28, 0.19, 0.15])
"""Half the width of limbs, by the place along them: from the shoulder, and from the waist."""
_APART = 0.1
"""Units."""
_TURNED = 1.7
"""Factor by which a trunk may be off across and down."""


class Plane:
    """Coordinates of a trunk: across to the right, and down, from the middle of the line of the shoulders' ends, which
    lies `depth` above the chest."""

    def __init__(self, chest: np.ndarray, across: np.ndarray, down: np.ndarray, depth: float) -> None:
        self._matrix = np.stack([across, down], 1)
        self._start = chest - down * depth
        self._inverse = np.linalg.inv(self._matrix)

    def locate(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Down and across, in units, of points."""
        x, y = x - self._start[0], y - self._start[1]
        inverse = self._inverse
        return inverse[1, 0] * x + inverse[1, 1] * y, inverse[0, 0] * x + inverse[0, 1] * y

    def place(self, down: np.ndarray, across: np.ndarray) -> np.ndarray:
        """Points (..., 2) of down and across."""
        return np.stack(np.broadcast_arrays(across, down), -1) @ self._matrix.T + self._start


def joints_of(pose_map: Tensor) -> np.ndarray:
    """Joints (18, 2) as (x, y) in pixels that a pose map (18, H, W) was drawn from; not numbers where one is missing.

    The logarithm of a dot is a parabola, so that three values tell where its top is, off the canvas too.
    """
    joints, reach = np.full((len(pose_map), 2), np.nan), 3
    height, width = pose_map.shape[-2:]
    for number, dots in enumerate(pose_map.double().cpu().numpy()):
        if dots.max() < 0.5:
            continue
        y, x = np.unravel_index(dots.argmax(), dots.shape)
        x, y = np.clip(x, reach, width - 1 - reach), np.clip(y, reach, height - 1 - reach)
        for axis, values in enumerate(
            (dots[y, x - reach : x + reach + 1 : reach], dots[y - reach : y + reach + 1 : reach, x])
        ):
            before, here, after = np.log(np.maximum(values, 1e-30))
            joints[number, axis] = (x, y)[axis] + reach * (after - before) / (2 * (2 * here - before - after))
    return joints


@dataclass(frozen=True)
class Wearer:
    """Where on a person garments go.

    Attributes:
        unit: pixels a unit.
        trunk: coordinates of the trunk.
        arms, legs: right and left.
    """

    unit: float
    trunk: Plane
    arms: tuple[Tube, Tube]
    legs: tuple[Tube, Tube]


def wearer_of(joints: np.ndarray) -> Wearer | None:
    """Frames of a person who is seen from the front; None where joints do not tell.

    Args:
        joints: COCO-18 (18, 2), not numbers where they are missing.
    """
    (right, left), hips, knees = joints[[2, 5]], joints[[8, 11]], joints[[9, 12]]
    if np.isfinite([right, left]).all():
        across, chest = (left - right) / (2 * _JOINT), (right + left) / 2
        down = np.array([-across[1], across[0]])
        if np.isfinite(hips).all():
            down = (hips.mean(0) - chest) / (_HIPS - _JOINTS)
    elif np.isfinite([hips, knees]).all():  # a photo that begins at the chest
        down = (knees.mean(0) - hips.mean(0)) / (KNEE - HIP)
        across = np.array([down[1], -down[0]]) * np.sign(hips[1, 0] - hips[0, 0])
        chest = hips.mean(0) - down * (HIP - _JOINTS)
    else:
        return None
    wide, tall = float(np.linalg.norm(across)), float(np.linalg.norm(down))
    if across[0] < 0.5 * wide or down[1] < 0.5 * tall or max(wide, tall) > _TURNED * min(wide, tall):
        return None
    unit = float(np.sqrt(wide * tall))
    trunk = Plane(chest, across, down, _JOINTS)

    def known(point: np.ndarray, before: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
        """A joint, where it is known and does not lie on the one before it, as of a limb that points at the camera."""
        return point if np.isfinite(point).all() and np.linalg.norm(point - before) > _APART * unit else otherwise

    arms, legs = [], []
    for sign, start in ((-1, 2), (1, 5)):
        shoulder, elbow, wrist, *leg = joints[[start, start + 1, start + 2, start + 6, start + 7, start + 8]]
        shoulder = known(shoulder, chest, chest + across * sign * _JOINT)
        elbow = known(elbow, shoulder, shoulder + (down + across * sign * 0.15) * ELBOW)
        wrist = known(wrist, elbow, elbow + (elbow - shoulder) * (WRIST - ELBOW) / ELBOW)
        arms.append(Tube([shoulder, elbow, wrist], [0, ELBOW, WRIST], 0.3))
        hip = known(leg[0], chest, trunk.place(np.array(_HIPS), np.array(sign * 0.42)))
        waist = hip - down * (HIP - WAIST) - across * sign * 0.07
        knee = known(leg[1], hip, hip + down * (KNEE - HIP))
        ankle = known(leg[2], knee, knee + (knee - hip) * (ANKLE - KNEE) / (KNEE - HIP))
        legs.append(Tube([waist, hip, knee, ankle], np.array([WAIST, HIP, KNEE, ANKLE]) - WAIST, 0.3))
    return Wearer(unit, trunk, tuple(arms), tuple(legs))
