"""A flat garment dressed by its skeleton: its trunk on the person's trunk, its sleeves and legs along their limbs.

Beyond the paper, for photographs. A spline of 25 points bends a garment as a whole and cannot turn a sleeve to an arm.
Here every part is a tube with a line along it (`tubes.py`), on the table as on the body (skeletal deformation:
Magnenat-Thalmann, Laperrière and Thalmann 1988), and a pixel of the person is looked up in the garment's picture.

How wide cloth lies on a trunk or a limb, and how far it is seen around it, is told as the rendered world has it
(`drawn_world/photographs/wearing.py`), in fewer words: what is worn is bare limb or cloth, whichever is wider.

Lengths are in units of half the line between the shoulders' ends, as garments are cut (`garment_parts.py`). Right is
the person's own and lies on the picture's left.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ..body.tubes import Tube, arc, smoothstep
from ..body.wearer import ARM_HALF, HIP, KNEE, LEG_HALF, TRUNK_HALF, WAIST, WRIST, Plane, Wearer, joints_of, wearer_of
from .garment_parts import ALONG, PARTS, POINTS, TUBES, PartsFound

LEFT_TO_THE_SPLINE = (
    "is bent as a whole, not part by part: the person does not face the camera with shoulders or legs in the picture, "
    "or the garment does not lie flat on white"
)
"""What is said of a picture that cannot be dressed by its skeleton."""
FRONT, INSIDE = PARTS.index("front"), PARTS.index("inside")
_CHEST, _BELLY, _SHOULDER = 0.35, 2.0, 0.8
"""Places of the garment's points, see `POINTS`."""
_ROUND = 0.76
"""A garment that goes round a body is seen as wide as this, of its width on the table."""
_OVER, _ARMPIT, _UPPER = ([0.15, 0.5, 0.9, 1.3, 1.8], [1.0, 0.9, 0.82, 0.74, 0.66]), 0.95, 1.4
"""So far beside the spine, by the height, cloth of the trunk lies over a sleeve: to the armpit, and to the elbow."""
_TOP, _LONGER, _SQUEEZED, _TUCKED = 3.0, 0.3, 1.25, 3.3
"""Tops whose hem lies lower are shown shorter, by a share of what is beyond, down to one part of so many; what lies
lower then is tucked in. Pictures of shops often show them on hollow figures, whose shoulders look narrow."""
_SLIM = 0.9
"""Of an arm's width, beside which cloth of the trunk is seen."""
_SHOULDERS = ([-0.5, -0.36, -0.25, -0.1, 0.05, 0.2, 0.4], [0.5, 0.54, 0.6, 0.7, 0.84, 0.97, 1.06])
"""How far to the sides cloth lies on them, by the height; a collar stands a little off."""
_ON_SHOULDERS, _LIES = ([0.3, 0.42, 0.62, 0.82, 0.93], [-0.28, -0.18, -0.04, 0.1, 0.23]), 0.28
"""How high shoulders are, by the place beside the spine, and what lies no farther off on the table lies on them."""
_LIGHTEST, _SHADE = 0.992, 0.22
"""Cloth is never as white as what is none; how much darker it is where it turns away."""
_LEAST = 0.02
"""Share of a garment's area below which a part is not there."""
_WHITE = 0.9
"""What is darker in some channel, in [-1, 1], is cloth."""
_GROUND = 0.7
"""From this share on a place is ground; up to it cloth's edge is the picture's own."""
_SURE, _NECKLINE = 0.45, 0.9
"""From this share on it is the inside of a back, above this height."""
_ASKEW = 0.08
"""Radians."""
_PLAUSIBLE = 1.6
"""Factor by which lengths of a garment may be off from each other."""


@dataclass(frozen=True)
class Piece:
    """A part of a flat garment.

    Attributes:
        frame: from (along, across) to (x, y) in the garment's picture, in pixels.
        widths: (N, 3): along, and how wide it is to the left and to the right of its line there, in units.
    """

    frame: Tube | Plane
    widths: np.ndarray


@dataclass(frozen=True)
class FlatGarment:
    """A garment on a table, read.

    Attributes:
        pieces: by name: `front`, the sleeves, the legs, as far as they are there.
        shares: how much of every place is which part (len(PARTS), h, w), in [0, 1].
        size: (height, width) of the picture.
        unit: pixels a unit.
        nowhere: (x, y) of a place without cloth.
    """

    pieces: dict[str, Piece]
    shares: Tensor
    size: tuple[int, int]
    unit: float
    nowhere: np.ndarray


