"""Do joints, parse map and picture belong together? Signs of a wrong label set, frame or file, said in words.

Nothing here changes a result: a wrong choice still gives a picture, only not the one that was meant. Every finding is
decided by what is anatomically impossible (a nose on a leg), so that an odd pose alone gives none. `labels.py` says
what the numbers mean, `keypoints.py` where the joints come from.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from ..labels import LABEL_SETS, Category, LabelSet
from .body_size import known
from .keypoints import COCO18

_LEGS = frozenset(("pants", "skirt", "left_leg", "right_leg", "legs", "socks", "left_shoe", "right_shoe", "feet"))
_FACE = frozenset(("face", "head", "sunglasses", "glasses"))
_SHOES = frozenset(("left_shoe", "right_shoe", "feet"))
_NEVER_UNDER = {
    "nose": _LEGS | {"scarf", "belt"},  # a scarf over the nose is only held against a set when another fits better
    "left_eye": _LEGS | {"scarf", "belt"},
    "right_eye": _LEGS | {"scarf", "belt"},
    "neck": _LEGS | {"sunglasses", "belt"},
    "left_shoulder": _LEGS | {"sunglasses", "belt"},
    "right_shoulder": _LEGS | {"sunglasses", "belt"},
    "left_hip": _FACE | _SHOES,
    "right_hip": _FACE | _SHOES,
    "left_knee": _FACE | _SHOES,
    "right_knee": _FACE | _SHOES,
}
"""Labels that a joint never lies on, by joint. Arms and upper garments are left out: a hand or a raised knee may cover
anything."""
_TOP = frozenset(("upper_clothes", "coat"))
_ELSEWHERE = {
    "nose": _TOP | {"hair", "neck", "dress"}, "left_eye": _TOP | {"neck", "dress"},
    "right_eye": _TOP | {"neck", "dress"}, "left_ear": _TOP | {"dress"}, "right_ear": _TOP | {"dress"}, "neck": _FACE,
    "left_hip": {"hair", "neck"}, "right_hip": {"hair", "neck"}, "left_knee": {"hair", "neck"},
    "right_knee": {"hair", "neck"}, "left_ankle": _FACE | _TOP | {"hair", "neck"},
    "right_ankle": _FACE | _TOP | {"hair", "neck"},
}  # fmt: skip
"""Further labels that a joint does not lie on in the person's own photo: one may be an error of a parser, many are not.
Beside these, no joint lies far from everything that is labelled."""
_NEAR = 0.04
"""Share of the picture's height within which something is labelled around a joint."""
_TRUNK, _THIGHS = ((2, 5), (8, 11)), ((8, 11), (9, 12))
_COVERS: dict[Category, tuple[tuple[int, int], tuple[int, int]]] = {
    "upper_body": _TRUNK, "dresses": _TRUNK, "lower_body": _THIGHS
}  # fmt: skip
"""Upper and lower pair of joints between which a garment always lies."""
_ARMS, _LEGS_OF = ((2, 3), (3, 4), (5, 6), (6, 7)), ((8, 9), (9, 10), (11, 12), (12, 13))
_ALONG: dict[Category, tuple[tuple[int, int], ...]] = {
    "upper_body": ((2, 5), (2, 8), (5, 11), (8, 11), *_ARMS), "lower_body": ((8, 11), *_LEGS_OF),
    "dresses": ((2, 5), (2, 8), (5, 11), (8, 11), *_ARMS, *_LEGS_OF),
}  # fmt: skip
"""Parts of the body along which a garment lies."""
_LEAST_COVERED, _MOST_BESIDE, _BESIDE = 0.5, 0.15, 0.4
"""Of what a garment always covers; of a mask, further from the body than this share of the trunk (or thighs). Drawn
people's own garments grown by 15 px: 0.75 at least, and 0."""
_GROUND, _STANDS_OUT, _NOBODY, _ON_GROUND = 0.08, 0.12, 0.04, 0.02
"""How far a plain ground may be from a plane, in [0, 1], and what stands out from it at least; then, the shares from
which on a person is not where the labels are. On drawn people's own pictures the second is 0.002 at most."""
_ON_THE_PERSON = ("nose", "neck", "left_shoulder", "right_shoulder", "left_hip", "right_hip")
"""Joints in the middle of a body part: on the background only if parse map and joints do not belong together."""
_HELD_BY = ("neck", "left_shoulder", "right_shoulder")
"""Joints without which no garment hangs anywhere: a crop that loses them loses the garment."""


