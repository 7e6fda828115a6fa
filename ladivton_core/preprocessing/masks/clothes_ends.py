"""Where clothes end, by the photo's colours: the waist between top and trousers, and the hems above the feet.

Joints say where hips and ankles are. A waistband may sit a third of the torso above the hips, a shirt hang a fifth
below them: where the colours of a photo change clearly, the change decides; else the lengths of `body_drawing.SHAPES`
do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .body_drawing import BodyFrame, Shape, arms, direction, hands

_STEP = 0.025
_BEYOND = 0.08
# Thighs that hang less far than this, in body sizes, are those of somebody who sits.
_STANDING = 0.5
# No top is taken for shorter than this far above the hips: a wrong guess would leave most of it.
_SHORTEST = 0.6
# A change counts when it is this much larger than what the colours on both sides of it vary by; the first must be
# nearly as large as the largest.
_CLEAR, _NEARLY = 2.0, 0.6
# Shares of the trunk's width at which skin ends what is worn, and is a belly.
_BARE, _BELLY = 0.15, 0.6
# Brightness, red against green, blue against yellow.
_OPPONENT = np.array([[1 / 3, 1.5, -0.5], [1 / 3, -1.5, -0.5], [1 / 3, 0.0, 1.0]])


@dataclass(frozen=True)
class Ends:
    """Lengths in body sizes along spine or shin; None where the colours do not tell.

    Attributes:
        waist: how far below the hips the lower garment begins and the top ends, which differ by a belt or by skin;
            negative above the hips.
        hems: how far below the right and left ankle the leg ends and the foot begins.
    """

    waist: tuple[float, float] | None = None
    hems: tuple[float | None, float | None] = (None, None)

    def fitted(self, shape: Shape, category: str) -> Shape:
        """The shape of a category with its waist or hem where the colours tell it, and a little beyond."""
        if self.waist is None or category == "dresses":
            return shape
        if category == "upper_body":
            return replace(shape, hem=max(self.waist[1], -_SHORTEST) + _BEYOND)
        return replace(shape, waist=_BEYOND - self.waist[0])

    def below(self, shape: Shape) -> tuple[float, float]:
        """How far below the right and left ankle a leg ends."""
        right, left = (shape.ankle if hem is None else hem for hem in self.hems)
        return right, left


def clothes_ends(picture: np.ndarray, frame: BodyFrame, skin: np.ndarray | None = None) -> Ends:
    """Look along spine and shins of a person in a picture (height, width, 3) in [0, 1].

    Args:
        skin: where it is bare (height, width) bool: nothing is worn where legs come out of shorts, nor on a belly.
    """
    size = (picture.shape[0], picture.shape[1])
    in_front = arms(frame, 0.14, 0.1, size) | hands(frame, Shape(), size)
    shins = [
        None if ankle is None else _change(
            picture, None, ankle, direction(ankle - leg[1]), frame.size, half=0.05, between=(-0.45, 0.26),
            compared=(0.3, 0.15),
        ) for ankle, leg in zip(frame.ankles, frame.legs, strict=True)
    ]  # fmt: skip
    waist = None
    # in a lap, and below hips that are guessed, the spine leads on to no trousers
    if all((leg[1] - leg[0]) @ frame.down > _STANDING * frame.size for leg in frame.legs):
        waist = _change(
            picture, in_front, frame.waist, frame.down, frame.size, half=0.25, between=(-0.8, 0.4),
            compared=(0.55, 0.45), skin=skin,
        )  # fmt: skip
    right, left = (None if shin is None else shin[1] for shin in shins)
    belly = None if skin is None else _belly(skin, frame)
    return Ends(belly or (waist and (waist[0], waist[2])), (right, left))


def _belly(skin: np.ndarray, frame: BodyFrame) -> tuple[float, float] | None:
    """`Ends.waist` where a top ends above a bare belly: skin (height, width) bool across the trunk."""
    places = np.arange(-0.9, 0.3, _STEP)
    x, y = _band(frame.waist, frame.down, frame.size, places, 0.2)
    x, y = x.clip(0, skin.shape[1] - 1), y.clip(0, skin.shape[0] - 1)
    bare = np.flatnonzero(skin[y, x].mean(1) > _BELLY)
    if not len(bare) or (bare[-1] - bare[0] + 1) * _STEP < _BEYOND or bare[0] == 0:
        return None
    return float(places[bare[-1]]), float(places[bare[0]])


def _band(
    origin: np.ndarray, along: np.ndarray, unit: float, places: np.ndarray, half: float
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels x and y (N, 21) of a band; its places (N,) and half its width in `unit` pixels from `origin` on."""
    across = np.linspace(-half, half, 21)[:, None] * np.array([-along[1], along[0]])
    return tuple(np.moveaxis(np.rint(origin + (places[:, None, None] * along + across) * unit).astype(int), -1, 0))


def _change(
    picture: np.ndarray, in_front: np.ndarray | None, origin: np.ndarray, along: np.ndarray, unit: float, *,
    half: float, between: tuple[float, float], compared: tuple[float, float], skin: np.ndarray | None = None,
) -> tuple[float, float, float] | None:  # fmt: skip
    """First, clearest and last place where the colours of a band change; lengths in `unit` pixels from `origin` on.

    Args:
        in_front: (height, width) bool, what is not looked at.
        half: half the band's width.
        between: where the change may lie.
        compared: lengths of band above and below a place that are compared.
        skin: (height, width) bool; a row that shows much of it is not known.
    """
    places = np.arange(between[0] - compared[0], between[1] + compared[1], _STEP)
    x, y = _band(origin, along, unit, places, half)
    height, width = picture.shape[:2]
    seen = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    x, y = x.clip(0, width - 1), y.clip(0, height - 1)
    if in_front is not None:
        seen &= ~in_front[y, x]
    found = picture[y, x] @ _OPPONENT
    known = seen.sum(1) > 0.3 * seen.shape[1]
    if skin is not None:
        known &= (skin[y, x] & seen).sum(1) < _BARE * seen.sum(1)
    # means, not medians: those of stripes along the spine jump where a body narrows
    colours = (found * seen[..., None]).sum(1) / seen.sum(1, keepdims=True).clip(1) * known[:, None]
    sums = np.cumsum(np.concatenate([np.zeros((1, 7)), np.c_[known, colours, colours**2]]), 0)
    middles, spread, told = [], 0.0, np.ones(len(places), bool)
    for ahead, length in ((-1, compared[0]), (1, compared[1])):
        reach, at = round(length / _STEP), np.arange(len(places))
        first, last = (at - reach, at) if ahead < 0 else (at + 1, at + 1 + reach)
        count, *values = np.moveaxis(sums[last.clip(0, len(places))] - sums[first.clip(0, len(places))], -1, 0)
        mean = np.stack(values[:3]) / count.clip(1)
        middles, spread = [*middles, mean], spread + (np.stack(values[3:]) / count.clip(1) - mean**2).sum(0).clip(0)
        told &= count > 0.6 * reach
    sizes = np.linalg.norm(middles[0] - middles[1], axis=0) / (np.sqrt(spread / 2) + 0.05)
    sizes *= told & (places >= between[0]) & (places <= between[1])
    peaks = (sizes >= np.roll(sizes, 1)) & (sizes >= np.roll(sizes, -1)) & (sizes >= _CLEAR)
    if not peaks.any():
        return None
    # the last may be small: a top of two colours ends at its hem, not where they meet
    first, last = places[peaks & (sizes >= _NEARLY * sizes.max())][0], places[peaks][-1]
    return float(first), float(places[sizes.argmax()]), float(last)