def read_flat(found: PartsFound, garment: Tensor) -> FlatGarment | None:
    """Pieces of one garment; None where what was found does not fit together.

    Args:
        garment: the picture (3, H, W) in [-1, 1], on white; all places are in its pixels.
    """
    size = tuple(garment.shape[-2:])
    points = found.points[0].double().cpu().numpy() * (size[1], size[0]) - 0.5
    points = dict(zip(POINTS, points, strict=True))
    shares = _settled(found.labels[0].float().cpu(), garment)
    labels = shares.argmax(0).numpy()
    cloth, pieces = labels > 0, {}
    if not cloth.any() or cloth.all():
        return None
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    x, y = (columns + 0.5) * size[1] / labels.shape[1] - 0.5, (rows + 0.5) * size[0] / labels.shape[0] - 0.5
    trunk, unit = (labels == FRONT) | (labels == INSIDE), float(found.unit[0]) * size[0]
    if trunk.any():
        across = (points["shoulder_left"] - points["shoulder_right"]) / (2 * _SHOULDER)
        down = (points["belly"] - points["chest"]) / (_BELLY - _CHEST)
        lengths = np.linalg.norm(across), np.linalg.norm(down)
        if max(*lengths, unit) > _PLAUSIBLE * min(*lengths, unit):
            return None
        unit = float(np.mean(lengths))
        # clothes lie straight: both lines tell how far a garment is turned, and by no more than a little
        turned = np.mean([np.arctan2(across[1], across[0]), -np.arctan2(down[0], down[1])]).clip(-_ASKEW, _ASKEW)
        c, s = np.cos(turned), np.sin(turned)
        plane = Plane(points["chest"], lengths[0] * np.array([c, s]), lengths[1] * np.array([-s, c]), _CHEST)
        pieces["front"] = Piece(plane, _widths(plane, x, y, trunk, 1.0))
    for name in TUBES:
        where = labels == PARTS.index(name)
        if where.sum() < _LEAST * cloth.sum():
            continue
        line = np.stack([points[f"{name}_{i}"] for i in range(ALONG)])
        along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(line, axis=0), axis=1))]) / unit
        if np.diff(along).min() < 0.01:
            return None
        tube = Tube(line, along)
        pieces[name] = Piece(tube, _widths(tube, x, y, where, unit))
    if len(pieces) < 2 and "front" not in pieces:
        return None
    places = np.stack([x, y], -1)
    nowhere = places[~cloth][np.abs(places[~cloth] - places[cloth].mean(0)).sum(-1).argmax()]
    return FlatGarment(pieces, shares, size, unit, nowhere)


def _settled(labels: Tensor, garment: Tensor) -> Tensor:
    """Shares of the parts (len(PARTS), h, w): of a trunk or of legs, whichever is more; of cloth where it is seen."""
    shares = F.avg_pool2d(labels.softmax(0), 3, 1, 1, count_include_pad=False)
    cloth, legs = shares.sum((1, 2)), PARTS.index("leg_right")
    shares[slice(1, legs) if cloth[legs:].sum() > cloth[1:legs].sum() else slice(legs, None)] = 0
    size = tuple(shares.shape[-2:])
    seen = F.interpolate((garment.amin(0) < _WHITE)[None, None].float().cpu(), size, mode="area")[0, 0] > 0.5
    shares[0] *= ~seen
    return shares / shares.sum(0).clamp_min(1e-6)


def _widths(frame: Tube | Plane, x: np.ndarray, y: np.ndarray, where: np.ndarray, unit: float) -> np.ndarray:
    """How far cloth reaches to both sides of a line, by the place along it (N, 3)."""
    along, across = frame.locate(x[where].astype(np.float32), y[where].astype(np.float32))
    across = across / unit
    step = 0.12
    bins, rows = np.floor(along / step).astype(int), []
    for number in np.unique(bins):
        inside = across[bins == number]
        if len(inside) > 2:
            low, high = np.quantile(inside, [0.03, 0.97])
            rows.append([(number + 0.5) * step, max(-low, 0.02), max(high, 0.02)])
    table = np.array(rows or [[0.0, 0.3, 0.3]])
    if len(table) > 4:
        kernel = np.array([0.25, 0.5, 0.25])
        for column in (1, 2):
            table[:, column] = np.convolve(np.pad(table[:, column], 1, mode="edge"), kernel, "valid")
    return table


def dress(
    found: PartsFound, garment: Tensor, pose_map: Tensor, hidden: Tensor | None = None
) -> tuple[Tensor, Tensor] | None:
    """A garment dressed by its skeleton.

    Args:
        found: in this one garment.
        garment: the picture (3, h, w) in [-1, 1], on white.
        pose_map: the person's (18, H, W).
        hidden: what of the person is not shown (H, W) bool: where thighs are seen a top is worn, no longer than
            tops are.

    Returns:
        Grid (H, W, 2) in the garment's frame, as `warper.sample_garment` reads it, and the shade (H, W) in [0, 1] that
        its form gives it; None where the garment's parts or the person's joints do not tell.
    """
    flat, wearer = read_flat(found, garment), wearer_of(joints_of(pose_map))
    if flat is None or wearer is None:
        return None
    size = tuple(pose_map.shape[-2:])
    top = hidden is not None and not _legs_hidden(hidden.cpu().numpy(), wearer)
    places, shade = worn(flat, wearer, size, top=top)
    return _grid(places, flat.size), torch.from_numpy(shade)


