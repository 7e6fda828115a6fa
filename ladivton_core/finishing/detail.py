"""The garment's own detail in a finished picture: letters, stripes and weave that the models' size cannot hold.

The spline tells where every thread of the garment lies. The garment's picture is laid there at the photo's resolution,
registered on the result by dense inverse search flow (Kroeger et al. 2016, OpenCV), and split into octaves beside the
result. Octaves of the models' size are taken from the garment as far as they agree with the result and the result lacks
them; finer ones, as far as the octaves below let expect; none that the photo around is too soft for. The paper has no
such step. `stitching.py` comes before it.
"""

from __future__ import annotations

import itertools
import logging
import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..batches import OVERSHOOT, require_pictures
from ..mask_edges import grow_mask
from ..preprocessing.framing.fitting import Fit, resize
from ..preprocessing.masks.body_mask import cloth_on_white
from .stitching import opencv

Say = Callable[[str], None]
log = logging.getLogger(__name__)

# Lengths are in pixels of the models' picture.
_OCTAVES = (1.0, 2.0, 4.0)
"""Blurs at which the compared octaves end, finest first."""
_WINDOW = 2.0
"""Reach of the local correlation, in blurs of its octave."""
_AGREES = 0.4
"""Correlation at which an octave begins to count; it counts in full at 1."""
_NOISE = 0.012
"""Differences of colour below this agree with nothing."""
_LIGHT = 8.0
"""What varies more slowly than this blur is light, and stays the result's, within these factors."""
_GAIN = (0.4, 1.7)
_COLOUR, _PATCH = 0.1, 4.0
"""Difference of mean colours, over this blur, at which a result shows something else than the garment."""
_EDGE = 4
"""Nothing is taken so near to a silhouette, or to the region's edge."""
_REACH, _REACH_ALONE = 8.0, 32.0
"""How far flow may move the garment: with a spline, and without."""
_JUMP = 0.06
"""Places of neighbours that lie farther from each other, of a garment's half width or height, are of two parts."""
_SMOOTH = 2.0
"""Flow is smoothed by this blur; wider ones take a quarter of the gain at 5, half of it at 14."""
_ALONE = 512
"""Rows of the models' picture where nothing tells them."""
_ENOUGH = 0.8
"""A result that has this much of the garment's contrast in an octave lacks nothing of it."""
_SOFT, _SHARP = (0.4, 0.12), (0.9, 0.3)
"""Energy of an octave over that of the one below, in the photo beside the region, at which the photo is too soft to
have it, and from which it is sharp: of the finest octave that the models' size holds, and of those beyond. Sharp photos
gave 0.8 to 1.5 and 0.26 to 0.68, soft ones 0.46 to 0.83 and 0.08 to 0.12."""
_PLAIN = 0.004
"""Surroundings whose colours differ by less from pixel to pixel do not tell how sharp the photo is."""
_FOUND = 0.02
"""Mean weight on the cloth, and sharpness of the photo, below which somebody is told."""


