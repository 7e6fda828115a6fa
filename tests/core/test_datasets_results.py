"""Result files: the paper's names, whole or not at all, and the pixels that were meant."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ladivton_core.datasets.results import result_path, to_picture, write_pictures


class Unwritable:
    """A picture that breaks off in the middle of being saved."""

    info: dict = {}  # noqa: RUF012

    def save(self, file, *args, **options):
        file.write(b"half of it")
        raise OSError("the disk is full")


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_results_are_named_after_the_person():
    out = Path("out")
    assert result_path(out, "paired", "dresses", "a_0.jpg") == out / "paired" / "dresses" / "a_0.jpg"
    assert result_path(out, "paired", "dresses", "a_0.jpg", "png").name == "a_0.png"
    assert result_path(out, "paired", "dresses", "a.0", "png").name == "a.0.png"
    with pytest.raises(ValueError, match="'gif'"):
        result_path(out, "paired", "dresses", "a_0.jpg", "gif")
    for order, name in (("paired", "../a.jpg"), ("..", "a.jpg"), ("paired", "")):
        with pytest.raises(ValueError, match="cannot be the name of a file"):
            result_path(out, order, "dresses", name)


def test_levels_are_rounded_and_kept_in_range():
    pixels = torch.tensor([-0.5, 0.4 / 255, 0.6 / 255, 2.0]).view(1, 2, 2).expand(3, 2, 2)
    assert np.asarray(to_picture(pixels))[..., 0].tolist() == [[0, 0], [1, 255]]


def test_a_batch_that_breaks_off_leaves_nothing(tmp_path):
    paths = [tmp_path / "a" / "1.jpg", tmp_path / "a" / "2.jpg"]
    with pytest.raises(OSError, match="disk is full"):
        write_pictures([Image.new("RGB", (8, 8)), Unwritable()], paths)
    assert files_in(tmp_path) == []


def test_files_that_are_there_stay_unless_told_otherwise(tmp_path):
    path = tmp_path / "1.png"
    write_pictures([Image.new("RGB", (8, 8), "red")], [path])
    with pytest.raises(FileExistsError, match="allow overwriting"):
        write_pictures([Image.new("RGB", (8, 8)), Image.new("RGB", (8, 8))], [tmp_path / "0.png", path])
    assert Image.open(path).getpixel((0, 0)) == (255, 0, 0) and files_in(tmp_path) == ["1.png"]
    with pytest.raises(OSError, match="disk is full"):  # the old file survives a failed replacement
        write_pictures([Unwritable()], [path], overwrite=True)
    assert Image.open(path).getpixel((0, 0)) == (255, 0, 0)
    write_pictures([Image.new("RGB", (8, 8), "blue")], [path], overwrite=True)
    assert Image.open(path).getpixel((0, 0)) == (0, 0, 255)


def test_every_picture_needs_its_own_file(tmp_path):
    pictures = [Image.new("RGB", (8, 8))] * 2
    for paths in ([tmp_path / "1.jpg"], [tmp_path / "1.jpg"] * 2):
        with pytest.raises(ValueError, match="one file name a picture"):
            write_pictures(pictures, paths)
