"""The comparison sheet: where everything stands, captions that can be read, and what the slider is given."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture
def sheet(nodes, tmp_path, monkeypatch):
    """`sheet(columns, rows, ...)`: the node's output; column c of row r is one grey of its own."""

    import folder_paths

    monkeypatch.setattr(folder_paths, "temp_directory", str(tmp_path))

    def make(columns: int = 3, rows: int = 2, height: int = 64, size: tuple[int, int] = (64, 48), **inputs):
        pictures = {
            f"image_{column + 1}": torch.stack(
                [torch.full((*size, 3), 0.1 * (column + 1) + 0.3 * row) for row in range(rows)]
            )
            for column in range(columns)
        }
        absent = {f"image_{column + 1}": None for column in range(columns, 6)}
        return nodes["LadiVTON_ComparisonSheet"].execute(**absent | pictures, height=height, **{"gap": 4} | inputs)

    return make


def ink(strip: torch.Tensor) -> torch.Tensor:
    """Rows and columns of a white strip (H, W, 3) in which something is written."""
    dark = strip.amin(-1) < 0.5
    return dark.any(1).nonzero()[:, 0], dark.any(0).nonzero()[:, 0]


def test_every_picture_stands_in_its_row_and_column(sheet):
    (made,) = sheet(captions="").result
    assert made.shape == (1, 64 * 2 + 4, 48 * 3 + 4 * 2, 3)
    for row in range(2):
        for column in range(3):
            grey = made[0, row * 68 + 32, column * 52 + 24, 0].item()
            assert grey == pytest.approx(0.1 * (column + 1) + 0.3 * row, abs=1e-3)
    assert (made[0, :, 48:52] == 1).all() and (made[0, 64:68] == 1).all()


@pytest.mark.parametrize("height", [256, 512, 1024])
def test_captions_grow_with_the_row_and_stand_over_their_columns(sheet, height):
    width = height * 3 // 4
    (made,) = sheet(captions="person, garment, result", height=height, rows=1).result
    strip = made[0, : made.shape[1] - height]
    assert strip.shape[0] == max(24, round(height * 0.09))
    for column in range(3):
        rows, across = ink(strip[:, column * (width + 4) : column * (width + 4) + width])
        letters = rows.max() - rows.min() + 1
        assert letters > 0.045 * height, "letters too small beside their picture"
        assert across.min() < width / 10


def test_a_long_caption_stays_over_its_column(sheet):
    (made,) = sheet(captions="somebody with a very long name in front of the sea, garment", rows=1, columns=2).result
    strip = made[0, :24]
    assert (strip[:, 44:52].amin(-1) > 0.5).all(), "it runs into the next column"
    assert ink(strip[:, :48])[1].numel() and ink(strip[:, 52:])[1].numel()


def test_the_slider_gets_the_first_and_the_last_picture_of_every_row(sheet, tmp_path):
    import numpy as np
    from PIL import Image

    shown = sheet(captions="person, garment, result").ui
    assert shown["before_after_names"] == ["person", "result"]
    for side, column in (("before", 0), ("after", 2)):
        greys = []
        for picture in shown[side]:
            assert picture["type"] == "temp"
            greys.append(np.asarray(Image.open(tmp_path / picture["filename"])).mean() / 255)
        assert greys == pytest.approx([0.1 * (column + 1) + 0.3 * row for row in range(2)], abs=0.01)


def test_one_column_has_nothing_to_compare(sheet):
    assert not any(sheet(columns=1, captions="").ui.values())


def test_transparency_is_laid_over_white(run, sheet):
    clear = torch.zeros(1, 32, 24, 4)
    clear[:, 8:24, 6:18] = torch.tensor([0.8, 0.1, 0.2, 1.0])
    (table,) = run("ComparisonSheet", image_1=clear, height=32, gap=4, captions="")
    assert bool((table[0, :4] == 1).all()) and float(table[0, 16, 12, 1]) < 0.2


def test_a_caption_of_a_whole_page_is_cut_at_once(sheet, monkeypatch):
    from PIL import ImageFont

    measured = []
    measure = ImageFont.FreeTypeFont.getlength
    monkeypatch.setattr(
        ImageFont.FreeTypeFont, "getlength",
        lambda font, text, *more: measured.append(len(text)) or measure(font, text, *more),
    )  # fmt: skip
    sheet(columns=1, captions="a line\nand another " * 500)
    assert 0 < len(measured) < 100