def _grid(places: np.ndarray, size: tuple[int, int]) -> Tensor:
    """Places (..., 2) in pixels of a picture as a sampling grid of float32."""
    return torch.from_numpy((2 * places + 1) / np.array([size[1], size[0]]) - 1).float()


def _legs_hidden(hidden: np.ndarray, wearer: Wearer) -> bool:
    """Whether most of the thighs that a picture shows are hidden (H, W) bool."""
    along = np.linspace((HIP + KNEE) / 2 + 0.3, KNEE, 12) - WAIST
    places = np.round(np.concatenate([leg.place(along, np.zeros(12)) for leg in wearer.legs])).astype(int)
    there = ((places >= 0) & (places < (hidden.shape[1], hidden.shape[0]))).all(1)
    return bool(there.any()) and hidden[tuple(places[there].T[::-1])].mean() > 0.5


def worn(flat: FlatGarment, wearer: Wearer, size: tuple[int, int], top: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Where in the garment's picture every pixel of a person looks (H, W, 2), pixels; and the form's shade (H, W).

    Args:
        size: (height, width) of the person's picture.
        top: the garment ends at the hips.
    """
    rows, columns = np.mgrid[: size[0], : size[1]].astype(np.float32)
    places = np.broadcast_to(flat.nowhere, (*size, 2)).copy()
    shade = np.ones(size, np.float32)
    limbs, over = dict(zip(TUBES, (*wearer.arms, *wearer.legs), strict=True)), np.zeros(size, bool)
    for name in flat.pieces:  # the trunk first, what lies over it later
        if name == "front":
            area, seen, place, q, over = _trunk(flat, wearer, columns, rows, top)
        else:
            area, seen, place, q = _limb(flat, name, limbs[name], wearer.unit, columns, rows, over)
        where = np.zeros(size, bool)
        where[area] = seen
        places[where], shade[where] = place[seen], _LIGHTEST - _SHADE * np.abs(q[seen]) ** 3
        if name == "front":
            arms = _bare_arms(flat, wearer, columns, rows)
            places[arms], shade[arms] = flat.nowhere, 1
    return places, shade


def _bare_arms(flat: FlatGarment, wearer: Wearer, columns: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Where arms (H, W) bool, below their sleeves, lie before the trunk."""
    bare = np.zeros(columns.shape, bool)
    end = max([_ARMPIT, *(flat.pieces[name].widths[-1, 0] for name in TUBES[:2] if name in flat.pieces)])
    for arm in wearer.arms:
        along, across = arm.locate(columns, rows)
        bare |= (along > end) & (along < WRIST) & (np.abs(across) < _SLIM * wearer.unit * np.interp(along, *ARM_HALF))
    return bare


def _share(flat: FlatGarment, places: np.ndarray, *parts: str) -> np.ndarray:
    """How much of places (h, w, 2) in pixels of the garment's picture is of some parts; ground beyond it."""
    shares = flat.shares[[PARTS.index(part) for part in parts]].sum(0)[None, None]
    return F.grid_sample(shares, _grid(places, flat.size)[None], align_corners=False)[0, 0].numpy()


def _trunk(
    flat: FlatGarment, wearer: Wearer, columns: np.ndarray, rows: np.ndarray, top: bool
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The trunk as `_limb` gives a limb, over the whole picture; and where it lies over a sleeve (H, W) bool."""
    piece = flat.pieces["front"]
    on_body, across = wearer.trunk.locate(columns, rows)
    hem, down = piece.widths[-1, 0], on_body
    if top and hem > _TOP:
        shorter = min((hem - _CHEST) / (_TOP + (hem - _TOP) * _LONGER - _CHEST), _SQUEEZED)
        down = np.where(on_body > _CHEST, _CHEST + (on_body - _CHEST) * shorter, on_body)
    down = down + _onto_shoulders(flat, on_body, across)
    cloth = [np.interp(down, piece.widths[:, 0], piece.widths[:, column]) for column in (1, 2)]
    bare = np.interp(on_body, *TRUNK_HALF)
    flat_half = np.where(across < 0, cloth[0], cloth[1])
    own = np.where(down < 0.75, np.minimum(flat_half * _ROUND, bare), flat_half * _ROUND)
    half = np.maximum(bare * 1.015 + 0.012, own)
    q = np.clip(across / half, -1, 1)
    low, t = flat_half * arc(q) * 0.985, smoothstep(0.3, 0.95, down)
    place = piece.frame.place(down, across + (low - across) * t)
    # up to the arms cloth of the sleeves lies under them
    beyond = (np.abs(across) > 0.95) | (down > 1.2)
    hidden = (_share(flat, place, "inside") > _SURE) & (down < _NECKLINE) | beyond & (
        _share(flat, place, *TUBES[:2]) > 0.5
    )
    seen = (np.abs(across) <= np.where(down > 0.6, half, np.interp(down, *_SHOULDERS))) & (down > -1) & ~hidden
    if top:
        seen &= on_body < _TUCKED
    seen &= _share(flat, place, PARTS[0]) < _GROUND
    cloth = _share(flat, place, "front") > 0.5
    over = cloth & (np.abs(across) < np.interp(down, *_OVER))
    return np.s_[:, :], seen, place, q * t * cloth, over


def _onto_shoulders(flat: FlatGarment, down: np.ndarray, across: np.ndarray) -> np.ndarray:
    """How much lower than on the person's shoulders (H, W) places of a garment that lies on them are on the table."""
    heights, beside = np.arange(-0.8, 0.9, 0.02), np.linspace(-0.9, 0.9, 37)
    place = flat.pieces["front"].frame.place(*np.broadcast_arrays(heights[:, None], beside))
    cloth = _share(flat, place, "front", *TUBES[:2]) > 0.5
    top = np.where(cloth.any(0), heights[cloth.argmax(0)], np.nan)
    off = top - np.interp(np.abs(beside), *_ON_SHOULDERS)
    off[~(np.abs(off) < _LIES)] = 0  # a neckline, straps
    off = np.convolve(np.pad(off, 3, mode="edge"), np.ones(7) / 7, "valid")
    fade = 1 - smoothstep(0.2, 0.9, down)
    return np.interp(across, beside, off) * fade


def _limb(
    flat: FlatGarment, name: str, limb: Tube, unit: float, columns: np.ndarray, rows: np.ndarray, over: np.ndarray
) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray, np.ndarray]:
    """A sleeve or leg on a person's limb.

    Args:
        unit: pixels a unit of the person.
        columns, rows: x and y of the picture's pixels (H, W).
        over: where the trunk lies over a sleeve.

    Returns:
        The rows and columns around the limb, and there (h, w): where cloth is seen, its place (h, w, 2) in the picture
        of the garment, in pixels, and how far across the round form it is, from -1 to 1.
    """
    piece, sleeve = flat.pieces[name], name.startswith("sleeve")
    reach = (0.9 if sleeve else 1.2) * unit
    low, high = limb.points.min(0) - reach, limb.points.max(0) + reach
    (left, top), (right, bottom) = (
        np.clip(np.array(c).astype(int), 0, (rows.shape[1], rows.shape[0])) for c in (low, high + 1)
    )
    area = slice(top, bottom), slice(left, right)
    along, across = limb.locate(columns[area], rows[area])
    across = across / unit
    cloth = np.where(across < 0, *(np.interp(along, piece.widths[:, 0], piece.widths[:, column]) for column in (1, 2)))
    bare = np.interp(along, *(ARM_HALF if sleeve else LEG_HALF))
    if sleeve:
        close = bare * 1.05 + 0.02
        half = close + np.maximum(cloth * 0.68 - close, 0) * smoothstep(-0.1, 0.55, along)
        edge = half - np.hypot(across, np.minimum(along - 0.06, 0.0))
        q = np.clip(across / half, -1, 1)
        turned = arc(q, 0.9)
    else:
        half = np.maximum(bare * 1.03 + 0.015, cloth * np.interp(along, [0.0, 0.9, 1.6], [0.76, 0.76, 0.68]))
        sign = -1.0 if name.endswith("right") else 1.0
        across = across - (half - bare) * (1 - smoothstep(0.85, 1.6, along)) * sign
        q = np.clip(across / half, -1, 1)
        outward = np.clip((q * sign + 1) / 2, 0, 1)
        trunk = (arc(outward) * 2 - 1) * sign
        t = smoothstep(0.8, 1.5, along)
        # both legs meet in the middle, one under the other, so that nothing shows between them
        under = 0.06 * ((across * sign < 0) & (along < HIP - WAIST))
        turned, edge = trunk + (arc(q, 0.9) - trunk) * t, half + under - np.abs(across)
        q = outward * sign + (q - outward * sign) * t
    place = piece.frame.place(along, turned * cloth * 0.985 * flat.unit)
    # where the seam lies with the trunk, or with the other leg, is not certain
    cloth = _share(flat, place, name, "front") if sleeve else _share(flat, place, *TUBES[2:])
    seen = (edge > 0) & (cloth > 0.5)
    if sleeve:
        seen, q = seen & ~(over[area] & (along < _UPPER)), q * smoothstep(0.3, 0.9, along)
    return area, seen, place, q
