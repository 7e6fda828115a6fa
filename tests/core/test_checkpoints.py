"""Published layouts by name and shape, conversions there and back, and what the loaders say about a wrong file."""

import dataclasses
import json
import zipfile
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from ladivton_core.checkpoints import build, clip_layout, vae_layout
from ladivton_core.checkpoints.layouts import KINDS, identify, load_strict
from ladivton_core.checkpoints.reading import CheckpointError, read_state_dict
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.presets import SD2, TINY

MANIFESTS = Path(__file__).parent / "manifests"


def manifest(name):
    return {
        key: tuple(shape) for key, shape in json.loads((MANIFESTS / f"{name}.json").read_text())["state_dict"].items()
    }


def on_meta(shapes):
    return {key: torch.empty(shape, device="meta") for key, shape in shapes.items()}


def shapes_of(state):
    return {key: tuple(tensor.shape) for key, tensor in state.items()}


def sd2(part):
    with torch.device("meta"):
        return build.BUILDERS[part](SD2)


# --- the published files, on the meta device: names and shapes, no memory


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("unet", "unet"),
        ("emasc", "emasc"),
        ("inversion_adapter", "inversion_adapter"),
        ("vae", "sd2_inpainting_vae_modern"),
    ],
)
def test_sd2_modules_have_the_published_names_and_shapes(part, name):
    assert shapes_of(sd2(part).state_dict()) == manifest(name)


def test_the_published_vae_has_the_old_attention_names():
    assert shapes_of(vae_layout.vae_old_names(sd2("vae").state_dict())) == manifest("sd2_inpainting_vae")
    modern = vae_layout.vae_modern_names(on_meta(manifest("sd2_inpainting_vae")))
    assert shapes_of(modern) == manifest("sd2_inpainting_vae_modern")


@pytest.mark.parametrize(
    ("part", "name", "to_hf", "from_hf"),
    [
        ("text_encoder", "sd2_inpainting_text_encoder", clip_layout.text_to_hf, clip_layout.text_from_hf),
        ("vision", "clip_vit_h14_vision_with_projection", clip_layout.vision_to_hf, clip_layout.vision_from_hf),
    ],
)
def test_sd2_towers_have_the_published_names_and_shapes(part, name, to_hf, from_hf):
    published = manifest(name)
    own = sd2(part).state_dict()
    assert shapes_of(to_hf(own)) == {key: shape for key, shape in published.items() if not key.endswith("position_ids")}
    assert shapes_of(from_hf(on_meta(published))) == shapes_of(own)


@pytest.mark.parametrize(
    ("part", "name"),
    [
        ("unet", "unet"),
        ("emasc", "emasc"),
        ("inversion_adapter", "inversion_adapter"),
        ("vae", "sd2_inpainting_vae"),
        ("vae", "sd2_inpainting_vae_modern"),
        ("text_encoder", "sd2_inpainting_text_encoder"),
        ("vision", "clip_vit_h14_vision_with_projection"),
    ],
)
def test_a_published_layout_is_recognised_and_its_size_told(part, name):
    state = on_meta(manifest(name))
    assert identify(state) == part
    assert build.preset_for(part, build.module_names(part, state)).name == "sd2"


def test_the_published_warping_file_is_recognised():
    state = on_meta({f"tps.{key}": shape for key, shape in manifest("tps").items()})
    assert identify(on_meta(manifest("tps"))) == "tps"
    assert identify(on_meta(manifest("refinement"))) == "refinement"
    state |= on_meta({f"refinement.{key}": shape for key, shape in manifest("refinement").items()})
    assert identify(state) == "warping"
    assert build.preset_for("warping", build.module_names("warping", state)).name == "sd2"


# --- towers: both layouts, both directions


@pytest.mark.parametrize("part", ["text_encoder", "vision"])
def test_towers_survive_both_layouts(part):
    own = build.BUILDERS[part](TINY).state_dict()
    to_hf, from_hf = {
        "text_encoder": (clip_layout.text_to_hf, clip_layout.text_from_hf),
        "vision": (clip_layout.vision_to_hf, clip_layout.vision_from_hf),
    }[part]
    back = from_hf(to_hf(own))
    assert back.keys() == own.keys()
    assert all(torch.equal(back[key], own[key]) for key in own)


def test_towers_equal_transformers():
    transformers = pytest.importorskip("transformers")
    from ladivton_core.inversion.prompts import prompt_for, tokenize

    fields = {"hidden_act": "gelu", "attention_dropout": 0.0}
    text = transformers.CLIPTextModel(
        transformers.CLIPTextConfig(**(dataclasses.asdict(TINY.text) | fields | {"projection_dim": 64}))
    ).eval()
    vision = transformers.CLIPVisionModelWithProjection(
        transformers.CLIPVisionConfig(**(dataclasses.asdict(TINY.vision) | fields))
    ).eval()
    ids, pixels = tokenize([prompt_for("dresses"), ""]), torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        ours = build.build_from("text_encoder", text.state_dict(), TINY)(ids)
        assert torch.allclose(ours, text(ids).last_hidden_state, atol=2e-5)
        tower = build.build_from("vision", vision.state_dict(), TINY)
        tokens = tower(pixels)
        theirs = vision(pixels)
        assert torch.allclose(tokens, theirs.last_hidden_state, atol=2e-5)
        assert torch.allclose(tower.image_embeds(tokens), theirs.image_embeds, atol=2e-5)


