"""The one way from a photo to what the models take: person, mask, pose map, and what was found on the way.

Nodes, catalogues and figures come through here. `people_in` says who is meant, `fit_person` shows them as the data sets
do, `mask_person` decides what is repainted, `draw_pose` draws the joints; `prepare_person` is all of them, as the
workflows do it. Names of arguments are the nodes' inputs, and so are those in messages. docs/photos.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from ..batches import common_batch
from .checks import Finding, check_person
from .framing.fitting import Border, Fit, FitMode, labels_at
from .framing.framing import STEADY, Steady, framed_together
from .labels import Category, LabelSet
from .masks.agnostic import GROW, Neck, agnostic_mask, nothing_to_repaint
from .masks.arms import MissingJoints
from .masks.body_mask import MARGIN, body_mask
from .masks.body_region import body_region
from .masks.regions import Say, empty_masks, region_mask
from .modes import BODY, PUBLISHED, Mode
from .people.territory import own_territory
from .pose.agreement import labels_in_doubt, mask_in_doubt, outside_picture
from .pose.hands import POINTS
from .pose.keypoints import JOINTS, people_in_frames, pose_document
from .pose.pose_map import SIGMA, pose_map

log = logging.getLogger(__name__)

Keypoints = Sequence[dict[str, Any] | None]
"""ComfyUI's POSE_KEYPOINT: one OpenPose document a picture, in any dialect of `pose/dialects.py`."""
Nobody = Literal["stop", "pass"]
NOBODY: tuple[Nobody, ...] = ("stop", "pass")
"""What a picture without a person does: end the run in words, or go on as it is."""
_LEFT = 0.1
SOFT = 2.0
"""A person enlarged more than this many times comes out soft, and is told so."""


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


USUAL = MaskRule()


@dataclass(frozen=True)
class FittedPerson:
    """A photo as the models see it, and what belongs to it.

    Attributes:
        photo: (B, 3, H, W) in [0, 1].
        keypoints: in pixels of the fitted picture, the chosen person named; None without.
        parse_map: (B, H, W), or None.
        mask: (B, 1, H, W), or None.
        fits: one a picture, or one for all: the way back into the photo.
    """

    photo: Tensor
    keypoints: list[dict[str, Any]] | None
    parse_map: Tensor | None
    mask: Tensor | None
    fits: tuple[Fit, ...]


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


@dataclass(frozen=True)
class PreparedPerson:
    """A person, ready to be encoded.

    Attributes:
        person: (1, 3, H, W) in [-1, 1].
        mask: (1, 1, H, W) in {0, 1}; 1 is repainted.
        pose_map: (1, 18, H, W) in [0, 1].
        findings: what speaks against the photo.
        fit: how it was framed: the way back into the photo.
    """

    person: Tensor
    mask: Tensor
    pose_map: Tensor
    findings: list[Finding]
    fit: Fit


def people_in(
    keypoints: Keypoints, size: tuple[int, int], person: int = 0, mode: Mode = PUBLISHED, nobody: Nobody = "stop"
) -> list[Tensor]:
    """Everybody in every picture, the chosen person first.

    Args:
        keypoints: one document a picture.
        size: (height, width) of the pictures.
        person: who is meant, counted from 0; -1 takes the largest.
        mode: how joints are read.
        nobody: `pass` lets pictures without a person go on, unless all are.

    Returns:
        Joints and hands (P, 60, 3) float64 a picture, (x, y, score) in pixels of `size`; P may be 0.

    Raises:
        ValueError: a picture shows nobody, or not the person asked for; or keypoints that cannot be read.
    """
    found = people_in_frames(keypoints, size, person, mode, hands=True)
    empty = [picture for picture, people in enumerate(found) if not (people[:1, :JOINTS, 2] > 0).any()]
    if empty and (nobody != "pass" or len(empty) == len(found)):
        raise ValueError(
            f"Picture {_listed(empty)} of 'keypoints' shows nobody. "
            "Take a photo in which the person is seen from head to hips, "
            "or check the pose detector's output before this node. "
            "To let such frames of a video pass unchanged, set 'nobody' to 'pass'."
        )
    return found


