"""Lists of files come about whatever lies in the folder; Load Parse Map offers label pictures first."""

from __future__ import annotations

import os

import numpy as np
import pytest
from PIL import Image


@pytest.fixture
def folder(tmp_path, comfyui, monkeypatch):
    """An input folder of one's own."""
    import folder_paths

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(tmp_path))
    return tmp_path


@pytest.fixture
def offered(nodes):
    """`offered("LoadParseMap")`: what its list of files holds."""

    def options(node: str) -> list[str]:
        (box, *_) = nodes[f"LadiVTON_{node}"].define_schema().inputs
        return box.options

    return options


def save(path, mode: str) -> None:
    values = np.zeros((4, 3), np.uint8)
    Image.fromarray(values).convert("RGBA" if mode in ("RGB", "RGBA") else "L").convert(mode).save(path)


def test_label_pictures_come_first_and_nothing_is_left_out(folder, offered):
    for name, mode in {"a": "RGB", "b": "P", "c": "RGBA", "d": "L", "e": "1", "f": "I;16", "g": "LA"}.items():
        save(folder / f"{name}.png", mode) if mode != "LA" else Image.new("LA", (3, 4)).save(folder / "g.png")
    listed = offered("LoadParseMap")
    example = next(i for i, name in enumerate(listed) if " [example]" in name)
    assert listed[:example] == ["b.png", "d.png", "e.png", "f.png"]
    assert all("parse" in name for name in listed[example : listed.index("a.png")])
    assert [name for name in listed[listed.index("a.png") :] if "[" not in name] == ["a.png", "c.png", "g.png"]
    assert "person [example].png [temp]" in listed
    assert [name for name in offered("LoadPicture") if "[" not in name] == [f"{name}.png" for name in "abcdefg"]


def test_a_file_that_changes_is_looked_at_again(folder, offered):
    save(folder / "a.png", "RGB")
    assert offered("LoadParseMap")[0] != "a.png"
    save(folder / "a.png", "P")
    assert offered("LoadParseMap")[0] == "a.png"


def test_odd_things_in_the_folder_are_left_out_or_last_and_never_raise(folder, offered):
    (folder / "folder.png").mkdir()
    (folder / "folder.json").mkdir()
    os.symlink(folder / "gone", folder / "dangling.png")
    os.symlink(folder / "loop.png", folder / "loop.png")
    os.mkfifo(folder / "pipe.png")
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no picture")
    (folder / "new\nline.png").touch()
    with open(os.fsencode(folder) + b"/\xff.png", "wb"):
        pass
    expected = ["empty.png", "new\nline.png", "text.png"]
    for node in ("LoadParseMap", "LoadPicture"):
        assert [name for name in offered(node) if " [example]" not in name] == expected
    assert all(name.endswith(".json [example]") for name in offered("LoadKeypoints"))
    assert offered("LoadParseMap")[0].endswith(" [example].png [temp]")


def test_a_folder_that_is_not_there_or_not_readable_leaves_the_examples(folder, offered, monkeypatch):
    import folder_paths

    def refused(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: str(folder / "gone"))
    assert offered("LoadPicture") and all(" [example]" in name for name in offered("LoadPicture"))
    monkeypatch.setattr(os, "listdir", refused)
    assert offered("LoadKeypoints") == []


def test_a_file_that_cannot_be_read_is_offered_last(folder, offered, module, monkeypatch):
    save(folder / "mine.png", "P")
    save(folder / "theirs.png", "P")
    reader = module("nodes.host.listing")

    def opened(path, *args):
        if "theirs" in str(path):
            raise PermissionError(13, "Permission denied", path)
        return open(path, *args)

    monkeypatch.setattr(reader, "open", opened, raising=False)
    assert [name for name in offered("LoadParseMap") if "[" not in name] == ["mine.png", "theirs.png"]
    assert offered("LoadParseMap").index("theirs.png") > 1


def test_only_so_many_files_are_looked_into(folder, offered, module, monkeypatch):
    monkeypatch.setattr(module("nodes.host.listing"), "LOOKED_INTO", 2)
    for name in "abc":
        save(folder / f"{name}.png", "P")
    assert offered("LoadParseMap")[:3] == ["a.png", "b.png", "c.png"], "the third keeps its place after them"