def garment_detail(
    picture: Tensor,
    garment: Tensor,
    fit: Fit | None = None,
    *,
    spline: Tensor | None = None,
    region: Tensor | None = None,
    laid: bool = False,
    say: Say = log.warning,
) -> tuple[Tensor, Tensor]:
    """Give a finished picture the detail of the garment that it shows.

    Args:
        picture: (3, *fit.source) in [0, 1], the result in its photo.
        garment: (3, h, w) in [0, 1] on white, the picture that was warped, in as many pixels as there are.
        fit: how the photo was fitted; None where the picture is the models' own, enlarged.
        spline: (*fit.size, 2) as (x, y) in the garment's frame, see `WarpResult.grid`. None lays the garment's box onto
            the region's, from where flow alone has to find it.
        region: (1, *fit.source) in [0, 1]; the picture changes nowhere else. See `bring_back`.
        laid: the result shows the garment just where the spline hangs it (`decoding.paste.lay_garment`): nothing is
            moved onto it, and OpenCV is not asked for.
        say: told where the garment's detail was found nowhere.

    Returns:
        The picture, bit for bit as it was where the weight is 0; and the weight (1, *fit.source) in [0, 1], float32:
        how much of the first octave that the models' size cannot hold is the garment's.

    Raises:
        ValueError: no such picture, shapes that do not belong together, or `laid` without a spline; says which.
        ImportError: no OpenCV; says how to install it.
    """
    for called, given in (("picture", picture), ("garment", garment)):
        require_pictures(called, given, 3, 0, batch=False, beyond=OVERSHOOT)
    if laid and spline is None:
        raise ValueError(
            "'laid' is on, and no spline tells where: connect 'spline' of Garment Warper, or switch it off"
        )
    if fit is None:
        whole = tuple(picture.shape[-2:])
        scale = min(1.0, _ALONE / whole[0])
        size = tuple(round(side * scale) for side in whole) if spline is None else tuple(spline.shape[:2])
        fit = Fit.plan(whole, size, "stretch")
    _require_together(picture, fit, spline, region)
    if fit.turns:
        picture, region = fit.turn(picture), None if region is None else fit.turn(region)
        made = garment_detail(picture, garment, fit.upright, spline=spline, region=region, laid=laid, say=say)
        return fit.turn_back(made[0]), fit.turn_back(made[1])
    top, left, *full = fit.taken
    here = (..., slice(top, top + full[0]), slice(left, left + full[1]))
    base, garment = picture[here][None].float(), garment[None].float()
    # A window that the photo shows in fewer pixels than the models is compared in these.
    size = tuple(min(sides) for sides in zip(fit.placed[2:], full, strict=True))
    small, cloth = resize(base, size, nearest=False), cloth_on_white(garment)
    open_ = torch.ones_like(small[:, :1]) if region is None else resize(region[here][None].float(), size, False)
    if spline is None:
        grid = _box_on_box(cloth, open_)
    else:
        row, column, tall, wide = fit.placed
        grid = _enlarged_grid(spline[row : row + tall, column : column + wide].float().permute(2, 0, 1)[None], size)
    if not laid:
        grid = _registered(small, open_, garment, cloth, grid, _REACH_ALONE if spline is None else _REACH)
    seen, lies = _laid(garment, cloth, grid, size)
    light, change, shares = _compared(small, seen, lies * (open_ > 0.5))
    beside = (grow_mask(open_, _EDGE) <= 0).float()
    blurred = [small, *(_blur(small, blur) for blur in _OCTAVES[:2])]
    energy, coarse = (_energy((one - other).square(), beside) for one, other in itertools.pairwise(blurred))
    sharp = _sharp(energy, coarse, 0)
    made, weight = base + _enlarged(change, full) * sharp, shares(0) * sharp
    sizes = [tuple(min(whole, side * 2**k) for whole, side in zip(full, size, strict=True)) for k in range(8)]
    sizes = [*dict.fromkeys(sizes)]  # from the models' to the photo's
    pictures = [base, _laid(garment, cloth, _enlarged_grid(grid, full), full)[0] * _enlarged(light, full)]
    views = [[_enlarged(resize(picture, at, nearest=False), full) for at in sizes[:-1]] for picture in pictures]
    for octave in range(1, len(sizes)):
        ours, theirs = ([*view, whole] for view, whole in zip(views, pictures, strict=True))
        ours, theirs = (view[octave] - view[octave - 1] for view in (ours, theirs))
        own, other = (resize(part.square(), size, nearest=False) for part in (ours, theirs))
        # an octave that the photo's size cuts has less energy
        below, energy = energy, _energy(own, beside) / (sizes[octave][0] / sizes[octave - 1][0] - 1)
        sharp *= _sharp(energy, below, 1)
        share = shares(octave) * sharp * _lacking(*(_blur(part.mean(1, keepdim=True), 2.0) for part in (own, other)))
        made = made + (theirs - ours) * _enlarged(share, full).clamp(0, 1)
        weight = share if octave == 1 else weight
    weight = _enlarged(weight, full).clamp(0, 1)
    if sharp < _FOUND:
        say("The photo beside the garment is too soft for the garment's finest detail, which is left out.")
    elif float(shares(0).sum()) < _FOUND * float(lies.sum()):
        where = "Connect 'spline' of Garment Warper" if spline is None else "Is it the garment that was warped?"
        say(f"The garment's picture agrees with the result almost nowhere, so that its detail is left out. {where}")
    result, share = picture.clone(), torch.zeros_like(picture[:1], dtype=torch.float32)
    result[here] = torch.where(weight > 0, made.clamp(0, 1), base)[0].to(picture)
    share[here] = weight[0]
    return result, share


def _require_together(picture: Tensor, fit: Fit, spline: Tensor | None, region: Tensor | None) -> None:
    """Raise a ValueError that names the first of these whose shape does not belong to the others."""
    for what, given, channels in (("picture", picture, 3), ("region", region, 1)):
        if given is not None and tuple(given.shape) != (channels, *fit.source):
            raise ValueError(
                f"'{what}' is {tuple(given.shape)}; expected ({channels}, {fit.source[0]}, {fit.source[1]}), "
                "the photo's size: connect what Stitch Person gives"
            )
    if spline is not None and tuple(spline.shape) != (*fit.size, 2):
        raise ValueError(
            f"'spline' is {tuple(spline.shape)}; expected ({fit.size[0]}, {fit.size[1]}, 2): "
            "connect the Garment Warper that dressed the person of this fit"
        )


