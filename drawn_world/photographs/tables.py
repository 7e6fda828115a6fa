"""A garment photographed by itself, as shops show it: on white, off-white or grey, with or without a soft shadow."""

from __future__ import annotations

import cv2
import numpy as np

from . import colours
from .camera import photograph, sample_camera
from .frames import SIZE
from .light import cast, cloth, sample_light
from .noise import blurred, spread
from .sewing import Piece
from .wearing import Flat, look_up, sample_layout


def sample_table(rng: np.random.Generator, garment: dict) -> dict:
    """Numbers of a garment's picture: ground, shadow, layout, light and camera."""
    ground = rng.choice(
        [1.0, rng.uniform(0.955, 0.985), rng.uniform(0.82, 0.95), rng.uniform(0.55, 0.8)], p=[0.5, 0.3, 0.16, 0.04]
    )
    return {
        "ground": np.clip(ground + (rng.normal(0, 0.006, 3) if ground < 0.99 else 0), 0, 1),
        "shadow": rng.uniform(0.1, 0.5) if rng.random() < 0.4 else 0.0,
        "layout": sample_layout(rng, garment),
        "light": sample_light(rng, flat=True),
        "camera": sample_camera(rng, shop=True),
    }


def draw_flat(
    garment: dict, pieces: dict[str, Piece], table: dict, size: tuple[int, int]
) -> tuple[Flat, np.ndarray, np.ndarray]:
    """Lay out and photograph a garment.

    Returns:
        Where everything lies, the picture (H, W, 3) uint8, and the garment's cover (H, W) uint8.
    """
    flat = Flat(garment, table["layout"], size)
    pixels = flat.unit * size[0] / SIZE[0]
    light = table["light"]
    ground = colours.linear(table["ground"].astype(np.float32))
    picture = np.empty((*size, 3), np.float32)
    picture[:] = ground
    cover = np.zeros(size, np.float32)
    for layer in flat.layers:
        area = layer.rows, layer.columns
        colour, alpha = look_up(pieces[layer.piece], layer, pixels)
        if layer.piece != "back":
            # edges fall away: the cloth is some millimetres thick and lies on itself
            soft = blurred(alpha, 0.035 * pixels)
            fall = np.clip(soft * 2 - 1, 0, 1)
            shadow = np.clip(cast(light, alpha, pixels, 0.05) - alpha, 0, 1) * np.float32(light["shadow"])
            picture[area] *= 1 - (shadow * cover[area])[..., None]
            lit = cloth(light, colours.linear(colour), layer.normal, garment["fabric"]["shine"]) * spread(
                0.86 + 0.14 * fall
            )
        else:
            lit = colours.linear(colour) * np.float32(0.9)
        if layer.piece == "front" and "back" in pieces:  # the front's neckline shades the inside of the back
            inner = np.clip(cast(light, alpha, pixels, 0.10) - alpha, 0, 1)
            picture[area] *= 1 - 0.45 * (inner * cover[area])[..., None]
        picture[area] += (lit - picture[area]) * spread(alpha)
        cover[area] = np.maximum(cover[area], alpha)
    if table["shadow"]:
        shadow = np.maximum(cast(light, cover, pixels, 0.12), blurred(cover, 0.05 * pixels)) * np.float32(
            table["shadow"]
        )
        picture *= 1 - (shadow * (1 - cover))[..., None]
    shown = photograph(table["camera"], picture)
    if table["ground"].min() > 0.99 and not table["shadow"]:  # cut out, as most shops do
        far = (cv2.dilate(cover, np.ones((5, 5))) < 0.02)[..., None]
        shown = np.where(far, 255, shown).astype(np.uint8)
    return flat, shown, (cover * 255 + 0.5).astype(np.uint8)
