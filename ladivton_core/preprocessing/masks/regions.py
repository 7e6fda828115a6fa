"""Inpaint mask from painted or segmented region masks, for pictures without a parse map.

The rule of published §1.5 with masks in the place of labels. `agnostic.py` is the version with labels.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ...mask_edges import grow_mask
from ..labels import LIP20
from ..modes import PUBLISHED, Mode, mode_of
from ..pose.body_size import relative_stroke, share_of_reference
from ..pose.dialects import finite_joints
from .agnostic import GROW, nothing_to_repaint
from .arms import arm_stroke, known_shoulders

log = logging.getLogger(__name__)

Say = Callable[[str], object]
"""Where a finding goes that changes nothing: the log, or a node's notes."""

_EMPTY = {
    "arms_mask": "It tells nothing of the arms: paint them white, or disconnect it.",
    "keep_mask": "Nothing is kept: paint white what must stay, or disconnect it.",
    "silhouette": "The mask is drawn from the joints alone: check that it is white where the person is.",
}


def empty_masks(name: str, mask: Tensor | None, say: Say, numbers: Sequence[int] | None = None) -> list[int]:
    """Rows of a batch whose mask (B, 1, H, W) of this name (`arms_mask`, `keep_mask`, `silhouette`) is empty, and a
    sentence that says so.
    """
    empty = [] if mask is None else nothing_to_repaint(mask)
    if empty:
        shown = ", ".join(str(numbers[row] if numbers else row) for row in empty)
        say(f"'{name}' is black (below one half all over) in picture {shown}. {_EMPTY[name]}")
    return empty


def region_mask(
    garment: Tensor,
    *,
    arms: Tensor | None = None,
    keep: Tensor | None = None,
    keypoints: Tensor | None = None,
    stroke_width: int | None = None,
    grow: int = GROW,
    mode: str | Mode = PUBLISHED,
    say: Say = log.warning,
) -> Tensor:
    """Region the sampler repaints, from masks of what is to go and what is to stay.

    Args:
        garment: the old garment (B, 1, H, W), in [0, 1]; 0.5 and more counts.
        arms: both arms, hands included. With `keypoints`, what the stroke leaves of them (the hands) is kept;
            without, the arms are repainted.
        keep: what must stay: face, hair, hands, other garments. It wins over everything.
        keypoints: COCO-18 joints (B, 18, 2) in pixels; draws the stroke along the arms. Missing joints are left out.
        stroke_width: width of that stroke in pixels; None is VITON-HD's, 90 at 512 x 384 (Q10).
        grow: how many pixels the region grows on every side.
        mode: `published`, or `body`: with keypoints, stroke and growth follow the size of the body.
        say: told of masks of arms and what must stay that are empty.

    Returns:
        (B, 1, H, W) float32 in {0, 1}; 1 is repainted.

    Raises:
        ValueError: shapes disagree, or keypoints without any shoulder.
    """
    if garment.ndim != 4 or garment.shape[1] != 1:
        raise ValueError(f"the garment mask has the shape {tuple(garment.shape)}; expected (B, 1, H, W)")
    for name, mask in (("arms", arms), ("keep", keep)):
        if mask is not None and mask.shape != garment.shape:
            raise ValueError(
                f"the {name} mask has the shape {tuple(mask.shape)}; expected {tuple(garment.shape)}: paint it at the "
                "size of the garment mask"
            )
    if keypoints is not None and keypoints.shape != (garment.shape[0], 18, 2):
        raise ValueError(f"keypoints have the shape {tuple(keypoints.shape)}; expected {(garment.shape[0], 18, 2)}")
    if grow < 0:
        raise ValueError(f"grow is {grow}; expected 0 pixels or more")
    empty_masks("arms_mask", arms, say)
    empty_masks("keep_mask", keep, say)
    repaint = garment >= 0.5
    protected = torch.zeros_like(repaint) if keep is None else keep >= 0.5
    pixels = [grow] * garment.shape[0]
    if keypoints is not None:
        size = (garment.shape[-2], garment.shape[-1])
        strokes, pixels = [], []
        for sample, joints in enumerate(finite_joints(keypoints.detach().cpu().double())):
            known_shoulders(joints.numpy(), sample)
            relative = mode_of(mode).relative
            width = relative_stroke(joints, size, LIP20) if relative else LIP20.stroke_width(size[0])
            strokes.append(arm_stroke(joints.numpy(), size, stroke_width or width, "skip"))
            pixels.append(round(grow * share_of_reference(joints, size)) if relative else grow)
        stroke = torch.from_numpy(np.stack(strokes))[:, None].to(garment.device)
        repaint = repaint | stroke
        if arms is not None:
            protected = protected | ((arms >= 0.5) & ~stroke)
    elif arms is not None:
        repaint = repaint | (arms >= 0.5)
    bigger = torch.cat([grow_mask(item[None], by) for item, by in zip(repaint.float(), pixels, strict=True)])
    return (bigger.bool() & ~protected).float()
