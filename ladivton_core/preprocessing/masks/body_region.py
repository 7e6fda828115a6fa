"""Inpaint mask from joints alone, or with the person's silhouette: for photos without a parse map or a painted mask.

The rule of SPEC 1.5 with shapes in the place of labels: the arms' stroke, a trunk and legs by category, grown; head,
hands, feet and what is worn beside the garment are cut out. Shapes are shares of the body's size (`body_shapes.py`).
`agnostic.py` is the version with labels, `regions.py` the one with painted masks; figures are in `docs/photos.md`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..labels import ATR18, CATEGORIES, LIP20, Category, LabelSet
from ..pose.body_size import relative_stroke, share_of_reference
from ..pose.dialects import finite_joints
from .agnostic import GROW, NECK_LIFT_AT_512, Neck, grown
from .arms import arm_stroke, known_shoulders
from .body_frame import BodyFrame, body_frame
from .body_shapes import RULES, SHAPES, Shape
from .regions import Say, empty_masks, log

# How far cloth may lie beside the shape of a leg, where a silhouette says that it is the person.
_AROUND = 0.3

# Length of a forearm seen from the side.
_FOREARM = 0.7

# Half the width of the neck, which Dress Code's rule keeps above the neck line; VITON-HD's repaints it to the chin.
_NECK = 0.18


def body_region(
    keypoints: Tensor,
    category: str,
    size: tuple[int, int],
    *,
    silhouette: Tensor | None = None,
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
        keypoints: COCO-18 joints (B, 18, 2), (x, y) in pixels of `size`; missing ones (0, 0).
        category: which garment is exchanged.
        size: (height, width) of the photo.
        silhouette: the person alone (B, 1, height, width) in [0, 1]; 0.5 and more counts. Trunk and legs follow it.
            Where it is empty the joints alone count.
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
    if keypoints.ndim != 3 or keypoints.shape[1:] != (18, 2):
        raise ValueError(f"keypoints have the shape {tuple(keypoints.shape)}; expected (B, 18, 2)")
    for name, mask in (("silhouette", silhouette), ("keep mask", keep)):
        if mask is not None and tuple(mask.shape) != (len(keypoints), 1, *size):
            raise ValueError(f"the {name} has the shape {tuple(mask.shape)}; expected {(len(keypoints), 1, *size)}")
    regions, numbers = [], numbers or range(len(keypoints))
    empty_masks("keep_mask", keep, say, numbers)
    unseen = empty_masks("silhouette", silhouette, say, numbers)
    for row, joints in enumerate(finite_joints(keypoints.detach().cpu().double())):
        alone = silhouette is None or row in unseen
        outline = None if alone else (silhouette[row, 0] >= 0.5).cpu().numpy()
        if outline is not None and _leaves_out(outline, joints.numpy()):
            say(
                f"'silhouette' leaves out most of the body in picture {numbers[row]}: it is the wrong way round, "
                "or another photo's or person's."
            )
        above = 0.0 if neck == "keep" else NECK_LIFT_AT_512 if labels is ATR18 else None
        regions.append(_region(joints, category, size, outline, labels, above, stroke_width, grow, numbers[row]))
    region = torch.from_numpy(np.stack(regions))[:, None].to(keypoints.device)
    return (region if keep is None else region & (keep < 0.5)).float()


def _leaves_out(outline: np.ndarray, joints: np.ndarray) -> bool:
    """Whether most of neck, shoulders and hips that lie in the picture are outside a silhouette (H, W)."""
    height, width = outline.shape
    places = [
        (int(y), int(x)) for x, y in joints[[1, 2, 5, 8, 11]] if max(x, y) > 1 and 0 <= x < width and 0 <= y < height
    ]
    return 2 * sum(bool(outline[place]) for place in places) < len(places)


def _region(
    joints: Tensor, category: Category, size: tuple[int, int], outline: np.ndarray | None, labels: LabelSet,
    neck_lift: float | None, stroke_width: int | None, grow: int, sample: int,
) -> np.ndarray:  # fmt: skip
    points, frame, shape = joints.numpy(), body_frame(joints), SHAPES[category]
    if category != "lower_body":
        known_shoulders(points, sample)
    if frame is None:
        raise ValueError(
            f"neither shoulders nor hips are known in picture {sample} of the batch: the keypoints show too little of "
            "the person to find the garment. Paint a 'garment_mask', or use a photo that shows more of the body"
        )
    depth = frame.depth(size)
    repaint = np.zeros(size, bool)
    if category != "lower_body":
        repaint |= _trunk(frame, shape, size)
    if category != "upper_body":
        repaint |= _legs(frame, shape, size)
    if outline is not None:
        if category != "upper_body":
            # all of the person around the legs: wide trousers and skirts, but not the arms beside them
            wide = replace(shape, thigh=shape.thigh + _AROUND, shin=shape.shin + _AROUND, skirt=1.0)
            repaint |= _legs(frame, wide, size) & (depth > -shape.waist)
        repaint &= outline
    stroke = np.zeros(size, bool)
    if category != "lower_body":
        width = stroke_width or relative_stroke(joints, size, labels)
        stroke = arm_stroke(points, size, width, "skip")
    fixed = _fixed(frame, category, size, depth, outline) & ~stroke
    head = _head(frame, shape, size)
    if neck_lift is not None and category != "lower_body" and len(frame.head):
        head |= _neck(frame, neck_lift * share_of_reference(joints, size), size)
    repaint = (repaint & ~fixed) | stroke
    pixels = round(grow * share_of_reference(joints, size))
    bigger = grown(torch.from_numpy(repaint)[None, None].float(), pixels)[0, 0].bool().numpy()
    return bigger & ~(fixed | head)


def _trunk(frame: BodyFrame, shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """Shoulders to hem."""
    unit = frame.size
    (right, left), (right_hip, left_hip) = frame.shoulders, frame.hips
    out, hip_out = _direction(left - right) * shape.shoulder * unit, _direction(left_hip - right_hip) * shape.hip * unit
    hem, neck = frame.down * shape.hem * unit, frame.chest - frame.down * shape.neck * unit
    corners = [right - out, neck, left + out, left_hip + hip_out, left_hip + hip_out + hem]
    return _filled(size, [corners + [right_hip - hip_out + hem, right_hip - hip_out]])


def _legs(frame: BodyFrame, shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """Waist to ankles."""
    unit = frame.size
    right, left = frame.hips
    out, rise = _direction(left - right) * shape.thigh * unit, frame.down * shape.waist * unit
    polygons = [[right - out, right - out - rise, left + out - rise, left + out]]
    if shape.skirt:
        right_end, left_end = (leg[0] + (leg[1] - leg[0]) * shape.skirt for leg in frame.legs)
        polygons.append([right - out, left + out, left_end + out, right_end - out])
    limbs = [_limb(leg, shape.thigh * unit, shape.shin * unit) for leg in frame.legs]
    return _filled(
        size, polygons + [p for polygon, _ in limbs for p in polygon], [d for _, disks in limbs for d in disks]
    )


def _head(frame: BodyFrame, shape: Shape, size: tuple[int, int]) -> np.ndarray:
    if not len(frame.head):
        return np.zeros(size, bool)
    centre, unit = frame.head.mean(0), frame.size
    across = np.array([frame.down[1], -frame.down[0]]) * unit
    inner, outer, above = shape.hair
    end = frame.chest - frame.down * above * unit
    falls = [
        [centre + side * across * inner, centre + side * across * outer, end + side * across * outer,
         end + side * across * inner] for side in (-1, 1)
    ]  # fmt: skip
    return _filled(size, falls, [(centre, shape.head[0] * unit, shape.head[1] * unit)])


def _neck(frame: BodyFrame, lift: float, size: tuple[int, int]) -> np.ndarray:
    """From the middle of the head down to `lift` pixels above the shoulders."""
    across = np.array([frame.down[1], -frame.down[0]]) * _NECK * frame.size
    top, end = frame.head.mean(0), frame.chest - frame.down * lift
    return _filled(size, [[top - across, top + across, end + across, end - across]])


def _fixed(
    frame: BodyFrame, category: Category, size: tuple[int, int], depth: np.ndarray, outline: np.ndarray | None
) -> np.ndarray:
    """Hands, feet, and what is worn above or below the garment: kept, as far as the silhouette shows it."""
    shape, unit = SHAPES[category], frame.size
    polygons: list[Sequence[np.ndarray]] = []
    disks = []
    for arm in frame.arms:
        if category == "lower_body" and len(arm) > 1:
            limb, ends = _limb(arm, shape.arm * unit, 0.8 * shape.arm * unit)
            polygons, disks = polygons + limb, disks + ends
        if len(arm) == 3:
            half, reach = (length * unit for length in shape.hand)
            along = _direction(arm[2] - arm[1])
            # a forearm that points at the camera is short, and so is the hand at its end
            reach *= min(1.0, float(np.linalg.norm(arm[2] - arm[1])) / (_FOREARM * unit))
            hand, ends = _limb([arm[2] + along * half, arm[2] + along * max(reach - half, half)], half, half)
            polygons, disks = polygons + hand, disks + ends
    fixed = _filled(size, polygons, disks)
    if category == "upper_body":
        fixed |= depth > shape.hem
    else:
        fixed |= _feet(frame, shape, size)
    if category == "lower_body":
        fixed |= depth < -shape.waist
    return fixed if outline is None else fixed & outline


def _feet(frame: BodyFrame, shape: Shape, size: tuple[int, int]) -> np.ndarray:
    """Everything around a foot from below the ankle on."""
    feet = []
    for ankle in frame.ankles:
        top = ankle + frame.down * shape.ankle * frame.size
        across = np.array([frame.down[1], -frame.down[0]]) * 0.45 * frame.size
        bottom = top + frame.down * 0.6 * frame.size
        feet.append([top - across, top + across, bottom + across, bottom - across])
    return _filled(size, feet)


def _limb(points: Sequence[np.ndarray], first: float, last: float) -> tuple[list, list]:
    """Polygons and disks of a limb that narrows from half width `first` to `last`."""
    radii = np.linspace(first, last, len(points))
    polygons = []
    for a, b, at_a, at_b in zip(points, points[1:], radii, radii[1:], strict=False):
        across = _direction(b - a)[::-1] * np.array([-1.0, 1.0])
        polygons.append([a + across * at_a, b + across * at_b, b - across * at_b, a - across * at_a])
    return polygons, [(point, radius, radius) for point, radius in zip(points, radii, strict=True)]


def _filled(size: tuple[int, int], polygons: Sequence = (), disks: Sequence = ()) -> np.ndarray:
    """(height, width) bool: inside any polygon (corners (x, y)) or ellipse (centre, half width, half height)."""
    from PIL import Image, ImageDraw

    canvas = Image.new("1", (size[1], size[0]))
    draw = ImageDraw.Draw(canvas)
    for corners in polygons:
        draw.polygon([tuple(map(float, corner)) for corner in np.clip(corners, -30_000, 30_000)], fill=1)
    for (x, y), half_width, half_height in disks:
        draw.ellipse((x - half_width, y - half_height, x + half_width, y + half_height), fill=1)
    return np.array(canvas)


def _direction(vector: np.ndarray) -> np.ndarray:
    """The vector at length 1; to the right where it has none."""
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-6 else np.array([1.0, 0.0])
