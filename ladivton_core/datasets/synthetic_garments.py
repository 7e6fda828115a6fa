"""The upper-body garments of the synthetic world: cuts, patterns, and how they lie on a body.

A garment is a dict of numbers. Its pattern lives on the cloth (surface coordinates in pixels of the
flat picture), so that the flat and the worn garment carry the same texture: trunk coordinates follow
the spine, sleeve coordinates follow the arm. Read `synthetic.py` next.
"""

from __future__ import annotations

import colorsys

import numpy as np
import torch
from torch import Tensor

from .signed_distance import coverage, ellipse, smoothstep
from .synthetic_people import SIDES, Body

PATTERNS = ("solid", "stripes", "bars", "checks", "dots", "gradient", "print", "blocks")
"""Pattern classes: `stripes` run across, `bars` down; `blocks` has sleeves of the second colour."""
_FLAT_HALF_WIDTH, _FLAT_LENGTH, _FLAT_ARM, _FLAT_RADIUS = 70.0, 278.0, 118.0, 23.0


def sample_garment(rng: np.random.Generator) -> dict[str, float | np.ndarray]:
    """Draw one garment: cut, pattern class and its two colours (RGB in [0, 1])."""
    hue = rng.random()
    grey = rng.random() < 0.15
    value = rng.uniform(0.25, 0.95)
    first = np.array(colorsys.hsv_to_rgb(hue, 0.06 if grey else rng.uniform(0.45, 0.95), value))
    second = np.array(
        colorsys.hsv_to_rgb(
            (hue + rng.uniform(0.2, 0.8)) % 1, rng.uniform(0.0, 0.9), (value + rng.uniform(0.35, 0.65)) % 1 * 0.8 + 0.18
        )
    )
    return {
        "pattern": float(rng.integers(0, len(PATTERNS))),
        "colour": np.clip(first, 0.05, 0.96),
        "colour_2": np.clip(second, 0.05, 0.96),
        "period": rng.uniform(34, 64),
        "duty": rng.uniform(0.35, 0.6),
        "phase": rng.uniform(0, 1),
        "print_shape": float(rng.integers(0, 4)),
        "print_size": rng.uniform(28, 44),
        "sleeve": float(
            rng.choice(
                [0.0, rng.uniform(0.45, 0.75), rng.uniform(1.0, 1.3), rng.uniform(1.8, 1.96)],
                p=[0.14, 0.38, 0.13, 0.35],
            )
        ),
        "sleeve_fit": rng.uniform(1.12, 1.45),
        "fit": rng.uniform(1.06, 1.2),
        "flare": rng.uniform(-0.02, 0.14),
        "hem": rng.uniform(1.02, 1.1),
        "neck_kind": float(rng.integers(0, 3)),
        "neck_width": rng.uniform(0.36, 0.52),
        "neck_depth": rng.uniform(0.05, 0.15),
    }


def trunk_piece(body: Body, garment: dict[str, Tensor]) -> dict[str, Tensor]:
    """Body of the garment: distance to its outline (pixels) and surface coordinates `a`, `b` (pixels)."""
    torso = body.people["torso"]
    across = body.across / body.half_width()  # 1 at the body's side
    side = garment["fit"] + garment["flare"] * body.down.clamp(0, 1.2)
    shoulder_cut = torch.where(garment["sleeve"] > 0, 1.06, 0.86)
    shoulder_line = -0.045 + 0.085 * (body.across.abs() / body.people["shoulder"]).clamp_max(1.3) ** 1.5
    outline = (
        across.abs()
        - torch.where(body.down < 0.16, torch.minimum(side, shoulder_cut + 0.6 * body.down.clamp_min(0)), side)
    ) * body.half_width()
    outline = torch.maximum(outline, (shoulder_line - body.down) * torso)
    outline = torch.maximum(outline, (body.down - garment["hem"] - 0.012 * torch.cos(across * 2.2)) * torso)
    outline = torch.maximum(outline, -_neckline(body, garment))
    # arm holes of sleeveless cuts
    bare = torch.minimum(*(ellipse(body.x, body.y, *body.joints[f"shoulder_{s}"], 13.0, 30.0) for s in SIDES))
    outline = torch.where(garment["sleeve"] > 0, outline, torch.maximum(outline, -bare))
    return {"distance": outline, "a": across * _FLAT_HALF_WIDTH, "b": body.down * _FLAT_LENGTH, "across": across}


def _neckline(body: Body, garment: dict[str, Tensor]) -> Tensor:
    width = garment["neck_width"] * body.people["shoulder"]
    torso = body.people["torso"]
    depth = garment["neck_depth"] * torso
    y = body.down * torso + 0.05 * torso
    total = depth + 0.05 * torso
    round_cut = ellipse(body.across, y, 0.0, 0.0, width, total)
    v_cut = (body.across.abs() / width + y / (total * 1.35) - 1) * width * 0.8
    boat_cut = ellipse(body.across, y, 0.0, 0.0, width * 1.5, total * 0.62)
    kind = garment["neck_kind"]
    return torch.where(kind < 0.5, round_cut, torch.where(kind < 1.5, v_cut, boat_cut))


