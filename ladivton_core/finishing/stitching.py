"""A result put back into the photo it was fitted from: only where it was repainted, at the photo's own size.

`fitting.py` knows where it belongs. The paper has no such step: its pictures are the data sets'. What the result did
not change keeps the photo's own detail, which the models' size cannot hold.
"""

from __future__ import annotations

from types import ModuleType
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from ..preprocessing.framing.fitting import Fit, resize
from ..start import installing

Blend = Literal["feather", "poisson"]

_UNCHANGED = 0.02
"""A result within this distance of the fitted photo, all around a pixel, has not changed it."""
_RING = 24
_GAIN = (0.8, 1.25)
_SHIFTED = 0.06
"""A pixel this far from the colours' common shift shows something else than the photo, such as old clothes that have
gone: a VAE shifts colours by less."""
_LEAST = 0.05
"""Of the ring has to show the photo's colours, else nothing tells what shifted them."""
_PLAIN = 0.05
"""Surroundings that spread less than this are too plain to tell how colours spread."""


def stitch(
    result: Tensor,
    photo: Tensor,
    fit: Fit,
    weight: Tensor | None = None,
    *,
    blend: Blend = "feather",
    match_colour: bool = False,
    onto: Tensor | None = None,
) -> Tensor:
    """Put one result into its photo.

    Args:
        result: (3, *fit.size) in [0, 1].
        photo: (3, *fit.source) in [0, 1].
        fit: how the photo was fitted.
        weight: (1, *fit.size) in [0, 1], how much of the result is taken; None takes all of the window.
        blend: `feather` mixes by the weight; `poisson` also carries the surroundings' light into the region
            (Perez et al. 2003, OpenCV's seamless cloning).
        match_colour: first give the result the colours the photo has just outside the region, which the VAE shifts.
        onto: (3, *fit.source), the photo with other windows' results in it, which stay where this one changed nothing;
            None is the photo.

    Returns:
        (3, *fit.source) in [0, 1]; bit for bit `onto` wherever the weight is 0 and outside the window. A result
        equal to the fitted photo gives `onto`.

    Raises:
        ValueError: sizes do not belong to this fit, or an unknown blend.
        ImportError: `poisson` without OpenCV; says how to install it.
    """
    if blend not in ("feather", "poisson"):
        raise ValueError(f"blend is {blend!r}; expected 'feather' or 'poisson'")
    if tuple(result.shape[-2:]) != fit.size or tuple(photo.shape[-2:]) != fit.source:
        raise ValueError(
            f"result {tuple(result.shape)} and photo {tuple(photo.shape)} do not belong to this fit; expected "
            f"(3, {fit.size[0]}, {fit.size[1]}) and (3, {fit.source[0]}, {fit.source[1]})"
        )
    if fit.turns:
        photo, onto = fit.turn(photo), None if onto is None else fit.turn(onto)
        given = {"blend": blend, "match_colour": match_colour, "onto": onto}
        return fit.turn_back(stitch(result, photo, fit.upright, weight, **given))
    fitted = fit.apply(photo[None])[0]
    if match_colour and weight is not None:
        result = colours_matched(result, fitted, weight)
    top, left, height, width = fit.placed
    here = (..., slice(top, top + height), slice(left, left + width))
    inner, base = (resize(picture[here][None], fit.taken[2:], nearest=False)[0] for picture in (result, fitted))
    change = (result - fitted)[here].abs().amax(0, keepdim=True)[None]
    change = F.max_pool2d(change, 7, stride=1, padding=3)
    kept = _at_photo((1 - change / _UNCHANGED).clamp(0, 1)[0], fit)
    there = _window_of(fit)
    stitched = (photo if onto is None else onto).clone()
    old, share = stitched[there].clone(), share_in_photo(weight, fit)[there].to(photo)
    new = (inner + (old - base) * kept).clamp(0, 1)
    if blend == "poisson":
        new = _cloned(new, old, share)
    stitched[there] = torch.where(share > 0, old + (new - old) * share, old)
    return stitched


