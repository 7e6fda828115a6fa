"""Contact sheets: rows of pictures tiled into one image file."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from .writing import write_picture

_LETTER, _LINE = 7, 13  # pixels of Pillow's own font, generously


def write_sheet(rows: Sequence[Tensor], path: Path, height: int = 256, titles: Sequence[str] = ()) -> None:
    """Tile rows of pictures (N, 3, H, W) in [0, 1] into one file, each picture `height` pixels high.

    Args:
        path: PNG or JPEG, by its ending; missing folders are made.
        titles: one a column, written above it and broken into lines where it is longer than the column is wide.

    Raises:
        ValueError: another number of titles than of columns.
    """
    import numpy as np
    from PIL import Image, ImageDraw

    if titles and any(len(titles) != len(row) for row in rows):
        raise ValueError(f"{len(titles)} titles for rows of {', '.join(str(len(row)) for row in rows)} pictures")
    small = [
        torch.nn.functional.interpolate(
            row.clamp(0, 1), size=(height, height * row.shape[-1] // row.shape[-2]), mode="area"
        )
        for row in rows
    ]
    table = torch.cat([torch.cat(list(row), dim=2) for row in small], dim=1)
    pixels = Image.fromarray((table.permute(1, 2, 0) * 255).round().numpy().astype(np.uint8))
    width = small[0].shape[-1]
    heads = [textwrap.fill(title, max(width // _LETTER, 1)) for title in titles]
    head = max((_LINE * (text.count("\n") + 1) + 4 for text in heads), default=0)
    picture = Image.new("RGB", (pixels.width, pixels.height + head), "white")
    picture.paste(pixels, (0, head))
    pen = ImageDraw.Draw(picture)
    for column, text in enumerate(heads):
        pen.multiline_text((column * width + 3, 1), text, fill="black", spacing=1)
    write_picture(picture, path, quality=88)
