"""Label pictures as numbers, whether a file holds the numbers themselves or the colours a parser drew them in.

Parsers draw label i in colour i of Pascal VOC's colour map. A palette picture holds numbers and colours: where the
colours are a known map's, they decide, because an optimised palette renumbers. `labels.py` says what the numbers mean.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ..disk.pictures import open_picture
from .labels import LABEL_SETS, LabelSet

if TYPE_CHECKING:
    from PIL.Image import Image

NUMBERS = ("L", "1", "I", "I;16")
"""Pillow's modes whose values are the label numbers."""

# What scaling or compression may have changed in a colour, and how many pixels may still be no label's.
_NEAR, _STRAY = 12, 0.01


def voc_colours(count: int) -> np.ndarray:
    """Pascal VOC's colour map (count, 3) uint8: the bits of the id spread over the high bits of red, green and blue."""
    ids = np.arange(count)
    colours = np.zeros((count, 3), int)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= (ids >> (3 * bit + channel) & 1) << (7 - bit)
    return colours.astype(np.uint8)


def sample_colours(count: int) -> np.ndarray:
    """Palette (count, 3) uint8 of the pack's own example parse maps."""
    return (np.arange(count)[:, None] * np.array([67, 131, 199]) % 256).astype(np.uint8)


COLOURINGS = {"Pascal VOC's colours": voc_colours, "the examples' colours": sample_colours}
"""Colour of every label, by who draws so."""


def labels_from_picture(picture: Image, labels: LabelSet, name: str = "the parse map") -> np.ndarray:
    """Label numbers (H, W) int64 of a Pillow picture.

    Args:
        picture: palette, grey (numbers), or colour (a parser's drawing).
        labels: vocabulary; says how many labels there are.
        name: what the picture is called in messages.

    Raises:
        ValueError: numbers beyond the vocabulary, colours that are no label's, or a palette that an image program has
            renumbered.
    """
    if picture.mode == "P" or picture.mode in NUMBERS:
        values = np.array(in_label_order(picture, labels, name)).astype(np.int64)
    else:
        colours = torch.from_numpy(np.array(picture.convert("RGB"))).movedim(-1, 0)[None].float() / 255
        return labels_from_colours(colours, labels, name)[0].numpy()
    require_known(values, labels, name)
    return values


def require_known(values: np.ndarray | Tensor, labels: LabelSet, name: str = "the parse map") -> None:
    """Refuse numbers outside the vocabulary, such as 255 for void: they would count as nothing without a word.

    Raises:
        ValueError: names the first.
    """
    for label in (int(values.max()), int(values.min())) if all(values.shape) else ():
        if not 0 <= label < len(labels.labels):
            raise ValueError(
                f"{name} has the label {label}, but {labels.name} ends at {len(labels.labels) - 1}. "
                f"Choose the label set of the parser that made it: {', '.join(LABEL_SETS)}."
            )


def in_label_order(picture: Image, labels: LabelSet, name: str = "the parse map") -> Image:
    """A label picture whose values are the labels: a palette that an image program has renumbered is put in order.

    Others pass unchanged, as do labels beyond the vocabulary.

    Raises:
        ValueError: the numbers are an image program's, and the colours are unknown.
    """
    from PIL import Image

    if picture.mode != "P":
        return picture
    values = np.array(picture)
    palette = np.array(picture.getpalette("RGB"), np.uint8).reshape(-1, 3)
    table = _renumbered(np.flatnonzero(np.bincount(values.ravel())), palette, labels, name)
    return picture if table is None else Image.fromarray(table[values])


def read_labels(path: Path, labels: LabelSet) -> Tensor:
    """Label numbers (H, W) int64 of a picture file.

    Raises:
        ValueError: it is no picture, or no label picture; names the file.
    """
    advice = "Save the parse map again as a palette or grey PNG"
    return torch.from_numpy(labels_from_picture(open_picture(path, called=path.name, advice=advice), labels, path.name))


def labels_from_colours(image: Tensor, labels: LabelSet, name: str = "the picture") -> Tensor:
    """Labels of a picture in which a parser drew every label in its colour.

    Args:
        image: (B, 3, H, W) in [0, 1].
        labels: vocabulary; label i has the colour i of one of `COLOURINGS`.
        name: what the picture is called in messages.

    Returns:
        (B, H, W) int64, the label of the nearest colour.

    Raises:
        ValueError: more than 1 % of the pixels, or none but one flat colour, are any label's colour.
    """
    pixels = (image.float() * 255).round().clamp(0, 255).to(torch.uint8).movedim(1, -1).cpu()
    found, index = pixels.reshape(-1, 3).unique(dim=0, return_inverse=True)
    counts = torch.bincount(index.flatten(), minlength=len(found)).double()
    best: tuple[float, str, Tensor] | None = None
    for colouring, colours_of in COLOURINGS.items():
        colours = torch.from_numpy(colours_of(len(labels.labels)).astype(np.int64))
        far, label = _nearest(found.long(), colours)
        stray = float(counts[far > _NEAR].sum() / counts.sum())
        if best is None or stray < best[0]:
            best = (stray, colouring, label)
    stray, _, label = best
    if stray > _STRAY or len(label.unique()) < 2:
        raise ValueError(
            f"{name} is a colour picture, and {stray:.0%} of its pixels have a colour that {labels.name} draws for no "
            f"label. Choose the label set of the parser that drew it ({', '.join(LABEL_SETS)}), send it at the "
            "parser's own size without scaling, or save the parse map as a palette or grey PNG whose values are the "
            "label numbers."
        )
    return label[index].view(pixels.shape[:-1])


def _nearest(colours: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Largest channel difference to the nearest known colour, and which it is; in pieces, photos have many colours."""
    parts = [(piece[:, None] - known).abs().amax(-1).min(1) for piece in colours.split(65536)]
    return torch.cat([part.values for part in parts]), torch.cat([part.indices for part in parts])


def _renumbered(used: np.ndarray, palette: np.ndarray, labels: LabelSet, name: str) -> np.ndarray | None:
    """Label of every number, by its colour, where a palette shows a known map's colours in another order.

    Args:
        used: numbers that occur, rising.

    Returns:
        uint8; None where the numbers are labels as they are.

    Raises:
        ValueError: the numbers are an image program's, and the colours are unknown.
    """
    if not len(used) or used[-1] >= len(palette):
        return None
    colours = palette[used].astype(int)
    for colours_of in COLOURINGS.values():
        known = colours_of(len(labels.labels)).astype(int)
        far = np.abs(colours[:, None] - known).max(-1)
        if (far.min(1) <= _NEAR).all() and len(used) > 1:
            table = np.zeros(used[-1] + 1, np.uint8)
            table[used] = far.argmin(1)
            return None if np.array_equal(table[used], used) else table
    # A parser's ids have gaps (nobody wears everything); an optimiser's numbers run from 0 without one. Where every
    # number shows as that grey, nobody has chosen colours.
    if len(used) > 5 and np.array_equal(used, np.arange(len(used))) and (palette[used] != used[:, None]).any():
        raise ValueError(
            f"{name} has an optimised palette: its numbers are an image program's, not labels. Use the parser's own "
            "file, or save the parse map as a grey PNG whose values are the label numbers."
        )
    return None
