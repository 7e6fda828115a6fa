"""list, verify and convert: what the commands say about files, what they write, and what they leave alone."""

import json
import weakref

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from ladivton_core.checkpoints import __main__ as command
from ladivton_core.checkpoints import build
from ladivton_core.checkpoints.conversion import LAYOUTS, convert, write_safetensors
from ladivton_core.checkpoints.inventory import look, weight_files
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.checkpoints.unet_layout import unet_to_ldm
from ladivton_core.disk import tensors
from ladivton_core.embedded import PARTS, embedded_path

main = command.main


@pytest.fixture(autouse=True)
def spoken(caplog):
    caplog.set_level("INFO")
    return caplog


def embedded(part):
    return read_state_dict(embedded_path(part))


# --- writing


def test_a_file_we_write_is_read_by_safetensors(tmp_path):
    tensors = {
        "flag": torch.tensor([True, False, True]),
        "half": torch.randn(3, 5).half(),
        "scalar": torch.tensor(7),
        "none": torch.zeros(0, 4),
        "turned": torch.arange(6.0).view(2, 3).T,
        "brain": torch.randn(2).bfloat16(),
        "eight": torch.ones(3).to(torch.float8_e4m3fn),
    }
    write_safetensors(tmp_path / "x.safetensors", tensors, metadata={"part": "x"})
    read = load_file(tmp_path / "x.safetensors")
    assert read.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert read[name].dtype == tensor.dtype and torch.equal(read[name].float(), tensor.float())
    with safe_open(tmp_path / "x.safetensors", "pt") as file:
        assert file.metadata() == {"format": "pt", "part": "x"}


def test_only_floating_point_changes_and_never_beyond_its_range(tmp_path):
    path = tmp_path / "x.safetensors"
    write_safetensors(path, {"a": torch.ones(2), "n": torch.tensor(3), "tps.gridGen.x": torch.ones(1)}, torch.float16)
    assert {name: tensor.dtype for name, tensor in load_file(path).items()} == {
        "a": torch.float16, "n": torch.int64, "tps.gridGen.x": torch.float32,
    }  # fmt: skip
    before = path.read_bytes()
    with pytest.raises(CheckpointError, match="b holds -7e.04, too large for torch.float16; take float32"):
        write_safetensors(path, {"a": torch.ones(2), "b": torch.tensor([float("inf"), -7e4])}, torch.float16)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == ["x.safetensors"]
    write_safetensors(path, {"b": torch.tensor([7e4, float("inf")])}, torch.bfloat16)


def test_a_full_disk_leaves_nothing_behind(tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 100})
    monkeypatch.setattr("ladivton_core.disk.tensors.shutil.disk_usage", lambda folder: usage)
    with pytest.raises(OSError, match="MB are needed"):
        write_safetensors(tmp_path / "x.safetensors", {"a": torch.zeros(100)})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("part", "layout"), [(part, layout) for part in PARTS for layout in LAYOUTS[part]])
def test_every_layout_is_read_again(part, layout, tmp_path):
    target = tmp_path / "out.safetensors"
    arguments = ["convert", str(embedded_path(part)), str(target), "--layout", layout, "--dtype", "float32"]
    assert main(arguments) == 0
    ours, theirs = build.load(part, target).state_dict(), build.load_embedded(part).state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert {tensor.dtype for tensor in read_state_dict(target).values() if tensor.is_floating_point()} == {
        torch.float32
    }


def test_published_archives_become_safetensors(tmp_path):
    """The warping file with the counters and optimiser that training leaves in it."""
    state = {key: tensor for key, tensor in embedded("warping").items() if key.startswith(("tps.", "refinement."))}
    halves = {half: {k.removeprefix(f"{half}."): v for k, v in state.items() if k.startswith(f"{half}.")}
              for half in ("tps", "refinement")}  # fmt: skip
    torch.save({"epoch": 5, **halves, "optimizer_tps": {"state": {0: torch.ones(1)}}}, tmp_path / "warping_x.pth")
    convert(tmp_path / "warping_x.pth", tmp_path / "warping_x.safetensors")
    written = read_state_dict(tmp_path / "warping_x.safetensors")
    assert written.keys() == state.keys() and all(torch.equal(written[key], state[key]) for key in state)


def test_an_inpainting_unet_in_ldm_names_becomes_a_start_for_training(tmp_path):
    state = embedded("unet")
    nine = unet_to_ldm(state | {"conv_in.weight": state["conv_in.weight"][:, :9].contiguous()})
    save_file({f"model.diffusion_model.{key}": tensor for key, tensor in nine.items()}, tmp_path / "sd.safetensors")
    assert main(["convert", str(tmp_path / "sd.safetensors"), str(tmp_path / "u.safetensors"), "--channels", "31"]) == 0
    assert build.load("unet", tmp_path / "u.safetensors").config.in_channels == 31


