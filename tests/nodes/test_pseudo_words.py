"""Save Pseudo-Words: what it writes is found by its own prompt, and takes nobody's place."""

from __future__ import annotations

import stat

import pytest
import torch


@pytest.fixture
def folders(tmp_path):
    """Two embeddings folders, as extra_model_paths.yaml adds them."""
    import folder_paths

    places = [tmp_path / "first", tmp_path / "second"]
    for place in places:
        place.mkdir()
    before = folder_paths.folder_names_and_paths["embeddings"]
    folder_paths.folder_names_and_paths["embeddings"] = ([str(place) for place in places], before[1])
    yield places
    folder_paths.folder_names_and_paths["embeddings"] = before


@pytest.fixture
def words() -> torch.Tensor:
    """Pseudo-words (1, 16, 64) of a garment."""
    return torch.randn(1, 16, 64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", ["plain", "shirt.v2", "2024-10_a", ".hidden", "-dash", "größe", "x.pt"])
def test_the_prompt_it_hands_out_finds_the_words(run, models, folders, words, name):
    (prompt,) = run("SavePseudoWords", pseudo_words=words, name=name)
    tokenizer = models.clip.tokenizer.clip_h
    tokenizer.embedding_directory, kept = [str(place) for place in folders], tokenizer.embedding_directory
    try:
        (tokens,) = tokenizer.tokenize_with_weights(f"a photo of {prompt}, studio light")
    finally:
        tokenizer.embedding_directory = kept
    found = [token for token, *_ in tokens if torch.is_tensor(token)]
    torch.testing.assert_close(torch.stack(found), words[0], rtol=0, atol=0)


@pytest.mark.parametrize(
    "name", ["my garment", "blue, striped", "../shirt", "a/b", "shirt ", "", "shirt.", "NUL", "con.x"]
)
def test_a_name_no_prompt_can_use_is_refused(run, nodes, folders, words, name):
    said = nodes["LadiVTON_SavePseudoWords"].validate_inputs(name=name)
    assert said is not True and repr(name) in said
    with pytest.raises(ValueError, match="Choose another|cannot be the name"):  # a wired name reaches only `execute`
        run("SavePseudoWords", pseudo_words=words, name=name)
    assert not any(folders[0].iterdir())


def test_a_name_too_long_for_a_file_is_refused(run, nodes, folders, words):
    longest = "ä" * 121 + "b"  # 243 bytes, 12 for the ending
    assert nodes["LadiVTON_SavePseudoWords"].validate_inputs(name=longest) is True
    run("SavePseudoWords", pseudo_words=words, name=longest)
    for name, count in ((longest + "c", 1), (longest, 2)):
        with pytest.raises(ValueError, match="too long: .* 255 are the most.*Choose another one"):
            run("SavePseudoWords", pseudo_words=words.repeat(count, 1, 1), name=name)
    assert "too long" in nodes["LadiVTON_SavePseudoWords"].validate_inputs(name="ä" * 122)


@pytest.mark.parametrize("name", ["COM¹", "conin", "CONIN$", "lpt9.v2", "aux"])
def test_what_windows_refuses_is_asked_where_all_file_names_are(nodes, module, name):
    fault = module("ladivton_core.disk.names").fault_of_name(f"{name}.safetensors")
    said = nodes["LadiVTON_SavePseudoWords"].validate_inputs(name=name)
    assert said is True if fault is None and "$" not in name else isinstance(said, str)


def test_the_file_is_whole_and_has_ordinary_rights(nodes, folders, words):
    output = nodes["LadiVTON_SavePseudoWords"].execute(pseudo_words=words, name="shirt")
    plain = folders[0] / "plain"
    plain.write_bytes(b"")
    saved = folders[0] / "shirt.safetensors"
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)
    assert sorted(file.name for file in folders[0].iterdir()) == ["plain", "shirt.safetensors"]
    assert str(saved) in output.ui["text"][0]


@pytest.mark.parametrize(
    ("taken", "overwritable"),
    [
        ("first/shirt.safetensors", True), ("first/shirt.pt", True), ("first/shirt.bin", True),
        ("first/shirt", False), ("second/shirt.safetensors", False), ("second/deep/shirt.pt", False),
    ],
)  # fmt: skip
def test_no_file_is_replaced_or_shadowed(run, folders, words, taken, overwritable):
    other = folders[0].parent / taken
    other.parent.mkdir(exist_ok=True)
    other.write_bytes(b"somebody's")
    with pytest.raises(FileExistsError, match=r"already.*overwrite" if overwritable else "already.*move that file"):
        run("SavePseudoWords", pseudo_words=words, name="shirt")
    assert other.read_bytes() == b"somebody's"
    if overwritable:
        run("SavePseudoWords", pseudo_words=words, name="shirt", overwrite=True)
        assert (folders[0] / "shirt.safetensors").stat().st_size > 1000
    else:
        with pytest.raises(FileExistsError, match="move that file"):
            run("SavePseudoWords", pseudo_words=words, name="shirt", overwrite=True)


def test_of_a_batch_all_names_are_asked_before_one_is_written(run, folders, words):
    (folders[0] / "shirt_1.pt").write_bytes(b"somebody's")
    with pytest.raises(FileExistsError, match="shirt_1.pt"):
        run("SavePseudoWords", pseudo_words=words.repeat(2, 1, 1), name="shirt")
    assert [file.name for file in folders[0].iterdir()] == ["shirt_1.pt"]


def test_the_same_words_again_are_no_conflict(run, folders, words):
    first = run("SavePseudoWords", pseudo_words=words, name="shirt")
    assert run("SavePseudoWords", pseudo_words=words, name="shirt") == first
    with pytest.raises(FileExistsError):
        run("SavePseudoWords", pseudo_words=words + 1, name="shirt")
