"""A silhouette is evidence, not a verdict: what it shows of a person, checked against joints and joined with them.

Silhouettes of graphs have holes where pale cloth lies on white, lack legs, or are another person's. `outline_of` is the
one place that takes one; `body_region.py` and `body_mask.py` ask it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...mask_edges import grow_mask
from ..flood import reached
from .body_drawing import BodyFrame, Shape, arms, filled, hands, limb, trunk

# What of a body is the person for certain, though joints are found a little off.
INNER = Shape(shoulder=0.03, hip=0.06, hem=0.0, waist=0.0, thigh=0.13, shin=0.07, hand=(0.08, 0.3))
_INNER_ARM = (0.09, 0.06)
# A part that it shows less of than this is missing in it; a share of the body that it must lack before a note says so.
_MISSING, _WORTH_SAYING = 0.5, 0.1
# Cracks and ragged edges narrower than two of these, in body sizes, are closed.
_CRACK = 0.04
_WORKING_SIDE = 256


@dataclass(frozen=True)
class Outline:
    """What a silhouette told.

    Attributes:
        inside: (height, width) bool, the person; None where it contradicts the joints and is dropped.
        finding: what was done to it, if that is worth saying.
    """

    inside: np.ndarray | None
    finding: str | None = None


def outline_of(silhouette: np.ndarray, frame: BodyFrame, with_legs: bool) -> Outline:
    """The person in a silhouette (height, width) bool.

    Holes and cracks are filled, but for what one sees through between an arm and the trunk; pieces that touch nothing
    of the body are left out; trunk, limbs and hands are added as the joints tell them.

    Args:
        frame: of the person meant.
        with_legs: whether legs are asked for: a silhouette without them then contradicts the joints.
    """
    size = (silhouette.shape[0], silhouette.shape[1])
    chest = trunk(frame, INNER, size)
    below = filled(size, *_known_legs(frame)) if with_legs else np.zeros(size, bool)
    limbs = arms(frame, *_INNER_ARM, size) | hands(frame, INNER, size)
    body, filled_up = chest | below | limbs, _filled_up(silhouette, frame, chest | limbs, chest | below | limbs)
    border = np.concatenate([silhouette[[0, -1]].ravel(), silhouette[:, [0, -1]].ravel()])
    if border.mean() > _MISSING:  # all around the picture: the person is the hole in it
        filled_up &= silhouette
    for part, name in ((chest, "most of the body"), (below, "the legs")):
        if part.any() and (filled_up & part).sum() < _MISSING * part.sum():
            why = "the wrong way round, or another photo's or person's" if part is chest else "cut off, or damaged"
            return Outline(None, f"leaves out {name}: it is {why}. It is not used: the mask is drawn from the joints")
    core = chest | below  # joints of arms lie beside them too often to be told
    lacking = float((core & ~silhouette).sum() / max(core.sum(), 1))
    said = f"leaves out {lacking:.0%} of the body: holes are filled, and the joints add what they tell"
    return Outline(filled_up | body, said if lacking > _WORTH_SAYING else None)


def _known_legs(frame: BodyFrame) -> tuple[list, list]:
    """Polygons and disks of the legs down to the known ankles; to the knees of a leg whose ankle is not known."""
    parts = [
        limb(leg if ankle is not None else leg[:2], INNER.thigh * frame.size, INNER.shin * frame.size)
        for leg, ankle in zip(frame.legs, frame.ankles, strict=True)
    ]
    return [polygon for polygons, _ in parts for polygon in polygons], [disk for _, disks in parts for disk in disks]


def _filled_up(silhouette: np.ndarray, frame: BodyFrame, solid: np.ndarray, body: np.ndarray) -> np.ndarray:
    """A silhouette without holes, cracks and pieces that lie elsewhere."""
    step = -(-max(silhouette.shape) // _WORKING_SIDE)
    small = silhouette[::step, ::step]
    pixels = round(_CRACK * frame.size / step)
    around = torch.from_numpy(np.pad(small, pixels))[None, None].float()
    closed = grow_mask(grow_mask(around, pixels), -pixels)[0, 0].bool().numpy()
    closed = closed[pixels : closed.shape[0] - pixels, pixels : closed.shape[1] - pixels]
    whole = ~reached(~closed)
    whole = reached(whole, body[::step, ::step] & whole)
    # one sees through between an arm and the trunk
    through = np.zeros(small.shape, bool)
    for arm, hip in zip(frame.arms, frame.hips, strict=True):
        if len(arm) == 3:
            through |= filled(silhouette.shape, [[*arm, hip]])[::step, ::step]
    whole &= small | ~(through & ~solid[::step, ::step])
    return np.repeat(np.repeat(whole, step, 0), step, 1)[: silhouette.shape[0], : silhouette.shape[1]]