def test_a_whole_openclip_model_gives_both_towers():
    """As laion publishes it: the text tower has one layer more than Stable Diffusion 2 runs."""
    longer = dataclasses.replace(TINY, text=dataclasses.replace(TINY.text, num_hidden_layers=3))
    state = build.build_text_encoder(longer).state_dict() | build.build_vision(TINY).state_dict()
    state |= {"text_projection": torch.zeros(64, 64), "logit_scale": torch.zeros(())}
    assert identify(state) == "clip"
    text, vision = build.build_from("text_encoder", state, TINY), build.build_from("vision", state, TINY)
    assert len(text.transformer.resblocks) == 2
    assert torch.equal(text.transformer.resblocks[1].ln_1.weight, state["transformer.resblocks.1.ln_1.weight"])
    assert torch.equal(vision.visual.proj, state["visual.proj"])


def test_a_vision_file_without_the_unused_head_is_enough():
    state = clip_layout.vision_to_hf(build.build_vision(TINY).state_dict())
    bare = {key: tensor for key, tensor in state.items() if "post_layernorm" not in key and "projection" not in key}
    pixels = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        assert torch.equal(build.build_from("vision", bare)(pixels), build.build_from("vision", state)(pixels))


def test_an_old_vae_with_convolutions_for_attention_is_read():
    vae = build.build_vae(TINY)
    old = vae_layout.vae_old_names(vae.state_dict())
    key = "encoder.mid_block.attentions.0.query.weight"
    old[key] = old[key][:, :, None, None]
    loaded = build.build_from("vae", old, TINY)
    assert all(torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), vae.state_dict().values(), strict=True))


# --- building and filling


@pytest.mark.parametrize("part", PARTS)
def test_a_part_survives_its_file(part, tmp_path):
    module = build.BUILDERS[part](TINY).eval()
    build.save(part, module, tmp_path / "part.safetensors", dtype=None)
    loaded = build.load(part, tmp_path / "part.safetensors")
    ours, theirs = module.state_dict(), loaded.state_dict()
    assert ours.keys() == theirs.keys() and not loaded.training
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("part", PARTS)
def test_the_embedded_part_loads_in_float32(part):
    module = build.load_embedded(part)
    assert {p.dtype for p in module.parameters()} == {torch.float32}
    assert not any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers()))
    stored = read_state_dict(embedded_path(part))
    # float8: the token table
    assert {t.dtype for t in stored.values() if t.is_floating_point()} <= {torch.float16, torch.float8_e4m3fn}
    assert build.preset_for(part, build.module_names(part, stored)) == TINY


def test_half_precision_is_kept_but_for_the_warper():
    assert build.load_embedded("emasc", dtype=torch.float16).conv[0][0].weight.dtype == torch.float16
    assert (
        build.load_embedded("warping", dtype=torch.float16).refinement.inc.double_conv[0].weight.dtype == torch.float32
    )


def test_a_published_warping_archive_is_read(tmp_path):
    """Nested dict with an epoch and optimiser states beside the two networks (published §7)."""
    warper = build.build_warper(TINY)
    content = {"epoch": 3, "tps": warper.tps.state_dict(), "refinement": warper.refinement.state_dict()}
    content["optimizer_tps"] = {
        "state": {0: {"exp_avg": torch.zeros(3)}},
        "param_groups": [{"lr": 1e-4, "params": [0]}],
    }
    torch.save(content, tmp_path / "warping.pth")
    loaded = build.load("warping", tmp_path / "warping.pth")
    assert all(
        torch.equal(a, b) for a, b in zip(loaded.state_dict().values(), warper.state_dict().values(), strict=True)
    )


def test_the_parallel_prefix_is_removed(tmp_path):
    torch.save({"state_dict": {"module.a": torch.ones(1)}}, tmp_path / "x.pth")
    assert list(read_state_dict(tmp_path / "x.pth")) == ["a"]


def test_linear_emasc_and_a_unet_without_a_garment_are_told_from_the_file():
    linear = build.build_emasc(dataclasses.replace(TINY, emasc=TINY.emasc | {"kind": "linear"}))
    assert build.build_from("emasc", linear.state_dict()).kind == "linear"
    poor = build.build_unet(dataclasses.replace(TINY, unet=TINY.unet | {"in_channels": 27}))
    assert build.build_from("unet", poor.state_dict()).config.in_channels == 27


# --- wrong files


