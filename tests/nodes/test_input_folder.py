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


@pytest.mark.parametrize("node", ["LoadPicture", "LoadParseMap"])
def test_what_can_be_read_is_listed_whatever_its_ending(folder, offered, module, node):
    endings = module("ladivton_core.disk.pictures").endings()
    assert {".jfif", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".jp2"} <= set(endings)
    written = {f"shirt{ending}" for ending in endings} | {f"SHIRT2{ending.upper()}" for ending in endings}
    for name in written:
        (folder / name).touch()
    (folder / "notes.txt").touch()
    assert {name for name in offered(node) if "[example]" not in name} == written


@pytest.mark.parametrize("ending", [".JFIF", ".bmp", ".GIF", ".tif", ".webp", ".avif", ".jp2", ".ppm"])
def test_every_listed_kind_loads(folder, run, ending):
    kinds = Image.registered_extensions()
    if kinds.get(ending.lower()) not in Image.SAVE:
        pytest.skip(f"this Pillow writes no {ending}")
    Image.new("RGB", (12, 16), (200, 40, 40)).save(folder / f"shirt{ending}", kinds[ending.lower()])
    picture = run("LoadPicture", image=f"shirt{ending}")[0]
    assert picture.shape == (1, 16, 12, 3) and abs(float(picture[..., 0].mean()) * 255 - 200) < 6


def test_what_a_system_keeps_beside_files_is_in_no_list(folder, offered):
    for name in ("._a.png", "._a_keypoints.json", ".hidden.png", "Thumbs.db", "desktop.ini", ".DS_Store", "Icon\r"):
        (folder / name).write_bytes(b"\0\5\x16\7" * 64)
    for node in ("LoadPicture", "LoadParseMap", "LoadKeypoints"):
        assert all("[example]" in name for name in offered(node))


def test_models_lists_pass_over_what_a_mac_writes_beside_them(tmp_path, comfyui, module, monkeypatch):
    import folder_paths
    import torch

    torch.save({"a": torch.zeros(1)}, tmp_path / "._old.pth", _use_new_zipfile_serialization=False)
    torch.save({"a": torch.zeros(1)}, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    kept = [f"{place}old.pth" for place in ("._", "sub/._", "__MACOSX/sub/", "@eaDir/", "$RECYCLE.BIN\\", ".cache/")]
    monkeypatch.setattr(folder_paths, "get_filename_list", lambda folder: [*kept, "old.pth"])
    monkeypatch.setattr(folder_paths, "get_full_path", lambda folder, name: str(tmp_path / os.path.basename(name)))
    assert module("nodes.host.model_files").files_with("emasc") == ["old.pth"]


BEYOND = "Donn\ud800es"
"""To a disk whose names are UTF-8 what an accent is to an ASCII locale: no system call takes it."""


def test_a_folder_whose_name_the_locale_cannot_write_costs_no_list(
    tmp_path, comfyui, module, offered, monkeypatch, caplog
):
    import folder_paths

    caplog.set_level("INFO")
    bad = str(tmp_path / BEYOND)
    (tmp_path / "clothes").mkdir()
    monkeypatch.setattr(folder_paths, "get_folder_paths", lambda name: [bad, str(tmp_path)])
    assert any("[example]" in name for name in offered("DatasetSample"))
    for file in ("config.json", module("nodes.photo").WEIGHTS):
        (tmp_path / "clothes" / file).touch()
    assert list(module("nodes.photo").parser_folders())[0].endswith("/clothes")
    monkeypatch.setattr(folder_paths, "get_filename_list", lambda folder: ["a.pth"])
    monkeypatch.setattr(folder_paths, "get_full_path", lambda folder, name: f"{bad}/{name}")
    assert module("nodes.host.model_files").files_with("emasc") == []
    monkeypatch.setattr(folder_paths, "get_input_directory", lambda: bad)
    monkeypatch.setattr(folder_paths, "get_temp_directory", lambda: bad)
    module("nodes.host.listing").show_examples()
    for node in ("LoadPicture", "LoadParseMap", "LoadKeypoints", "DatasetSample"):
        assert offered(node) and all("[example]" in name for name in offered(node))
    # ComfyUI's log takes no letter beyond the locale: a line that has one ends in an error
    assert caplog.messages and all(line.isascii() for line in caplog.messages)
