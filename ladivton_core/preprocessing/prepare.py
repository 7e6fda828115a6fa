"""The one way from a photo to what the models take: person, mask, pose map, and what was found on the way.

Nodes, catalogues and figures come through here. `people/chosen.py` says who is meant, `fit_person` shows them as the
data sets do, `masks/person_mask.py` decides what is repainted, `draw_pose` draws the joints; `prepare_person` is all of
them, as the workflows do it. Names of arguments are the nodes' inputs, and so are those in messages. docs/photos.md.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..batches import common_batch, require_pictures
from .checks import Finding, check_person
from .framing.fitting import Border, Fit, FitMode, labels_at
from .framing.framing import STEADY, Steady, framed_together
from .labels import Category, LabelSet
from .masks.agnostic import agnostic_image
from .masks.body_mask import EMBEDDED_MARGIN, cloth_on_white
from .masks.person_mask import MaskRule, mask_body, mask_person
from .masks.regions import Say
from .masks.underlay import underlay
from .modes import BODY, PUBLISHED, Mode
from .people.chosen import Keypoints, Nobody, chosen_joints, own_pixels, people_in, say_if_outside
from .pose.keypoints import pose_document
from .pose.pose_map import SIGMA, pose_map

log = logging.getLogger(__name__)

_TURNS = {1: "a quarter turn to the left", 2: "half a turn", 3: "a quarter turn to the right"}
SOFT = 2.0
"""A person enlarged more than this many times comes out soft, and is told so."""


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


class UnderGarment(NamedTuple):
    """A person under a warped garment.

    Attributes:
        repainted: (B, 1, H, W) in {0, 1}.
        shown: what of a result is taken into the photo (B, 1, H, W) in {0, 1}.
        underlay: (B, 3, H, W) in [0, 1], see `masks/underlay.py`; None without people.
    """

    repainted: Tensor
    shown: Tensor
    underlay: Tensor | None


@dataclass(frozen=True)
class FramedPerson:
    """People as the models see them, whose mask may wait for the warped garment.

    Attributes:
        person: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in {0, 1}; 1 is not shown to the warper. Without `people` it is what is repainted too.
        pose_map: (B, 18, H, W) in [0, 1].
        people: joints and hands of everybody in the picture, the person first (B, P, 60, 3) float64 as `people_in`
            gives them; None where labels or a painted mask decide.
        silhouette: of the person (B, 1, H, W) in {0, 1}, or None.
    """

    person: Tensor
    mask: Tensor
    pose_map: Tensor
    people: Tensor | None
    silhouette: Tensor | None

    @property
    def agnostic(self) -> Tensor:
        """Masked person (B, 3, H, W)."""
        return agnostic_image(self.person, self.mask)

    def under(self, warped: Tensor, category: Category, say: Say = log.warning) -> UnderGarment:
        """What becomes of the person under a warped garment; the body's masks for `people`.

        Args:
            warped: (B, 3, H, W) in [-1, 1].
            say: told of what is wrong with a mask.

        Raises:
            ValueError: as `mask_body`.
        """
        if self.people is None:
            return UnderGarment(self.mask, self.mask, None)
        person, garment = self.person.cpu() / 2 + 0.5, warped.cpu() / 2 + 0.5
        people = [*self.people]
        silhouette = None if self.silhouette is None else self.silhouette.cpu()
        masks = mask_body(
            category, (self.person.shape[-2], self.person.shape[-1]), cloth=cloth_on_white(garment), people=people,
            silhouette=silhouette, person=self.person.cpu(), margin=EMBEDDED_MARGIN, paste=True, say=say,
        )  # fmt: skip
        beside, shown = underlay(category, person, masks, garment, people, silhouette)
        return UnderGarment(*(made.to(self.mask) for made in (masks[:, :1], shown, beside)))


@dataclass(frozen=True)
class PreparedPerson:
    """A photo, ready to be encoded.

    Attributes:
        framed: the one person, as the models see them.
        findings: what speaks against the photo.
        fit: how it was framed: the way back into the photo.
        keypoints: one document, in pixels of the framed person.
    """

    framed: FramedPerson
    findings: list[Finding]
    fit: Fit
    keypoints: list[dict[str, Any]]


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
        say_if_outside(joints, size, say)
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
        say_if_outside(batch["keypoints"], source, say)
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


def prepare_person(
    photo: Tensor, keypoints: Keypoints, category: Category, size: tuple[int, int], *,
    parse_map: Tensor | None = None, labels: LabelSet | None = None, garment_mask: Tensor | None = None,
    silhouette: Tensor | None = None, say: Say = log.warning,
) -> PreparedPerson:  # fmt: skip
    """One photo, ready for the models.

    With a parse map it is the paper's way: the whole photo, its first person, the published mask. Without one it is
    the photo's: its largest person framed as the data sets do, and masks that follow the body.

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
        ValueError: no such picture; nobody is there, too little of them is seen, or (without a parse map) nothing is
            to be repainted.
    """
    require_pictures("photo", photo, 3, 0, batch=False)
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
    by_body = parse_map is None and garment_mask is None
    everybody = people_in(fitted.keypoints, size, mode=mode)[0][None] if by_body else None
    framed = FramedPerson(masked.person, masked.mask, drawn, everybody, fitted.mask if by_body else None)
    return PreparedPerson(framed, findings, fitted.fits[0], fitted.keypoints)


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
            fits.append(whole)
            continue
        if fit.turns:
            say(
                f"The person of picture {picture} lies, or the photo is turned: the window is turned upright, "
                f"{_TURNS[fit.turns]}, and the way back into the photo turns the result back."
            )
        if (scale := fit.placed[2] / fit.taken[2]) > SOFT:
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
