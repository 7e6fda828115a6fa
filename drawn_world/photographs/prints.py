"""What is printed on a garment: letters and words, logos, pictures.

Each is a small picture with alpha, painted on the flat front. Letters are Pillow's own font and OpenCV's strokes.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from . import colours
from .fabrics import fabric_picture, flower, sample_fabric
from .noise import dead_leaves

_SYLLABLES = [
    "ra",
    "no",
    "vi",
    "mu",
    "sol",
    "ten",
    "ka",
    "bel",
    "o",
    "ri",
    "da",
    "lun",
    "est",
    "ar",
    "gi",
    "fo",
    "mi",
    "na",
    "us",
    "pe",
    "tor",
    "ly",
    "sa",
    "wen",
    "co",
    "zu",
]


def word(rng: np.random.Generator) -> str:
    """Something that reads like a brand or a slogan."""
    if rng.random() < 0.15:
        return str(rng.integers(0, 100))
    text = "".join(rng.choice(_SYLLABLES, int(rng.integers(1, 4))))
    return text.upper() if rng.random() < 0.65 else text.capitalize()


def lettering(rng: np.random.Generator, width: int, colour) -> np.ndarray:
    """One to three lines of words (H, width, 4) uint8, RGBA."""
    if rng.random() < 0.6:
        font = ImageFont.load_default(96)
        lines = [" ".join(word(rng) for _ in range(int(rng.integers(1, 3)))) for _ in range(int(rng.integers(1, 4)))]
        mask = Image.new("L", (96 * 14, 110 * len(lines)))
        draw = ImageDraw.Draw(mask)
        bold = int(rng.choice([0, 2, 4]))
        for row, line in enumerate(lines):
            draw.text((mask.width / 2, 55 + 110 * row), line, 255, font, "mm", stroke_width=bold)
        cover = np.asarray(mask)
    else:
        cover, text = np.zeros((220, 1500), np.uint8), word(rng)
        face = int(rng.integers(0, 8)) | (16 if rng.random() < 0.3 else 0)
        cv2.putText(cover, text, (60, 150), face, 4.0, 255, int(rng.integers(6, 18)), cv2.LINE_AA)
    rows, columns = np.nonzero(cover.max(1))[0], np.nonzero(cover.max(0))[0]
    cover = cover[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    height = max(2, round(cover.shape[0] * width / cover.shape[1]))
    if height > width * 1.1:
        width, height = max(2, round(width * width / height)), width
    cover = cv2.resize(cover, (width, height), interpolation=cv2.INTER_AREA)
    return _filled(cover, colour)


def _filled(cover: np.ndarray, colour) -> np.ndarray:
    picture = np.empty((*cover.shape, 4), np.uint8)
    picture[..., :3] = np.clip(np.asarray(colour) * 255, 0, 255)
    picture[..., 3] = cover
    return picture


def logo(rng: np.random.Generator, width: int, palette: np.ndarray) -> np.ndarray:
    """A badge: a ring, star, shield or flower with or without a word (width, width, 4) uint8."""
    side = 256
    picture = np.zeros((side, side, 4), np.uint8)
    picture[..., :3] = (palette[1] * 255).astype(np.uint8)
    first, second = ((*(c * 255).tolist(), 255) for c in (palette[1], palette[-1]))
    kind = rng.integers(4)
    if kind == 0:
        cv2.circle(picture, (128, 128), 118, first, int(rng.choice([-1, 14, 26])), cv2.LINE_AA)
    elif kind == 1:
        spikes = int(rng.integers(4, 9))
        angle = np.linspace(0, 2 * math.pi, 2 * spikes + 1)[:-1]
        reach = np.where(np.arange(2 * spikes) % 2, rng.uniform(40, 80), 120)
        points = np.stack([np.sin(angle) * reach, -np.cos(angle) * reach], 1) + 128
        cv2.fillPoly(picture, [points.astype(np.int32)], first, cv2.LINE_AA)
    elif kind == 2:
        points = np.array([[20, 20], [236, 20], [236, 130], [128, 240], [20, 130]]) + rng.integers(-12, 12, (5, 2))
        cv2.fillPoly(picture, [points], first, cv2.LINE_AA)
    else:
        flower(rng, colour := picture[..., :3].copy(), np.array([128, 128]), 118, palette[1], palette[-1])
        picture[..., :3] = colour
        cv2.circle(picture, (128, 128), 118, (*picture[128, 128, :3].tolist(), 255), 1)
        picture[..., 3] = (np.abs(colour.astype(int) - (palette[1] * 255).astype(int)).sum(-1) > 0) * 255
        if not picture[..., 3].any():
            picture[..., 3] = cv2.circle(np.zeros((side, side), np.uint8), (128, 128), 118, 255, -1)
    if rng.random() < 0.7 and kind != 3:
        letters = lettering(rng, int(side * 0.62), second[:3] / np.array(255.0))
        letters = letters[: side - 2]
        top, left = (side - letters.shape[0]) // 2, (side - letters.shape[1]) // 2
        area = picture[top : top + letters.shape[0], left : left + letters.shape[1]]
        share = letters[..., 3:] / 255.0
        area[..., :3] = area[..., :3] * (1 - share) + letters[..., :3] * share
        area[..., 3] = np.maximum(area[..., 3], letters[..., 3])
    return cv2.resize(picture, (width, width), interpolation=cv2.INTER_AREA)


def picture_print(rng: np.random.Generator, width: int, palette: np.ndarray) -> np.ndarray:
    """A picture in a frame: leaves of all sizes, a landscape of gradients, or a patch of another fabric."""
    height = round(width * rng.uniform(0.7, 1.35))
    seed, kind = int(rng.integers(2**62)), rng.random()
    if kind < 0.6:
        image = dead_leaves(seed, (height, width), colours.scenery(rng), 0.01, 0.45, 300)
    else:
        image = fabric_picture(sample_fabric(rng), (height / 120, width / 120), 120)[:height, :width]
    shape = np.zeros((height, width), np.uint8)
    place, axes = (width // 2, height // 2), (int(width * 0.48), int(height * 0.48))
    form = rng.random()
    if form < 0.35:
        cv2.ellipse(shape, place, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
    elif form < 0.65:
        shape[2:-2, 2:-2] = 255
    else:
        angle = np.linspace(0, 2 * math.pi, 60)
        reach = 0.7 + 0.3 * np.cos(angle * rng.integers(2, 6) + rng.uniform(0, 6)) * rng.uniform(0.3, 1)
        points = np.stack([np.cos(angle) * reach * axes[0], np.sin(angle) * reach * axes[1]], 1) + place
        cv2.fillPoly(shape, [points.astype(np.int32)], 255, cv2.LINE_AA)
    result = np.concatenate([(image * 255).astype(np.uint8), shape[..., None]], -1)
    if rng.random() < 0.4:
        letters = lettering(rng, int(width * 0.95), palette[1])
        result = np.concatenate([result, np.zeros((letters.shape[0] + 6, width, 4), np.uint8)])
        result[height + 6 :, (width - letters.shape[1]) // 2 :][:, : letters.shape[1]] = letters
    return result


def graphic(kind: str, rng: np.random.Generator, width: int, palette: np.ndarray) -> np.ndarray:
    """A print of a kind: "letters", "logo" or "picture"."""
    if kind == "letters":
        return lettering(rng, width, palette[1])
    return (logo if kind == "logo" else picture_print)(rng, width, palette)