def chosen_joints(people: Sequence[Tensor]) -> Tensor:
    """Joints (B, 18, 2) of the chosen person of every picture (P, 60, 3); zeros where there is nobody."""
    return chosen_points(people)[:, :JOINTS]


def chosen_points(people: Sequence[Tensor]) -> Tensor:
    """The same with hands behind the joints (B, 60, 2)."""
    return torch.stack([body[0, :, :2] if len(body) else torch.zeros(POINTS, 2).double() for body in people])


def draw_pose(
    keypoints: Keypoints, size: tuple[int, int], person: int = 0, mode: Mode = PUBLISHED, nobody: Nobody = "stop",
    *, sigma: float = SIGMA, say: Say = log.warning,
) -> Tensor:  # fmt: skip
    """Pose map (B, 18, height, width) in [0, 1] of one person a picture; see `people_in` and `pose_map`.

    Raises:
        ValueError: as `people_in`.
    """
    joints = chosen_joints(people_in(keypoints, size, person, mode, nobody))
    if mode == PUBLISHED:
        _say_if_outside(joints, size, say)
    return pose_map(joints, size, sigma, mode)


def fit_person(
    photo: Tensor, size: tuple[int, int], *, people: list[Tensor] | None = None, parse_map: Tensor | None = None,
    mask: Tensor | None = None, framing: Category | None = None, fit: FitMode = "pad", border: Border = None,
    mode: Mode = PUBLISHED, steady: Steady = STEADY[0], say: Say = log.warning,
) -> FittedPerson:  # fmt: skip
    """Bring a photo to the models' size, with all that belongs to it.

    Args:
        photo: (B, 3, h, w) in [0, 1].
        size: (height, width) of the fitted picture.
        people: from `people_in`, one entry or one a picture.
        parse_map: (B, h, w), or of another size with the photo's proportions.
        mask: (B, 1, h, w).
        framing: shows the chosen person as that category's data set does; None shows the whole photo.
        fit, border: how the whole photo is fitted, and what lies beyond it; see `Fit`.
        mode: `BODY` keeps other people out of parse map and mask, and keeps them in the keypoints behind the chosen.
        steady: how frames of a video are framed, see `STEADY`.
        say: told of what looks wrong.

    Raises:
        ValueError: a framing without people, batches that differ, or a parse map of other proportions.
    """
    source = (photo.shape[-2], photo.shape[-1])
    if framing is not None and people is None:
        raise ValueError(
            f"'framing' is {framing!r}, which needs to know where the person is: connect 'keypoints', e.g. from "
            "Find Person, or choose 'whole photo'."
        )
    batch = common_batch(
        photo=photo, keypoints=None if people is None else chosen_joints(people),
        parse_map=None if parse_map is None else labels_at(parse_map, source)[:, None], mask=mask,
    )  # fmt: skip
    if people is not None:
        _say_if_outside(batch["keypoints"], source, say)
    if people is not None and mode.alone and any(len(body) > 1 for body in people):
        own = own_pixels(people, source).to(photo.device)
        for name in ("parse_map", "mask"):
            batch[name] = None if batch[name] is None else torch.where(own, batch[name], 0)
    fits = [Fit.plan(source, size, fit)]
    if framing is not None:
        fits = _windows(batch["keypoints"], framing, source, size, fits[0], steady, say)
    parse_map = _fitted(batch["parse_map"], fits, 0, nearest=True)
    return FittedPerson(
        _fitted(batch["photo"], fits, border, nearest=False),
        None if people is None else _documents(people, fits, size, everyone=mode.alone),
        None if parse_map is None else parse_map[:, 0],
        _fitted(batch["mask"], fits, 0, nearest=True),
        tuple(fits),
    )


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
        _say_if_outside(chosen_joints(people), size, say)
    batch = common_batch(
        person=person, keypoints=None if people is None else chosen_points(people),
        parse_map=None if parse_map is None else labels_at(parse_map, size),
        own=own_pixels(people, size) if people is not None and mode.alone else None,
        garment_mask=garment_mask, arms_mask=arms_mask, keep_mask=keep_mask, silhouette=silhouette,
    )  # fmt: skip
    mask, worn, source = _drawn(batch, category, labels, mode, rule, say)
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
    person_index: int = 0, silhouette: Tensor | None = None, keep_mask: Tensor | None = None,
    person: Tensor | None = None, parse_map: Tensor | None = None, labels: LabelSet | None = None,
    margin: int = MARGIN, nobody: Nobody = "stop", say: Say = log.warning,
) -> Tensor:  # fmt: skip
    """The body's mask (`masks/body_mask.py`) of one person a picture; other people keep their own pixels.

    Args:
        category: which garment is exchanged.
        size: (height, width) of the pictures.
        cloth: where the warped garment lies (B, 1, height, width).
        keypoints, person_index, nobody: who is meant, see `people_in`.
        silhouette, keep_mask: (B, 1, height, width).
        person: the photo (B, 3, height, width) in [-1, 1]; its colours tell where clothes end.
        parse_map, labels: (B, H, W), or of another size with the same proportions, and its vocabulary.
        margin: pixels on a body of the data sets' size.
        say: told of what looks wrong.

    Returns:
        (B, 1, height, width) in {0, 1}; nothing of a picture without a person is repainted.

    Raises:
        ValueError: as `body_mask` and `people_in`; or nothing is to be repainted in any picture.
    """
    people = None if keypoints is None else people_in(keypoints, size, person_index, BODY, nobody)
    batch = common_batch(
        keypoints=None if people is None else chosen_points(people), cloth=cloth, silhouette=silhouette, keep=keep_mask,
        picture=None if person is None else (person + 1) / 2,
        parse=None if parse_map is None else labels_at(parse_map, size),
        own=None if people is None else own_pixels(people, size),
    )  # fmt: skip
    own = batch.pop("own")

    def draw(rows: Tensor) -> Tensor:
        given = {name: None if tensor is None else tensor[rows] for name, tensor in batch.items()}
        return body_mask(category, size, labels=labels, margin=margin, numbers=rows.tolist(), say=say, **given)

    count = next(len(tensor) for tensor in batch.values() if tensor is not None)
    mask = draw(torch.arange(count)) if people is None else _each(draw, batch["keypoints"], size, nobody)
    mask = mask if own is None else mask * own
    _say_if_empty(mask, None, f"{category} is found there. Check 'category' and 'keep_mask'.", False, say)
    return mask


