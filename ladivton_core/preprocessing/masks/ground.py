"""The ground behind a person, guessed from what the photo shows around them."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ...mask_edges import grow_mask

_SURE = 0.15
"""Body sizes from a silhouette on from where the photo shows ground for certain."""
_ALIKE = 0.035
"""Colours that differ by less, in every channel, are the ground's."""
_SPECK = 2
"""Pixels, on a body of the data sets' size: what is nowhere thicker than twice this is an accident."""
_RIM = 4
"""Pixels likewise, beside what is not the ground's: there its edge lies, and a result is blended into its photo."""


def ground_behind(picture: Tensor, person: Tensor) -> Tensor:
    """The picture (B, 3, H, W) with the person (B, 1, H, W) in {0, 1} filled in smoothly from around them.

    Pull and push (Gortler et al. 1996): means of what is known, from coarse to fine, where nothing finer is.
    """
    known = 1 - person
    levels = [(picture * known, known)]
    while min(levels[-1][1].shape[-2:]) > 1:
        levels.append(tuple(F.avg_pool2d(part, 2, ceil_mode=True, count_include_pad=False) for part in levels[-1]))
    filled = levels[-1][0] / levels[-1][1].clamp_min(1e-6)
    for colours, share in reversed(levels[:-1]):
        filled = F.interpolate(filled, colours.shape[-2:], mode="bilinear", align_corners=False)
        # what is known by less than a quarter of a cell is told by the cell above too
        trust = (share * 4).clamp(max=1)
        filled = colours / share.clamp_min(1e-6) * trust + filled * (1 - trust)
    return filled


def like_ground(picture: np.ndarray, person: np.ndarray, unit: float, share: float) -> np.ndarray:
    """Where a photo shows, within or beside a silhouette, what it shows around it: a loose silhouette's wall.

    Args:
        picture: (H, W, 3) in [0, 1].
        person: the silhouette (H, W) bool.
        unit: body size, pixels.
        share: size of the body beside that of the data sets'.

    Returns:
        (H, W) bool.
    """
    photo = torch.from_numpy(picture).movedim(-1, 0)[None].float()
    wide = grow_mask(torch.from_numpy(person)[None, None].float(), max(round(_SURE * unit), 1))
    if bool(wide.all()):
        return np.zeros(person.shape, bool)
    alike = ((photo - ground_behind(photo, wide)).abs().amax(1, keepdim=True) < _ALIKE).float()
    speck, rim = (max(round(pixels * share), 1) for pixels in (_SPECK, _RIM))
    return grow_mask(grow_mask(alike, -speck), speck - rim)[0, 0].bool().numpy()
