"""Layouts of whole models: ldm names there and back, single files with every part, diffusers folders, split files."""

import json
import shutil
import struct
import tracemalloc
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from ladivton_core.checkpoints import build, clip_layout
from ladivton_core.checkpoints.layouts import describe, identify, parts_in
from ladivton_core.checkpoints.reading import CheckpointError, part_file, read_state_dict
from ladivton_core.checkpoints.unet_layout import BlockStructure, extend_conv_in, unet_from_ldm, unet_to_ldm
from ladivton_core.checkpoints.vae_layout import vae_from_ldm, vae_to_ldm
from ladivton_core.embedded import embedded_path
from ladivton_core.presets import SD2, TINY

MANIFESTS = Path(__file__).parent / "manifests"
CONVERSIONS = {"unet": (unet_to_ldm, unet_from_ldm), "vae": (vae_to_ldm, vae_from_ldm)}
PREFIXES = {"unet": "model.diffusion_model.", "vae": "first_stage_model.", "text_encoder": "cond_stage_model.model."}


def published(part, channels=31):
    name = {"unet": "unet", "vae": "sd2_inpainting_vae_modern", "text_encoder": "sd2_inpainting_text_encoder"}[part]
    shapes = json.loads((MANIFESTS / f"{name}.json").read_text())["state_dict"]
    if part == "unet":  # all that differs from Stable Diffusion's own (the manifest's note)
        shapes["conv_in.weight"] = [320, channels, 3, 3]
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def embedded(part):
    return read_state_dict(embedded_path(part))


def shapes_of(state):
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def same(ours, theirs):
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in theirs)


def whole_checkpoint():
    """As Stable Diffusion 2 was published in one file, tiny: three prefixes and what training left behind."""
    text = clip_layout.text_from_hf(embedded("text_encoder"))
    parts = {"unet": unet_to_ldm(embedded("unet")), "vae": vae_to_ldm(embedded("vae")), "text_encoder": text}
    state = {PREFIXES[part] + key: tensor for part, tensors in parts.items() for key, tensor in tensors.items()}
    return state | {
        "betas": torch.zeros(3),
        "model_ema.decay": torch.zeros(()),
        "first_stage_model.loss.x": torch.ones(1),
    }


# --- ldm names


@pytest.mark.parametrize("part", CONVERSIONS)
def test_ldm_names_there_and_back_change_nothing(part):
    to_ldm, from_ldm = CONVERSIONS[part]
    state = embedded(part)
    ldm = to_ldm(state)
    assert not any(key.startswith(("down_blocks", "encoder.down_blocks", "decoder.up_blocks")) for key in ldm)
    assert identify(ldm) == f"ldm_{part}"
    assert same(from_ldm(ldm), state)


@pytest.mark.parametrize("channels", [9, 31])
def test_the_published_unet_survives_ldm_names(channels):
    state = published("unet", channels)
    ldm = unet_to_ldm(state)
    assert ldm["input_blocks.0.0.weight"].shape == (320, channels, 3, 3)
    assert ldm["output_blocks.5.2.conv.weight"].shape == (1280, 1280, 3, 3)  # an upsampler comes after the attention
    assert ldm["output_blocks.2.1.conv.weight"].shape == (1280, 1280, 3, 3)  # or in its place
    assert shapes_of(unet_from_ldm(ldm)) == shapes_of(state)
    with torch.device("meta"):
        built = build.build_unet(SD2).state_dict()
    assert shapes_of(unet_from_ldm(ldm)).keys() == built.keys()
    assert f"{channels} input channels" in describe(ldm)


@pytest.mark.parametrize("part", CONVERSIONS)
@pytest.mark.parametrize("preset", [SD2, TINY], ids=lambda preset: preset.name)
def test_diffusers_own_converter_agrees(part, preset):
    converters = pytest.importorskip("diffusers.loaders.single_file_utils")
    convert = {"unet": converters.convert_ldm_unet_checkpoint, "vae": converters.convert_ldm_vae_checkpoint}[part]
    state = published(part) if preset is SD2 else embedded(part)
    ldm = {PREFIXES[part] + key: tensor for key, tensor in CONVERSIONS[part][0](state).items()}
    assert shapes_of(convert(ldm, config=dict(getattr(preset, part)))) == shapes_of(state)


def test_the_block_structure_is_the_presets():
    for preset, state in ((SD2, published("unet")), (TINY, embedded("unet"))):
        layers = preset.unet["layers_per_block"]
        down = tuple(("CrossAttn" in kind,) * layers for kind in preset.unet["down_block_types"])
        up = tuple(("CrossAttn" in kind,) * (layers + 1) for kind in preset.unet["up_block_types"])
        assert (
            BlockStructure.of_diffusers(state) == BlockStructure.of_ldm(unet_to_ldm(state)) == BlockStructure(down, up)
        )


