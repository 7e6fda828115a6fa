"""Nodes that lay pictures side by side: person, garment, warped garment, result; and everybody in everything."""

from __future__ import annotations

from bisect import bisect

import torch
from torch import Tensor

from .host.types import CATEGORY, io, search_aliases, ui
from .tensors import as_image, common_batch, photo_pixels, require_pixels

COLUMNS = 6
LARGEST_SIDE = 32767
"""Of a sheet; browsers show no larger picture."""
LARGEST_AREA = 100_000_000
"""Pixels of a sheet: 1.2 GB as an IMAGE."""
CAPTION_SHARE, LEAST_CAPTION_HEIGHT = 0.09, 24
"""Height of the captions beside a row's: a sheet of four columns, fitted to a node, can still be read."""
LEAST_LETTERS = 8
"""Pixels below which letters are not shrunk further to fit a column; the caption is cut instead."""


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
            display_name="Comparison Sheet (Outfits)",
            **search_aliases("before after", "compare images", "slider", "contact sheet", "wardrobe", "fashion"),
            category=f"{CATEGORY}/decoding",
            description="Lays pictures side by side at one height, one row for each item of a batch, with captions. "
                "On the node a slider compares the first picture with the last, before and after.",
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
            is_output_node=True,  # the slider is a result: also with nothing connected, and when a run is cached
        )  # fmt: skip

    @classmethod
    def execute(
        cls, image_1: Tensor, height: int, gap: int, captions: str = "", **images: Tensor | None
    ) -> io.NodeOutput:
        connected = {"image_1": image_1} | {name: images[name] for name in sorted(images) if images[name] is not None}
        for name, image in connected.items():
            require_pixels(image, name)
        _check_size(connected, height, gap)
        batch = common_batch(**{name: photo_pixels(image, name) for name, image in connected.items()})
        columns = [_at_height(pictures, height) for pictures in batch.values()]
        rows = [_joined([column[item] for column in columns], gap, axis=2) for item in range(columns[0].shape[0])]
        sheet = _joined(rows, gap, axis=1)
        names = [" ".join(name.split()) for name in captions.split(",")][: len(columns)]
        if any(names):
            strip = _caption_row(names, [column.shape[-1] for column in columns], gap, height)
            sheet = torch.cat([strip, sheet], dim=1)
        return io.NodeOutput(as_image(sheet[None]), ui=_before_and_after(cls, columns, names))