def outside_picture(keypoints: Tensor, size: tuple[int, int]) -> str | None:
    """Whether joints count other pixels than the picture's.

    A photo cut at the knees or at the wrists is no finding; shoulders or neck outside are, and so is half of what was
    found.

    Args:
        keypoints: COCO-18 joints (B, 18, 2), (x, y) in pixels of `size`; missing joints are (0, 0) or negative.
        size: (height, width) of the picture.

    Returns:
        A sentence for the first picture it holds for, else None.
    """
    height, width = size
    for picture, points in enumerate(keypoints.tolist()):
        known = {name: point for name, point in zip(COCO18, points, strict=True) if max(point) > 1}
        out = [name for name, (x, y) in known.items() if not (-1 <= x <= width and -1 <= y <= height)]
        if any(name in _HELD_BY for name in out) or len(out) * 2 > len(known):
            x, y = (max(point[axis] for point in known.values()) for axis in (0, 1))
            return (
                f"{len(out)} of {len(known)} joints lie outside picture {picture} of {width} x {height} pixels "
                f"({_named(out)}; they reach to {x:.0f}, {y:.0f})."
            )
    return None


def labels_in_doubt(parse: Tensor, keypoints: Tensor, labels: LabelSet) -> str | None:
    """Whether the labels under the joints can be what `labels` calls them.

    Args:
        parse: label map (B, H, W), integers.
        keypoints: COCO-18 joints (B, 18, 2), (x, y) in pixels of `parse`; missing joints are (0, 0) or negative.
        labels: vocabulary the ids were read with.

    Returns:
        A sentence for the first picture it holds for, else None: another label set explains the joints and this one
        does not; or joints lie on labels where they cannot, or on the background.
    """
    for picture, (item, points) in enumerate(zip(parse, keypoints.tolist(), strict=True)):
        under = _ids_under(item, points)
        wrong = _impossible(under, labels)
        where = f"In picture {picture} the parse map read as {labels.name} puts {_listed(wrong)}"
        if len(wrong) >= 2:
            better = [other.name for other in LABEL_SETS.values() if other is not labels and _fits(under, other)]
            if better:
                return f"{where}; read as {better[0]} it makes sense."
        if len(wrong) >= 3 and len(wrong) * 2 > len(under):
            return f"{where}: the label set, the parse map or the joints are not those of this photo."
        body = [joint for joint in _ON_THE_PERSON if joint in under]
        bare = [joint for joint in body if under[joint] == 0]
        if len(bare) >= 3 and len(bare) * 3 >= 2 * len(body):
            return (
                f"In picture {picture} {len(bare)} of {len(body)} joints in the middle of the body "
                f"lie on the parse map's background ({_named(bare)})."
            )
        far = _far_or_elsewhere(item, points, labels)
        if len(far) >= 3 and len(far) * 6 >= sum(max(point) > 1 for point in points):
            return (
                f"In picture {picture} joints and parse map are not of one photo: as {labels.name}, {len(far)} joints "
                f"lie on other parts or nobody ({_named(far)})."
            )
    return None