def _registered(small: Tensor, open_: Tensor, garment: Tensor, cloth: Tensor, grid: Tensor, farthest: float) -> Tensor:
    """The grid (1, 2, h, w), moved so that what it shows of the garment lies on the result (1, 3, h, w)."""
    flow, moved = torch.zeros_like(grid), grid
    for _ in range(2):  # the second look sees the garment nearly in place
        seen, lies = _laid(garment, cloth, moved, tuple(small.shape[-2:]))
        more = _flow(small, seen, lies * (open_ > 0.5))
        flow = more + _moved(flow, more)
        flow = flow * (farthest / flow.norm(dim=1, keepdim=True).clamp_min(farthest))
        moved = _moved(grid, flow)
    return moved


def _flow(small: Tensor, seen: Tensor, mask: Tensor) -> Tensor:
    """Where in `seen` each place of `small` lies: flow (1, 2, h, w) in pixels, smooth."""
    cv2 = opencv("giving a result the garment's detail", "bypass Garment Detail (--detail of a catalogue)")
    patterns = [(picture - _level(picture, mask, 10.0)) * mask for picture in (small, seen)]
    # Along the direction in which the garment's colours spread most: patterns may be of one brightness.
    colours = patterns[1][0].flatten(1).double()
    axis = torch.linalg.eigh((colours @ colours.T).cpu())[1][:, -1].to(small).view(1, 3, 1, 1)
    grey = []
    for pattern in patterns:
        one = (pattern * axis).sum(1, keepdim=True)
        spread = _level(one.square(), mask, 10.0).clamp_min(0).sqrt() + 0.02
        grey.append((one / spread).clamp(-3, 3) * mask / 6)
    eight = [((one[0, 0] + 0.5) * 255).byte().cpu().numpy() for one in grey]
    search = cv2.DISOpticalFlow_create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    search.setFinestScale(0)
    found = torch.from_numpy(search.calc(*eight, None)).permute(2, 0, 1)[None].to(small)
    trust = grey[1].square() * -grow_mask(-(mask > 0.5).float(), _EDGE) + 1e-5
    return _blur(found * trust, _SMOOTH) / _blur(trust, _SMOOTH)


def _compared(small: Tensor, seen: Tensor, mask: Tensor) -> tuple[Tensor, Tensor, Callable[[int], Tensor]]:
    """Compare a result (1, 3, h, w) with the garment laid on it, inside a mask (1, 1, h, w).

    Returns:
        The factor (1, 1, h, w) that gives the garment the result's light; what the result gets of the octaves that it
        can hold (1, 3, h, w); and how much (1, 1, h, w) is to be taken of the first, second, ... octave beyond them.
    """
    low = [_level(picture, mask, _LIGHT) for picture in (small, seen)]
    brightness = [picture.mean(1, keepdim=True) + 0.05 for picture in low]
    light = (brightness[0] / brightness[1]).clamp(*_GAIN)
    off = _level(small - light * seen, mask, _PATCH).abs().mean(1, keepdim=True)
    inner = -grow_mask(-(mask > 0.5).float(), _EDGE)
    where = torch.exp(-(off / _COLOUR).square()) * _blur(inner, 1.5) * inner
    agree, change = [], torch.zeros_like(small)
    rest = [small, seen * light]
    for blur in _OCTAVES:
        coarser = [_level(picture, mask, blur) for picture in rest]
        ours, theirs = (picture - lower for picture, lower in zip(rest, coarser, strict=True))
        both, own, other = (
            _level(product.mean(1, keepdim=True), mask, _WINDOW * max(blur, 1.5)).clamp_min(0)
            for product in (ours * theirs, ours * ours, theirs * theirs)
        )
        alike = both / ((own * other).sqrt() + _NOISE**2)
        agree.append(((alike - _AGREES) / (1 - _AGREES)).clamp(0, 1))
        change += agree[-1].square() * _lacking(own, other) * where * (theirs - ours)
        rest = coarser

    def shares(octave: int) -> Tensor:
        # A garment that lies a little off agrees less from octave to octave: each squares what is left. What agrees
        # best tells how far off it lies; where the others agree less, the result drew them badly.
        told = [part ** (2.0 ** (coarse + octave)) for coarse, part in enumerate(agree)]
        return torch.stack(told).amax(0) * where

    return light, change, shares


def _energy(squares: Tensor, beside: Tensor) -> float:
    """Mean of squares (1, C, h, w) where a mask (1, 1, h, w) is 1; not a number where it is nowhere."""
    return float((squares.mean(1, keepdim=True) * beside).sum() / beside.sum())