class LadiVTON_WardrobeSheet(io.ComfyNode):
    """Everybody in everything."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_WardrobeSheet",
            display_name="Wardrobe Sheet",
            **search_aliases("grid", "contact sheet", "lookbook", "outfits"),
            category=f"{CATEGORY}/wardrobe",
            description="One picture of a whole wardrobe run: a row for each person, a column for each garment, "
                "with their names.",
            inputs=[
                io.Image.Input("results", tooltip="From EMASC Decoder: a batch of garments for each person."),
                io.Image.Input("person", tooltip="From Wardrobe People, for the first column."),
                io.Image.Input("garments", tooltip="From Wardrobe Garments, for the first row."),
                io.String.Input(
                    "person_names", default="",
                    tooltip="Names of the people, separated by commas; empty numbers them.",
                ),
                io.String.Input(
                    "garment_names", default="",
                    tooltip="Names of the garments, separated by commas; empty numbers them.",
                ),
                io.Int.Input("height", default=512, min=16, max=4096, tooltip="Height of a picture in pixels."),
                io.Int.Input("gap", default=8, min=0, max=256, tooltip="White space between pictures in pixels."),
            ],
            outputs=[io.Image.Output("sheet", display_name="IMAGE", tooltip="The sheet.")],
            is_input_list=True,
        )  # fmt: skip

    @classmethod
    def execute(
        cls, results: list[Tensor], person: list[Tensor], garments: list[Tensor], person_names: list[str],
        garment_names: list[str], height: list[int], gap: list[int],
    ) -> io.NodeOutput:  # fmt: skip
        people, clothes = _pictures(person), _pictures(garments)
        rows = [_pictures([batch]) for batch in results]
        if len(rows) != len(people) or any(len(row) != len(clothes) for row in rows):
            sizes = " and ".join(sorted({str(len(row)) for row in rows}))
            raise ValueError(
                f"'results' are {len(rows)} batches of {sizes} pictures, "
                f"for {len(people)} people in {len(clothes)} garments. "
                "Connect 'person' of Wardrobe People, 'garments' of Wardrobe Garments, "
                "and the decoder behind Garment Conditioning."
            )
        names = _names(person_names[0], len(people), "person")
        table = [[None, *clothes]] + [[one, *row] for one, row in zip(people, rows, strict=True)]
        captions = [["", *_names(garment_names[0], len(clothes), "garment")]]
        captions += [[name] + [""] * len(clothes) for name in names]
        return io.NodeOutput(as_image(_labelled_table(table, captions, height[0], gap[0])[None]))


def _check_size(pictures: dict[str, Tensor], height: int, gap: int) -> None:
    """Before anything is scaled: a strip of a few pixels would become a sheet of gigabytes.

    Raises:
        ValueError: the sheet would be larger than `LARGEST_SIDE` or `LARGEST_AREA`; the message names the picture.
    """
    widths = {name: _width(image.movedim(-1, 1), height) for name, image in pictures.items()}
    rows = max(len(image) for image in pictures.values())
    width = sum(widths.values()) + gap * (len(widths) - 1)
    length = rows * height + gap * (rows - 1) + _caption_height(height)
    if max(width, length) <= LARGEST_SIDE and width * length <= LARGEST_AREA:
        return
    widest = max(widths, key=widths.get)
    shape = pictures[widest].shape
    raise ValueError(
        f"The sheet would be {width} x {length} pixels (width x height); "
        f"at most {LARGEST_SIDE} on a side and {LARGEST_AREA / 1e6:.0f} megapixels are made. "
        f"'{widest}' is {shape[2]} x {shape[1]} and takes {widths[widest]} of the width at 'height' {height}: "
        "choose a smaller 'height', fewer pictures a batch, or crop it."
    )


def _labelled_table(rows: list[list[Tensor | None]], captions: list[list[str]], height: int, gap: int) -> Tensor:
    """Pictures in rows and columns on white, each row under a strip of captions.

    Args:
        rows: pictures (1, 3, H, W) in [0, 1] of any size, or None for an empty place; rows of one length.
        captions: a text for every place.
        height: of every picture; a column is as wide as its widest one.
        gap: white between them.

    Returns:
        (3, H, W).

    Raises:
        ValueError: it would be larger; the message says how large.
    """
    widths = [
        max(_width(picture, height) for picture in column if picture is not None) for column in zip(*rows, strict=True)
    ]
    size = ((height + _caption_height(height) + gap) * len(rows) - gap, sum(widths) + gap * (len(widths) - 1))
    if size[0] * size[1] > LARGEST_AREA:
        raise ValueError(
            f"The sheet would be {size[0]} x {size[1]} (height x width), {size[0] * size[1] / 1e6:.0f} megapixels; "
            f"{LARGEST_AREA / 1e6:.0f} is the limit. Lower 'height'."
        )
    strips = []
    for row, names in zip(rows, captions, strict=True):
        cells = [_cell(picture, height, width) for picture, width in zip(row, widths, strict=True)]
        strips.append(torch.cat([_caption_row(names, widths, gap, height), _joined(cells, gap, axis=2)], dim=1))
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


def _caption_height(height: int) -> int:
    """Of the captions above rows of a height."""
    return max(round(height * CAPTION_SHARE), LEAST_CAPTION_HEIGHT)


def _caption_row(names: list[str], widths: list[int], gap: int, height: int) -> Tensor:
    """A white strip (3, h, W) above rows of a height, with a name at the left of every column, all of one size."""
    import numpy as np
    from PIL import Image, ImageDraw, ImageFont

    tall = _caption_height(height)
    strip = Image.new("RGB", (sum(widths) + gap * (len(widths) - 1), tall), "white")
    draw, margin = ImageDraw.Draw(strip), tall // 6
    room = [width - 2 * margin for width in widths]
    size = round(tall * 0.7)
    font = ImageFont.load_default(size)
    widest = max((font.getlength(name) / max(width, 1) for name, width in zip(names, room, strict=False)), default=0)
    if widest > 1:
        font = ImageFont.load_default(max(int(size / widest), LEAST_LETTERS))
    left = 0
    for name, width, space in zip(names, widths, room, strict=False):
        draw.text((left + margin, tall / 2), _cut(name, font, space), fill="black", font=font, anchor="lm")
        left += width + gap
    return torch.from_numpy(np.asarray(strip).astype(np.float32) / 255).movedim(-1, 0)


def _cut(name: str, font, width: int) -> str:
    """As much of a caption as fits, with an ellipsis where that is not all."""
    if font.getlength(name) <= width:
        return name
    # by halves: letter by letter, a caption of a whole page takes minutes
    fits = bisect(range(1, len(name)), width, key=lambda letters: font.getlength(name[:letters] + "\u2026"))
    return name[:fits] + "\u2026" if fits else ""


def _before_and_after(node: type[io.ComfyNode], columns: list[Tensor], names: list[str]) -> dict[str, list]:
    """What the slider on the node shows (`web/js/before_after.js`): first and last column, and what they are called.

    Not under `images`: the page would show those by itself, below the slider.
    """
    ends = (columns[0], columns[-1]) if len(columns) > 1 else ()
    shown = [list(ui.PreviewImage(as_image(pictures), cls=node).values) for pictures in ends]
    called = [*names, *[""] * (len(columns) - len(names))]
    return {
        "before": shown[0] if ends else [],
        "after": shown[1] if ends else [],
        "before_after_names": [called[0], called[-1]] if ends else [],
    }


def _pictures(batches: list[Tensor]) -> list[Tensor]:
    """Every picture (1, 3, H, W) of a list of IMAGEs."""
    return [picture[None, ..., :3].movedim(-1, 1).float() for batch in batches for picture in batch]


def _names(text: str, count: int, what: str) -> list[str]:
    """Names (count,) from a list with commas; those missing are numbered."""
    given = [name.strip() for name in text.split(",")] if text.strip() else []
    if len(given) > count:
        raise ValueError(f"'{what}_names' has {len(given)} names for {count}: {text!r}.")
    return [name or f"{what} {number}" for number, name in enumerate(given + [""] * (count - len(given)), 1)]


NODES = [LadiVTON_ComparisonSheet, LadiVTON_WardrobeSheet]
