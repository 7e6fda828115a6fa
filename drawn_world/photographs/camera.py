"""A camera and what happens to its pictures: from light to the bytes of a file.

Lens blur, exposure, white balance, noise, tone curve, sharpening, resampling and JPEG, each now and then.
"""

from __future__ import annotations

import cv2
import numpy as np

from .noise import blurred


def sample_camera(rng: np.random.Generator, shop: bool = False) -> dict:
    """Numbers of a camera.

    Args:
        shop: a shop's own picture of a garment: well exposed, neutral, clean.
    """
    calm = 0.4 if shop else 1.0
    return {
        "blur": rng.choice(
            [rng.uniform(0.0, 0.35), rng.uniform(0.35, 0.7), rng.uniform(0.7, 1.3)], p=[0.62, 0.27, 0.11]
        ),
        "exposure": 2 ** (rng.normal(0.08, 0.22) * calm),
        "balance": np.exp(rng.normal(0, 0.03, 3) * calm),
        "noise": rng.choice([0.003, 0.008, 0.02], p=[0.6, 0.3, 0.1]) * rng.uniform(0.5, 1.3) * calm,
        "grain": rng.uniform(0.0, 0.9),
        "contrast": rng.normal(0.0, 0.12) * calm,
        "lift": max(0.0, rng.normal(0, 0.02)) * calm,
        "colour": 1 + rng.normal(0, 0.1) * calm,
        "sharpen": float(rng.random() < 0.65) * rng.uniform(0.15, 0.9),
        "shrink": rng.uniform(0.5, 0.9) if rng.random() < 0.12 else 1.0,
        "quality": int(rng.integers(60, 97)) if rng.random() < 0.75 else 0,
        "seed": int(rng.integers(2**62)),
    }


def photograph(camera: dict, light: np.ndarray) -> np.ndarray:
    """Take a picture.

    Args:
        camera: from `sample_camera`.
        light: (H, W, 3) float32, linear; 1 is white cloth in the main light.

    Returns:
        (H, W, 3) uint8 sRGB.
    """
    height, width = light.shape[:2]
    scale = height / 512
    rng = np.random.default_rng(camera["seed"])
    light = blurred(light, camera["blur"] * scale)
    light = light * (camera["exposure"] * camera["balance"]).astype(np.float32)
    # shoulder: highlights are compressed, not cut
    over = np.maximum(light - 0.8, 0)
    light -= over - over / (1 + over * 4)
    one = rng.standard_normal((height, width), dtype=np.float32)
    # the other channels' noise: the same field from elsewhere is as good as another, and drawn in a third of the time
    grain = cv2.merge(
        [one, np.roll(one, (height // 3, width // 5), (0, 1)), np.roll(one, (height // 7, width // 2), (0, 1))]
    )
    grain += np.float32(camera["grain"]) * (cv2.merge([one, one, one]) - grain)
    light += grain * cv2.sqrt(np.maximum(light, 0) + np.float32(0.01)) * np.float32(camera["noise"])
    levels = np.linspace(0, 1, 4096, dtype=np.float32) ** np.float32(1 / 2.2)
    curve = levels * levels * (3 - 2 * levels)
    table = levels + np.float32(camera["contrast"]) * (curve - levels)
    picture = table[(np.clip(light, 0, 1) * 4095 + 0.5).astype(np.uint16)]
    grey = picture @ np.float32([0.299, 0.587, 0.114])
    picture = grey[..., None] + np.float32(camera["colour"]) * (picture - grey[..., None])
    picture = camera["lift"] + (1 - camera["lift"]) * picture
    if camera["sharpen"]:
        picture = picture + np.float32(camera["sharpen"]) * (picture - cv2.GaussianBlur(picture, (0, 0), 1.0 * scale))
    if camera["shrink"] < 1:
        small = round(width * camera["shrink"]), round(height * camera["shrink"])
        picture = cv2.resize(
            cv2.resize(picture, small, interpolation=cv2.INTER_AREA), (width, height), interpolation=cv2.INTER_CUBIC
        )
    picture = (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
    if camera["quality"]:
        coded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, camera["quality"]])[1]
        picture = cv2.imdecode(coded, cv2.IMREAD_COLOR)[..., ::-1]
    return np.ascontiguousarray(picture)
