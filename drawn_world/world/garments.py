"""The garments of the drawn world: their cuts and colours as numbers, and drawing them on a body.

Upper-body garments, lower-body garments (trousers, shorts, skirts) and dresses, as in Dress Code. The
shapes are in `cuts.py`, the patterns in `patterns.py`.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from .body import SIDES, Body
from .cuts import Piece, dress_piece, skirt_piece, sleeve_piece, top_piece, trousers_piece
from .patterns import PATTERNS, pattern_amount

_FOLD_DEPTH = 0.075


def sample_garment(rng: np.random.Generator, category: str = "upper_body") -> dict:
    """Draw one garment of `category`: cut, pattern class and its two colours (RGB in [0, 1]).

    Lengths are in units of the body (see `cuts.py`), `period` and `print_size` in units of the cloth.
    """
    hue = rng.random()
    grey = rng.random() < 0.15
    value = rng.uniform(0.25, 0.95)
    first = np.array(colorsys.hsv_to_rgb(hue, 0.06 if grey else rng.uniform(0.45, 0.95), value))
    second = np.array(
        colorsys.hsv_to_rgb(
            (hue + rng.uniform(0.2, 0.8)) % 1, rng.uniform(0.0, 0.9), (value + rng.uniform(0.35, 0.65)) % 1 * 0.8 + 0.18
        )
    )
    garment = {
        "category": category,
        "pattern": float(rng.integers(0, len(PATTERNS))),
        "colour": np.clip(first, 0.05, 0.96),
        "colour_2": np.clip(second, 0.05, 0.96),
        "period": rng.uniform(34, 64) if category == "upper_body" else rng.uniform(46, 74),
        "duty": rng.uniform(0.35, 0.6),
        "phase": rng.uniform(0, 1),
        "print_shape": float(rng.integers(0, 4)),
        "print_size": rng.uniform(28, 44),
        "sleeve": 0.0,
        "sleeve_fit": rng.uniform(1.12, 1.45),
        "fit": rng.uniform(1.06, 1.2),
        "flare": rng.uniform(-0.02, 0.14),
        "hem": rng.uniform(1.02, 1.1),
        "neck_kind": float(rng.integers(0, 3)),
        "neck_width": rng.uniform(0.36, 0.52),
        "neck_depth": rng.uniform(0.05, 0.15),
        "skirt": False,
        "length": 0.0,
        "slack": 0.0,
    }
    if category == "lower_body":
        return garment | _lower_cut(rng)
    sleeves = [0.0, rng.uniform(0.45, 0.75), rng.uniform(1.0, 1.3), rng.uniform(1.8, 1.96)]
    garment["sleeve"] = float(rng.choice(sleeves, p=[0.14, 0.38, 0.13, 0.35]))
    if category == "dresses":
        garment |= {"flare": rng.uniform(0.05, 0.5), "hem": rng.uniform(1.4, 2.3), "fit": rng.uniform(1.05, 1.12)}
    return garment


def _lower_cut(rng: np.random.Generator) -> dict:
    kind = rng.choice(["trousers", "shorts", "skirt"], p=[0.45, 0.2, 0.35])
    if kind == "skirt":
        return {"skirt": True, "hem": rng.uniform(1.38, 2.2), "flare": rng.uniform(0.0, 0.4)}
    length = rng.uniform(1.9, 1.98) if kind == "trousers" else rng.uniform(0.5, 0.95)
    return {"length": length, "slack": float(rng.choice([0.05, 0.13, 0.24])) + rng.uniform(0, 0.04), "flare": 0.0}


def draw_trunk(body: Body, garment: dict, worn: bool) -> tuple[Tensor, Tensor]:
    """Colour (3, H, W) in [0, 1] and coverage (H, W) of a garment without its sleeves."""
    if garment["category"] == "upper_body":
        piece = top_piece(body, garment)
    elif garment["category"] == "dresses":
        piece = dress_piece(body, garment)
    else:
        piece = skirt_piece(body, garment) if garment["skirt"] else trousers_piece(body, garment)
    shadow = torch.ones_like(piece.distance)
    if worn:  # the arms throw a soft shadow
        for side in SIDES:
            shadow = shadow * (1 - 0.24 * torch.exp(-(body.arm(side)["distance"].clamp_min(0) / 9)))
    return _paint(body, garment, piece, worn, shadow)


def draw_sleeve(body: Body, garment: dict, side: str, worn: bool) -> tuple[Tensor, Tensor]:
    """Colour and coverage of one sleeve of a garment that has sleeves."""
    piece = sleeve_piece(body, garment, side)
    return _paint(body, garment, piece, worn, torch.ones_like(piece.distance))


def draw_flat(garment: dict, body: Body) -> Iterator[tuple[Tensor, Tensor]]:
    """Colours and coverages of the garment's pieces on the mannequin, back to front."""
    yield draw_trunk(body, garment, worn=False)
    if garment["sleeve"] > 0:
        for side in SIDES:
            yield draw_sleeve(body, garment, side, worn=False)


def _paint(body: Body, garment: dict, piece: Piece, worn: bool, shade: Tensor) -> tuple[Tensor, Tensor]:
    first, second = (torch.tensor(garment[key], dtype=torch.float32).view(3, 1, 1) for key in ("colour", "colour_2"))
    amount = pattern_amount(garment, piece, softness=max(1.2, 0.75 * piece.units_per_drawing_unit / body.pixels))
    light = _light(body, piece, worn) * shade * (1 - 0.16 * body.coverage((piece.distance + 3.2).abs() - 1.2))
    if piece.cuff is not None:  # a seam above each opening
        light = light * (1 - 0.14 * body.coverage((piece.cuff + 9).abs() - 1.1))
    return ((first + (second - first) * amount) * light).clamp(0, 1), body.coverage(piece.distance)


def _light(body: Body, piece: Piece, worn: bool) -> Tensor:
    """Light on the cloth (H, W), about 1: roundness and folds when worn, almost flat otherwise."""
    across = piece.across.clamp(-1.3, 1.3)
    if not worn:
        return 1 - 0.06 * across.abs() ** 3 + 0.012 * piece.folds
    side = 0.06 * body.numbers["light"] * piece.rightward * across
    return 1 - 0.2 * across.abs() ** 3 + side + _FOLD_DEPTH * piece.folds
