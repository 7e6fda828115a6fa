"""What trainings leave around the weights: undone where it is unambiguous, refused with the way out where it is not."""

from __future__ import annotations

import gzip
import io
import re
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import save

from ladivton_core.checkpoints import build
from ladivton_core.checkpoints.inventory import look
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.embedded import embedded_path

EMASC = "emasc"


@pytest.fixture(scope="module")
def emasc():
    return {key: tensor.float() for key, tensor in read_state_dict(embedded_path(EMASC)).items()}


@pytest.fixture(scope="module")
def halves():
    whole = read_state_dict(embedded_path("warping"))
    return {
        name: {key.removeprefix(f"{name}."): t for key, t in whole.items() if key.startswith(f"{name}.")}
        for name in ("tps", "refinement")
    }


def prefixed(prefix, state):
    return {prefix + key: tensor for key, tensor in state.items()}


def more(state):
    return {key: tensor + 1 for key, tensor in state.items()}


@pytest.mark.parametrize(
    "wrap",
    [
        lambda s: prefixed("module.", s),
        lambda s: prefixed("_orig_mod.", s),
        lambda s: prefixed("module._orig_mod.", s),
        lambda s: prefixed("_fsdp_wrapped_module.", s),
        lambda s: {"state_dict": prefixed("module.", s), "epoch": np.int64(3)},
        lambda s: {"model": s, "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}}, "epoch": 3},
        lambda s: {"ema": s, "step": torch.tensor(3)},
        lambda s: {"state_dict": prefixed("model.", s)},
        lambda s: {"state_dict": prefixed("emasc.", s), "loss": np.float64(0.1), "history": np.zeros(4)},
        lambda s: {"emasc": s},
        lambda s: {"emasc": s, "inversion": {"head": torch.ones(2)}, "note": "best"},
        lambda s: (s, 3),
        lambda s: {**prefixed("module.", s), "n_averaged": torch.tensor(3)},
    ],
)
def test_what_a_training_puts_around_the_names_is_undone(tmp_path, emasc, wrap):
    torch.save(wrap(emasc), tmp_path / "x.pth")
    loaded = build.load(EMASC, tmp_path / "x.pth").state_dict()
    assert all(torch.equal(loaded[key], emasc[key]) for key in emasc)


def same_warper(path, halves):
    loaded = build.load("warping", path).state_dict()
    return all(torch.equal(loaded[f"{name}.{key}"], t) for name, half in halves.items() for key, t in half.items())


@pytest.mark.parametrize(
    "wrap",
    [
        lambda tps, refinement: {"tps": prefixed("module.", tps), "refinement": prefixed("module.", refinement)},
        lambda tps, refinement: {"tps": tps, "refinement": prefixed("_orig_mod.", refinement), "epoch": 1},
        lambda tps, refinement: {"tps": prefixed("module._orig_mod.", tps), "refinement": refinement},
        lambda *halves: {
            name: prefixed("module.", half) | {"n_averaged": torch.tensor(5)}
            for name, half in zip(("tps", "refinement"), halves, strict=True)
        },
        lambda tps, refinement: {"tps": {"state_dict": tps}, "refinement": {"state_dict": refinement}},
        lambda tps, refinement: {"tps": {"model": tps, "epoch": 3}, "refinement": refinement, "loss": np.float64(1)},
        lambda tps, refinement: {
            "tps": tps,
            "refinement": {"net": prefixed("module.", refinement), "optimizer": {"step": torch.ones(1)}},
        },
        lambda tps, refinement: {"state_dict": {**prefixed("tps.model.", tps), **prefixed("refinement.", refinement)}},
        lambda tps, refinement: {"tps_state_dict": tps, "refinement_state_dict": refinement},
        lambda tps, refinement: {"run": {"a": {"state_dict": {"warper": {"tps": {"ema": tps}, "fine": refinement}}}}},
    ],
)
def test_what_a_training_puts_around_the_warpers_halves_is_undone(tmp_path, halves, wrap):
    torch.save(wrap(halves["tps"], halves["refinement"]), tmp_path / "w.pth")
    assert same_warper(tmp_path / "w.pth", halves)
    assert look(tmp_path / "w.pth").parts == ("warping",)


def test_a_warper_held_twice_is_refused_and_can_be_chosen(tmp_path, halves):
    averaged = {name: more(half) for name, half in halves.items()}
    twice = {name: {"model": half, "ema": averaged[name]} for name, half in halves.items()}
    beside = halves | {"ema": averaged}
    one = {"tps": twice["tps"], "refinement": halves["refinement"]}
    for content, whole in ((twice, averaged), (beside, averaged), (one, halves | {"tps": averaged["tps"]})):
        torch.save(content, tmp_path / "two.pth")
        with pytest.raises(CheckpointError, match="two.pth holds .* more than once, under .*--inside ema"):
            read_state_dict(tmp_path / "two.pth")
        chosen = read_state_dict(tmp_path / "two.pth", inside="ema")
        assert all(torch.equal(chosen[f"{name}.{key}"], t) for name, half in whole.items() for key, t in half.items())
    torch.save(halves | {"tps_ema": averaged["tps"]}, tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match="more than once, under 'tps' and 'tps_ema'.*save it by itself"):
        read_state_dict(tmp_path / "two.pth")


def test_a_network_held_twice_is_refused_and_can_be_chosen(tmp_path, emasc):
    torch.save({"model": emasc, "ema": more(emasc)}, tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match="more than once, under 'model' and 'ema'.*--inside ema"):
        read_state_dict(tmp_path / "two.pth")
    chosen = read_state_dict(tmp_path / "two.pth", inside="ema")
    assert all(torch.equal(chosen[key], emasc[key] + 1) for key in emasc)
    with pytest.raises(CheckpointError, match="nothing under the key 'hat'"):
        read_state_dict(tmp_path / "two.pth", inside="hat")
    torch.save(emasc | prefixed("module.", emasc), tmp_path / "both.pth")
    with pytest.raises(CheckpointError, match="twice, as .* and as module"):
        read_state_dict(tmp_path / "both.pth")


def test_a_network_under_a_key_that_says_nothing_comes_with_the_command(tmp_path, emasc):
    torch.save({"G": emasc, "D": {"last.weight": torch.ones(2)}}, tmp_path / "gan.pth")
    with pytest.raises(CheckpointError, match="gan.pth .* There is one under 'G'.*--inside G"):
        build.load(EMASC, tmp_path / "gan.pth")
    assert build.build_from(EMASC, read_state_dict(tmp_path / "gan.pth", inside="G"))


# --- weights that are no tensors, or no weights


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda s: {key: t.numpy() for key, t in s.items()}, "20 of its weights as numpy arrays, e.g. conv.0.0.bias"),
        (lambda s: {"state_dict": {key: t.numpy() for key, t in s.items()}}, "numpy arrays.*torch.from_numpy"),
        (lambda s: s | {"conv.0.0.weight": s["conv.0.0.weight"].numpy()}, "1 of its weights as numpy arrays"),
        (lambda s: {key: t.tolist() for key, t in list(s.items())[:2]}, "no tensors by name, only conv.0.0.bias .list"),
        (lambda s: {"decay": 0.9, "shadow_params": list(s.values())}, "shadow_params .list of 20.*Ask whoever"),
        (lambda s: {"epoch": 3}, "only epoch .int.. Ask whoever"),
        (lambda s: list(s.values()), "a value of the type list; names with tensors"),
        (lambda s: {key: t.to(torch.int8) for key, t in s.items()}, "whole numbers .torch.int8.*quantised"),
        (lambda s: {key: t.bool() for key, t in s.items()}, "whole numbers .torch.bool"),
    ],
)
def test_weights_that_are_no_tensors_are_refused_with_the_way_out(tmp_path, emasc, made, said):
    torch.save(made(emasc), tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=f"x.pth holds .*{said}"):
        build.load(EMASC, tmp_path / "x.pth")