def _sharp(energy: float, below: float, octave: int) -> float:
    """How much of an octave the photo has, from 0 to 1, by its energy and that of the octave below; see `_SOFT`."""
    if not below > _PLAIN**2:
        return 1.0
    return min(max((energy / below - _SOFT[octave]) / (_SHARP[octave] - _SOFT[octave]), 0.0), 1.0)


def _lacking(own: Tensor, other: Tensor) -> Tensor:
    """How much of an octave a result lacks, by the mean squares of its own and of the garment's."""
    return (1 - (own.clamp_min(0) / other.clamp_min(1e-8)).sqrt() / _ENOUGH).clamp_min(0)


def _laid(garment: Tensor, cloth: Tensor, grid: Tensor, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Garment (1, 3, *size) and cloth (1, 1, *size) read at a grid (1, 2, *size), shrunk first against aliasing."""
    across = grid.new_tensor([garment.shape[-1] / 2, garment.shape[-2] / 2]).view(1, 2, 1, 1)
    steps = torch.cat([step.flatten(2) for step in ((grid * across).diff(dim=2), (grid * across).diff(dim=3))], -1)
    dense = float(steps.norm(dim=1).median())
    if dense > 1:
        shrunk = tuple(max(1, round(side / dense)) for side in garment.shape[-2:])
        garment, cloth = (resize(picture, shrunk, nearest=False) for picture in (garment, cloth))
    places = grid.permute(0, 2, 3, 1)
    seen = F.grid_sample(garment, places, mode="bicubic", padding_mode="border", align_corners=False)
    lies = F.grid_sample(cloth, places, mode="bilinear", padding_mode="zeros", align_corners=False)
    return seen.clamp(0, 1), lies


def _enlarged_grid(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """A grid (1, 2, h, w) at a size; where it jumps from one part of a garment to another, nothing lies between."""
    if tuple(grid.shape[-2:]) == size:
        return grid
    low, high = (F.max_pool2d(sign * grid, 3, 1, 1) for sign in (-1, 1))
    jumps = (low + high).amax(1, keepdim=True) > _JUMP
    torn, nearest = (F.interpolate(values, size, mode="nearest-exact") for values in (jumps.to(grid), grid))
    return torch.where(torn > 0, nearest, _enlarged(grid, size))


def _box_on_box(cloth: Tensor, open_: Tensor) -> Tensor:
    """A grid (1, 2, h, w) that lays the box of the cloth (1, 1, H, W) onto that of the region (1, 1, h, w)."""
    ways = []
    for side in (3, 2):
        ends = []
        for mask in (cloth, open_):
            found = (mask > 0.5).flatten(0, 1).any(side - 3 if side == 2 else side - 2)[0].nonzero().flatten()
            ends.append((float(found[0]), float(found[-1]) + 1) if len(found) else (0.0, float(mask.shape[side])))
        (first, last), (start, stop) = ends
        places = torch.arange(open_.shape[side], device=open_.device) + 0.5
        ways.append(((places - start) / (stop - start) * (last - first) + first) * 2 / cloth.shape[side] - 1)
    y, x = torch.meshgrid(ways[1], ways[0], indexing="ij")
    return torch.stack([x, y])[None]


def _moved(values: Tensor, flow: Tensor) -> Tensor:
    """Values (1, C, h, w) read where the flow (1, 2, h, w), in pixels, leads."""
    height, width = values.shape[-2:]
    y, x = torch.meshgrid(
        torch.arange(height, device=flow.device), torch.arange(width, device=flow.device), indexing="ij"
    )
    places = [(x + flow[:, 0] + 0.5) * 2 / width - 1, (y + flow[:, 1] + 0.5) * 2 / height - 1]
    return F.grid_sample(values, torch.stack(places, -1), mode="bilinear", padding_mode="border", align_corners=False)


def _enlarged(picture: Tensor, size: tuple[int, int] | list[int]) -> Tensor:
    return F.interpolate(picture, tuple(size), mode="bicubic", align_corners=False)


def _level(picture: Tensor, mask: Tensor, blur: float) -> Tensor:
    """Mean of the picture around each place, of what lies inside the mask."""
    return _blur(picture * mask, blur) / _blur(mask, blur).clamp_min(1e-3)


def _blur(picture: Tensor, blur: float) -> Tensor:
    radius = math.ceil(2.5 * blur)
    kernel = torch.exp(-torch.arange(-radius, radius + 1, device=picture.device).square() / (2 * blur**2))
    kernel = (kernel / kernel.sum()).expand(picture.shape[1], 1, -1)
    picture = F.pad(picture, (radius,) * 4, mode="replicate")
    picture = F.conv2d(picture, kernel[..., None], groups=picture.shape[1])
    return F.conv2d(picture, kernel[:, :, None], groups=picture.shape[1])
