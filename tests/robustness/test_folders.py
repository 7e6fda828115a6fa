"""What lies in a folder, and the folder itself, never ends a walk or a list: it is named, and the rest is looked at."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
import torch

from ladivton_core.checkpoints.__main__ import main
from ladivton_core.checkpoints.reading import read_state_dict
from ladivton_core.datasets.layouts import find, open_dataset, recognise
from ladivton_core.datasets.reading import examine_pairs, read_pairs
from ladivton_core.datasets.verification import verify
from ladivton_core.disk.looking import file_there, folder_there
from ladivton_core.embedded import embedded_path

TREES = Path(__file__).parents[1] / "golden" / "datasets"


@pytest.fixture
def closed(monkeypatch):
    """`closed(folder)`: as to a user who may neither read nor enter it (root, who runs these tests, may)."""
    stat, scandir, real_open = os.stat, os.scandir, open

    def close(folder: Path) -> None:
        inside = str(folder) + os.sep

        def guarded(call, enters=False):
            def asked(path, *args, **options):
                text = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
                if text.startswith(inside) or (enters and text == str(folder)):
                    raise PermissionError(errno.EACCES, "Permission denied", text)
                return call(path, *args, **options)

            return asked

        monkeypatch.setattr(os, "stat", guarded(stat))
        monkeypatch.setattr(os, "scandir", guarded(scandir, enters=True))
        monkeypatch.setattr("builtins.open", guarded(real_open))

    return close


@pytest.fixture
def dresscode(tmp_path):
    shutil.copytree(TREES / "dresscode", tmp_path / "dresscode")
    return tmp_path / "dresscode"


@pytest.fixture
def vitonhd(tmp_path):
    shutil.copytree(TREES / "vitonhd", tmp_path / "vitonhd")
    return tmp_path / "vitonhd"


def test_what_is_not_there_is_told_from_what_cannot_be_told(tmp_path, closed):
    (tmp_path / "file").touch()
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    (tmp_path / "lost+found").mkdir()
    os.mkfifo(tmp_path / "pipe")
    assert file_there(tmp_path / "file") and folder_there(tmp_path) and not folder_there(tmp_path / "file")
    for name in ("nowhere", "dangling", "file/below", "lost+found", "pipe"):
        assert not file_there(tmp_path / name)
    closed(tmp_path / "lost+found")
    for name, said in (("circle", "links lead in a circle"), ("a" * 300, "so long a name"), ("a\0b", "name of a file"),
                       ("lost+found/x", "Permission denied.*allow reading")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            file_there(tmp_path / name)


def test_a_closed_folder_beside_the_data_sets_is_passed_over(tmp_path, dresscode, closed):
    (tmp_path / "lost+found").mkdir()
    os.mkdir(os.fsencode(tmp_path) + b"/\xff data")
    (tmp_path / "no\u00a0break").symlink_to(dresscode, target_is_directory=True)
    closed(tmp_path / "lost+found")
    assert list(find(tmp_path)) == ["dresscode", "no\u00a0break"]


def test_a_closed_category_leaves_the_others(tmp_path, dresscode, closed):
    closed(dresscode / "upper_body")
    assert recognise(dresscode) == "dresscode"
    assert len(open_dataset("dresscode", dresscode, category="dresses"))
    with pytest.raises(ValueError, match="upper_body.test_pairs_paired.txt cannot be reached .Permission denied"):
        open_dataset("dresscode", dresscode, category="upper_body")
    report = verify("dresscode", dresscode)
    assert report.people and report.broken
    assert {found.path.name for found in report.findings if "cannot be reached" in found.message} == {
        "train_pairs.txt", "test_pairs_paired.txt", "test_pairs_unpaired.txt"
    }  # fmt: skip


@pytest.mark.parametrize("folder", ["cloth", "cloth-mask", "openpose_json", "image"])
def test_a_closed_folder_of_a_data_set_is_a_finding_for_each_of_its_files(vitonhd, closed, folder):
    closed(vitonhd / "test" / folder)
    report = verify("vitonhd", vitonhd, ("test",))
    assert report.broken
    assert all("Permission denied" in found.message or found.kind == "unusual size" for found in report.findings)
    with pytest.raises((ValueError, OSError), match=f"{folder}.*Permission denied"):
        open_dataset("vitonhd", vitonhd, "test", "unpaired")[0]


def test_odd_lines_of_a_pair_list_are_findings_and_the_rest_is_checked(vitonhd):
    pairs = vitonhd / "test_pairs.txt"
    whole = pairs.read_text(encoding="utf-8")
    pairs.write_text(f'{"a" * 300}.jpg b.jpg\n"q.jpg" r.jpg\n{whole}', encoding="utf-8")
    report = verify("vitonhd", vitonhd, ("test",))
    said = [found.message for found in report.findings]
    assert any("quotation mark" in message for message in said)
    assert any("so long a name" in message for message in said)
    assert report.people == len(whole.splitlines()) + 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_pair_lists_of_windows_tools_are_read(tmp_path, encoding):
    path = tmp_path / "test_pairs.txt"
    path.write_bytes("00001_00.jpg 00002_00.jpg\r\nZoë 1.jpg\tZoë 2.jpg\r\n".encode(encoding))
    assert read_pairs(path) == [("00001_00.jpg", "00002_00.jpg"), ("Zoë 1.jpg", "Zoë 2.jpg")]
    path.write_bytes("größe.jpg größe.jpg\n".encode("cp1252"))
    with pytest.raises(ValueError, match="test_pairs.txt is no text .*save it as UTF-8"):
        examine_pairs(path)


def test_a_missing_or_empty_pair_list_says_what_could_be_chosen(dresscode, vitonhd, tmp_path):
    for category in ("upper_body", "lower_body"):
        shutil.rmtree(dresscode / category)
    for category in ("all", "upper_body"):
        with pytest.raises(FileNotFoundError, match="missing; choose the category dresses, which is there"):
            open_dataset("dresscode", dresscode, category=category)
    (dresscode / "dresses" / "test_pairs_unpaired.txt").unlink()
    with pytest.raises(FileNotFoundError, match="choose another split or order: there is test paired .dresses"):
        open_dataset("dresscode", dresscode, "test", "unpaired")
    (vitonhd / "train_pairs.txt").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError, match="train_pairs.txt is missing; choose another split.*test paired"):
        open_dataset("vitonhd", vitonhd, "train")
    (vitonhd / "test_pairs.txt").write_text("\n \n", encoding="utf-8")
    with pytest.raises(ValueError, match="test_pairs.txt is empty"):
        open_dataset("vitonhd", vitonhd)
    with pytest.raises(FileNotFoundError, match="is missing; choose the folder that holds it as the data set's root"):
        open_dataset("vitonhd", tmp_path)


def test_the_list_of_weight_files_goes_on(tmp_path, closed, caplog):
    folder = tmp_path / "ladi_vton"
    (folder / "lost+found").mkdir(parents=True)
    shutil.copy(embedded_path("emasc"), folder / "good.safetensors")
    (folder / "dangling.pth").symlink_to(folder / "nowhere")
    (folder / "circle.pth").symlink_to(folder / "circle.pth")
    os.mkfifo(folder / "pipe.pth")
    for name in (b"/\xff.safetensors", b"/\xff.pth"):
        shutil.copy(embedded_path("emasc"), os.fsencode(folder) + name)
    torch.save(read_state_dict(embedded_path("emasc")), tmp_path / "archive.pth")
    (tmp_path / "archive.pth").rename(os.fsdecode(os.fsencode(folder) + b"/\xfe.pth"))
    closed(folder / "lost+found")
    with caplog.at_level("INFO"):
        assert main(["list", "--models", str(tmp_path), "--all"]) == 0
        assert main(["verify", str(folder)]) == 1
    text = caplog.text
    assert "lost+found cannot be read (Permission denied) and is left out" in text
    assert text.count("EMASC, float16") == 8
    for name in ("dangling.pth", "circle.pth", "pipe.pth"):
        assert text.count(f"{name}  0.0 MB  cannot be read") == 1 and text.count("WRONG") == 3