def test_what_cannot_be_converted_is_said(tmp_path, spoken):
    target = tmp_path / "out.safetensors"
    unet, vae = "model.diffusion_model.input_blocks.0.0.weight", "first_stage_model.encoder.conv_in.weight"
    save_file({unet: torch.ones(1, 9, 1, 1), vae: torch.ones(1)}, tmp_path / "two")
    save_file({"other": torch.ones(1)}, tmp_path / "none")
    for given, said in (
        ([tmp_path / "two"], "say with --part which of unet, vae to take"),
        ([tmp_path / "none"], "there is no part to convert"),
        ([tmp_path], "is a folder; say with --part"),
        ([embedded_path("emasc"), "--layout", "ldm"], "the part emasc has no layout 'ldm'; it is written as published"),
        ([embedded_path("emasc"), "--channels", "31"], "only a UNet has input channels"),
        ([embedded_path("emasc"), "--part", "vae"], "emasc.safetensors is EMASC; a diffusers VAE was expected"),
    ):
        assert main(["convert", str(given[0]), str(target), *given[1:]]) == 1
        assert said in spoken.text and not target.exists()
    target.write_text("precious")
    assert main(["convert", str(embedded_path("emasc")), str(target)]) == 1
    assert target.read_text() == "precious" and "--force replaces it" in spoken.text
    assert main(["convert", str(embedded_path("emasc")), str(target), "--force"]) == 0
    assert main(["convert", str(target), str(target), "--force", "--dtype", "float32"]) == 0  # onto itself
    assert build.load("emasc", target)


def test_tensors_are_written_one_at_a_time(tmp_path, monkeypatch):
    """At no time is more than one converted tensor alive."""
    made, most = [], 0
    original = tensors._bytes

    def counted(*given):
        nonlocal most
        most = max(most, 1 + sum(array() is not None for array in made))
        array = original(*given)
        made.append(weakref.ref(array))
        return array

    monkeypatch.setattr(tensors, "_bytes", counted)
    write_safetensors(tmp_path / "x.safetensors", {str(n): torch.ones(10) for n in range(9)}, torch.float16)
    assert most == 1


# --- listing and verifying


@pytest.fixture
def models(tmp_path):
    """A models folder with our files, a stranger's, a broken one and a split one."""
    (tmp_path / "ladi_vton").mkdir()
    (tmp_path / "loras").mkdir()
    save_file(embedded("emasc"), tmp_path / "ladi_vton" / "unet_but_emasc.pth")
    save_file({"lora_unet_x.alpha": torch.ones(1)}, tmp_path / "loras" / "style.safetensors")
    torch.save({"a": torch.ones(1)}, tmp_path / "loras" / "old.pt", _use_new_zipfile_serialization=False)
    (tmp_path / "loras" / "cut.safetensors").write_bytes(b"12345")
    (tmp_path / "readme.txt").write_text("hello")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "x.pth").touch()
    (tmp_path / "vae").mkdir()
    save_file(embedded("vae"), tmp_path / "vae" / "m-00001-of-00001.safetensors")
    index = {"weight_map": dict.fromkeys(embedded("vae"), "m-00001-of-00001.safetensors")}
    (tmp_path / "vae" / "m.safetensors.index.json").write_text(json.dumps(index))
    return tmp_path


def test_list_tells_content_from_headers(models, spoken):
    assert main(["list", "--models", str(models)]) == 0
    assert "unet_but_emasc.pth  0.9 MB  EMASC, float16" in spoken.text
    assert "m.safetensors.index.json  6.4 MB  a diffusers VAE, float16" in spoken.text
    assert "3 other weight files" in spoken.text and "style" not in spoken.text
    assert main(["list", "--all", "--models", str(models)]) == 0
    assert "a LoRA" in spoken.text and "cut.safetensors  0.0 MB  cannot be read: it is a text" in spoken.text
    assert look(models / "loras" / "old.pt").what.startswith("an old torch archive")
    assert len(list(weight_files(models))) == 5
    assert main(["list", "--models", str(models / "nowhere")]) == 1


def test_verify_passes_what_is_right(models, spoken):
    assert main(["verify", "--models", str(models)]) == 0
    assert "right  " in spoken.text and "(emasc of tiny); no SHA-256 to compare with" in spoken.text
    assert main(["verify", *(str(embedded_path(part)) for part in PARTS)]) == 0


def test_verify_fails_what_is_not(models, spoken):
    def fails(*given, said):
        spoken.clear()
        assert main(["verify", *map(str, given)]) == 1
        assert said in spoken.text

    fails(models / "loras" / "style.safetensors", said="is a LoRA, none of the models of a try-on")
    fails(models / "loras", said="cut short")
    fails(models / "gone.pth", said="there is no weight file")
    fails("--models", models / "vae", said="there is nothing to verify")
    fails(embedded_path("emasc"), "--sha256", "0" * 64, said="0000 was expected")
    fails(embedded_path("emasc"), embedded_path("vae"), "--sha256", "0" * 64, said="these are 2")
    state = embedded("emasc")
    save_file(state | {"conv.0.0.bias": torch.ones(7)}, models / "x.safetensors")
    fails(models / "x.safetensors", said="1 of other shape, e.g. conv.0.0.bias (7,) instead of (64,)")
    save_file(state, models / "unet_vitonhd.pth")
    fails(models / "unet_vitonhd.pth", said="is EMASC; a diffusers UNet was expected")
    state = embedded("unet")
    save_file(state | {"conv_in.weight": state["conv_in.weight"][:, :9].contiguous()}, models / "unet_vitonhd.pth")
    fails(models / "unet_vitonhd.pth", said="takes 9 input channels; unet_vitonhd.pth has 31")


def test_the_models_folder_is_comfyuis_when_the_pack_lies_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    inside = tmp_path / "custom_nodes" / "pack" / "ladivton_core" / "checkpoints" / "__main__.py"
    monkeypatch.setattr(command, "__file__", str(inside))
    assert command.models_folder() == tmp_path  # no models folder: some other custom_nodes
    (tmp_path / "models").mkdir()
    assert command.models_folder() == tmp_path / "models"
