"""How the drawn garments are cut: outlines on a body and coordinates on the cloth.

Cloth coordinates are those of the mannequin in drawing units: trunk coordinates follow the spine, those of
sleeves and trouser legs the limb. Folds are a function of the pose alone, so that a picture without the
garment tells how the garment lies. Read `patterns.py` next.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .body import OUTWARD, SIDES, WAISTLINE, Body
from .signed_distance import ellipse, smooth_union, smoothstep

_FLAT_HALF_WIDTH, _FLAT_TORSO, _FLAT_ARM, _FLAT_RADIUS = 70.0, 278.0, 118.0, 23.0
_FLAT_HIP, _FLAT_LEG = 72.0, 224.0


@dataclass(frozen=True)
class Piece:
    """One piece of a garment on a body; tensors are (H, W).

    Attributes:
        distance: to the outline, drawing units, negative inside.
        a, b: cloth coordinates across and along.
        across: -1 to 1 between the piece's sides, for its roundness.
        rightward: whether `across` grows to the picture's right (1) or left (-1).
        folds: light of the folds, about -1 to 1.
        span: values of `b` between which a gradient runs.
        panel: distance to the part of the second colour of `blocks`, cloth units.
        emblem: cloth coordinates around the centre of a print, if the piece carries one.
        cuff: distance to the piece's open end, drawing units, if a seam runs along it.
        units_per_drawing_unit: cloth units in a drawing unit.
    """

    distance: Tensor
    a: Tensor
    b: Tensor
    across: Tensor
    folds: Tensor
    span: tuple[float, float]
    panel: Tensor
    units_per_drawing_unit: float
    emblem: tuple[Tensor, Tensor] | None = None
    cuff: Tensor | None = None
    rightward: Tensor | float = 1.0


def _neckline(body: Body, garment: dict) -> Tensor:
    torso = body.numbers["torso"]
    width = garment["neck_width"] * body.numbers["shoulder"]
    y, total = (body.down + 0.05) * torso, (garment["neck_depth"] + 0.05) * torso
    if garment["neck_kind"] == 0:
        return ellipse(body.across, y, 0.0, 0.0, width, total)
    if garment["neck_kind"] == 1:
        return (body.across.abs() / width + y / (total * 1.35) - 1) * width * 0.8
    return ellipse(body.across, y, 0.0, 0.0, width * 1.5, total * 0.62)


def _bodice(body: Body, garment: dict, half: Tensor) -> Tensor:
    """Outline of a top or dress above its hem: shoulders, neck, arm holes, and sides at `half` from the spine."""
    torso = body.numbers["torso"]
    cut = (1.06 if garment["sleeve"] > 0 else 0.86) + 0.6 * body.down.clamp_min(0)
    side = torch.where(body.down < 0.16, torch.minimum(half, cut * body.half_width()), half)
    shoulder_line = -0.045 + 0.085 * (body.across.abs() / body.numbers["shoulder"]).clamp_max(1.3) ** 1.5
    outline = torch.maximum(body.across.abs() - side, (shoulder_line - body.down) * torso)
    outline = torch.maximum(outline, -_neckline(body, garment))
    if garment["sleeve"] == 0:
        for s in SIDES:
            outline = torch.maximum(outline, -ellipse(body.x, body.y, *body.joints[f"shoulder_{s}"], 13.0, 30.0))
    return outline


def _trunk_folds(body: Body, across: Tensor, b: Tensor) -> Tensor:
    """Folds of a bodice: pulled by the lean of the trunk and the lift of the arms."""
    p = body.numbers
    turn = 6 * p["lean"] + 0.8 * (p["upper_left"] - p["upper_right"])
    lift = p["upper_left"] + p["upper_right"]
    v = b / 120
    folds = torch.sin(7 * across + 5 * v + 0.6 + turn) * torch.sin(3.2 * v - 2 * across + 1.1 + lift)
    return 0.8 * folds + 0.7 * torch.sin(10 * v + 3 * across + 2 + turn) * torch.exp(-(((v - 1.45) / 0.6) ** 2))


def top_piece(body: Body, garment: dict) -> Piece:
    """An upper-body garment without its sleeves; `hem` in torso lengths."""
    torso, half_width = body.numbers["torso"], body.half_width()
    across, b = body.across / half_width, body.down * _FLAT_TORSO
    half = (garment["fit"] + garment["flare"] * body.down.clamp(0, 1.2)) * half_width
    hem = (body.down - garment["hem"] - 0.012 * torch.cos(across.clamp(-2, 2) * 2.2)) * torso
    a = across * _FLAT_HALF_WIDTH
    return Piece(
        distance=torch.maximum(_bodice(body, garment, half), hem),
        a=a,
        b=b,
        across=across,
        folds=_trunk_folds(body, across, b),
        span=(10, 275),
        panel=0.6 * _FLAT_TORSO - b if garment["sleeve"] == 0 else torch.full_like(b, 1e3),
        units_per_drawing_unit=_FLAT_TORSO / torso,
        emblem=(a, b - 105),
        cuff=hem,
    )


def dress_piece(body: Body, garment: dict) -> Piece:
    """A dress without its sleeves: a bodice, and from the waist a skirt that widens by `flare` hips to its `hem`."""
    p, half_width = body.numbers, body.half_width()
    b = body.down * _FLAT_TORSO
    below = ((body.down - 0.8) / (garment["hem"] - 0.8)).clamp(0, 1.1)
    half = garment["fit"] * half_width + p["hip"] * (garment["flare"] * below + 0.1 * smoothstep(0.8, 1.05, body.down))
    across = body.across / half
    hem = (body.down - garment["hem"] - 0.02 * torch.cos(across.clamp(-2, 2) * 1.4)) * p["torso"]
    outline = _bodice(body, garment, half)
    a = body.across / half_width * _FLAT_HALF_WIDTH
    drape = smoothstep(0.85, 1.15, body.down)
    return Piece(
        distance=torch.maximum(_over_legs(body, outline), hem),
        a=a,
        b=b,
        across=across,
        folds=(1 - drape) * _trunk_folds(body, body.across / half_width, b) + drape * _drape(body, across, below),
        span=(10, garment["hem"] * _FLAT_TORSO),
        panel=0.72 * _FLAT_TORSO - b,
        units_per_drawing_unit=_FLAT_TORSO / p["torso"],
        emblem=(a, b - 105),
        cuff=hem,
    )


def skirt_piece(body: Body, garment: dict) -> Piece:
    """A skirt from the waistline to `hem` (torso lengths) that widens by `flare` hips."""
    p = body.numbers
    below = ((body.down - 1.0) / (garment["hem"] - 1.0)).clamp(0, 1.1)
    hips = smoothstep(WAISTLINE, 1.06, body.down)
    half = 1.05 * body.half_width() * (1 - hips) + p["hip"] * (1.28 * hips + garment["flare"] * below)
    across = body.across / half
    hem = (body.down - garment["hem"] - 0.02 * torch.cos(across.clamp(-2, 2) * 1.4)) * p["torso"]
    outline = torch.maximum(_over_legs(body, body.across.abs() - half), hem)
    a, b = body.across * (_FLAT_HIP / p["hip"]), (body.down - WAISTLINE) * _FLAT_TORSO
    length = (garment["hem"] - WAISTLINE) * _FLAT_TORSO
    return Piece(
        distance=torch.maximum(outline, (WAISTLINE - body.down) * p["torso"]),
        a=a,
        b=b,
        across=across,
        folds=_drape(body, across, below),
        span=(10, length),
        panel=0.55 * length - b,
        units_per_drawing_unit=_FLAT_TORSO / p["torso"],
        emblem=(a, b - 0.5 * length),
        cuff=hem,
    )


def _over_legs(body: Body, outline: Tensor) -> Tensor:
    """Cloth stretched over the legs where they stand wider than the skirt, from the hips on down."""
    legs = torch.minimum(*(body.leg(side)["distance"] for side in SIDES)) - 4
    return smooth_union(outline, legs + _above_hips(body), 12.0)


def _above_hips(body: Body) -> Tensor:
    """0 below the hips, growing above them: keeps the round end of a leg inside the garment's sides."""
    return body.numbers["hip"] * 0.5 * smoothstep(1.2, 0.9, body.down)


