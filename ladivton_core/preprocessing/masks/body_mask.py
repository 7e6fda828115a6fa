"""The body's mask: the person where the garment goes, grown by a margin, and where the warped garment will lie.

The third shape of mask beside the two published rules (`agnostic.py`, `body_region.py`): it repaints no background but
the margin, which is what models trained with it and editors want. The published weights know their own rules.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...mask_edges import grow_mask
from ..flood import reached
from ..label_pictures import require_known
from ..labels import CATEGORIES, Category, LabelSet
from ..pose.body_size import share_of_reference
from ..pose.dialects import finite_joints
from .agnostic import NECK_LIFT_AT_512
from .body_drawing import (
    AROUND,
    NECK,
    SHAPES,
    BodyFrame,
    Size,
    arms,
    body_frame,
    feet,
    filled,
    hands,
    head,
    legs,
    trunk,
)
from .body_region import check_pictures, check_points
from .clothes_ends import Ends, clothes_ends
from .ground import like_ground
from .regions import Say, empty_masks, log
from .silhouette import INNER, outline_of
from .skin import bare_skin, limbs_seen

MARGIN, EMBEDDED_MARGIN = 12, 16
"""Pixels on a body of the data sets' size at 512 x 384: in general, and for the embedded models, which learned from
wider masks and break arms in a narrower one (docs/photos.md)."""

RETURN_MARGIN = 5
"""Pixels likewise, of what a result changes in the photo: beyond them its own ground is better than any drawn."""

# Ground of a warped garment: joined to the picture's border, and in every channel as bright as that, within these.
_GROUND = (0.97, 0.985)
# Of a garment dressed by its skeleton cloth is darker than the first, what is none as light as the second.
_CLOTH, _PURE = 0.994, 0.998
# Pixels, at 512: what is nowhere wider than twice this may be a white stripe, unless it is exactly the border's white.
_STRIPE = 4
_HAND_SEEN, _ARM_SEEN = 0.2, 0.4
# Pixels: a piece that is nowhere wider than twice this is a dot of the old garment's pattern.
_THICK = 3
# Pieces of cloth nowhere thicker than twice this, at 512 pixels, are smudges.
_SPECK = 2
# How far above the waist of the old trousers new ones may begin; the top above stays.
_HIGHER = 0.25
# How far a sleeve may lie beside the arm: with a silhouette, which bounds it, and without.
_SLEEVE, _SLEEVE_ALONE = 0.3, 0.17


def body_mask(
    category: str,
    size: Size,
    *,
    keypoints: Tensor | None = None,
    cloth: Tensor | None = None,
    silhouette: Tensor | None = None,
    keep: Tensor | None = None,
    parse: Tensor | None = None,
    labels: LabelSet | None = None,
    picture: Tensor | None = None,
    margin: int = MARGIN,
    paste: bool = False,
    numbers: Sequence[int] | None = None,
    say: Say = log.warning,
) -> Tensor:
    """Region the sampler repaints, no larger than person and garment need.

    The old garment and the arms it may have covered, as the silhouette shows them (the joints alone where there is
    none, the labels where there are), grown by the margin, and the cloth; without face, hair, hands in front, shoes,
    clothes of other kinds and what is to be kept.

    Args:
        category: which garment is exchanged.
        size: (height, width) of the photo.
        keypoints: joints (B, 18, 2), or with hands behind them (B, 60, 2), (x, y) in pixels of `size`; missing ones
            (0, 0). Without any the silhouette counts in the rows of the cloth, and face and hands are not known.
        cloth: where the warped garment will lie (B, 1, height, width); 0.5 and more counts. See `cloth_on_white`.
        silhouette: the person alone (B, 1, height, width), see `silhouette.py`.
        keep: what must stay (B, 1, height, width); it wins over everything.
        parse: labels (B, height, width), integers, ids of `labels`: they decide what is garment, face, hair and shoes,
            and a silhouette is not asked. A new top or dress hangs over trousers and skirts where its cloth does.
        picture: the photo (B, 3, height, width) in [0, 1], see `body_region`.
        margin: pixels on a body of the data sets' size; without joints for a picture 512 pixels high.
        paste: also what of a result goes into the photo: with `RETURN_MARGIN` where a silhouette that bears the joints
            out, or labels, tell the ground; and with `picture` and joints without the skin that is bare and stays so,
            and without what a silhouette that is too wide takes of the ground.
        numbers: of the pictures, for messages, where they are some of a larger batch.
        say: told of masks that are empty, and of silhouettes that contradict the joints.

    Returns:
        (B, 1, height, width) float32 in {0, 1}; 1 is repainted. With `paste` (B, 2, height, width). On the device of
        the first tensor given.

    Raises:
        ValueError: an unknown category, shapes that disagree, labels without their vocabulary or beyond it, or neither
            keypoints nor cloth to tell where the garment goes; names the picture.
    """
    if category not in CATEGORIES or margin < 0:
        raise ValueError(f"category {category!r}, margin {margin}; expected one of {', '.join(CATEGORIES)}, 0 or more")
    if keypoints is None and cloth is None:
        raise ValueError("nothing tells where the garment goes: give keypoints, or the warped garment's cloth")
    first = next(tensor for tensor in (keypoints, cloth) if tensor is not None)
    if keypoints is not None:
        check_points(keypoints)
    check_pictures(len(first), size, cloth=cloth, silhouette=silhouette, keep=keep, picture=picture)
    if parse is not None and (labels is None or tuple(parse.shape) != (len(first), *size) or parse.is_floating_point()):
        expected = f"integers {(len(first), *size)}, and `labels`"
        raise ValueError(f"the parse map is {tuple(parse.shape)} {parse.dtype}; expected {expected}")
    if parse is not None:
        require_known(parse, labels)
    numbers = numbers or range(len(first))
    empty_masks("keep_mask", keep, say, numbers)
    unseen = empty_masks("silhouette", silhouette, say, numbers)
    masks = []
    for row, number in enumerate(numbers):

        def given(tensor: Tensor | None, row: int = row) -> np.ndarray | None:
            return None if tensor is None else (tensor[row, 0] >= 0.5).cpu().numpy()

        colours = None if picture is None else picture[row].movedim(0, -1).float().cpu().numpy()
        joints = None if keypoints is None else finite_joints(keypoints[row].detach().cpu().double())
        outline = None if row in unseen or parse is not None else given(silhouette)
        labelled = None if parse is None else (parse[row].cpu().numpy(), labels)
        drawn = _around(category, size, joints, given(cloth), outline, colours, labelled, margin, number, say)
        masks.append(drawn if paste else drawn[:1])
    region = torch.from_numpy(np.stack(masks)).to(first.device)
    return (region if keep is None else region & (keep < 0.5)).float()


def _around(
    category: str, size: Size, joints: Tensor | None, lies: np.ndarray | None, outline: np.ndarray | None,
    colours: np.ndarray | None, labelled: tuple[np.ndarray, LabelSet] | None, margin: int, number: int, say: Say,
) -> np.ndarray:  # fmt: skip
    """Of one picture what is repainted and what goes into the photo (2, H, W), but for what is to be kept.

    Args:
        joints: without places that are no numbers.
        lies: where the warped garment lies.
        outline: the silhouette, where it is asked.
        colours: the photo (H, W, 3) in [0, 1].
        labelled: parse map and its vocabulary.
        number: of the picture, for messages.
    """
    frame, ends = None if joints is None else body_frame(joints), Ends()
    share = size[0] / 512 if frame is None else share_of_reference(joints, size)
    if frame is None and lies is None:
        raise ValueError(
            f"neither shoulders nor hips are known in picture {number}, and no cloth tells where the garment goes. "
            "Use a photo that shows more of the body, or paint the mask"
        )
    if frame is not None and outline is not None:
        told = outline_of(outline, frame, with_legs=category != "upper_body")
        outline = told.inside
        if told.finding:
            say(f"'silhouette' of picture {number} {told.finding}.")
    skin = np.zeros(size, bool)
    if frame is not None and colours is not None:
        skin = bare_skin(colours, frame)
        ends = clothes_ends(colours, frame, skin)
    if frame is None:
        # the cloth, and the person beside it
        part = lies if outline is None else lies | (outline & lies.any(1, keepdims=True))
        kept = np.zeros(size, bool)
        beyond = kept
    else:
        part, beyond = _part(frame, category, ends, outline, size)
        kept = _kept(frame, category, ends, outline, size, colours)
    if labelled is not None:
        part, kept, beyond = _by_labels(*labelled, category, frame, part, NECK_LIFT_AT_512 * share)
    elif skin.any() and lies is not None:
        shape = SHAPES[category]
        bare = [(hands(frame, shape, size), _HAND_SEEN)]
        if category == "lower_body":
            bare.append((arms(frame, shape.arm, 0.8 * shape.arm, size), _ARM_SEEN))
        for limb, share_of_skin in bare:
            limb &= ~head(frame, shape, size)
            if (limb & skin).sum() > share_of_skin * limb.sum():  # no glove, no sleeve: the cloth goes up to its edge
                kept &= ~(limb & lies & ~skin)
    part &= ~kept
    if category == "lower_body" and frame is not None and labelled is None:
        # what a silhouette shows beyond a hanging arm is no leg
        part = reached(part, legs(frame, replace(SHAPES[category], thigh=0.1, shin=0.05), size))
    inside, known = torch.from_numpy(part)[None, None].float(), outline is not None or labelled is not None
    margins = margin, min(margin, RETURN_MARGIN) if known else margin
    grown = [grow_mask(inside, round(pixels * share))[0, 0].bool().numpy() for pixels in margins]
    stays = reached(
        skin, grow_mask(torch.from_numpy(skin)[None, None].float(), -round(_THICK * share))[0, 0].numpy() > 0
    )
    if outline is not None and frame is not None and colours is not None:
        # joints of arms lie beside them too often: only the trunk is the person whatever the photo shows
        stays |= like_ground(colours, outline, frame.size, share) & ~trunk(frame, INNER, size)
    masks = np.stack([grown[0], grown[1] & ~stays]) & ~beyond
    return (masks if lies is None else masks | lies) & ~kept


def cloth_on_white(garment: Tensor) -> Tensor:
    """Where a warped garment lies: everything but the white that reaches the picture's border.

    Args:
        garment: on white (B, 3, H, W) in [0, 1].

    Returns:
        (B, 1, H, W) float32 in {0, 1}; 1 is cloth. A white garment is cloth as far as its edge is darker than white;
        smudges of a pixel or four are none.
    """
    darkest = garment.detach().cpu().amin(1, keepdim=True)
    border = torch.cat([darkest[..., [0, -1], :].flatten(1), darkest[..., [0, -1]].flatten(1)], 1)
    white = border.float().quantile(0.05, 1)[:, None, None, None]
    step = -(-max(darkest.shape[2:]) // 512)
    bright, exact = (
        (darkest >= (white - less).clamp(_GROUND[0], most)).float()[..., ::step, ::step]
        for less, most in ((0.005, _GROUND[1]), (0.001, 1.0))
    )
    narrow = round(_STRIPE * max(bright.shape[2:]) / 512)
    ground = torch.maximum(exact, bright * grow_mask(grow_mask(bright, -narrow), narrow))[:, 0].bool().numpy()
    cloth = torch.from_numpy(np.stack([~reached(item) for item in ground]))[:, None].float()
    thick = grow_mask(cloth, -round(_SPECK * max(cloth.shape[2:]) / 512)).bool()[:, 0].numpy()
    cloth = np.stack([reached(item > 0, core) for item, core in zip(cloth[:, 0].numpy(), thick, strict=True)])
    cloth = np.repeat(np.repeat(cloth, step, 1), step, 2)[:, : darkest.shape[2], : darkest.shape[3]]
    return torch.from_numpy(cloth)[:, None].float().to(garment.device)


def worn_cloth(garment: Tensor) -> Tensor:
    """Where a warped garment is seen (B, 1, H, W), float32 in {0, 1}; (B, 3, H, W) in [0, 1], on white.

    A garment dressed by its skeleton is white altogether only where it is not, as under a bare arm before it: its cloth
    is darker, and nothing lies between. Of others only the white around them is none of their cloth.
    """
    cloth, lightest = cloth_on_white(garment), garment.amin(1, keepdim=True)
    none, between = lightest >= _PURE, (lightest > _CLOTH) & (lightest < _PURE)
    return cloth * ~(none & ~between.flatten(1).any(1)[:, None, None, None]).to(cloth.device)


def _part(
    frame: BodyFrame, category: Category, ends: Ends, outline: np.ndarray | None, size: Size
) -> tuple[np.ndarray, np.ndarray]:
    """What of a person a garment may cover or have covered, and the clothes beside it that its edge stays off."""
    shape, below = ends.fitted(SHAPES[category], category), ends.below(SHAPES[category])
    person = np.ones(size, bool) if outline is None else outline
    part, beyond, depth = np.zeros(size, bool), np.zeros(size, bool), frame.depth(size)
    if outline is not None:
        around = {name: getattr(shape, name) + AROUND for name in ("shoulder", "hip", "thigh", "shin")}
        shape = replace(shape, skirt=1.0, **around)
    if category != "lower_body":
        close = arms(frame, shape.arm, shape.arm, size)
        sleeve = _SLEEVE_ALONE if outline is None else _SLEEVE
        part |= trunk(frame, shape, size) | _bust(frame, size) | arms(frame, sleeve, sleeve, size)
        if category == "upper_body":
            beyond = person & (depth > shape.hem) & ~close
    if category != "upper_body":
        part |= legs(frame, shape, size, below) & (depth > -shape.waist)
        if category == "lower_body":
            beyond = person & (depth < -shape.waist)
    return part & person & ~beyond, beyond


def _bust(frame: BodyFrame, size: Size) -> np.ndarray:
    """What lies above the line of the shoulders' joints: the tops of the shoulders, and the neck up to the chin."""
    up, side = -frame.down * frame.size, frame.across * frame.size
    # sides of the picture: somebody seen from behind has the right shoulder on the right
    (first, last), chest = sorted(frame.shoulders, key=lambda point: float(point @ side)), frame.chest
    chin = chest + 0.5 * up if not len(frame.head) else frame.head.mean(0) - 0.2 * up
    top = [chin + NECK * side * sign for sign in (-1, 1)]
    base = [chest + 0.4 * up + 1.4 * NECK * side * sign for sign in (-1, 1)]
    return filled(size, [[first, first + 0.25 * up, base[0], top[0], top[1], base[1], last + 0.25 * up, last]])


