"""Where a photo shows bare skin, and hands by it: joints say where a hand is, not whether a pocket hides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
import torch.nn.functional as F

from ...mask_edges import grow_mask
from .body_drawing import BodyFrame, Shape, Size, arms, hands, legs, trunk

# How far skin may lie from the face's: in light, in red over green, in both over blue; natural logarithms.
_SKIN = ((-0.9, 0.45), (-0.16, 0.16), (-0.2, 0.2))
_PALER = 0.45
_FACE_POINTS = 3
# From this share of the trunk on it is not skin but the old garment.
_SKIN_COLOURED = 0.5
# Around a point, in body sizes: a face.
_AROUND = 0.13
# Red over green and both over blue of skin in daylight and lamplight, natural logarithms.
_USUAL = ((0.08, 0.8), (0.05, 1.2))
# The face of a grey photo has colours no farther apart than this, natural logarithms.
_GREY = 0.03
# Shares of a hand that have to be skin for it to be seen, and that are too little for a bare one.
_SEEN, _HIDDEN = 0.2, 0.05
# From this share on an arm is bare.
_BARE = 0.25
# Fingers and nails, in body sizes: what lies this near to skin of a hand is hand.
_FINGER = 0.03
# How far beside trunk and legs a garment may lie, in body sizes.
_BESIDE = 0.12


def bare_skin(picture: np.ndarray, frame: BodyFrame) -> np.ndarray:
    """Where a picture (H, W, 3) in [0, 1] has the colour of the face, in light and in shade; (H, W) bool.

    Skin is told by the ratios of its channels, which change little with the light (Fleck, Forsyth and Bregler 1996 is
    of that kind), and by the face's own, whatever its colour. Nowhere where no face is known, the photo is grey, or the
    trunk is as largely of that colour as a garment of skin's colour would be.
    """
    if len(frame.head) < _FACE_POINTS:
        return np.zeros(picture.shape[:2], bool)
    return _like(picture, frame, [frame.head.mean(0)])


def _like(picture: np.ndarray, frame: BodyFrame, middles: Sequence[np.ndarray], usual: bool = False) -> np.ndarray:
    """Where a picture has the colour that it has around some points; nowhere where that is no skin's.

    Args:
        usual: the colour has to be skin's of any light, not only no grey.
    """
    size = picture.shape[:2]
    nothing = np.zeros(size, bool)
    radius = round(size[0] / 256)
    smooth = F.avg_pool2d(
        torch.from_numpy(picture).movedim(-1, 0)[None].float(), 2 * radius + 1, 1, radius, count_include_pad=False
    )
    red, green, blue = smooth[0].clamp_min(1 / 255).log().numpy()
    measures = ((red + green + blue) / 3, red - green, (red + green) / 2 - blue)
    rows, columns = np.mgrid[: size[0], : size[1]]

    def disc(middle: np.ndarray, reach: float) -> np.ndarray:
        return np.hypot(columns - middle[0], rows - middle[1]) < reach * frame.size

    known = np.logical_or.reduce([disc(middle, _AROUND) for middle in middles]) if len(middles) else nothing
    if not known.any():
        return nothing
    medians = [float(np.median(measure[known])) for measure in measures]
    if max(map(abs, medians[1:])) < _GREY or (usual and not all(map(_usual, medians[1:], _USUAL))):
        return nothing
    skin = np.ones(size, bool)
    for number, (measure, middle, (least, most)) in enumerate(zip(measures, medians, _SKIN, strict=True)):
        if number:  # a pale face is not far from white, which is no skin
            least = max(least, -_PALER * middle)
        skin &= (measure > middle + least) & (measure < middle + most)
    trunk = skin[disc((frame.chest + frame.waist) / 2, 0.35)]
    if trunk.sum() > _SKIN_COLOURED * trunk.size:
        return nothing
    core = grow_mask(torch.from_numpy(skin)[None, None].float(), -max(radius // 2, 1))
    return grow_mask(core, radius)[0, 0].bool().numpy()


def _usual(value: float, limits: tuple[float, float]) -> bool:
    return limits[0] < value < limits[1]


def limbs_seen(
    frame: BodyFrame, shape: Shape, size: Size, picture: np.ndarray | None, with_arms: bool = False
) -> np.ndarray:
    """Hands, and arms if asked for, (H, W) bool as far as a picture (H, W, 3) in [0, 1] shows them before the clothes.

    Of what shows skin, its skin; nothing of a hand that shows none at the end of a bare arm: it is in a pocket, or
    behind the back. All of it where skin tells nothing: gloves and sleeves, a grey photo, none. Where the picture does
    not reach up to the face, bare forearms say what skin is. Beside trunk and legs nothing is asked.
    """
    drawn = hands(frame, shape, size)
    sleeves = arms(frame, shape.arm, 0.8 * shape.arm, size)
    skin = None if picture is None else bare_skin(picture, frame)
    if skin is not None and not skin.any():
        forearms = [(elbow + wrist) / 2 for _, elbow, wrist in (arm for arm in frame.arms if len(arm) == 3)]
        skin = _like(picture, frame, forearms, usual=True)
    if skin is None or not skin.any():
        return drawn | sleeves if with_arms else drawn
    near = grow_mask(torch.from_numpy(skin)[None, None].float(), max(round(_FINGER * frame.size), 1))[0, 0].numpy() > 0
    wide = replace(shape, hip=shape.hip + _BESIDE, thigh=shape.thigh + _BESIDE, shoulder=shape.shoulder + _BESIDE)
    near |= ~(trunk(frame, wide, size) | legs(frame, replace(wide, skirt=1.0), size))
    seen = np.zeros(size, bool)
    for side in (0, 1):
        alone = _one_side(frame, side)
        hand, arm = hands(alone, shape, size) & drawn, arms(alone, shape.arm, 0.8 * shape.arm, size)
        share, bare = (hand & skin).sum() / max(hand.sum(), 1), (arm & skin).sum() > _BARE * arm.sum()
        if share > _SEEN or (share < _HIDDEN and bare):
            hand &= near
        seen |= hand
        if with_arms:
            seen |= arm & near if bare else arm
    return seen


def _one_side(frame: BodyFrame, side: int) -> BodyFrame:
    """The frame with the right (0) or left (1) arm and hand alone."""
    return replace(
        frame,
        arms=tuple(arm if place == side else [] for place, arm in enumerate(frame.arms)),
        hands=tuple(hand if place == side else {} for place, hand in enumerate(frame.hands)),
        cuffs=tuple(cuff if place == side else None for place, cuff in enumerate(frame.cuffs)),
    )
