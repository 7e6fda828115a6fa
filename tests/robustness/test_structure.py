"""Small files that describe endless things, and what a file holds beside weights."""

from __future__ import annotations

import json
import pickle
import zipfile

import pytest
import torch

from ladivton_core.checkpoints import build, reading
from ladivton_core.checkpoints.inventory import look, verify, weight_files
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.disk.documents import read_json
from ladivton_core.disk.structure import StructureError, check_shape, walk
from ladivton_core.embedded import embedded_path

EMASC = "emasc"


@pytest.fixture(scope="module")
def emasc():
    return {key: tensor.float() for key, tensor in read_state_dict(embedded_path(EMASC)).items()}


def prefixed(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


def test_shared_nested_and_self_holding_dictionaries_are_refused(tmp_path):
    shared = {"a": torch.ones(1)}
    for _ in range(60):
        shared = {"x": shared, "y": shared}
    nested = {"a": torch.ones(1)}
    for _ in range(100):
        nested = {"x": nested}
    circle = {"a": torch.ones(1)}
    circle["self"] = circle
    for name, content in (("shared", shared), ("nested", nested), ("circle", circle)):
        path = tmp_path / f"{name}.pth"
        torch.save(content, path)
        assert path.stat().st_size < 20_000
        with pytest.raises(CheckpointError, match=f"{name}.pth.*(nested|holds)"):
            read_state_dict(path)
        assert "cannot be read" in look(path).what


def test_an_index_that_names_itself_or_leads_back_is_refused(tmp_path):
    for name, named in (("a", "b"), ("b", "a"), ("c", "c")):
        (tmp_path / f"{name}.index.json").write_text(json.dumps({"weight_map": {"x": f"{named}.index.json"}}))
    for path in sorted(tmp_path.glob("*.json")):
        with pytest.raises(CheckpointError, match="which is an index again"):
            read_state_dict(path)
        assert look(path).what


def test_json_nested_a_thousand_deep_is_refused_by_name(tmp_path):
    for depth in (100, 1_000, 100_000):
        for opening, closing in (("[", "]"), ('{"a":', "}")):
            path = tmp_path / "deep.json"
            path.write_text(opening * depth + "1" + closing * depth)
            with pytest.raises(ValueError, match="deep.json.*nested"):
                read_json(path)


def test_every_encoding_of_windows_tools_is_read(tmp_path):
    text = json.dumps({"people": ["Zoë"]}, ensure_ascii=False)
    for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"):
        (tmp_path / "x.json").write_bytes(text.encode(encoding))
        assert read_json(tmp_path / "x.json") == {"people": ["Zoë"]}


def test_documents_of_another_kind_name_the_field(tmp_path):
    path = tmp_path / "x.json"
    path.write_text('{"a": {"b": [1, "two"]}}')
    with pytest.raises(ValueError, match=r"x\.json: 'a\.b\[1\]' is 'two'; expected a whole number"):
        read_json(path, shape={"a": {"b": [int]}}, expected="a list")
    with pytest.raises(StructureError, match="'c' is missing"):
        check_shape({"a": 1}, {"a": int, "c": str, "d?": str})
    path.write_bytes(b" " * (17 << 20))
    with pytest.raises(ValueError, match="larger than 16 MB"):
        read_json(path)


def test_the_walk_keeps_the_order_and_skips():
    content = {"b": 1, "a": {"x": 2, "optimizer": {"y": 3}}, "c": 4}
    assert list(walk(content, skip=("optimizer",))) == [("b", 1), ("a.x", 2), ("c", 4)]


def test_links_in_a_circle_end(tmp_path):
    (tmp_path / "x.pth").write_bytes(b"")
    for name in ("one", "two"):
        (tmp_path / name).symlink_to(tmp_path, target_is_directory=True)
    (tmp_path / "dangling.pth").symlink_to(tmp_path / "nowhere")
    found = list(weight_files(tmp_path))
    assert [path.name for path in found] == ["dangling.pth", "x.pth"]
    assert "cannot be read" in look(found[0]).what and "is empty" in look(found[1]).what


# --- what is no weight file


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty .0 bytes.; download it again"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 3\n", "Git LFS pointer"),
        (b"\n<!DOCTYPE html><html>Log in</html>", "is a web page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is a web page"),
        (b"Entry not found", "is a text .'Entry not found'."),
    ],
)
@pytest.mark.parametrize("name", ["w.pth", "w.safetensors"])
def test_what_was_saved_in_place_of_weights_is_named(tmp_path, content, said, name):
    (tmp_path / name).write_bytes(content)
    for read in (read_state_dict, verify):
        with pytest.raises(CheckpointError, match=f"{name} .*{said}"):
            read(tmp_path / name)