def prepare_person(
    photo: Tensor, keypoints: Keypoints, category: Category, size: tuple[int, int], *,
    parse_map: Tensor | None = None, labels: LabelSet | None = None, garment_mask: Tensor | None = None,
    silhouette: Tensor | None = None, say: Say = log.warning,
) -> PreparedPerson:  # fmt: skip
    """One photo, ready for the models.

    With a parse map it is the paper's way: the whole photo, its first person, the published mask. Without one it is
    the photo's: its largest person framed as the data sets do, and a mask that follows the body.

    Args:
        photo: (3, h, w) in [0, 1].
        keypoints: one document, in pixels of the photo.
        category: what will be worn.
        size: (height, width) of the result.
        parse_map, labels: (h, w) and its vocabulary.
        garment_mask: the old garment (h, w) in {0, 1}.
        silhouette: where the largest person is (h, w) in {0, 1}.
        say: told of what looks wrong.

    Raises:
        ValueError: nobody is there, too little of them is seen, or (without a parse map) nothing is to be repainted.
    """
    source = (photo.shape[-2], photo.shape[-1])
    mode, who = (BODY, -1) if parse_map is None else (PUBLISHED, 0)
    if parse_map is not None:
        parse_map = labels_at(parse_map[None], source)
    people = people_in(keypoints, source, who, mode)
    joints, labelled = chosen_joints(people)[0], None if parse_map is None else parse_map[0]
    findings = check_person(joints, source, category, labelled, labels)
    region = garment_mask if garment_mask is not None else silhouette
    fitted = fit_person(
        photo[None], size, people=people, parse_map=parse_map, mask=None if region is None else region[None, None],
        framing=category if mode == BODY else None, border="blur" if mode == BODY else None, mode=mode, say=say,
    )  # fmt: skip
    masked = mask_person(
        fitted.photo * 2 - 1, category, MaskRule(mode), keypoints=fitted.keypoints, parse_map=fitted.parse_map,
        labels=labels, garment_mask=None if garment_mask is None else fitted.mask,
        silhouette=fitted.mask if garment_mask is None else None, say=say,
    )  # fmt: skip
    drawn = draw_pose(fitted.keypoints, size, mode=mode, say=say)
    return PreparedPerson(masked.person, masked.mask, drawn, findings, fitted.fits[0])