def picture_in_doubt(pictures: Tensor, parse: Tensor) -> str | None:
    """Whether the person of a picture stands where the labels have somebody.

    Args:
        pictures: (B, 3, H, W) in [0, 1].
        parse: their label maps (B, H, W), integers; 0 is the background.

    Returns:
        A sentence for the first picture it holds for, else None: much stands out from the ground far from every label,
        and labels lie where nothing does. It can be told before a plain ground only, and not of somebody who stands
        much the same way; clothes of the ground's colour and things beside the person are one of the two, not both.
    """
    for number, (picture, labels) in enumerate(zip(pictures, parse, strict=True)):
        step = max(1, labels.shape[0] // 128)
        out = _standing_out(picture[:, ::step, ::step].permute(1, 2, 0).double().cpu())
        there = labels[::step, ::step].cpu() > 0
        if out is None or not out.any() or not there.any():
            continue
        beside = float((out & ~_around(there)).sum() / out.sum())
        bare = float((there & ~_around(out)).sum() / there.sum())
        if beside > _NOBODY and bare > _ON_GROUND:
            return (
                f"Joints and parse map are not of picture {number}: {beside:.0%} of what stands out from its ground "
                f"lies beside all labels, {bare:.0%} of the labels on bare ground."
            )
    return None


def _standing_out(picture: Tensor) -> Tensor | None:
    """What of a picture (H, W, 3) is not its ground, as booleans (H, W); None where the ground is not plain.

    The ground is a plane through the colours along the upper and both side edges, where a person is cut off seldom.
    """
    height, width = picture.shape[:2]
    down, across = torch.meshgrid(torch.linspace(-1, 1, height), torch.linspace(-1, 1, width), indexing="ij")
    places = torch.stack([torch.ones_like(down), down, across], -1).double()
    rim = torch.ones(height, width, dtype=torch.bool)
    rim[max(2, height // 40) :, max(2, height // 40) : -max(2, height // 40)] = False
    at, colours = places[rim], picture[rim]
    plane = torch.linalg.lstsq(at, colours).solution
    for _ in range(3):  # without what is no ground
        far = (at @ plane - colours).abs().amax(-1)
        near = far <= far.quantile(0.8)
        plane = torch.linalg.lstsq(at[near], colours[near]).solution
    if (at @ plane - colours).abs().amax(-1).quantile(0.95) > _GROUND:
        return None
    return (places @ plane - picture).abs().amax(-1) > _STANDS_OUT


def _around(there: Tensor) -> Tensor:
    """A map of booleans (H, W) and what is near it."""
    reach = max(1, round(_NEAR * there.shape[0]))
    return F.max_pool2d(there[None, None].float(), 2 * reach + 1, 1, reach)[0, 0] > 0


def mask_in_doubt(mask: Tensor, keypoints: Tensor, category: Category) -> str | None:
    """Whether a painted garment lies on the body that the joints tell.

    Args:
        mask: the old garment (B, 1, H, W) in [0, 1].
        keypoints: COCO-18 joints (B, 18, 2), (x, y) in pixels of `mask`; missing joints are (0, 0) or negative.
        category: which garment it is.

    Returns:
        A sentence for the first picture it holds for, else None: much of the mask is far from the body, or what the
        garment always covers is left out. Nothing is said where shoulders and hips (hips and knees) are not known.
    """
    pairs = _COVERS[category]
    for picture, (item, joints) in enumerate(zip(mask[:, 0] >= 0.5, keypoints.double().cpu(), strict=True)):
        if not item.any() or not known(joints, *pairs[0], *pairs[1]):
            continue
        upper, lower = joints[list(pairs[0])], joints[list(pairs[1])]
        length = (upper.mean(0) - lower.mean(0)).norm().clamp(min=1.0)
        down, across = torch.meshgrid(torch.linspace(0.2, 0.8, 4), torch.linspace(0.25, 0.75, 3), indexing="ij")
        if category == "lower_body":
            across = across.round()  # each leg, not what is between them
        left, right = (upper[side] + (lower[side] - upper[side]) * down[..., None] for side in (0, 1))
        inside = (left + (right - left) * across[..., None]).reshape(-1, 2).long()
        height, width = item.shape
        seen = inside[((inside >= 0) & (inside < torch.tensor((width, height)))).all(-1)]
        covered = float(item.cpu()[seen[:, 1], seen[:, 0]].double().mean()) if len(seen) else 1.0
        bones = torch.stack([joints[list(bone)] for bone in _ALONG[category] if known(joints, *bone)])
        step = max(1, height // 128)
        painted = item.cpu()[::step, ::step].nonzero().flip(1).double() * step
        beside = float((_distances(painted, bones) > _BESIDE * length).double().mean()) if len(painted) else 0.0
        if covered < _LEAST_COVERED or beside > _MOST_BESIDE:
            left_out = f"it leaves the {'thighs' if category == 'lower_body' else 'trunk'} out"
            said = f"{beside:.0%} of it lie beside the body" if beside > _MOST_BESIDE else left_out
            return f"In picture {picture} the painted mask and the joints disagree: {said}."
    return None


def _distances(points: Tensor, bones: Tensor) -> Tensor:
    """Distance (N,) of every point (N, 2) from the nearest of some segments (S, 2, 2)."""
    start, along = bones[:, 0], bones[:, 1] - bones[:, 0]
    from_start = points[:, None] - start
    share = ((from_start * along).sum(-1) / along.square().sum(-1).clamp(min=1e-6)).clamp(0, 1)
    return (from_start - share[..., None] * along).norm(dim=-1).amin(1)


def _near(there: Tensor, x: float, y: float) -> bool:
    """Whether anything of a map (H, W) is there around a point; a point outside the picture is not looked at."""
    height, width = there.shape
    if not (0 <= x < width and 0 <= y < height):
        return True
    reach = max(1, round(_NEAR * height))
    left, top = int(x), int(y)
    return bool(there[max(0, top - reach) : top + reach + 1, max(0, left - reach) : left + reach + 1].any())


def _far_or_elsewhere(parse: Tensor, points: Sequence[Sequence[float]], labels: LabelSet) -> list[str]:
    """Joints on labels of other parts, or far from everything that is labelled (H, W)."""
    height, width = parse.shape
    found = []
    for joint, (x, y) in zip(COCO18, points, strict=True):
        if max(x, y) <= 1 or not (0 <= x < width and 0 <= y < height):
            continue
        number = int(parse[int(y), int(x)])
        label = labels.labels[number] if number < len(labels.labels) else ""
        elsewhere = _ELSEWHERE.get(joint, frozenset()) | _NEVER_UNDER.get(joint, frozenset())
        if label in elsewhere or not _near(parse > 0, x, y):
            found.append(joint)
    return found


def _ids_under(parse: Tensor, points: Sequence[Sequence[float]]) -> dict[str, int]:
    """Label id under every tested joint that was found and lies in the picture (H, W)."""
    height, width = parse.shape
    under = {}
    for joint, (x, y) in zip(COCO18, points, strict=True):
        if joint in _NEVER_UNDER and max(x, y) > 1 and 0 <= x < width and 0 <= y < height:
            under[joint] = int(parse[int(y), int(x)])
    return under


def _impossible(under: dict[str, int], labels: LabelSet) -> dict[str, str]:
    """Joints that lie where they cannot, and the label they lie on."""
    names = {joint: labels.labels[number] for joint, number in under.items() if number < len(labels.labels)}
    return {joint: label for joint, label in names.items() if label in _NEVER_UNDER[joint]}


def _fits(under: dict[str, int], labels: LabelSet) -> bool:
    """Whether every id is in the set and no joint lies where it cannot."""
    return all(number < len(labels.labels) for number in under.values()) and not _impossible(under, labels)


def _listed(wrong: dict[str, str]) -> str:
    pairs = [f"{joint} on {label}" for joint, label in wrong.items()]
    return ", ".join(pairs[:3]).replace("_", " ")


def _named(joints: Sequence[str]) -> str:
    more = f" and {len(joints) - 4} more" if len(joints) > 4 else ""
    return (", ".join(joints[:4]) + more).replace("_", " ")
