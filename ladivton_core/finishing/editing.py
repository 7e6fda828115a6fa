"""An editor's picture on its way back: of a size of its own, moved by a few pixels, changed where nobody asked.

Editors (FLUX, Qwen Image Edit, other try-on models) are given the window that `fitting.py` cut out and answer with a
whole picture. `bring_back` brings it to the window, registers it on the photo, decides how much of it is taken, and
`stitching.py` puts that into the photo.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..batches import OVERSHOOT, require_pictures
from ..mask_edges import grow_mask, soften_mask
from ..preprocessing.flood import reached
from ..preprocessing.framing.fitting import Fit, resize
from .stitching import Blend, opencv, share_in_photo, stitch

Say = Callable[[str], None]
log = logging.getLogger(__name__)

_ROUNDED = 0.03
"""Editors round sides to multiples of 8 to 64: proportions this far off are rounding, and are stretched back."""
_COARSE, _FINE = 128, 512
"""Rows at which pictures are compared."""
_LIKE = 0.8
"""Correlation with the photo's surroundings below which a result is of something else."""
_FARTHEST, _NEAREST = 0.06, 0.3
"""A result that moved farther (share of the height) is not followed, one that moved less (pixels) is left alone."""
_PLAIN = 0.02
"""Surroundings that vary less than this hold nothing to register on."""
_CHANGED = 0.05
"""Change of a colour that is seen, where the rest of the picture changed less than a third of it."""


def bring_back(
    result: Tensor,
    photo: Tensor,
    fit: Fit,
    *,
    mask: Tensor | None = None,
    keep: Tensor | None = None,
    person: Tensor | None = None,
    feather: int = 0,
    blend: Blend = "feather",
    match_colour: bool = False,
    only_changed: bool = False,
    register: bool = False,
    onto: Tensor | None = None,
    say: Say = log.warning,
) -> tuple[Tensor, Tensor]:
    """Put a result of any size back into its photo.

    Args:
        result: (3, h, w) in [0, 1], of the window's proportions.
        photo: (3, *fit.source) in [0, 1], as it was when it was fitted.
        fit: how the photo was fitted.
        mask: (1, *fit.size) in [0, 1]: only there the result is taken; None is everywhere.
        keep: (1, *fit.size) in [0, 1]: how much of the photo stays, whatever the mask says.
        person: (1, *fit.size) in {0, 1}, face and hands of the person: they stay too, and `register` follows them.
        feather: pixels of the window over which the mask's edge is blended, and that of `keep` outside it.
        blend, match_colour: see `stitch`.
        only_changed: take the result only where it differs from the photo, see `changed_region`.
        register: move the result to where the photo's surroundings are first, see `registered`.
        onto: (3, *fit.source), the photo with other windows' results already in it; None is the photo.
        say: told what was done: of another size, moved, or not to be moved.

    Returns:
        The photo with the result in it (3, *fit.source) in [0, 1], bit for bit `onto` where nothing was taken, and how
        much of every pixel is the result's (1, *fit.source).

    Raises:
        ValueError: no such picture; other proportions than the window's, with the numbers; or sizes that do not belong
            to this fit.
        ImportError: `register` or `poisson` without OpenCV; says how to install it.
    """
    for called, picture in (("result", result), ("photo", photo)):
        require_pictures(called, picture, 3, 0, batch=False, beyond=OVERSHOOT)
    result, larger = at_window(result, fit, say)
    fitted = larger.apply(photo[None])[0]
    if register:
        known = [None if part is None else mask_at(part, larger.size) for part in (mask, person)]
        result = registered(result, fitted, *known, say=say)
    weight = mask
    if only_changed:
        changed = changed_region(result, fitted, None if mask is None else mask_at(mask, larger.size))
        weight = mask_at(changed, fit.size) if mask is None else mask * mask_at(changed, fit.size)
        if not (weight > 0).any():
            say("The result does not differ from the photo where it could be taken: the photo stays as it is.")
    if weight is not None:
        weight = soften_mask(weight[None], feather=feather)[0]
    if person is not None:
        keep = person if keep is None else torch.maximum(keep, person)
    if keep is not None:
        around = soften_mask(keep[None], grow=feather, feather=feather)[0]
        weight = (torch.ones_like(keep) if weight is None else weight) * (1 - torch.maximum(around, keep))
    weight = None if weight is None else mask_at(weight, larger.size)
    stitched = stitch(result, photo, larger, weight, blend=blend, match_colour=match_colour, onto=onto)
    return stitched, share_in_photo(weight, larger)


