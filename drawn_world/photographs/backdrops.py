"""Where people stand: seamless studio walls for half of them, coloured walls, rooms, lettering, leaves out of focus."""

from __future__ import annotations

import colorsys
import math

import cv2
import numpy as np

from . import colours
from .fabrics import fabric_picture, pick, sample_fabric
from .frames import SIZE, smoothstep
from .noise import blurred, dead_leaves, fractal
from .prints import lettering, logo

KINDS = {"studio": 0.52, "wall": 0.12, "room": 0.12, "letters": 0.05, "leaves": 0.13, "gradient": 0.06}


def sample_backdrop(rng: np.random.Generator) -> dict:
    """Numbers of a backdrop."""
    kind = pick(rng, KINDS)
    if kind == "studio":
        tone = rng.choice(
            [rng.uniform(0.93, 1.0), rng.uniform(0.82, 0.93), rng.uniform(0.35, 0.82)], p=[0.55, 0.33, 0.12]
        )
        colour = np.clip(tone + rng.normal(0, 0.008, 3), 0, 1)
    else:
        colour = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.05, 0.5), rng.uniform(0.4, 0.95)))
    return {
        "kind": kind,
        "colour": colour,
        "vignette": rng.uniform(0, 0.2),
        "side": rng.normal(0, 0.08),
        "rough": rng.uniform(0.0, 0.006) if kind == "studio" else rng.uniform(0.005, 0.05),
        "floor": rng.uniform(0.0, 0.16),
        "floor_soft": rng.uniform(0.01, 0.12) if rng.random() < 0.7 else 0.002,
        "shadow": rng.uniform(0.0, 0.5),
        "wall_shadow": rng.uniform(0.05, 0.35) if rng.random() < 0.35 else 0.0,
        "wall_distance": rng.uniform(0.3, 1.5),
        "focus": rng.uniform(1.0, 9.0),
        "seed": int(rng.integers(2**62)),
    }


def draw_backdrop(backdrop: dict, size: tuple[int, int], floor: float) -> np.ndarray:
    """Draw a backdrop in light.

    Args:
        size: (height, width) in pixels.
        floor: y in points where the feet stand; beyond the picture where none is seen.

    Returns:
        (H, W, 3) float32, linear.
    """
    b, rng = backdrop, np.random.default_rng(backdrop["seed"])
    height, width = size
    scale = height / SIZE[0]
    y, x = np.ogrid[0:height, 0:width]
    y, x = (y / height).astype(np.float32), (x / width).astype(np.float32)
    kind = b["kind"]
    if kind == "leaves":
        picture = dead_leaves(int(rng.integers(2**62)), size, colours.scenery(rng), 0.01, 0.6, 260)
        picture = blurred(picture, b["focus"] * 1.3 * scale)
    elif kind == "gradient":
        other = np.array(colorsys.hsv_to_rgb(rng.random(), rng.uniform(0, 0.4), rng.uniform(0.3, 1)))
        angle = rng.uniform(0, 2 * math.pi)
        t = smoothstep(-0.6, 0.6, (x - 0.5) * np.float32(math.cos(angle)) + (y - 0.5) * np.float32(math.sin(angle)))
        picture = b["colour"] + (other - b["colour"]) * t[..., None]
    else:
        picture = np.empty((height, width, 3), np.float32)
        picture[:] = b["colour"]
        if kind == "wall":
            picture = _wall(rng, picture, size, x, y)
        elif kind == "room":
            picture = blurred(_room(rng, picture, size), b["focus"] * 0.5 * scale)
        elif kind == "letters":
            picture = blurred(_letters(rng, picture, size), b["focus"] * 0.12 * scale)
    light = colours.linear(np.clip(picture, 0, 1).astype(np.float32))
    ground = floor / SIZE[0]
    if kind in ("studio", "wall", "gradient") and ground < 1.1:  # the wall meets the floor
        edge = ground - b["floor"] - 0.04
        light *= (1 - 0.12 * smoothstep(edge - b["floor_soft"], edge + b["floor_soft"], y))[..., None]
    shade = 1 - b["vignette"] * ((x - 0.5) ** 2 + (y - 0.5) ** 2) * 1.6 + b["side"] * (x - 0.5) * 2
    rough = fractal(int(rng.integers(2**62)), size, 1.15, 3, octaves=8)
    return (light * (shade + b["rough"] * rough)[..., None]).astype(np.float32)


def floor_shadow(backdrop: dict, size: tuple[int, int], feet: np.ndarray, unit: float) -> np.ndarray:
    """Darkness (H, W) in [0, 1] under feet (2, 2) in points; `unit` is points a unit."""
    scale = size[0] / SIZE[0]
    shade = np.zeros(size, np.float32)
    for x, y in feet:
        cv2.ellipse(
            shade,
            (int(x * scale), int((y + 0.5 * unit) * scale)),
            (int(0.42 * unit * scale), int(0.11 * unit * scale)),
            0,
            0,
            360,
            1.0,
            -1,
        )
    middle = feet.mean(0)
    wide = np.zeros(size, np.float32)
    cv2.ellipse(
        wide,
        (int(middle[0] * scale), int((middle[1] + 0.5 * unit) * scale)),
        (int(1.1 * unit * scale), int(0.22 * unit * scale)),
        0,
        0,
        360,
        1.0,
        -1,
    )
    both = 0.6 * blurred(shade, 0.1 * unit * scale) + 0.5 * blurred(wide, 0.3 * unit * scale)
    return np.clip(both * backdrop["shadow"] * 1.6, 0, 1)


