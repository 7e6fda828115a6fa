"""Do joints, parse map and picture belong together? Signs of a wrong label set, frame or file, said in words.

Nothing here changes a result: a wrong choice still gives a picture, only not the one that was meant. Every finding is
decided by what is anatomically impossible (a nose on a leg), so that an odd pose alone gives none. `labels.py` says
what the numbers mean, `keypoints.py` where the joints come from.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from ..labels import LABEL_SETS, LabelSet
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
        does not; or most joints lie on labels where they cannot, or on the background.
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
    return None


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
