"""What shows beside the new garment where the old one was: the wall, skin, and the clothes that hung under it.

A model draws that by itself. One too small to draw it is given it: the wall as it is around the person, limbs of the
shapes of `body/wearer.py` in the skin's own colours, and the clothes below a top or above trousers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...body.tubes import smoothstep
from ...body.wearer import ARM_HALF, ELBOW, HIP, LEG_HALF, TRUNK_HALF, WRIST, Wearer, wearer_of
from ...mask_edges import grow_mask, soften_mask
from ..labels import Category
from ..pose.dialects import JOINTS, finite_joints
from .arms import is_missing
from .body_drawing import BodyFrame, body_frame
from .body_mask import worn_cloth
from .ground import ground_behind
from .silhouette import outline_of
from .skin import bare_skin

_NECK = ([-1.3, -0.43, -0.29, -0.18, -0.03, 0.11, 0.25, 0.42], [0.25, 0.25, 0.31, 0.42, 0.62, 0.82, 0.93, 0.96])
"""Half the width of neck and shoulders, by the height; from there on it is the trunk's."""
_FACE = 0.32
"""So many body sizes below the middle of eyes, ears and nose is the chin."""
_CHEST = 0.9
"""From this height on old clothes are seen, whatever their neckline."""
_COLLAR = 0.8
"""So far around what is repainted remains of an old collar are looked for, before the neck."""
_ALIKE = 0.12
"""Colours of clothes that differ by less, in every channel."""
_CORE = 0.1
"""So far within a trunk no ground is seen."""
_WIDER, _BESIDE = 0.08, 0.5
"""So far clothes below a top lie off the body; and so far beside an arm its sleeve is looked for."""
_SHADE, _CHIN = 0.25, 0.12
"""How much darker skin is where it turns away, and under a chin."""
_BARE = (0.25, 0.5)
"""Limbs whose skin is seen on such a share of their width are left as they are."""
_TUCKED, _LOOSE = 2.35, 2.1
"""Clothes below a top that end above the first height end there; others go on up to the second."""
_LEAST = 0.002
"""Share of a picture's pixels that have to show skin, or clothes, for their colour to be known."""
_THICK = 3
"""Pixels: skin that is nowhere wider than twice this is a dot of the old clothes' pattern."""
_EDGE = 3
"""Pixels around what has changed, where a photo of more pixels still shows the old clothes' edge."""
_RIM = 4
"""Pixels beside a silhouette that may still be the person."""
GREY = 0.5
"""Where nothing tells what to show."""
_TOLD = 1 / 512