def _wall(rng: np.random.Generator, picture: np.ndarray, size, x, y) -> np.ndarray:
    """Plaster, bricks, boards or tiles."""
    plaster = fractal(int(rng.integers(2**62)), size, 0.9, 4)
    kind = rng.integers(4)
    lines = np.zeros(size, np.float32)
    if kind:
        rows = rng.uniform(5, 30) if kind < 3 else 1
        columns = rows * {1: 0.33, 2: 0.75, 3: 12}[int(kind)] * (1 if kind < 3 else rng.uniform(0.4, 1.2))
        v = y * rows
        u = x * columns + (0.5 * (np.floor(v) % 2) if kind == 1 else 0)
        seam = 0.02 * rows / 10
        near = np.minimum(np.abs(u % 1 - 0.5) / columns * 10, np.abs(v % 1 - 0.5) / rows * 10 if kind < 3 else 9)
        lines = (
            (np.abs(near - 5 / max(rows, columns)) < seam).astype(np.float32)
            if kind == 3
            else np.maximum(
                (np.abs(u % 1 - 0.5) > 0.5 - 0.03).astype(np.float32),
                (np.abs(v % 1 - 0.5) > 0.5 - 0.06).astype(np.float32),
            )
        )
        tone = np.random.default_rng(int(rng.integers(2**62))).normal(0, 0.05, (64, 64)).astype(np.float32)
        picture = picture * (1 + tone[(np.floor(v).astype(int) % 64), (np.floor(u).astype(int) % 64)])[..., None]
    deep = rng.uniform(0.05, 0.3)
    return picture * (1 + rng.uniform(0.01, 0.06) * plaster - deep * blurred(lines, 0.8))[..., None]


def _room(rng: np.random.Generator, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Windows, doors, shelves, furniture: rectangles with colours and gradients of their own, a few round things."""
    height, width = size
    palette = colours.scenery(rng, 7)
    image = (np.clip(picture, 0, 1) * 255).astype(np.uint8)
    for _ in range(int(rng.integers(6, 26))):
        w, h = rng.uniform(0.05, 0.6) * width, rng.uniform(0.04, 0.8) * height
        left, top = rng.uniform(-0.2, 1.0) * width, rng.uniform(-0.2, 1.0) * height
        colour = np.clip(palette[rng.integers(7)] + rng.normal(0, 0.05), 0, 1)
        if rng.random() < 0.15:
            colour = np.array((1.0, 0.98, 0.95))  # daylight
        box = np.array([[left, top], [left + w, top + rng.normal(0, 4)], [left + w, top + h], [left, top + h]])
        cv2.fillPoly(image, [box.astype(np.int32)], (colour * 255).tolist(), cv2.LINE_AA)
        if rng.random() < 0.5:
            for line in np.linspace(0, 1, int(rng.integers(2, 7))):
                at = int(left + w * line)
                cv2.line(
                    image,
                    (at, int(top)),
                    (at, int(top + h)),
                    (colour * 200).tolist(),
                    max(1, width // 200),
                    cv2.LINE_AA,
                )
        if rng.random() < 0.3:
            cv2.circle(
                image, (int(left), int(top)), int(w * 0.3), (palette[rng.integers(7)] * 255).tolist(), -1, cv2.LINE_AA
            )
    if rng.random() < 0.3:
        cloth = fabric_picture(sample_fabric(rng), (2.0, 2.0), height / 6)
        side = min(cloth.shape[0], height), min(cloth.shape[1], width)
        top, left = int(rng.uniform(0, height - side[0] + 1)), int(rng.uniform(0, width - side[1] + 1))
        image[top : top + side[0], left : left + side[1]] = (cloth[: side[0], : side[1]] * 255).astype(np.uint8)
    glow = fractal(int(rng.integers(2**62)), size, 1.8, 1.5, octaves=4)
    return image / np.float32(255) * (1 + 0.12 * glow)[..., None]


def _letters(rng: np.random.Generator, picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A wall with words or badges, one large or many small."""
    height, width = size
    ground = picture[0, 0]
    palette = np.stack([ground, np.array(colours.cloth(rng)), np.array(colours.cloth(rng))])
    if rng.random() < 0.5:
        palette[0], picture[:] = 0.97, 0.97
    side = int(width * rng.uniform(0.12, 0.7))
    sign = lettering(rng, side, palette[1]) if rng.random() < 0.65 else logo(rng, side, palette)
    step = side * rng.uniform(1.2, 1.8), sign.shape[0] * rng.uniform(1.4, 3)
    for row in range(int(height // step[1]) + 2):
        for column in range(int(width // step[0]) + 2):
            left, top = int((column - 0.5 + 0.5 * (row % 2)) * step[0]), int((row - 0.5) * step[1])
            x0, y0 = max(left, 0), max(top, 0)
            x1, y1 = min(left + sign.shape[1], width), min(top + sign.shape[0], height)
            if x1 <= x0 or y1 <= y0:
                continue
            part = sign[y0 - top : y1 - top, x0 - left : x1 - left] / np.float32(255)
            area = picture[y0:y1, x0:x1]
            area += (part[..., :3] - area) * part[..., 3:]
    return picture