def _kept(
    frame: BodyFrame,
    category: Category,
    ends: Ends,
    outline: np.ndarray | None,
    size: Size,
    colours: np.ndarray | None,
) -> np.ndarray:
    """What stays though the garment lies over it, as joints and silhouette tell it."""
    shape = SHAPES[category]
    kept = head(frame, shape, size) | limbs_seen(frame, shape, size, colours, with_arms=category == "lower_body")
    if category == "lower_body":
        waist = ends.fitted(shape, category).waist + _HIGHER
        kept |= frame.depth(size) < -waist
    elif outline is not None and len(frame.head):
        kept |= outline & _beside_the_neck(frame, size) & ~arms(frame, _SLEEVE_ALONE, _SLEEVE_ALONE, size)
    if category != "upper_body":
        kept |= feet(frame, ends.below(shape), size)
    return kept


def _beside_the_neck(frame: BodyFrame, size: Size) -> np.ndarray:
    """Above the shoulders, where only hair is the person."""
    up, side = -frame.down * frame.size, frame.across * frame.size
    centre, chest = frame.head.mean(0), frame.chest
    return filled(size, [
        [centre + NECK * side * sign, centre + side * sign, chest + side * sign + 0.4 * up,
         chest + 0.5 * side * sign + 0.4 * up, chest + 1.4 * NECK * side * sign + 0.5 * up] for sign in (-1, 1)
    ])  # fmt: skip