def _drape(body: Body, across: Tensor, below: Tensor) -> Tensor:
    """Folds of a skirt: they fall from the hips and deepen towards the hem."""
    turn = 6 * body.numbers["lean"] + 3 * (body.numbers["thigh_left"] - body.numbers["thigh_right"])
    return (0.25 + below) * torch.sin(9.5 * across + 0.8 * torch.sin(4 * across) + turn)


def trousers_piece(body: Body, garment: dict) -> Piece:
    """Trousers or shorts down to `length` along the leg (1 knee, 2 ankle); `slack` hips wider than it at the end."""
    p = body.numbers
    legs = {side: body.leg(side) for side in SIDES}
    skin = {side: legs[side]["distance"] for side in SIDES}
    left = skin["left"] < skin["right"]

    def chosen(key: str) -> Tensor:
        return torch.where(left, legs["left"][key], legs["right"][key])

    along, limb = chosen("along"), chosen("across")
    widening = p["hip"] * (0.05 + garment["slack"] * smoothstep(0.1, 1.9, along))
    hips = smoothstep(WAISTLINE, 1.06, body.down)
    half = 1.05 * body.half_width() * (1 - hips) + p["hip"] * (1.25 * hips - 0.35 * (body.down - 1.06).clamp_min(0))
    pelvis = torch.maximum(body.across.abs() - half, (body.down - 1.2) * p["torso"])
    end = (along - garment["length"]) * p["thigh"]
    outline = torch.maximum(
        smooth_union(torch.minimum(*skin.values()) - widening + _above_hips(body), pelvis, 14.0), end
    )
    a, b = limb * chosen("radius") * (_FLAT_HIP / p["hip"]), along * _FLAT_LEG
    seam = torch.exp(-((skin["left"] - skin["right"]).abs() / 5)) * smoothstep(0.95, 1.1, body.down)
    fit = 1 + widening / chosen("radius")
    bend = p["thigh_left"] + p["thigh_right"]
    knee = torch.exp(-(((along - 1.05) / 0.3) ** 2)) * torch.sin(22 * along + 2 * limb + 8 * bend)
    crotch = torch.exp(-(((along - 0.15) / 0.25) ** 2)) * torch.sin(16 * along + 4 * limb)
    length = garment["length"] * _FLAT_LEG
    return Piece(
        distance=torch.maximum(outline, (WAISTLINE - body.down) * p["torso"]),
        a=a,
        b=b,
        across=limb / fit,
        folds=0.8 * knee + 0.6 * crotch - 2.2 * seam,
        span=(-30, length),
        panel=0.25 * _FLAT_HIP - a,
        units_per_drawing_unit=_FLAT_HIP / p["hip"],
        emblem=(torch.where(left, a, torch.full_like(a, 1e3)), b - min(0.45 * _FLAT_LEG, 0.55 * length)),
        cuff=end,
        rightward=torch.where(left, 1.0, -1.0),
    )


