"""What of a person is repainted: by labels as in the paper, by painted masks, by joints and silhouette, by the body.

The one place where nodes, catalogues and figures decide; `agnostic.py`, `regions.py`, `body_region.py` and
`body_mask.py` draw. Names of arguments are the nodes' inputs, and so are those in messages.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ...batches import common_batch
from ..framing.fitting import labels_at
from ..labels import CATEGORIES, Category, LabelSet
from ..modes import BODY, PUBLISHED, Mode
from ..people.chosen import (
    Keypoints,
    Nobody,
    chosen_joints,
    chosen_points,
    listed,
    own_pixels,
    people_in,
    say_if_outside,
)
from ..pose.agreement import labels_in_doubt, mask_in_doubt, outside_picture, picture_in_doubt
from ..pose.keypoints import JOINTS
from .agnostic import GROW, Neck, agnostic_mask, nothing_to_repaint
from .arms import MissingJoints
from .body_mask import MARGIN, body_mask
from .body_region import body_region
from .parts import Part, parts_of_bodies
from .regions import Say, empty_masks, region_mask

log = logging.getLogger(__name__)

_LEFT = 0.1

PartRule = Literal["usual", "keep", "repaint"]
PARTS: tuple[PartRule, ...] = ("usual", "keep", "repaint")


@dataclass(frozen=True)
class MaskRule:
    """How a mask is drawn; its defaults are said here, for nodes and library.

    Attributes:
        mode: how joints are read, see `modes.py`. Masks from joints alone follow the body whatever this says.
        missing_joints, neck, grow, also_repaint: see `agnostic_mask`, whose own `missing_joints` is the published one.
        repaint_worn: with labels, repaint also the clothes that the rule neither repaints nor keeps
            (`LabelSet.left_in_place`), e.g. shirt and trousers under a new dress.
        stroke_width: of the arms' stroke in pixels; None is the published width.
        labels: whose mask is drawn from joints alone, see `body_region`; None goes by category.
        nobody: what a picture without a person does.
        hands: `keep` leaves them alone, `repaint` takes them along (gloves, sleeves over them); as far as the joints
            tell where they are; `usual` is what the rest of the rule makes of them.
        outfit: everything that is worn, whatever the category: the masks of all categories together.
    """

    mode: Mode = PUBLISHED
    missing_joints: MissingJoints = "skip"
    neck: Neck = "published"
    grow: int = GROW
    stroke_width: int | None = None
    also_repaint: tuple[str, ...] = ()
    repaint_worn: bool = False
    labels: LabelSet | None = None
    nobody: Nobody = "stop"
    hands: PartRule = "usual"
    outfit: bool = False


USUAL = MaskRule()


@dataclass(frozen=True)
class MaskedPerson:
    """A person and what of them is repainted.

    Attributes:
        person: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in {0, 1}; 1 is repainted.
        source: what the mask was drawn from, in words.
        mode: how joints were read.
    """

    person: Tensor
    mask: Tensor
    source: str
    mode: Mode


def mask_person(
    person: Tensor, category: Category, rule: MaskRule = USUAL, *, keypoints: Keypoints | None = None,
    person_index: int = 0, parse_map: Tensor | None = None, labels: LabelSet | None = None,
    garment_mask: Tensor | None = None, arms_mask: Tensor | None = None, keep_mask: Tensor | None = None,
    silhouette: Tensor | None = None, say: Say = log.warning,
) -> MaskedPerson:  # fmt: skip
    """Decide what is repainted: by labels as in the paper, by painted masks, or by joints and silhouette.

    Args:
        person: (B, 3, H, W) in [-1, 1].
        category: which garment is exchanged.
        rule: how.
        keypoints, person_index: who is meant, see `people_in`.
        parse_map, labels: (B, H, W), or of another size with the same proportions, and its vocabulary.
        garment_mask, arms_mask: the old garment and the arms (B, 1, H, W) in [0, 1], in place of a parse map.
        keep_mask: never repainted (B, 1, H, W).
        silhouette: where the person is (B, 1, H, W), for a mask from joints.
        say: told of what looks wrong.

    Raises:
        ValueError: nothing tells where the garment is, or two things do; nothing is found to repaint; nobody is
            there; batches or sizes that differ.
    """
    size = (person.shape[-2], person.shape[-1])
    # Shapes drawn from joints alone have no published pixels: they follow the body.
    mode = BODY if parse_map is None and garment_mask is None else rule.mode
    people = None if keypoints is None else people_in(keypoints, size, person_index, mode, rule.nobody)
    if people is not None and mode == PUBLISHED:
        say_if_outside(chosen_joints(people), size, say)
    batch = common_batch(
        person=person, keypoints=None if people is None else chosen_points(people),
        parse_map=None if parse_map is None else labels_at(parse_map, size),
        own=own_pixels(people, size) if people is not None and mode.alone else None,
        garment_mask=garment_mask, arms_mask=arms_mask, keep_mask=keep_mask, silhouette=silhouette,
    )  # fmt: skip
    outfit = rule.outfit and garment_mask is None  # what is painted is all of it
    rule = replace(rule, repaint_worn=True) if outfit else rule
    drawn = [_drawn(batch, one, labels, mode, rule, say) for one in (CATEGORIES if outfit else (category,))]
    mask, source = torch.stack([mask for mask, _, _ in drawn]).amax(0), drawn[0][2]
    worn = None if drawn[0][1] is None else torch.stack([old for _, old, _ in drawn]).amax(0)
    mask = _with_parts(mask, batch, category, {"hands": rule.hands}, silhouette)
    if silhouette is not None and not source.startswith("the joints"):
        say(f"'silhouette' is not used: the mask is drawn from {source}. Disconnect one of them.")
    if arms_mask is not None and garment_mask is None:
        say("'arms_mask' is not used: it belongs to a 'garment_mask'. Connect one, or disconnect it.")
    if batch["own"] is not None:
        mask = mask * batch["own"]
    # The paper's code goes on with an empty mask, and so does a run over its data sets.
    may_be_empty = parse_map is not None and mode == PUBLISHED
    _say_if_empty(mask, worn, f"{category} is found in {source} there. {_CHECKS[source]}", may_be_empty, say)
    return MaskedPerson(batch["person"], mask, source, mode)


def mask_body(
    category: Category, size: tuple[int, int], *, cloth: Tensor | None = None, keypoints: Keypoints | None = None,
    person_index: int = 0, people: list[Tensor] | None = None, silhouette: Tensor | None = None,
    keep_mask: Tensor | None = None, person: Tensor | None = None, parse_map: Tensor | None = None,
    labels: LabelSet | None = None, margin: int = MARGIN, paste: bool = False, nobody: Nobody = "stop",
    neck: PartRule = "usual", hands: PartRule = "usual", outfit: bool = False, say: Say = log.warning,
) -> Tensor:  # fmt: skip
    """The body's mask (`masks/body_mask.py`) of one person a picture; other people keep their own pixels.

    Args:
        category: which garment is exchanged.
        size: (height, width) of the pictures.
        cloth: where the warped garment lies (B, 1, height, width).
        keypoints, person_index, nobody: who is meant, see `people_in`.
        people: what that gives, in place of keypoints.
        silhouette, keep_mask: (B, 1, height, width).
        person: the photo (B, 3, height, width) in [-1, 1]; its colours tell where clothes end.
        parse_map, labels: (B, H, W), or of another size with the same proportions, and its vocabulary.
        margin: pixels on a body of the data sets' size.
        paste: see `body_mask`.
        neck, hands: `keep` or `repaint` them; what the body's mask does by itself is repaint the neck under tops and
            dresses, and keep the hands.
        outfit: everything that is worn: the masks of all categories together.
        say: told of what looks wrong.

    Returns:
        (B, 1, height, width) in {0, 1}, with `paste` (B, 2, height, width); nothing of a picture without a
        person is repainted.

    Raises:
        ValueError: as `body_mask` and `people_in`; or nothing is to be repainted in any picture.
    """
    if keypoints is not None:
        people = people_in(keypoints, size, person_index, BODY, nobody)
    batch = common_batch(
        keypoints=None if people is None else chosen_points(people), cloth=cloth, silhouette=silhouette, keep=keep_mask,
        picture=None if person is None else (person + 1) / 2,
        parse=None if parse_map is None else labels_at(parse_map, size),
        own=None if people is None else own_pixels(people, size),
    )  # fmt: skip
    own = batch.pop("own")

    def draw(rows: Tensor) -> Tensor:
        given = {name: None if tensor is None else tensor[rows] for name, tensor in batch.items()}
        given |= {"labels": labels, "margin": margin, "paste": paste, "numbers": rows.tolist(), "say": say}
        masks = [body_mask(one, size, **given) for one in (CATEGORIES if outfit else (category,))]
        return torch.stack(masks).amax(0)

    count = next(len(tensor) for tensor in batch.values() if tensor is not None)
    mask = draw(torch.arange(count)) if people is None else _each(draw, batch["keypoints"], size, nobody)
    mask = _with_parts(mask, batch | {"keep_mask": batch["keep"]}, category, {"neck": neck, "hands": hands}, silhouette)
    mask = mask if own is None else mask * own
    _say_if_empty(mask, None, f"{category} is found there. Check 'category' and 'keep_mask'.", False, say)
    return mask


def _with_parts(
    mask: Tensor, batch: dict, category: Category, wanted: dict[Part, PartRule], silhouette: Tensor | None
) -> Tensor:
    """The mask with parts of the body taken along or left alone; nothing of what is to be kept comes in.

    Raises:
        ValueError: no joints tell where the parts are.
    """
    asked = {part: rule for part, rule in wanted.items() if rule != "usual"}
    if asked and batch["keypoints"] is None:
        raise ValueError(f"{' and '.join(map(repr, asked))} need 'keypoints', which tell where they are")
    for part, rule in asked.items():
        there = parts_of_bodies(batch["keypoints"], tuple(mask.shape[-2:]), [part], category).to(mask)
        if rule == "keep":
            mask = mask * (1 - there)
            continue
        there = there if silhouette is None else there * (batch["silhouette"] >= 0.5)
        there = there if batch["keep_mask"] is None else there * (batch["keep_mask"] < 0.5)
        mask = torch.maximum(mask, there)
    return mask


Drawn = tuple[Tensor, Tensor | None, str]
"""Mask (B, 1, H, W), the old garment (B, 1, H, W) where it is known, what both were drawn from."""


def _drawn(batch: dict, category: str, labels: LabelSet | None, mode: Mode, rule: MaskRule, say: Say) -> Drawn:
    if batch["parse_map"] is not None:
        return _from_labels(batch, category, labels, mode, rule, say)
    if batch["garment_mask"] is not None:
        return _from_regions(batch, category, mode, rule, say)
    if batch["keypoints"] is not None:
        return _from_joints(batch, category, rule, say)
    raise ValueError(
        "Nothing tells where the garment is. Connect 'keypoints' (Find Person, Load Keypoints or a pose "
        "detector), better with a 'parse_map' or 'silhouette'; or a painted 'garment_mask'."
    )


def _from_labels(batch: dict, category: str, labels: LabelSet, mode: Mode, rule: MaskRule, say: Say) -> Drawn:
    if batch["garment_mask"] is not None or batch["arms_mask"] is not None:
        raise ValueError("Both 'parse_map' and region masks are connected. Disconnect one of them.")
    if batch["keypoints"] is None:
        raise ValueError("'parse_map' needs 'keypoints' beside it: connect Load Keypoints or a pose detector.")
    parse_map, joints = batch["parse_map"], batch["keypoints"][:, :JOINTS]
    if batch["own"] is not None:
        parse_map = torch.where(batch["own"][:, 0], parse_map, 0)
    if doubt := labels_in_doubt(parse_map, joints, labels):
        say(f"{doubt} Check 'label_set' of Load Parse Map, and that all are of one photo.")
    elif doubt := picture_in_doubt((batch["person"] + 1) / 2, parse_map):
        say(f"{doubt} Check that all are of one photo.")

    left = labels.left_in_place(category)
    also = (*rule.also_repaint, *(left if rule.repaint_worn else ()))

    def draw(rows: Tensor) -> Tensor:
        return agnostic_mask(
            parse_map[rows], joints[rows], category, labels, mode=mode, neck=rule.neck, grow=rule.grow,
            missing_joints=rule.missing_joints, stroke_width=rule.stroke_width, also_repaint=also,
            numbers=rows.tolist(),
        )  # fmt: skip

    mask = _each(draw, joints, tuple(parse_map.shape[-2:]), rule.nobody)
    _say_what_is_left(mask, parse_map, [name for name in left if name not in also], category, labels, say)
    empty_masks("keep_mask", batch["keep_mask"], say)
    if batch["keep_mask"] is not None:
        mask = mask * (1 - batch["keep_mask"])
    repainted = torch.tensor(labels.ids(labels.regions_of(category).repaint))
    return mask, torch.isin(parse_map, repainted)[:, None], "the parse map"


def _from_regions(batch: dict, category: str, mode: Mode, rule: MaskRule, say: Say) -> Drawn:
    joints = None if batch["keypoints"] is None else batch["keypoints"][:, :JOINTS]
    fits = joints is not None and not outside_picture(joints, (batch["person"].shape[-2], batch["person"].shape[-1]))
    if fits and (doubt := mask_in_doubt(batch["garment_mask"], joints, category)):
        say(f"{doubt} Check 'category', and that mask and joints are of this person's photo.")
    along_arms = joints is not None and category != "lower_body"
    if along_arms and batch["arms_mask"] is None and not (batch["garment_mask"] >= 0.5).any():
        raise ValueError(  # arms alone would be repainted
            "Nothing is painted: 'garment_mask' is black all over. Right-click the picture's node, choose 'Open in "
            "MaskEditor', paint over the worn garment and save."
        )
    mask = region_mask(
        batch["garment_mask"], arms=batch["arms_mask"], keep=batch["keep_mask"],
        # The stroke hides sleeves; a lower-body garment has none.
        keypoints=joints if along_arms else None,
        mode=mode, stroke_width=rule.stroke_width, grow=rule.grow, say=say,
    )  # fmt: skip
    return mask, batch["garment_mask"], "the painted masks"


def _from_joints(batch: dict, category: str, rule: MaskRule, say: Say) -> Drawn:
    size = (batch["person"].shape[-2], batch["person"].shape[-1])
    silhouette, keep = batch["silhouette"], batch["keep_mask"]

    def draw(rows: Tensor) -> Tensor:
        return body_region(
            batch["keypoints"][rows], category, size, silhouette=None if silhouette is None else silhouette[rows],
            picture=(batch["person"][rows] + 1) / 2, keep=None if keep is None else keep[rows],
            labels=rule.labels, neck=rule.neck, stroke_width=rule.stroke_width, grow=rule.grow,
            numbers=rows.tolist(), say=say,
        )  # fmt: skip

    source = "the joints alone" if silhouette is None else "the joints and the silhouette"
    return _each(draw, batch["keypoints"], size, rule.nobody), None, source


def _each(draw: Callable[[Tensor], Tensor], keypoints: Tensor, size: tuple[int, int], nobody: Nobody) -> Tensor:
    """Masks (B, N, *size) of those pictures that show somebody; empty ones for the rest, if they may pass."""
    some = (keypoints > 0).flatten(1).any(1)
    if nobody != "pass" or bool(some.all()):
        return draw(torch.arange(len(some)))
    drawn = draw(some.nonzero().flatten())
    return torch.zeros(len(some), drawn.shape[1], *size).index_copy(0, some.nonzero().flatten(), drawn)


_CHECKS = {
    "the parse map": "Check 'category', and the label set of the parse map.",
    "the painted masks": "Check that a painted mask is white (at least half) over the garment.",
    "the joints alone": "Check 'category', and that 'keep_mask' does not cover the garment.",
    "the joints and the silhouette": "Check 'category', and that 'silhouette' is white where the person is.",
}
"""What may be wrong with the mask's source."""