def _by_labels(
    parse: np.ndarray, labels: LabelSet, category: Category, frame: BodyFrame | None, part: np.ndarray,
    neck_lift: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """What the garment may cover, what is kept, what its edge stays off (height, width); `part` as the joints tell."""
    regions = labels.regions_of(category)

    def has(names: Sequence[str]) -> np.ndarray:
        return np.isin(parse, labels.ids(names))

    stays, face, worn = has(regions.fixed), has(regions.head), has(regions.repaint)
    # a dress under new trousers goes only where they lie
    worn |= has(labels.left_in_place(category)) & (part if category == "lower_body" else np.True_)
    if regions.arms_exchanged:
        arm = has(regions.arms)
        hand = arm & hands(frame, SHAPES[category], parse.shape) if frame is not None else np.zeros_like(arm)
        worn, stays = worn | (arm & ~hand), stays | hand
    if regions.neck_cut and frame is not None:
        below = frame.depth(parse.shape) * frame.size > (frame.chest - frame.waist) @ frame.down - neck_lift
        worn, face = worn | (face & below), face & ~below
    # a new top hangs over trousers and skirts where its cloth does
    under = stays & has(["pants", "skirt"]) if category == "upper_body" else np.zeros_like(stays)
    return worn, (stays & ~under) | face, under