def underlay(
    category: Category, pictures: Tensor, masks: Tensor, garment: Tensor, people: Sequence[Tensor],
    silhouettes: Tensor | None = None, keep: Tensor | None = None,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Pictures of people with what shows beside a new garment in place of the old clothes.

    Args:
        category: of the garment.
        pictures: the photos (B, 3, H, W) in [0, 1].
        masks: what is repainted, and what of it is taken into the photo (B, 2, H, W) in {0, 1}; see `body_mask`.
        garment: the new one, warped, on white (B, 3, H, W) in [0, 1].
        people: joints and hands (P, 60, 3) of everybody, the person first, as `people_in` gives them.
        silhouettes, keep: of the person, and what must stay (B, 1, H, W), or None.

    Returns:
        The pictures (B, 3, H, W) in [0, 1], and what of a result is taken into the photo (B, 1, H, W) in {0, 1} where
        they lie under it. They are middle grey under the cloth and where nothing tells what is there: in all of the
        mask where joints do not tell of a body that faces the camera, and on limbs where no skin is seen.
    """
    made = []
    for item, picture in enumerate(_not_grey(pictures[:, None].float(), 2)):
        points = finite_joints(people[item][0, :, :2].double()) if len(people[item]) else torch.zeros(JOINTS, 2)
        joints = np.where([[is_missing(joint)] for joint in points[:JOINTS].numpy()], np.nan, points[:JOINTS].numpy())
        frame, wearer, outline = body_frame(points), wearer_of(joints), None
        repainted, shown = masks[item : item + 1].split(1, 1)
        cloth = worn_cloth(garment[item : item + 1]) * repainted
        if frame is None or wearer is None:
            under = picture + (GREY - picture) * repainted
        else:
            if silhouettes is not None:
                person = silhouettes[item, 0].numpy() >= 0.5
                inside = outline_of(person, frame, with_legs=category != "upper_body").inside
                outline = None if inside is None else torch.from_numpy(inside)[None, None].float()
            under = _one(category, picture, repainted, frame, wearer, outline)
        under = under + (GREY - under) * cloth
        under = under if keep is None else torch.where(keep[item : item + 1] >= 0.5, picture, under)
        unknown, same = (
            ((under - other).abs().amax(1, keepdim=True) < _TOLD).float() for other in (torch.tensor(GREY), picture)
        )
        changed = grow_mask((1 - same) * (1 - unknown), _EDGE) * torch.maximum(repainted, 1 - same)
        made.append((under, torch.stack([cloth, unknown * shown, changed]).amax(0)))
    return tuple(torch.cat(part) for part in zip(*made, strict=True))


@dataclass(frozen=True)
class _Part:
    """A part of a body, everywhere in the picture (H, W).

    Attributes:
        edge: pixels from its edge, positive inside.
        across: how far across it, from -1 to 1.
        along: how far along it; down a trunk.
        steps: places along it.
    """

    edge: np.ndarray
    across: np.ndarray
    along: np.ndarray
    steps: np.ndarray

    @property
    def alpha(self) -> np.ndarray:
        return (self.edge + 0.5).clip(0, 1)

    @property
    def shade(self) -> np.ndarray:
        return 1 - _SHADE * np.abs(self.across).clip(0, 1) ** 3


def _parts(wearer: Wearer, size: tuple[int, int]) -> tuple[_Part, list[_Part], list[_Part], np.ndarray]:
    """Trunk, arms and legs; and how far to the left of the spine a place is (H, W)."""
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    down, across = wearer.trunk.locate(columns, rows)

    def part(half: np.ndarray, off: np.ndarray, across: np.ndarray, along: np.ndarray, ends: tuple) -> _Part:
        edge = np.where((along > ends[0]) & (along < ends[1]), (half - off) * wearer.unit, -99)
        return _Part(edge, across / half, along, np.arange(ends[0], ends[1] + 0.5, 0.15))

    half = np.interp(down, [*_NECK[0], *TRUNK_HALF[0][2:]], [*_NECK[1], *TRUNK_HALF[1][2:]])
    trunk, arms, legs = part(half, np.abs(across), across, down, (-1.3, HIP + 0.8)), [], []
    for tube in wearer.arms:
        along, beside = tube.locate(columns, rows)
        beside = beside / wearer.unit
        off = np.hypot(beside, np.minimum(along - 0.06, 0))
        arms.append(part(np.interp(along, *ARM_HALF), off, beside, along, (-0.3, WRIST + 0.1)))
    for tube in wearer.legs:
        along, beside = tube.locate(columns, rows)
        beside = beside / wearer.unit
        legs.append(part(np.interp(along, *LEG_HALF), np.abs(beside), beside, along, (0.3, LEG_HALF[0][-1] + 0.5)))
    return trunk, arms, legs, across


def _one(
    category: Category, picture: Tensor, region: Tensor, frame: BodyFrame, wearer: Wearer, outline: Tensor | None
) -> Tensor:
    """The picture (1, 3, H, W) with what is beneath the old clothes, as `underlay` gives it, but for the cloth."""
    size, unit = (picture.shape[-2], picture.shape[-1]), wearer.unit
    trunk, arms, legs, across = _parts(wearer, size)
    covered = [(arm, 0.0, ELBOW) for arm in arms if category != "lower_body"]
    covered += [(leg, 0.2, LEG_HALF[0][-1] - 0.1) for leg in legs if category != "upper_body"]
    down = trunk.along
    body = np.max([part.edge for part in (trunk, *arms, *legs)], 0) > 0
    person = np.ones(size, bool) if outline is None else outline[0, 0].numpy() > 0
    repainted = region[0, 0].numpy() > 0
    skin = bare_skin(picture[0].movedim(0, -1).numpy(), frame) & (_grown(body, round(0.1 * unit)) | (down < -0.4))
    skin = _grown(_grown(skin, -_THICK), _THICK)
    chin = np.nan
    if len(frame.head):
        chin = float(wearer.trunk.locate(*(frame.head.mean(0) + _FACE * frame.size * frame.down))[0])
    made = ground_behind(picture, _tensor(_grown(body | repainted if outline is None else person, _RIM)))
    worn, ground = _spread(picture, repainted & (trunk.edge > 0) & (down > _CHEST) & ~skin, 1), np.zeros(size, bool)
    if worn is not None:
        # what has the ground's colours rather than the old clothes' is none of the body,
        # but well within the trunk
        nearer = (2 * (picture - made).abs().amax(1) < (picture - worn).abs().amax(1))[0].numpy()
        ground = _grown(_grown(_alike(picture, made) & nearer, -1), 1) & (trunk.edge < _CORE * unit)
        repainted &= ~_grown(ground, -2)
        # beyond a silhouette's edge only what looks like the old clothes is theirs
        repainted &= _grown(person | body, _RIM + 1) | _alike(picture, worn, 2 * _ALIKE)
    if worn is not None and skin.any():  # remains of the old clothes beyond what is repainted
        seen, remains = _spread(picture, skin, _THICK), _alike(picture, worn) & ~ground
        if seen is not None:  # a neck in bright light or in a chin's shade
            remains &= ~_alike(picture, seen)
            skin |= _alike(picture, seen, 2 * _ALIKE) & ~_alike(picture, worn) & (trunk.edge > 0) & (down < 1)
        old = remains & (trunk.edge > 0) & (down > chin) & (down < 0.3) & _grown(repainted, round(_COLLAR * unit))
        for part, first, last in covered:
            near = (part.edge > -_BESIDE * unit) & (part.along > first) & (part.along < last)
            old |= remains & near & (down > 0.3)
        old = _grown(old, 2) & ~ground
        repainted, skin = repainted | old, skin & ~old
    inside = torch.ones_like(region) if outline is None else soften_mask(outline, 1, 1)
    inside = inside * (1 - _tensor(ground))
    bare, unknown = _spread(picture, skin, _THICK), torch.zeros_like(region)
    other = person & ~repainted & ~_grown(skin, 2)

    def lay(made: Tensor, colours: Tensor | None, alpha: np.ndarray, shade: np.ndarray | float = 1.0) -> Tensor:
        alpha = torch.from_numpy(alpha.astype(np.float32)).clamp(0, 1)[None, None] * inside
        unknown[alpha > 0.5] = float(colours is None)
        if colours is None:
            return made
        return made + (colours * torch.as_tensor(shade, dtype=torch.float32) - made) * alpha

    def lay_limb(made: Tensor, part: _Part) -> Tensor:
        near, shares = part.edge > -0.1 * unit, []
        for step in part.steps:
            here = near & (np.abs(part.along - step) < 0.15)
            shares.append(skin[here].mean() if here.any() else 0.0)
        around = np.lib.stride_tricks.sliding_window_view(np.pad(shares, 2, mode="edge"), 5).min(1)
        hidden, sleeved = (1 - smoothstep(*_BARE, np.interp(part.along, part.steps, told)) for told in (shares, around))
        # nothing of the old clothes is around what is bare, but on the trunk
        repainted[(sleeved < 0.5) & (part.edge > -_BESIDE * unit) & (trunk.edge < -_WIDER * unit)] = False
        return lay(made, bare, part.alpha * hidden, part.shade)

    for leg in legs if category != "upper_body" else ():
        made = lay_limb(made, leg)
    if category == "lower_body":
        made = lay(made, _spread(picture, other & (down < _LOOSE + 0.1), 2), trunk.alpha * (down < HIP))
    else:
        under_chin = np.exp(-((np.maximum(down - np.nan_to_num(chin, nan=-0.62), 0) / 0.22) ** 2))
        made = lay(made, bare, trunk.alpha * (down < HIP), trunk.shade * (1 - _CHIN * under_chin))
        if category == "upper_body":
            arm = np.max([part.edge for part in arms], 0) > -3
            below = other & (down > 1.0) & (np.abs(across) < 1) & ~arm
            tops = [down[:, column][rows].min() for column, rows in enumerate(below.T) if rows.any()]
            top = np.median(tops) if tops else np.nan
            start, under = top - 0.02 if top < _TUCKED else _LOOSE, _spread(picture, below, 2)
            if under is not None:  # a skirt beside the hips, or trousers behind a hand
                beside = (down > start) & (trunk.edge < 0) & ~_grown(arm, round(0.1 * unit))
                repainted &= ~(beside & _alike(picture, under))
            hips = (trunk.edge + _WIDER * unit + 0.5).clip(0, 1)
            made = lay(made, under, ((down - start) * unit + 0.5).clip(0, 1) * hips)
        for arm in arms:
            made = lay_limb(made, arm)
    taken = _tensor(repainted) * (1 - soften_mask(_tensor(skin), -2, 3))
    mixed = _not_grey(picture + (made.clamp(0, 1) - picture) * taken)
    return torch.where((unknown > 0) & (taken > 0.5), GREY, mixed)


def _not_grey(picture: Tensor, channels: int = 1) -> Tensor:
    """What is grey by itself is none of what is not known."""
    return torch.where((picture - GREY).abs().amax(channels, keepdim=True) < 2 * _TOLD, GREY + 4 * _TOLD, picture)


def _tensor(mask: np.ndarray) -> Tensor:
    return torch.from_numpy(mask)[None, None].float()


def _grown(mask: np.ndarray, pixels: int) -> np.ndarray:
    return grow_mask(_tensor(mask), pixels)[0, 0].numpy() > 0


def _alike(picture: Tensor, other: Tensor, least: float = _ALIKE) -> np.ndarray:
    return (picture - other).abs().amax(1)[0].numpy() < least


def _spread(picture: Tensor, known: np.ndarray, thick: int) -> Tensor | None:
    """Colours of what is known, spread over the picture; None where too little is as thick as twice some pixels."""
    known = _grown(known, -thick)
    return None if known.mean() < _LEAST else ground_behind(picture, _tensor(~known))