def _say_what_is_left(
    mask: Tensor, parse_map: Tensor, left: Sequence[str], category: str, labels: LabelSet, say: Say
) -> None:
    """Say what of the clothes that a rule neither repaints nor keeps stays though it is worn."""
    shares = {}
    for name in left:
        worn = (parse_map == labels.id(name))[:, None]
        stays = [float((mask[row][worn[row]] < 0.5).float().mean()) for row in range(len(mask)) if worn[row].any()]
        shares |= {name.replace("_", " "): max(stays)} if max(stays, default=0) > _LEFT else {}
    if shares:
        listed = " and ".join(f"{share:.0%} of the {name}" for name, share in shares.items())
        say(
            f"{listed} stay: {labels.name}'s rule for {category} neither repaints nor keeps them. "
            "Turn on 'repaint_worn' to repaint what is worn there."
        )


def _say_if_empty(mask: Tensor, worn: Tensor | None, why: str, may_be_empty: bool, say: Say) -> None:
    """Where there is no old garment (B, 1, H, W) the mask is empty, or nothing but the stroke along the arms.

    Raises:
        ValueError: no picture has anything to repaint, unless that may be.
    """
    check = f"nothing of a garment of the category {why}"
    empty = nothing_to_repaint(mask)
    if empty:
        text = f"Nothing is repainted in picture {listed(empty)}: {check}"
        if len(empty) == len(mask) and not may_be_empty:
            raise ValueError(text)
        say(text)
    bare = [] if worn is None else [picture for picture in nothing_to_repaint(worn) if picture not in empty]
    if bare:
        say(f"Only the arms are repainted in picture {listed(bare)}: {check}")