class Danger:
    def __reduce__(self):
        return (print, ("pwned",))


def test_a_malicious_archive_is_refused_without_torchs_advice(tmp_path, capsys):
    for name, zipped in (("new.pth", True), ("old.pth", False)):
        torch.save(
            {"conv.0.weight": torch.ones(1), "x": Danger()}, tmp_path / name, _use_new_zipfile_serialization=zipped
        )
        with pytest.raises(CheckpointError, match=f"{name}.*(builtins.print|Python object)") as caught:
            read_state_dict(tmp_path / name)
        chain = f"{caught.value} {caught.value.__cause__}"
        assert isinstance(caught.value.__cause__, pickle.UnpicklingError)
        for advice in ("weights_only", "safe_globals", "\x1b", "trust"):
            assert advice not in chain
    assert "pwned" not in capsys.readouterr().out


def test_a_torch_too_old_to_be_safe_is_refused_when_a_pickle_is_loaded(tmp_path, monkeypatch):
    torch.save({"a": torch.ones(1)}, tmp_path / "x.pth")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(CheckpointError, match=r"x.pth.*torch 2.5.1\+cpu.*Update torch to 2.10"):
        read_state_dict(tmp_path / "x.pth")
    assert read_state_dict(embedded_path(EMASC))  # safetensors need no pickle


def test_a_compressed_archive_is_refused_before_it_is_unpacked(tmp_path):
    torch.save({"a": torch.zeros(4_000_000)}, tmp_path / "whole.pth")
    with (
        zipfile.ZipFile(tmp_path / "whole.pth") as whole,
        zipfile.ZipFile(tmp_path / "small.pth", "w", zipfile.ZIP_DEFLATED) as small,
    ):
        for member in whole.infolist():
            small.writestr(member.filename, whole.read(member))
    assert (tmp_path / "small.pth").stat().st_size < 40_000
    with pytest.raises(CheckpointError, match="small.pth is a compressed zip"):
        read_state_dict(tmp_path / "small.pth")


def test_a_tensor_that_repeats_itself_does_not_fill_the_memory(tmp_path, emasc):
    huge = {key: torch.zeros(1).expand(100_000, 100_000) for key in emasc}
    torch.save(huge, tmp_path / "huge.pth")
    assert (tmp_path / "huge.pth").stat().st_size < 20_000
    with pytest.raises(CheckpointError, match="huge.pth"):
        build.load(EMASC, tmp_path / "huge.pth")


def test_what_others_allowed_in_this_process_is_not_built(tmp_path, emasc):
    """ComfyUI and packs allow classes for their own files; ours are read without them, and theirs stay allowed."""
    from pathlib import PosixPath

    torch.save(emasc | {"path": PosixPath("/x")}, tmp_path / "x.pth")
    torch.serialization.add_safe_globals([PosixPath])
    try:
        with pytest.raises(CheckpointError, match="PosixPath"):
            read_state_dict(tmp_path / "x.pth")
        assert PosixPath in torch.serialization.get_safe_globals()
    finally:
        torch.serialization.clear_safe_globals()
    assert reading._Inert not in torch.serialization.get_safe_globals()