def own_pixels(people: Sequence[Tensor], size: tuple[int, int]) -> Tensor:
    """Where the chosen person of every picture (P, 18, 3) is nearer than anybody else: (B, 1, H, W) bool."""
    own = [
        own_territory(body[0, :, :2], body[1:, :, :2], size) if len(body) > 1 else torch.ones(size, dtype=torch.bool)
        for body in people
    ]
    return torch.stack(own)[:, None]


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
    """Masks (B, 1, *size) of those pictures that show somebody; empty ones for the rest, if they may pass."""
    some = (keypoints > 0).flatten(1).any(1)
    if nobody != "pass" or bool(some.all()):
        return draw(torch.arange(len(some)))
    masks = torch.zeros(len(some), 1, *size)
    masks[some] = draw(some.nonzero().flatten())
    return masks


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
        text = f"Nothing is repainted in picture {_listed(empty)}: {check}"
        if len(empty) == len(mask) and not may_be_empty:
            raise ValueError(text)
        say(text)
    bare = [] if worn is None else [picture for picture in nothing_to_repaint(worn) if picture not in empty]
    if bare:
        say(f"Only the arms are repainted in picture {_listed(bare)}: {check}")


def _say_if_outside(joints: Tensor, size: tuple[int, int], say: Say) -> None:
    """Say when joints (B, 18, 2) do not fit a picture of `size` (height, width)."""
    if found := outside_picture(joints, size):
        say(
            f"{found} They are of another picture, or count the pixels of another size: "
            "see 'coordinates' of Load Keypoints."
        )


def _windows(
    joints: Tensor, framing: Category, source: tuple[int, int], size: tuple[int, int], whole: Fit, steady: Steady,
    say: Say,
) -> list[Fit]:  # fmt: skip
    """A window around the person of every picture; the whole picture where the joints do not tell where they are."""
    fits = []
    for picture, fit in enumerate(framed_together(joints.cpu(), framing, source, size, steady)):
        if fit is None:
            if joints[picture].any():
                say(f"The joints of picture {picture} do not tell where the person is: all of it is shown.")
            fit = whole
        elif (scale := fit.placed[2] / fit.taken[2]) > SOFT:
            say(
                f"The person of picture {picture} is small in the photo and is enlarged {scale:.1f} times: "
                "the result will be soft. Use a photo in which they are larger."
            )
        fits.append(fit)
    return fits


def _fitted(tensor: Tensor | None, fits: list[Fit], border: Border, nearest: bool) -> Tensor | None:
    """Every item (B, C, H, W) through its own fit, or all through the only one."""
    if tensor is None:
        return None
    if len(fits) == 1:
        return fits[0].apply(tensor, fill=border, nearest=nearest)
    items = zip(fits, tensor.expand(len(fits), *tensor.shape[1:]), strict=True)
    return torch.cat([fit.apply(item[None], fill=border, nearest=nearest) for fit, item in items])


def _documents(people: list[Tensor], fits: list[Fit], size: tuple[int, int], everyone: bool) -> list[dict]:
    """Keypoints in the fitted pictures: the chosen person, and the others behind them if asked for."""
    documents = []
    for item in range(len(people) if len(fits) == 1 else len(fits)):
        bodies = people[item if len(people) > 1 else 0]
        bodies = bodies if everyone else bodies[:1]
        points = fits[item if len(fits) > 1 else 0].apply_points(bodies[..., :2])
        scores = bodies[..., 2:] if everyone else (points > 0).any(-1, keepdim=True)
        documents.append(pose_document(torch.cat([points, scores.to(points)], -1), size, chosen=0))
    return documents


def _listed(pictures: Sequence[int]) -> str:
    return ", ".join(map(str, pictures))