def test_kinds_are_told_from_content():
    for keys, kind in (
        (["model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.x"], "ldm_checkpoint"),
        (["input_blocks.0.0.weight", "time_embed.0.weight"], "ldm_unet"),
        (["encoder.conv_in.weight", "decoder.conv_in.weight", "encoder.down.0.block.0.norm1.weight"], "ldm_vae"),
        (["lora_unet_down_blocks_0.alpha"], "lora"),
        (["something"], "unknown"),
    ):
        assert identify({key: torch.zeros(1) for key in keys}) == kind
        assert kind in KINDS


@pytest.mark.parametrize("part", PARTS)
def test_a_file_of_another_part_is_named(part):
    other = "vae" if part == "emasc" else "emasc"
    with pytest.raises(CheckpointError) as caught:
        build.load(part, embedded_path(other))
    assert f"{other}.safetensors is {KINDS[other]}" in str(caught.value)
    assert f"{KINDS[part]} was expected" in str(caught.value)


def test_stable_diffusions_own_inpainting_unet_is_named():
    nine = build.build_unet(dataclasses.replace(TINY, unet=TINY.unet | {"in_channels": 9}))
    with pytest.raises(CheckpointError, match="9 input channels .Stable Diffusion inpainting.*has 31"):
        build.build_from("unet", nine.state_dict(), TINY, path="x.safetensors")


def test_another_size_is_named():
    state = build.build_emasc(TINY).state_dict()
    with pytest.raises(CheckpointError, match="other shape, e.g. conv.0.0.weight"):
        build.build_from("emasc", state, SD2)
    middle = {key: tensor.repeat_interleave(3, 0) for key, tensor in state.items()}
    with pytest.raises(CheckpointError, match="of a size no preset has"):
        build.build_from("emasc", middle)


def test_missing_and_surplus_keys_are_counted():
    state = build.build_emasc(TINY).state_dict()
    state.pop("conv.3.0.bias")
    with pytest.raises(CheckpointError, match="1 missing, e.g. conv.3.0.bias; 1 too many, e.g. extra"):
        load_strict(build.build_emasc(TINY), state | {"extra": torch.zeros(1)}, "emasc", "e.pth")


def test_a_truncated_safetensors_file_says_so(tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(embedded_path("emasc").read_bytes()[:5000])
    with pytest.raises(CheckpointError, match=r"cut.safetensors \(5000 bytes\).*cut short"):
        read_state_dict(path)


def test_the_kind_of_a_file_is_told_by_its_content(tmp_path):
    tensors = {"a": torch.arange(3.0)}
    torch.save(tensors, tmp_path / "archive.safetensors")
    torch.save(tensors, tmp_path / "old.safetensors", _use_new_zipfile_serialization=False)
    save_file(tensors, tmp_path / "safe.pth")
    for name in ("archive.safetensors", "old.safetensors", "safe.pth"):
        assert torch.equal(read_state_dict(tmp_path / name)["a"], tensors["a"])


def test_a_truncated_archive_says_so(tmp_path):
    torch.save({"a": torch.zeros(4000)}, tmp_path / "whole.pth")
    (tmp_path / "cut.pth").write_bytes((tmp_path / "whole.pth").read_bytes()[:3000])
    with pytest.raises(CheckpointError, match="cut.pth"):
        read_state_dict(tmp_path / "cut.pth")
    (tmp_path / "text.pth").write_text("<html>Not found</html>")
    with pytest.raises(CheckpointError, match="text.pth"):
        read_state_dict(tmp_path / "text.pth")
    with zipfile.ZipFile(tmp_path / "holiday.ckpt", "w") as archive:
        archive.writestr("photo.txt", "hello")
    with pytest.raises(CheckpointError, match="holiday.ckpt"):
        read_state_dict(tmp_path / "holiday.ckpt")


def test_python_objects_are_not_unpickled(tmp_path):
    class_of_danger = zipfile.Path  # any class torch does not allow
    torch.save({"a": class_of_danger}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="could run code"):
        read_state_dict(tmp_path / "evil.pth")


def test_files_without_tensors_and_missing_files_are_named(tmp_path):
    torch.save({"epoch": 3}, tmp_path / "empty.pth")
    torch.save(torch.zeros(3), tmp_path / "tensor.pth")
    for name, said in (("empty.pth", "no tensors"), ("tensor.pth", "holds a value of the type Tensor")):
        with pytest.raises(CheckpointError, match=said):
            read_state_dict(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="nowhere.pth"):
        read_state_dict(tmp_path / "nowhere.pth")
    with pytest.raises(ValueError, match="no embedded part"):
        embedded_path("hat")


@pytest.mark.parametrize("shape", [(), (32,), (32, 31), (32, 31, 3)])
def test_a_unet_whose_first_convolution_is_none_is_refused(shape):
    state = build.build_unet(TINY).state_dict() | {"conv_in.weight": torch.zeros(shape)}
    for refuse in (build.check, build.build_from):
        with pytest.raises(CheckpointError, match="conv_in.weight"):
            refuse("unet", state)