def share_in_photo(weight: Tensor | None, fit: Fit) -> Tensor:
    """How much of every pixel of the photo (1, *fit.source) a weight (1, *fit.size) takes; None takes the window."""
    top, left, height, width = fit.placed
    share = torch.zeros(1, *fit.upright.source, device=None if weight is None else weight.device)
    inner = torch.ones(1) if weight is None else weight[..., top : top + height, left : left + width]
    share[_window_of(fit)] = inner if weight is None else _at_photo(inner, fit).to(share)
    return fit.turn_back(share)


def _window_of(fit: Fit) -> tuple:
    """Index of what was taken from the upright photo."""
    top, left, height, width = fit.taken
    return (..., slice(top, top + height), slice(left, left + width))


def colours_matched(result: Tensor, fitted: Tensor, weight: Tensor) -> Tensor:
    """The result with the mean and spread of colour that the photo has in a ring around the region.

    Where the ring shows another thing in the result than in the photo, it is not looked at, however much of it that is;
    where all of it does, the result is left alone.

    Args:
        result, fitted: (3, H, W) in [0, 1]: the result, and the photo at the same size.
        weight: (1, H, W); the region is where it is above 0.
    """
    region = (weight > 0).float()[None]
    ring = (F.max_pool2d(region, 2 * _RING + 1, stride=1, padding=_RING) - region)[0, 0] > 0.5
    if ring.sum() < 64:
        return result
    shift = result[:, ring] - fitted[:, ring]
    common = torch.zeros_like(shift[:, :1])
    for _ in range(5):  # from no shift to what most of those around it have in common
        same = (shift - common).abs().amax(0) <= _SHIFTED
        if same.float().mean() < _LEAST:
            return result
        common = shift[:, same].median(1, keepdim=True).values
    ring[ring.clone()] = same
    now, right = result[:, ring], fitted[:, ring]
    # How far the result follows the photo's texture there. Its own ripple is no spread of colours; where the photo is
    # plain nothing tells the gain, and garments far from that colour would be faded or burnt.
    own, texture = (colours - colours.mean(1, keepdim=True) for colours in (now, right))
    followed = ((own * texture).mean(1) + _PLAIN**2) / (texture.square().mean(1) + _PLAIN**2)
    gain = (1 / followed.clamp_min(1e-3)).clamp(*_GAIN)[:, None, None]
    return ((result - now.mean(1)[:, None, None]) * gain + right.mean(1)[:, None, None]).clamp(0, 1)


def _at_photo(weight: Tensor, fit: Fit) -> Tensor:
    """A weight (1, h, w) of the fitted window at the photo's resolution, without overshoot: 0 stays 0."""
    if tuple(weight.shape[-2:]) == tuple(fit.taken[2:]):
        return weight
    return F.interpolate(weight[None], fit.taken[2:], mode="bilinear", align_corners=False)[0].clamp(0, 1)


def _cloned(new: Tensor, old: Tensor, share: Tensor) -> Tensor:
    """OpenCV's seamless clone of `new` (3, H, W) into `old` where the share is above 0."""
    cv2 = opencv("blending as 'poisson'", "choose 'feather'")
    # The solver wants the region away from the border of its picture.
    margin = 3
    pad = (margin,) * 4
    source, target = (
        (F.pad(picture[None], pad, mode="replicate")[0].movedim(0, -1) * 255).round().byte().cpu().numpy()
        for picture in (new, old)
    )
    mask = F.pad((share > 0).float(), pad)[0].byte().mul(255).cpu().numpy()
    rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
    if len(rows) < 2 or len(columns) < 2:
        return new
    # It puts the middle of the mask's box at a point: its own middle, so that nothing moves.
    centre = (int(columns[0] + columns[-1] + 1) // 2, int(rows[0] + rows[-1] + 1) // 2)
    cloned = cv2.seamlessClone(source, target, mask, centre, cv2.NORMAL_CLONE)
    inner = torch.from_numpy(cloned)[margin:-margin, margin:-margin].movedim(-1, 0)
    return inner.to(new) / 255


def opencv(purpose: str, otherwise: str) -> ModuleType:
    """OpenCV, which is optional.

    Raises:
        ImportError: it is missing; says what for, how to install it, and what to do without.
    """
    try:
        import cv2
    except ImportError as error:
        raise ImportError(
            f"{purpose} needs OpenCV (extra `photo`). Install it with the Python that runs this: "
            f"{installing('opencv-python-headless')}. Or {otherwise}"
        ) from error
    return cv2