def sleeve_piece(body: Body, garment: dict[str, Tensor], side: str) -> dict[str, Tensor]:
    """One sleeve: distance to its outline (pixels, far away when there is none) and surface coordinates."""
    arm = body.arm(side)
    widening = (garment["sleeve_fit"] - 1) * arm["radius"]
    end = (arm["along"] - garment["sleeve"]) * body.people["upper_arm"]
    distance = torch.maximum(arm["distance"] - widening, end)
    distance = torch.where(garment["sleeve"] > 0, distance, torch.full_like(distance, 1e3))
    return {
        "distance": distance,
        "a": arm["across"] * _FLAT_RADIUS + 4.0,
        "b": arm["along"] * _FLAT_ARM,
        "across": arm["across"] / garment["sleeve_fit"],
    }


def pattern_colour(garment: dict[str, Tensor], a: Tensor, b: Tensor, trunk: bool) -> Tensor:
    """Cloth colour (B, 3, H, W) at surface coordinates (pixels of the flat picture)."""
    period, duty, phase = garment["period"], garment["duty"], garment["phase"]

    def wave(t: Tensor) -> Tensor:  # 1 inside a line, 0 between, edges about two pixels soft
        centre = (((t / period + phase) % 1) - 0.5).abs() * period
        return smoothstep(1.2, -1.2, centre - duty * period / 2)

    across, down = wave(b), wave(a)
    row = torch.floor(b / period)
    cell_a, cell_b = ((a / period + 0.5 * (row % 2)) % 1 - 0.5) * period, (b / period - row - 0.5) * period
    dots = smoothstep(1.2, -1.2, (cell_a**2 + cell_b**2).sqrt() - 0.29 * period)
    gradient = smoothstep(10, 275, b) if trunk else smoothstep(10, 275, b * 0.6)
    none = torch.zeros_like(across)
    emblem = _emblem(garment, a, b) if trunk else none
    amount = torch.stack(
        [none, across, down, (across + down) / 2, dots, gradient, emblem, none if trunk else torch.ones_like(across)]
    )
    chosen = garment["pattern"].long().expand(1, *amount.shape[1:])
    amount = amount.gather(0, chosen)[0][:, None]
    return garment["colour"] * (1 - amount) + garment["colour_2"] * amount


def _emblem(garment: dict[str, Tensor], a: Tensor, b: Tensor) -> Tensor:
    x, y, r = a, b - 105, garment["print_size"]
    disc = (x * x + y * y).sqrt() - r
    ring = disc.abs() - r * 0.3 + 2
    box = torch.maximum(x.abs(), y.abs()) - r * 0.85
    angle = torch.atan2(x, -y)
    star = (x * x + y * y).sqrt() - r * (0.78 + 0.36 * torch.cos(5 * angle))
    shape = torch.where(
        garment["print_shape"] < 0.5,
        disc,
        torch.where(garment["print_shape"] < 1.5, ring, torch.where(garment["print_shape"] < 2.5, box, star)),
    )
    return smoothstep(1.2, -1.2, shape)


def cloth_shade(body: Body, piece: dict[str, Tensor], noise: Tensor, worn: bool, trunk: bool) -> Tensor:
    """Light on the cloth (B, H, W), about 1: roundness, folds and creases when worn, almost flat otherwise."""
    across = piece["across"].clamp(-1.3, 1.3)
    if not worn:
        return 1 - 0.05 * across.abs() ** 3 + 0.025 * noise
    phases = body.people["fold_phase"]
    u, v = across, piece["b"] / 120
    folds = torch.sin(7 * u + 5 * v + phases[..., 0, None, None]) * torch.sin(
        3.2 * v - 2 * u + phases[..., 1, None, None]
    )
    waist = torch.exp(-(((v - 1.45) / 0.6) ** 2)) if trunk else torch.exp(-(((v - 1.0) / 0.35) ** 2))
    pull = torch.sin(10 * v + 3 * u + phases[..., 2, None, None]) * waist
    depth = body.people["fold_depth"]
    return (
        1
        - 0.2 * across.abs() ** 3
        + 0.07 * body.people["light"] * across
        + depth * (0.8 * folds + 0.7 * pull + 0.6 * noise)
    )


def hem_line(distance: Tensor) -> Tensor:
    """Darkening (B, H, W) along a piece's outline: the stitched edge."""
    return 1 - 0.16 * coverage((distance + 3.0).abs() - 1.2)


def draw_garment(body: Body, garment: dict[str, Tensor], noise: Tensor, worn: bool):
    """Colours and coverage of the garment's pieces, back to front.

    Yields:
        (name, colour (B, 3, H, W) in [0, 1], coverage (B, H, W)) for the trunk piece, then each sleeve.
    """
    trunk = trunk_piece(body, garment)
    shade = cloth_shade(body, trunk, noise, worn, True) * hem_line(trunk["distance"])
    if worn:  # arms throw a soft shadow on the trunk
        for side in SIDES:
            shade = shade * (1 - 0.22 * torch.exp(-(body.arm(side)["distance"].clamp_min(0) / 9)))
    colour = pattern_colour(garment, trunk["a"], trunk["b"], True) * shade[:, None]
    yield "trunk", colour.clamp(0, 1), coverage(trunk["distance"])
    for side in SIDES:
        piece = sleeve_piece(body, garment, side)
        shade = cloth_shade(body, piece, noise, worn, False) * hem_line(piece["distance"])
        colour = pattern_colour(garment, piece["a"], piece["b"], False) * shade[:, None]
        yield f"sleeve_{side}", colour.clamp(0, 1), coverage(piece["distance"])