def test_unknown_keys_stay_and_are_reported():
    state = unet_to_ldm(embedded("unet")) | {
        "input_blocks.0.0.extra": torch.zeros(1),
        "label_emb.0.0.weight": torch.zeros(1),
    }
    with pytest.raises(CheckpointError, match="2 too many, e.g. conv_in.extra"):
        build.check("unet", state)


def test_an_inpainting_unet_is_extended_with_zeros():
    state = embedded("unet")
    nine = state | {"conv_in.weight": state["conv_in.weight"][:, :9]}
    wide = extend_conv_in(nine)
    assert torch.equal(wide["conv_in.weight"][:, :9], nine["conv_in.weight"])
    assert wide["conv_in.weight"].shape[1] == 31 and not wide["conv_in.weight"][:, 9:].any()
    assert wide["conv_in.weight"].dtype == nine["conv_in.weight"].dtype
    assert same({**wide, "conv_in.weight": nine["conv_in.weight"]}, nine)
    assert extend_conv_in(state)["conv_in.weight"] is state["conv_in.weight"]
    assert build.build_from("unet", extend_conv_in(nine, 27)).config.in_channels == 27
    with pytest.raises(CheckpointError, match="takes 31 input channels and cannot be extended to 9"):
        extend_conv_in(state, 9)
    assert build.check("unet", nine) == TINY  # is a right file, but not a try-on's


# --- one file with everything


def test_every_part_is_taken_out_of_a_whole_checkpoint(tmp_path):
    torch.save({"state_dict": whole_checkpoint(), "global_step": 7}, tmp_path / "512-inpainting-ema.ckpt")
    state = read_state_dict(tmp_path / "512-inpainting-ema.ckpt")
    assert parts_in(state) == ("unet", "vae", "text_encoder")
    assert describe(state).endswith("(unet, vae, text_encoder)")
    for part in ("unet", "vae", "text_encoder"):
        loaded = build.load(part, tmp_path / "512-inpainting-ema.ckpt", dtype=torch.float16)
        assert same(loaded.state_dict(), build.load_embedded(part, dtype=torch.float16).state_dict())
    with pytest.raises(CheckpointError, match="ckpt is a whole Stable Diffusion.*a CLIP vision tower was expected"):
        build.load("vision", tmp_path / "512-inpainting-ema.ckpt")
    only_vae = {key: tensor for key, tensor in state.items() if key.startswith("first_stage_model.")}
    assert parts_in(only_vae) == ("vae",)


def sparse_file(path, tensors, dtype, width):
    """A safetensors file of zeros that takes a few blocks on the disk; returns the length of its tensors."""
    header, end = {}, 0
    for key, tensor in tensors.items():
        start, end = end, end + width * tensor.numel()
        header[key] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [start, end]}
    head = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(head)) + head)
        file.truncate(8 + len(head) + end)
    return end


class Memory(TorchDispatchMode):
    """What loading does with memory, counted where it happens: the system's own figures also tell of other things.

    Attributes:
        most: bytes of the tensors that were made and lived at once; what is mapped is not made.
        read: bytes of mapped tensors that an operation looked into, by their place.
        python: the most bytes that Python held beside tensors, such as a file read whole; where it is traced.
    """

    def __enter__(self):
        self.most, self.read, self._made = 0, {}, {}
        return super().__enter__()

    def __exit__(self, *error):
        self.python = tracemalloc.get_traced_memory()[1]
        return super().__exit__(*error)

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        given, came = ([x for x in tree_leaves(y) if isinstance(x, torch.Tensor)] for y in ((args, kwargs), result))
        if any(tensor.is_meta for tensor in given + came) or function is torch.ops.aten.set_.source_Storage:
            return result  # names and shapes alone
        places = {tensor.untyped_storage().data_ptr() for tensor in given}
        new = [x for x in map(torch.Tensor.untyped_storage, came) if x.data_ptr() not in places and x.nbytes()]
        if new or not came or function._schema.is_mutable:  # anything but a view
            mapped = [tensor for tensor in given if tensor.untyped_storage().data_ptr() not in self._made]
            self.read |= {tensor.data_ptr(): tensor.nbytes for tensor in mapped}
        if new:
            self._made = {place: entry for place, entry in self._made.items() if not entry[0].expired()}
            self._made |= {storage.data_ptr(): (StorageWeakRef(storage), storage.nbytes()) for storage in new}
            self.most = max(self.most, sum(size for _, size in self._made.values()))
        return result


@pytest.fixture
def tracing():
    """Python's memory is traced, but for what loading imports."""
    with Memory():
        build.load_embedded("inversion_adapter")
        build.check("vae", embedded("vae"))
    tracemalloc.start()
    yield
    tracemalloc.stop()


