"""Pictures side by side: the node for person, garment, warped garment, result, and tables with captions."""

from __future__ import annotations

import torch
from torch import Tensor

from .tensors import as_image, common_batch
from .types import CATEGORY, io

COLUMNS = 6
CAPTION_HEIGHT = 24


class LadiVTON_ComparisonSheet(io.ComfyNode):
    """One row a try-on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        further = [
            io.Image.Input(f"image_{column}", optional=True, tooltip=f"Picture of column {column}.")
            for column in range(2, COLUMNS + 1)
        ]
        return io.Schema(
            node_id="LadiVTON_ComparisonSheet",
            display_name="Comparison Sheet",
            category=f"{CATEGORY}/decoding",
            description="Lays pictures side by side at one height, one row for each item of a batch, with captions.",
            inputs=[
                io.Image.Input("image_1", tooltip="Picture of column 1."),
                *further,
                io.Int.Input("height", default=512, min=16, max=4096, tooltip="Height of a row in pixels."),
                io.Int.Input("gap", default=8, min=0, max=256, tooltip="White space between pictures in pixels."),
                io.String.Input(
                    "captions", default="person, garment, warped, result", optional=True,
                    tooltip="Text above the columns, separated by commas; empty for none.",
                ),
            ],
            outputs=[io.Image.Output("sheet", display_name="IMAGE", tooltip="The sheet.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image_1: Tensor, height: int, gap: int, captions: str = "", **images: Tensor | None
    ) -> io.NodeOutput:
        connected = {"image_1": image_1} | {name: images[name] for name in sorted(images) if images[name] is not None}
        batch = common_batch(**{name: image[..., :3].movedim(-1, 1).float() for name, image in connected.items()})
        columns = [_at_height(pictures, height) for pictures in batch.values()]
        rows = [_joined([column[item] for column in columns], gap, axis=2) for item in range(columns[0].shape[0])]
        sheet = _joined(rows, gap, axis=1)
        names = [name.strip() for name in captions.split(",")][: len(columns)]
        if any(names):
            sheet = torch.cat([_caption_row(names, [column.shape[-1] for column in columns], gap), sheet], dim=1)
        return io.NodeOutput(as_image(sheet[None]))


def labelled_table(
    rows: list[list[Tensor | None]], captions: list[list[str]], height: int, gap: int, largest: int
) -> Tensor:
    """Pictures in rows and columns on white, each row under a strip of captions.

    Args:
        rows: pictures (1, 3, H, W) in [0, 1] of any size, or None for an empty place; rows of one length.
        captions: a text for every place.
        height: of every picture; a column is as wide as its widest one.
        gap: white between them.
        largest: pixels the table may have.

    Returns:
        (3, H, W).

    Raises:
        ValueError: it would be larger; the message says how large.
    """
    widths = [
        max(_width(picture, height) for picture in column if picture is not None) for column in zip(*rows, strict=True)
    ]
    size = ((height + CAPTION_HEIGHT + gap) * len(rows) - gap, sum(widths) + gap * (len(widths) - 1))
    if size[0] * size[1] > largest:
        raise ValueError(
            f"The sheet would be {size[0]} x {size[1]} (height x width), {size[0] * size[1] / 1e6:.0f} megapixels; "
            f"{largest / 1e6:.0f} is the limit. Lower 'height'."
        )
    strips = []
    for row, names in zip(rows, captions, strict=True):
        cells = [_cell(picture, height, width) for picture, width in zip(row, widths, strict=True)]
        strips.append(torch.cat([_caption_row(names, widths, gap), _joined(cells, gap, axis=2)], dim=1))
    return _joined(strips, gap, axis=1)


def _width(picture: Tensor, height: int) -> int:
    return max(round(picture.shape[-1] * height / picture.shape[-2]), 1)


def _cell(picture: Tensor | None, height: int, width: int) -> Tensor:
    """A picture (1, 3, H, W) scaled to a height, in the middle of a white cell (3, height, width)."""
    cell = torch.ones(3, height, width)
    if picture is not None:
        scaled = _at_height(picture, height)[0].cpu()
        left = (width - scaled.shape[-1]) // 2
        cell[:, :, left : left + scaled.shape[-1]] = scaled
    return cell


def _at_height(pictures: Tensor, height: int) -> Tensor:
    """(B, 3, H, W) scaled to a height, proportions kept."""
    return torch.nn.functional.interpolate(
        pictures.contiguous(), (height, _width(pictures, height)), mode="bilinear", antialias=True, align_corners=False
    )


def _joined(pictures: list[Tensor], gap: int, axis: int) -> Tensor:
    """Pictures (3, H, W) in a line along an axis, with white between."""
    shape = list(pictures[0].shape)
    shape[axis] = gap
    white = torch.ones(shape)
    parts = [part for picture in pictures for part in (picture.cpu(), white)]
    return torch.cat(parts[:-1], dim=axis)


def _caption_row(names: list[str], widths: list[int], gap: int) -> Tensor:
    """A white strip (3, 24, W) with a name at the left of every column."""
    import numpy as np
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (sum(widths) + gap * (len(widths) - 1), CAPTION_HEIGHT), "white")
    draw, left = ImageDraw.Draw(strip), 0
    for name, width in zip(names, widths, strict=False):
        draw.text((left + 4, 6), name, fill="black")
        left += width + gap
    return torch.from_numpy(np.asarray(strip).astype(np.float32) / 255).movedim(-1, 0)


NODES = [LadiVTON_ComparisonSheet]