def sleeve_piece(body: Body, garment: dict, side: str) -> Piece:
    """One sleeve down to `sleeve` along the arm (1 elbow, 2 wrist)."""
    arm = body.arm(side)
    across = arm["across"]
    end = (arm["along"] - garment["sleeve"]) * body.numbers["upper_arm"]
    v = arm["along"] * _FLAT_ARM / 120
    widening = (garment["sleeve_fit"] - 1) * arm["radius"] * smoothstep(-0.25, 0.45, arm["along"])
    bend = body.numbers[f"upper_{side}"] - body.numbers[f"fore_{side}"]
    folds = torch.sin(5 * across + 5 * v + bend) * torch.sin(3.2 * v - 2 * across + 0.7)
    elbow = torch.sin(10 * v + 3 * across + bend) * torch.exp(-(((v - 1.0) / 0.35) ** 2))
    return Piece(
        distance=torch.maximum(arm["distance"] - widening, end),
        a=across * _FLAT_RADIUS + 4.0,
        b=arm["along"] * _FLAT_ARM,
        across=across / garment["sleeve_fit"],
        folds=0.8 * folds + 0.7 * elbow,
        span=(17, 460),
        panel=torch.full_like(v, -1e3),
        units_per_drawing_unit=_FLAT_ARM / body.numbers["upper_arm"],
        cuff=end,
        rightward=OUTWARD[side],
    )
