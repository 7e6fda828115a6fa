"""How far cloth, hands, head and hair reach around the joints of a body, by the category of the garment.

What `body_drawing.py` draws. Fitted on people of the drawn world (seed 11), with their true joints and with those that
BlazePose finds in their pictures, which lie a little elsewhere (`docs/photos.md` has figures of other people).
"""

from __future__ import annotations

from dataclasses import dataclass

from ..labels import ATR18, LIP20, Category, LabelSet


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
