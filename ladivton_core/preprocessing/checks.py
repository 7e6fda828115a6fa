"""Will this photo and this garment do? A score and words, before anything is sampled.

Nothing here changes a result. `agreement.py` compares joints with a parse map, `backdrop.py` looks behind a garment.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .framing.fitting import turned_points
from .framing.framing import downwards, quarter_turns
from .garment.backdrop import WHITE, backdrop_of
from .labels import LabelSet
from .pose.agreement import labels_in_doubt
from .pose.body_size import body_size, known, middle

SMALL, TINY = 0.07, 0.03
"""A body smaller than this share of the photo's height will be soft, or cannot be dressed."""
SIDE = 0.45
"""Shoulders narrower than this share of the torso are seen from the side."""
SMALLEST_SIDE = 256
VARIED = 0.15
"""Garments whose colours spread by more than this lose most where they hang beside the truth (docs/photos.md)."""
AT_THE_EDGE = 0.01
"""Eyes nearer to a photo's border than this share of its height: the rest of the head is cut off."""

_SHOULDERS, _HIPS, _ANKLES, _HEAD, _EYES = (2, 5), (8, 11), (10, 13), (0, 14, 15, 16, 17), (14, 15)
_NEEDED = {
    "upper_body": (("shoulders", _SHOULDERS), ("hips", _HIPS)),
    "lower_body": (("hips", _HIPS), ("ankles", _ANKLES)),
    "dresses": (("shoulders", _SHOULDERS), ("hips", _HIPS), ("ankles", _ANKLES)),
}


@dataclass(frozen=True)
class Finding:
    """Something that speaks against a try-on.

    Attributes:
        text: what, and what to do.
        cost: how much it takes off the score of 1.
    """

    text: str
    cost: float


def check_person(
    joints: Tensor, size: tuple[int, int], category: str, parse: Tensor | None = None, labels: LabelSet | None = None
) -> list[Finding]:
    """Look at one person.

    Args:
        joints: COCO-18 (18, 2), (x, y) in pixels; missing ones (0, 0).
        size: (height, width) of the photo.
        category: which garment is to be exchanged.
        parse: labels (H, W) at the photo's size, or None.
        labels: vocabulary of `parse`.
    """
    down, found, stood, upright = downwards(joints), [], joints, size
    if down is not None and (turns := quarter_turns(down)):
        found.append(
            Finding("The person lies, or the photo is turned: 'framing' of Fit Person turns them upright.", 0.1)
        )
        stood = turned_points(joints, size, turns) * (joints > 0).any(-1, keepdim=True)
        upright = size[::-1] if turns % 2 else size
    found += [*_size(stood, upright), *_seen(stood, upright, category), *_view(stood)]
    if parse is not None and labels is not None:
        doubt = labels_in_doubt(parse[None], joints[None], labels)
        if doubt:
            found.append(Finding(f"Pose and parse map disagree. {doubt}", 0.5))
        ids = torch.tensor(labels.ids(labels.regions_of(category).garment))
        if not torch.isin(parse, ids).any():
            found.append(
                Finding(f"The parse map shows no {category} garment: choose the category of what is worn.", 0.4)
            )
    return found


def check_garment(garment: Tensor, worn_by: int = 0) -> list[Finding]:
    """Look at one garment picture (3, H, W) in [0, 1].

    Args:
        worn_by: how many people a detector found in it.
    """
    found = []
    if worn_by:
        found.append(
            Finding("The garment is worn by somebody: head and arms are warped along. Use a picture of it alone.", 0.4)
        )
    kind = backdrop_of(garment).kind
    if kind == "busy":
        found.append(Finding("The garment lies on a busy ground: cut it out, and connect its mask.", 0.3))
    elif kind == "plain":
        found.append(
            Finding("The garment's ground is not white and goes into the warp: set 'backdrop' of Prepare Garment.", 0.1)
        )
    if (spread := _spread(garment)) > VARIED:
        cost = min(3 * (spread - VARIED), 0.4)
        found.append(Finding("The garment's colours differ much: where it hangs a little beside, that shows.", cost))
    if min(garment.shape[-2:]) < SMALLEST_SIDE:
        found.append(Finding("The garment's picture is small; its pattern will be soft.", 0.1))
    return found


def _spread(garment: Tensor) -> float:
    """Spread of the colours of what is not white in a garment's picture (3, H, W), mean of the channels."""
    cloth = garment[:, (garment < WHITE).any(0)]
    return float(cloth.std(1).mean()) if cloth.shape[1] > 1 else 0.0


def score_of(findings: list[Finding]) -> float:
    """1 with nothing against it, down to 0."""
    return max(0.0, 1.0 - sum(finding.cost for finding in findings))


def _size(joints: Tensor, size: tuple[int, int]) -> list[Finding]:
    body = body_size(joints)
    if body is None:
        return [Finding("No body is found: use a photo that shows shoulders and hips, or paint a mask.", 1.0)]
    share = body / size[0]
    if share < TINY:
        return [Finding(f"The person is tiny in the photo (shoulders {body:.0f} px wide): use one taken closer.", 0.5)]
    if share < SMALL:
        return [Finding("The person is small in the photo: set 'framing' of Fit Person, or use one taken closer.", 0.1)]
    return []


def _seen(joints: Tensor, size: tuple[int, int], category: str) -> list[Finding]:
    """What the photo does not show; a joint outside it is not seen, wherever a detector guesses it."""
    found = []
    for name, pair in _NEEDED[category]:
        # hips of a bust, ankles of a half body: cut off, not wrong; shoulders hold the garment
        cost = 0.6 if name == "shoulders" or (name == "hips" and category == "lower_body") else 0.15
        there = [joint for joint in pair if known(joints, joint)]
        seen = [joint for joint in there if _inside(joints[joint], size)]
        if not there:
            found.append(Finding(f"No {name} are found: {category} needs a photo that shows them.", cost))
        elif not seen:
            found.append(Finding(f"The photo cuts the person off above the {name}.", cost))
        elif len(seen) < len(there):
            found.append(Finding(f"The photo cuts off one of the {name}.", cost / 4))
    if category == "lower_body":
        if not any(known(joints, joint) and _inside(joints[joint], size) for joint in _HEAD):
            found.append(
                Finding("The photo shows no head: joints that Find Person guesses in it are right in most photos.", 0.3)
            )
        return found
    eyes = [joints[joint] for joint in _EYES if known(joints, joint)]
    if not any(known(joints, joint) and _inside(joints[joint], size) for joint in _HEAD):
        found.append(Finding("The photo shows no head: joints found in it are guesses.", 0.2))
    elif eyes and not any(_inside(eye, size, AT_THE_EDGE * size[0]) for eye in eyes):
        found.append(Finding("The photo cuts the head off at the eyes: joints near the cut are guesses.", 0.2))
    return found


def _view(joints: Tensor) -> list[Finding]:
    top, bottom = middle(joints, _SHOULDERS), middle(joints, _HIPS)
    if top is None or bottom is None or not known(joints, *_SHOULDERS):
        return []
    across = float(joints[5, 0] - joints[2, 0])
    torso = float((top - bottom).norm())
    if abs(across) < SIDE * torso:
        return [Finding("The person is seen from the side: the models know people from the front.", 0.3)]
    if across < 0:
        return [Finding("The person is seen from behind, or right and left are exchanged in the joints.", 0.4)]
    return []


def _inside(point: Tensor, size: tuple[int, int], margin: float = 0) -> bool:
    """Whether (x, y) lies in the photo, and `margin` pixels away from its border."""
    return bool(margin <= point[0] < size[1] - margin and margin <= point[1] < size[0] - margin)