def at_window(result: Tensor, fit: Fit, say: Say = log.warning, what: str = "result") -> tuple[Tensor, Fit]:
    """A result (C, h, w) of any size as one of this fit, enlarged as far as result and photo hold more detail.

    Returns:
        The result, and the fit of its size: the same window.

    Raises:
        ValueError: other proportions, with the numbers.
    """
    (height, width), (rows, columns) = result.shape[-2:], fit.size
    if (height, width) == fit.size:
        return result, fit
    off = height * columns / (width * rows)
    if abs(math.log(off)) > _ROUNDED:
        larger = math.ceil(max(height / rows, width / columns))
        raise ValueError(
            f"'{what}' is {height} x {width} and its window {rows} x {columns} (height x width): {height / width:.3f} "
            f"to 1 is another shape than {rows / columns:.3f} to 1, so the picture was cut or padded. Ask for one "
            f"of {rows * larger} x {columns * larger}, or fit the person to the shape that the model answers in"
        )
    most = math.ceil(max(fit.taken[2] / fit.placed[2], fit.taken[3] / fit.placed[3]))
    larger = fit.enlarged(max(1, min(math.ceil(max(height / rows, width / columns)), most)))
    stretched = f", and stretched by {abs(off - 1):.1%}" if abs(off - 1) >= 0.001 else ""
    say(
        f"The result of {height} x {width} (height x width) was brought to its window of {rows} x {columns}{stretched}."
    )
    return resize(result[None], larger.size, nearest=False)[0], larger


def registered(
    result: Tensor, fitted: Tensor, region: Tensor | None = None, person: Tensor | None = None, say: Say = log.warning
) -> Tensor:
    """The result moved, turned and scaled so that its surroundings lie where the photo's do.

    By the enhanced correlation coefficient (Evangelidis and Psarakis 2008, OpenCV) of what surrounds the region.

    Args:
        result, fitted: (3, H, W) in [0, 1]: the result, and the photo at its size.
        region: (1, H, W); where it is above 0 the result may differ, and is not looked at. None: where it differs once
            all of it is laid over the photo as well as can be.
        person: (1, H, W); where it is above 0 the person is seen beside the clothes: face, hands. Where they moved in
            front of a ground that did not, the clothes moved with them.
        say: told how far it moved, or that it does not fit.

    Returns:
        (3, H, W); the result itself where it did not move, or does not fit.

    Raises:
        ImportError: no OpenCV.
    """
    height, width = result.shape[-2:]
    start = np.eye(3)
    if region is None:
        whole = _motion(result, fitted, torch.zeros_like(fitted[:1]), start)
        start = start if whole is None else whole[1]
        region = changed_region(_moved(result, start), fitted)
    found = _motion(result, fitted, region, start)
    if found is None:
        say("The photo shows nothing around the mask to register the result on: it is taken as it is.")
        return result
    if person is not None:
        own = _motion(result, fitted, region, found[1], person) or found
        if own[0] < _LIKE <= found[0]:
            say("Face and hands cannot be told apart well enough to follow them: what surrounds the mask is followed.")
        found = max(own, found, key=lambda one: one[0]) if own[0] < _LIKE else own
    likeness, motion = found
    corners = np.array([[0, 0, 1], [width, 0, 1], [0, height, 1], [width, height, 1]]).T
    farthest = float(np.linalg.norm((motion @ corners - corners)[:2], axis=0).max())
    if likeness < _LIKE or farthest > _FARTHEST * math.hypot(height, width):
        say(
            f"The result does not fit the photo around the mask (likeness {likeness:.2f} of 1, farthest move "
            f"{farthest:.0f} pixels): it shows the person otherwise, and is taken as it is. "
            "Try another seed, or ask the editor to keep pose and framing."
        )
        return result
    if farthest < _NEAREST:
        return result
    across, down = (motion @ [width / 2, height / 2, 1] - [width / 2, height / 2, 1])[:2]
    say(
        f"The result had moved by {math.hypot(across, down):.1f} pixels in its middle and {farthest:.1f} at a corner, "
        "and was moved back."
    )
    return _moved(result, motion)