@pytest.mark.parametrize(("dtype", "width"), [("F32", 4), ("F16", 2)])
def test_loading_takes_at_most_1_3_times_the_file_beyond_the_model(tmp_path, tracing, dtype, width):
    with torch.device("meta"):
        adapter = build.build_inversion_adapter(SD2).state_dict()
    size = sparse_file(tmp_path / "adapter.safetensors", adapter, dtype, width)
    with Memory() as memory:
        module = build.load("inversion_adapter", tmp_path / "adapter.safetensors")
    made = 0 if dtype == "F32" else 2 * size  # the model: mapped as it is, or widened to float32
    assert sum(weight.nbytes for weight in module.state_dict().values()) == (made or size)
    # the file comes into memory once, as its weights are used; another 0.3 of it beside that
    assert made <= memory.most <= made + 0.3 * size and memory.python < 0.1 * size
    assert sum(memory.read.values()) == size  # every value was looked at, to refuse what is no number


@pytest.mark.long
def test_taking_a_part_of_full_size_does_not_read_the_others(tmp_path):
    """A sparse file of the full layout: 2.6 GB in length, a few blocks on the disk."""
    with torch.device("meta"):
        text = build.build_text_encoder(SD2).state_dict()
    parts = {"unet": unet_to_ldm(published("unet", 9)), "vae": vae_to_ldm(published("vae")), "text_encoder": text}
    path = tmp_path / "whole.safetensors"
    whole = {PREFIXES[part] + key: tensor for part, tensors in parts.items() for key, tensor in tensors.items()}
    end = sparse_file(path, whole, "F16", 2)
    with Memory() as memory:
        assert {build.check(part, read_state_dict(path), path).name for part in parts} == {"sd2"}
    # safetensors itself looks at the first byte of every tensor that it maps
    assert sum(memory.read.values()) <= len(whole) and memory.most == 0
    with Memory() as memory:
        vae = build.load("vae", path, dtype=torch.float16)
    assert vae.decoder.conv_in.weight.dtype == torch.float16
    size = sum(weight.nbytes for weight in vae.state_dict().values())
    assert size <= sum(memory.read.values()) < size + len(whole) < end / 10 and memory.most < 0.3 * size


# --- folders


def test_a_diffusers_folder_gives_every_part(tmp_path):
    """Each part in another of the forms that are about; the file name's part before the point is diffusers'."""
    (tmp_path / "model_index.json").write_text("{}")
    for folder in ("unet", "vae", "text_encoder", "image_encoder"):
        (tmp_path / folder).mkdir()
    shutil.copy(embedded_path("vae"), tmp_path / "vae" / "diffusion_pytorch_model.fp16.safetensors")
    torch.save(embedded("text_encoder"), tmp_path / "text_encoder" / "pytorch_model.bin")
    shutil.copy(embedded_path("vision"), tmp_path / "image_encoder" / "model.safetensors")
    state = embedded("unet")
    halves = [dict(list(state.items())[::2]), dict(list(state.items())[1::2])]
    index = {}
    for number, half in enumerate(halves, start=1):
        name = f"diffusion_pytorch_model-0000{number}-of-00002.safetensors"
        save_file(half, tmp_path / "unet" / name)
        index |= dict.fromkeys(half, name)
    index_file = tmp_path / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    index_file.write_text(json.dumps({"metadata": {}, "weight_map": index}))
    for part in ("unet", "vae", "text_encoder", "vision"):
        assert same(build.load(part, tmp_path).state_dict(), build.load_embedded(part).state_dict())
    assert part_file(tmp_path / "unet", "unet") == index_file
    (tmp_path / "unet" / name).unlink()
    with pytest.raises(CheckpointError, match="names the file .*-00002-of-00002.safetensors, which is not beside it"):
        read_state_dict(index_file)
    index_file.write_text(json.dumps({"weight_map": {"a": "../../secret.safetensors"}}))
    with pytest.raises(CheckpointError, match="not beside it"):
        read_state_dict(index_file)


def test_full_precision_and_safetensors_come_first(tmp_path):
    for name in ("model.fp16.safetensors", "pytorch_model.bin", "model.safetensors"):
        (tmp_path / name).touch()
    assert part_file(tmp_path, "text_encoder").name == "model.safetensors"
    (tmp_path / "model.safetensors").unlink()
    assert part_file(tmp_path, "text_encoder").name == "pytorch_model.bin"


def test_a_folder_without_the_part_says_where_it_looked(tmp_path):
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "diffusion_pytorch_model.safetensors").touch()  # of what?
    with pytest.raises(CheckpointError, match="no weights of the part 'vision': neither in image_encoder/"):
        part_file(tmp_path, "vision")
    with pytest.raises(FileNotFoundError, match="no file or folder .*elsewhere"):
        part_file(tmp_path / "elsewhere", "vae")
    (tmp_path / "config.json").write_text('{"a": 1}')
    with pytest.raises(CheckpointError, match="not the index of a split model"):
        read_state_dict(tmp_path / "config.json")
