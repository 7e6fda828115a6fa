"""Agnostic person: the picture with the old garment, the arms and the neck cut out, and the mask of the cut.

Paper section 3.1, published §1.5. Values that look arbitrary are those the published weights were trained with;
each can be changed by name. `arms.py` draws the stroke along the arms, `regions.py` builds the same mask from
painted region masks, `labels.py` says which labels are kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from ...mask_edges import grow_mask
from ..label_pictures import require_known
from ..labels import LabelSet, Regions
from ..modes import PUBLISHED, Mode, mode_of
from ..pose.body_size import relative_stroke, share_of_reference
from ..pose.dialects import finite_joints
from .arms import LEFT_SHOULDER, RIGHT_SHOULDER, MissingJoints, arm_stroke, is_missing, known_shoulders

Neck = Literal["published", "cut", "keep"]

# A 5 x 5 dilation five times over, at every picture size (published §1.5.6).
GROW = 10
# The neck line runs this far above the shoulders, for pictures 512 pixels high (published §1.5.4).
NECK_LIFT_AT_512 = 20


def agnostic_mask(
    parse: Tensor,
    keypoints: Tensor,
    category: str,
    labels: LabelSet,
    *,
    missing_joints: MissingJoints = "published",
    stroke_width: int | None = None,
    grow: int = GROW,
    neck: Neck = "published",
    also_repaint: Iterable[str] = (),
    mode: str | Mode = PUBLISHED,
    numbers: Sequence[int] | None = None,
) -> Tensor:
    """Region the sampler repaints: the old garment, the arms' stroke and the neck, grown by 10 px.

    Args:
        parse: label map (B, H, W), integers, ids of `labels`.
        keypoints: COCO-18 joints (B, 18, 2), (x, y) in pixels of `parse`; missing joints are (0, 0).
        category: which garment is exchanged; picks the repainted and the protected labels.
        labels: `LIP20` (VITON-HD) or `ATR18` (Dress Code).
        missing_joints: `published` draws the stroke as the published code does, through the corner of the picture
            for joints nobody found (Q8); `skip` leaves them out.
        stroke_width: width of the arms' stroke in pixels; None is the published one of `labels` (Q10).
        grow: how many pixels the region grows on every side. 10 at every size is the published value.
        neck: `published` repaints the neck in Dress Code only, and misses it where the neck line leaves the
            picture (Q7, Q11); `cut` repaints it wherever the arms are exchanged; `keep` never does.
        also_repaint: further labels to repaint and no longer to protect, e.g. `("skirt",)` for Dress Code's
            lower body, whose skirts the published code leaves in place (Q9).
        mode: `published`, or `body`: missing joints are left out, and stroke and growth follow the size of the body
            (`modes.py`, `body.py`); `grow` then counts on a body of the data sets' size.
        numbers: of the pictures, for messages, where they are some of a larger batch.

    Returns:
        (B, 1, H, W) float32 in {0, 1}; 1 is repainted. On the device of `parse`.

    Raises:
        ValueError: shapes disagree, a label that `labels` has not, an unknown option or category, or (with `skip`) no
            shoulder is known.

    Source: paper section 3.2; published §1.5; published-weights quirks Q7, Q8, Q9, Q10, Q11.
    """
    regions = labels.regions_of(category)
    _check(parse, labels, keypoints, missing_joints, neck, grow)
    parse = parse.detach()
    height, width = size = (parse.shape[-2], parse.shape[-1])
    joints_known = finite_joints(keypoints.detach().cpu().double())
    points = joints_known.numpy()
    relative = mode_of(mode).relative
    missing_joints = "skip" if relative else missing_joints
    also = labels.ids(also_repaint)

    def has(names: Iterable[str]) -> Tensor:
        return _isin(parse, labels.ids(names))

    fixed = has(regions.fixed) & ~_isin(parse, also)
    repaint = has(regions.repaint) | _isin(parse, also)
    head = has(regions.head)
    if regions.arms_exchanged:
        if missing_joints == "skip":
            for sample, joints in zip(numbers or range(len(points)), points, strict=True):
                known_shoulders(joints, sample)
        widths = [stroke_width or labels.stroke_width(height)] * len(points)
        if relative and not stroke_width:
            widths = [relative_stroke(joints, size, labels) for joints in joints_known]
        strokes = [arm_stroke(p, size, w, missing_joints) for p, w in zip(points, widths, strict=True)]
        stroke = _stack(strokes, parse.device)
        fixed = fixed | (has(regions.arms) & ~stroke)
        repaint = repaint | stroke
    below = _below_neck(regions, neck, points, (height, width), missing_joints)
    if below is not None:
        cut = head & _stack(below, parse.device)
        head, repaint = head & ~cut, repaint | cut
    repaint = repaint[:, None].float()
    if relative:
        pixels = [round(grow * share_of_reference(joints, size)) for joints in joints_known]
        bigger = torch.cat([grow_mask(item[None], by) for item, by in zip(repaint, pixels, strict=True)])
    else:
        bigger = grow_mask(repaint, grow)
    return (bigger.bool() & ~(fixed | head)[:, None]).float()


def nothing_to_repaint(mask: Tensor) -> list[int]:
    """Numbers of the pictures of a batch whose mask (B, 1, H, W) or (B, H, W) is empty: there the photo stays."""
    return [picture for picture, some in enumerate((mask >= 0.5).flatten(1).any(1).tolist()) if not some]


def agnostic_by_product(person: Tensor, mask: Tensor) -> Tensor:
    """The person times what is kept: the masked region goes to 0, which is mid-grey in [-1, 1].

    As in the data sets' samples. What the VAE encodes is cut at one half instead:
    `denoising.conditioning.masked_at_half`.

    Args:
        person: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in [0, 1]; 1 is cut out.

    Returns:
        (B, 3, H, W) in [-1, 1].

    Raises:
        ValueError: the sizes differ.

    Source: published §1.5.6.
    """
    if person.ndim != 4 or mask.ndim != 4 or mask.shape[1] != 1 or person.shape[-2:] != mask.shape[-2:]:
        raise ValueError(
            f"person {tuple(person.shape)} and mask {tuple(mask.shape)} do not fit; expected (B, 3, H, W) and "
            "(B, 1, H, W) of the same height and width"
        )
    return person * (1 - mask)


agnostic_image = agnostic_by_product
"""Its public name since 0.1."""


def _below_neck(
    regions: Regions, neck: Neck, points: np.ndarray, size: tuple[int, int], missing_joints: MissingJoints
) -> list[np.ndarray] | None:
    """(H, W) of what lies below the neck line, for each person; None where the neck stays."""
    if neck == "keep" or not (regions.neck_cut if neck == "published" else regions.arms_exchanged):
        return None
    height, width = size
    lift = NECK_LIFT_AT_512 * height / 512
    rows = np.arange(height)[:, None]
    masks = []
    for joints in points:
        slope, offset = _shoulder_line(joints, level=missing_joints == "skip")
        first = np.trunc(slope * np.arange(width) + offset - lift).astype(np.int64)
        if neck == "published":
            # A negative row counted from the bottom in the published code (Q7).
            first = np.where(first < 0, first + height, first)
        masks.append(rows >= first[None])
    return masks


def _shoulder_line(joints: np.ndarray, level: bool) -> tuple[float, float]:
    """Slope and offset of y = slope * x + offset through both shoulders; `level` through one if one is missing."""
    shoulders = joints[[RIGHT_SHOULDER, LEFT_SHOULDER]]
    known = [shoulder for shoulder in shoulders if not is_missing(shoulder)]
    if level and len(known) == 1:
        return 0.0, float(known[0][1])
    system = np.stack([shoulders[:, 0], np.ones(2)], axis=1)
    # Least squares, because two shoulders above each other have no such line (published §1.5.4).
    slope, offset = np.linalg.lstsq(system, shoulders[:, 1], rcond=None)[0]
    return float(slope), float(offset)


def _isin(parse: Tensor, ids: tuple[int, ...]) -> Tensor:
    return torch.isin(parse, torch.tensor(ids, dtype=parse.dtype, device=parse.device))


def _stack(masks: list[np.ndarray], device: torch.device) -> Tensor:
    return torch.from_numpy(np.stack(masks)).to(device)


def _check(parse: Tensor, labels: LabelSet, keypoints: Tensor, missing_joints: str, neck: str, grow: int) -> None:
    if parse.ndim != 3 or parse.is_floating_point():
        raise ValueError(
            f"the parse map is {tuple(parse.shape)} {parse.dtype}; expected integers (B, H, W). Load it with a loader "
            "for label pictures: an ordinary picture loader turns labels into colours"
        )
    require_known(parse, labels)
    if keypoints.shape != (parse.shape[0], 18, 2):
        raise ValueError(
            f"keypoints have the shape {tuple(keypoints.shape)}; expected {(parse.shape[0], 18, 2)}: COCO-18 joints as "
            f"(x, y) for each of the {parse.shape[0]} parse maps"
        )
    if missing_joints not in ("published", "skip"):
        raise ValueError(f"missing_joints is {missing_joints!r}; expected 'published' or 'skip'")
    if neck not in ("published", "cut", "keep"):
        raise ValueError(f"neck is {neck!r}; expected 'published', 'cut' or 'keep'")
    if grow < 0:
        raise ValueError(f"grow is {grow}; expected 0 pixels or more")
