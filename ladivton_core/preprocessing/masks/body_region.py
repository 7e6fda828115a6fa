"""Inpaint mask from joints alone, or with the person's silhouette: for photos without a parse map or a painted mask.

The rule of published §1.5 with shapes for labels: the arms' stroke, a trunk and legs by category, grown; head,
hands, feet and what is worn beside the garment are cut out. Shapes are shares of the body's size (`body_drawing.py`).
`agnostic.py` is the version with labels, `regions.py` the one with painted masks; figures are in `docs/photos.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...mask_edges import grow_mask
from ..flood import reached
from ..labels import ATR18, CATEGORIES, LIP20, Category, LabelSet
from ..pose.body_size import relative_stroke, share_of_reference
from ..pose.dialects import JOINTS, POINTS, finite_joints
from .agnostic import GROW, NECK_LIFT_AT_512, Neck
from .arms import LEFT_WRIST, RIGHT_WRIST, arm_stroke, known_shoulders
from .body_drawing import (
    AROUND,
    RULES,
    SHAPES,
    BodyFrame,
    Shape,
    Size,
    arms,
    body_frame,
    feet,
    head,
    legs,
    neck_above,
    trunk,
)
from .clothes_ends import Ends, clothes_ends
from .regions import Say, empty_masks, log
from .silhouette import outline_of
from .skin import limbs_seen


def body_region(
    keypoints: Tensor,
    category: str,
    size: Size,
    *,
    silhouette: Tensor | None = None,
    picture: Tensor | None = None,
    keep: Tensor | None = None,
    labels: LabelSet | None = None,
    neck: Neck = "published",
    stroke_width: int | None = None,
    grow: int = GROW,
    numbers: Sequence[int] | None = None,
    say: Say = log.warning,
) -> Tensor:
    """Region the sampler repaints, from joints.

    Args:
        keypoints: COCO-18 joints (B, 18, 2), or with hands behind them (B, 60, 2) (`pose/dialects.py`), (x, y) in
            pixels of `size`; missing ones (0, 0).
        category: which garment is exchanged.
        size: (height, width) of the photo.
        silhouette: the person alone (B, 1, height, width) in [0, 1]; 0.5 and more counts. Trunk and legs follow it, as
            far as the joints bear it out (`silhouette.py`). Where it is empty the joints alone count.
        picture: the photo (B, 3, height, width) in [0, 1]: its colours tell where top and trousers meet, and where
            trousers end (`clothes_ends.py`).
        keep: what must stay (B, 1, height, width); it wins over everything.
        labels: whose rule is followed: `LIP20` for VITON-HD's (a wide stroke, the neck repainted up to the chin),
            `ATR18` for Dress Code's (half as wide, the neck kept above the neck line); None is that of `RULES`.
        neck: `published` and `cut` do as the rule says, `keep` leaves the neck down to the shoulders.
        stroke_width: width of the arms' stroke in pixels; None follows the body.
        grow: pixels the region grows on every side of a body of the data sets' size.
        numbers: of the pictures, for messages, where they are some of a larger batch.
        say: told of silhouettes that are empty or leave the person out, and of masks of what must stay that are empty.

    Returns:
        (B, 1, height, width) float32 in {0, 1}; 1 is repainted. On the device of `keypoints`.

    Raises:
        ValueError: an unknown category, label set or option, shapes that disagree, or a picture with neither shoulders
            (hips for lower bodies) to hang the garment on; names the picture.
    """
    if category not in CATEGORIES:
        raise ValueError(f"unknown garment category {category!r}; expected one of {', '.join(CATEGORIES)}")
    labels = RULES[category] if labels is None else labels
    if labels not in (LIP20, ATR18) or neck not in ("published", "cut", "keep"):
        raise ValueError(
            f"the label set is {labels.name} and neck {neck!r}; expected LIP20 or ATR18, and published, cut or keep"
        )
    check_points(keypoints)
    check_pictures(len(keypoints), size, silhouette=silhouette, keep=keep, picture=picture)
    regions, numbers = [], numbers or range(len(keypoints))
    empty_masks("keep_mask", keep, say, numbers)
    unseen = empty_masks("silhouette", silhouette, say, numbers)
    for row, joints in enumerate(finite_joints(keypoints.detach().cpu().double())):
        alone = silhouette is None or row in unseen
        outline = None if alone else (silhouette[row, 0] >= 0.5).cpu().numpy()
        colours = None if picture is None else picture[row].movedim(0, -1).float().cpu().numpy()
        above = 0.0 if neck == "keep" else NECK_LIFT_AT_512 if labels is ATR18 else None
        regions.append(
            _region(joints, category, size, outline, colours, labels, above, stroke_width, grow, numbers[row], say)
        )
    region = torch.from_numpy(np.stack(regions))[:, None].to(keypoints.device)
    return (region if keep is None else region & (keep < 0.5)).float()


def check_points(keypoints: Tensor) -> None:
    """Raise a ValueError unless these are joints (B, 18, 2), or joints and hands (B, 60, 2)."""
    if keypoints.ndim != 3 or keypoints.shape[1:] not in ((JOINTS, 2), (POINTS, 2)):
        raise ValueError(
            f"keypoints have the shape {tuple(keypoints.shape)}; expected (B, {JOINTS}, 2), with hands (B, {POINTS}, 2)"
        )


def check_pictures(batch: int, size: Size, **pictures: Tensor | None) -> None:
    """Raise a ValueError that names a mask that is not (batch, 1, *size), a `picture` that is not (batch, 3, *size)."""
    for name, tensor in pictures.items():
        expected = (batch, 3 if name == "picture" else 1, *size)
        if tensor is not None and tuple(tensor.shape) != expected:
            raise ValueError(f"'{name}' has the shape {tuple(tensor.shape)}; expected {expected}")


def _region(
    joints: Tensor, category: Category, size: Size, silhouette: np.ndarray | None, picture: np.ndarray | None,
    labels: LabelSet, neck_lift: float | None, stroke_width: int | None, grow: int, sample: int, say: Say,
) -> np.ndarray:  # fmt: skip
    points, frame = joints[:JOINTS].numpy().copy(), body_frame(joints)
    if category != "lower_body":
        known_shoulders(points, sample)
    if frame is None:
        raise ValueError(
            f"neither shoulders nor hips are known in picture {sample} of the batch: the keypoints show too little of "
            "the person to find the garment. Paint a 'garment_mask', or use a photo that shows more of the body"
        )
    outline = None
    if silhouette is not None:
        told = outline_of(silhouette, frame, with_legs=category != "upper_body")
        outline = told.inside
        if told.finding:
            say(f"'silhouette' of picture {sample} {told.finding}.")
    ends = Ends() if picture is None else clothes_ends(picture, frame)
    shape, below = ends.fitted(SHAPES[category], category), ends.below(SHAPES[category])
    depth = frame.depth(size)
    repaint = np.zeros(size, bool)
    if category != "lower_body":
        repaint |= trunk(frame, shape, size)
    if category != "upper_body":
        repaint |= legs(frame, shape, size, below)
    if outline is not None:
        # all of the person around hips and legs: wide trousers, skirts and shirts
        wide = replace(shape, hip=shape.hip + AROUND, thigh=shape.thigh + AROUND, shin=shape.shin + AROUND, skirt=1.0)
        if category != "upper_body":
            repaint |= legs(frame, wide, size, below) & (depth > -shape.waist)
        if category != "lower_body":
            repaint |= trunk(frame, wide, size)
        repaint &= outline
    stroke = np.zeros(size, bool)
    if category != "lower_body":
        for wrist, cuff in zip((RIGHT_WRIST, LEFT_WRIST), frame.cuffs, strict=True):
            points[wrist] = points[wrist] if cuff is None else cuff
        stroke = arm_stroke(points, size, stroke_width or relative_stroke(joints, size, labels), "skip")
    fixed = _fixed(frame, category, shape, below, size, depth, picture)
    # the stroke is wider than an arm: beside it a silhouette shows trousers, without one nothing does
    fixed &= ~stroke if outline is None else outline & ~(stroke & arms(frame, shape.arm, shape.arm, size))
    face = head(frame, shape, size)
    if neck_lift is not None and category != "lower_body":
        face |= neck_above(frame, neck_lift * share_of_reference(joints, size), size)
    repaint &= ~fixed
    if category != "upper_body":  # what a silhouette shows beyond a hanging arm or hand is no leg
        repaint = reached(repaint, legs(frame, replace(shape, thigh=0.1, shin=0.05), size))
    repaint |= stroke
    pixels = round(grow * share_of_reference(joints, size))
    bigger = grow_mask(torch.from_numpy(repaint)[None, None].float(), pixels)[0, 0].bool().numpy()
    return bigger & ~(fixed | face)


def _fixed(
    frame: BodyFrame, category: Category, shape: Shape, below: Sequence[float], size: Size, depth: np.ndarray,
    picture: np.ndarray | None,
) -> np.ndarray:  # fmt: skip
    """Hands, feet, and what is worn above or below the garment: kept, as far as the silhouette shows it."""
    fixed = limbs_seen(frame, shape, size, picture, with_arms=category == "lower_body")
    if category == "upper_body":
        return fixed | (depth > shape.hem)
    fixed |= feet(frame, below, size)
    if category == "lower_body":
        fixed |= depth < -shape.waist
    return fixed