def packed(kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind == "npz":
        np.savez(buffer, a=np.zeros(3))
    elif kind == "script":
        torch.jit.save(torch.jit.script(torch.nn.ReLU()), buffer)
    else:
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("weights/model.pth", "x")
    return buffer.getvalue()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("ending", ["pth", "safetensors"])
@pytest.mark.parametrize(
    ("content", "said"),
    [
        (lambda: bytes(5000), "nothing but zeros.*not finished; download it again"),
        (lambda: gzip.compress(b"x" * 99), "a packed file .gzip.*unpack it"),
        (lambda: b"7z\xbc\xaf'\x1c" + bytes(90), "a packed file .7-Zip"),
        (lambda: b"GGUF" + bytes(90), "a GGUF file"),
        (lambda: b"\x89HDF\r\n\x1a\n" + bytes(90), "an HDF5 file"),
        (lambda: b"\x89PNG\r\n\x1a\n" + bytes(90), "a picture"),
        (lambda: packed("npz"), "an archive of numpy arrays .*torch.from_numpy"),
        (lambda: packed("script"), "a TorchScript program, which is not run"),
        (lambda: packed("zip"), "a zip file with weights/model.pth inside.*unpack it"),
        (lambda: "<html>".encode("utf-16"), "a web page"),
        (lambda: b'{"error": "Unauthorized"}', "a JSON file but not the index"),
        (lambda: b'{"meta":{"a": 1}}', "a JSON file but not the index"),
        (
            lambda: re.sub(rb"(?s)(PK\x01\x02..).", rb"\1@", packed("npz")),
            "cannot be read as a torch",
        ),  # needs version 6.4
        (lambda: save({"a": torch.ones(900)})[:500], "cannot be read as safetensors.*cut short"),
    ],
)
def test_other_files_under_a_weight_files_name_are_called_what_they_are(tmp_path, content, said, ending):
    path = tmp_path / f"model.{ending}"
    path.write_bytes(content())
    with pytest.raises(CheckpointError, match=f"model.{ending} .*{said}") as refused:
        read_state_dict(path)
    assert "weights_only" not in f"{refused.value} {refused.value.__cause__}"
    assert "cannot be read" in look(path).what