def _motion(
    result: Tensor, fitted: Tensor, region: Tensor, start: np.ndarray, person: Tensor | None = None
) -> tuple[float, np.ndarray] | None:
    """How like each other (up to 1) result and photo are around a region, and (3, 3) the way from photo to result.

    Where the person is seen that is looked at alone, and not followed into other proportions. None where the photo is
    plain there. The likeness is 0 where no way was found.
    """
    cv2 = opencv("registering a result", "turn 'register' off")
    (height, width), likeness, motion = result.shape[-2:], 0.0, start
    for most in (_COARSE, _FINE):
        scale = min(1.0, most / height)
        size = (round(height * scale), round(width * scale))
        to_small = np.array([[size[1] / width, 0, 0], [0, size[0] / height, 0], [0, 0, 1]])
        to_small[:2, 2] = (to_small.diagonal()[:2] - 1) / 2  # middles of pixels
        small = [resize(picture[None].float().cpu(), size, nearest=False)[0] for picture in (fitted, result)]
        photo, moved = (np.ascontiguousarray(picture.mean(0).numpy()) for picture in small)
        around = _surroundings(mask_at(region.float().cpu(), size))
        if person is not None:
            around = grow_mask(mask_at(person.float().cpu(), size)[None], size[0] // 100)[0, 0].numpy() > 0.5
        if around.sum() < 64 or photo[around].std() < _PLAIN:
            return None
        first = (to_small @ motion @ np.linalg.inv(to_small))[:2].astype(np.float32)
        criteria = (cv2.TERM_CRITERIA_EPS | cv2.TERM_CRITERIA_COUNT, 100, 1e-5)
        try:
            likeness, found = cv2.findTransformECC(
                photo, moved, first, cv2.MOTION_AFFINE if person is None else cv2.MOTION_EUCLIDEAN, criteria,
                around.astype(np.uint8), 5,
            )  # fmt: skip
        except cv2.error:  # it does not converge; a face may be too small at the coarse size
            likeness = 0.0
            continue
        motion = np.linalg.inv(to_small) @ np.vstack([found, [0, 0, 1]]) @ to_small
    return likeness, motion


def _moved(result: Tensor, motion: np.ndarray) -> Tensor:
    """A picture (3, H, W) taken from where a motion leads."""
    cv2 = opencv("registering a result", "turn 'register' off")
    drawn = cv2.warpAffine(
        np.ascontiguousarray(result.float().cpu().movedim(0, -1).numpy()), motion[:2], result.shape[:0:-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, borderMode=cv2.BORDER_REPLICATE,
    )  # fmt: skip
    return torch.from_numpy(drawn).movedim(-1, 0).clamp(0, 1).to(result)


def changed_region(result: Tensor, fitted: Tensor, mask: Tensor | None = None) -> Tensor:
    """Where a whole picture differs from the photo by more than its own unrest: what an editor was asked to change.

    A shift of all colours and the noise of a VAE are no change; holes and cracks of a change belong to it.

    Args:
        result, fitted: (3, H, W) in [0, 1].
        mask: (1, H, W): where a change may lie; outside it the unrest is measured. None is everywhere, and half of the
            picture has to be unchanged.

    Returns:
        (1, H, W) float32 in {0, 1}.
    """
    scale = min(1.0, _FINE / result.shape[-2])
    size = tuple(max(1, round(side * scale)) for side in result.shape[-2:])
    one, other = (resize(picture[None].float(), size, nearest=False) for picture in (result, fitted))
    difference = F.avg_pool2d(F.pad(one - other, (2,) * 4, mode="replicate"), 5, stride=1)[0]
    outside = (
        torch.ones(size, dtype=torch.bool, device=difference.device) if mask is None else mask_at(mask, size)[0] < 0.5
    )
    outside = outside if outside.sum() > 64 else torch.ones_like(outside)
    shift = difference[:, outside].median(1).values[:, None, None]
    change = (difference - shift).abs().amax(0)
    least = min(max(_CHANGED, 3 * float(change[outside].median())), 4 * _CHANGED)
    core = -grow_mask(-(change > 2 * least)[None, None].float(), 2) > 0  # edges that moved by a pixel are thin
    joined = reached((change > least).cpu().numpy(), core[0, 0].cpu().numpy())
    unit = max(1, round(size[0] / 100))
    region = grow_mask(grow_mask(torch.from_numpy(joined)[None, None].float(), 2 * unit), -2 * unit)
    region = torch.from_numpy(~reached(region[0, 0].numpy() < 0.5))[None, None].float()  # what it encloses
    region = grow_mask(region, unit // 2)[0]
    region = mask_at(region.to(result.device), result.shape[-2:])
    return region if mask is None else region * (mask > 0)


def _surroundings(region: Tensor) -> np.ndarray:
    """The ring around a region (1, h, w) that tells where it lies: a quarter of the height wide; (h, w) bool."""
    near = grow_mask((region > 0).float()[None], max(1, region.shape[-2] // 100))
    wide = grow_mask(near, region.shape[-2] // 4)
    return ((wide - near if (region > 0).any() else 1 - near)[0, 0] > 0.5).numpy()


def mask_at(mask: Tensor, size: tuple[int, int]) -> Tensor:
    """A mask (1, h, w) at another size; what is 0 or 1 all around stays so."""
    if tuple(mask.shape[-2:]) == tuple(size):
        return mask
    found = F.interpolate(mask[None].float(), tuple(size), mode="bilinear", align_corners=False, antialias=True)
    return found[0].clamp(0, 1)
