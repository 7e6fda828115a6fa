"""Picture files as colours and coverage: the one place that knows the kinds of pixels a file may hold.

8 and 16 bit grey, colour, palettes, transparency, colour profiles, the camera's orientation. `label_pictures.py` is for
label pictures, whose numbers are no colours.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..disk.colours import DESCRIBED, colours_of_file, colours_shown
from ..disk.pictures import is_srgb, open_picture, upright

if TYPE_CHECKING:
    from PIL.Image import Image

DEEP = ("I;16", "I;16L", "I;16B", "I;16N", "I", "F")
"""Pillow's modes with more than 8 bits a pixel."""


def read_picture(path: Path) -> tuple[Tensor, Tensor]:
    """Colours and opacity of a picture file.

    Returns:
        Colours (3, H, W) as they are, whatever the opacity, and the opacity (1, H, W); float32 in [0, 1], upright.

    Raises:
        ValueError: the file is no picture, is cut short or larger than Pillow decodes; names the file.
    """
    picture = eight_bits(upright(open_picture(path, called=path.name), path.name), path.name)
    values = np.asarray(picture.convert("RGBA")).astype(np.float32) / 255
    pixels = torch.from_numpy(np.ascontiguousarray(values)).movedim(-1, 0)
    return pixels[:3].contiguous(), pixels[3:].contiguous()


def as_file(path: Path, shown: np.ndarray) -> tuple[np.ndarray, bytes | None]:
    """A changed copy of a picture in the colours of its file, and their profile; see `disk.colours.colours_of_file`.

    Raises:
        ValueError: see `read_picture`.
    """
    if is_srgb(path):  # nearly every photo; to decode it anew for each of its results would take as long as a step
        return shown, None
    return colours_of_file(shown, upright(open_picture(path, called=path.name), path.name), path.name)


def over_white(pixels: Tensor) -> Tensor:
    """Pictures (..., C, H, W) in [0, 1] as three colours: grey repeated, transparency laid over white.

    Args:
        pixels: C is 1 (grey), 2 (grey, alpha), 3 or 4 (colours, alpha).

    Raises:
        ValueError: another number of channels.
    """
    channels = pixels.shape[-3]
    if channels not in (1, 2, 3, 4):
        raise ValueError(f"a picture has {channels} channels; expected 1 (grey), 3 (colour) or 4 (colour and alpha)")
    if channels == 3:
        return pixels
    colours, alpha = (pixels, None) if channels == 1 else (pixels[..., :-1, :, :], pixels[..., -1:, :, :])
    colours = colours.expand(*colours.shape[:-3], 3, *colours.shape[-2:])
    return colours if alpha is None else 1 - alpha * (1 - colours)


def on_white(picture: Image, called: str = "the picture") -> Image:
    """A Pillow picture of any kind as RGB of 8 bits, transparency laid over white.

    Pillow's own conversion to RGB shows what lies under the transparency: black, from most background removers.
    Pictures without transparency are what Pillow makes of them, bit for bit.

    Raises:
        ValueError: see `eight_bits`.
    """
    from PIL import Image

    picture = eight_bits(picture, called)
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    rgba = picture.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")


def eight_bits(picture: Image, called: str = "the picture") -> Image:
    """A Pillow picture of 8 bits a channel whose numbers are sRGB: what every reader of colours starts from.

    A grey one of 16 bits (or, in mode F, of real numbers) has white at the top of its range; Pillow's own conversion
    clips at 255: nearly everything would be white. What the file says of its colours is applied (`disk.colours`). Other
    pictures pass unchanged.

    Args:
        called: what the message calls the picture.

    Raises:
        ValueError: values that are no numbers (NaN or infinite), or of a high dynamic range.
    """
    from PIL import Image

    if picture.mode not in DEEP:
        return colours_shown(picture, called)
    values = np.asarray(picture).astype(np.float64)
    if not np.isfinite(values).all():
        raise ValueError(
            f"{called} holds values that are no numbers (NaN or infinite). Save it again as PNG, with 8 or 16 bits."
        )
    white = max(float(values.max(initial=0)), 1.0 if picture.mode == "F" else 65535.0)
    grey = Image.fromarray(np.clip(np.rint(values * 255 / white), 0, 255).astype(np.uint8))
    clear = picture.info.get("transparency")
    if isinstance(clear, int):  # a PNG's one grey that counts as transparent
        grey.putalpha(Image.fromarray(np.where(values == clear, 0, 255).astype(np.uint8)))
    grey.info |= {key: picture.info[key] for key in DESCRIBED if key in picture.info}
    return colours_shown(grey, called)
