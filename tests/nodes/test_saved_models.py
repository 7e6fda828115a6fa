"""Files of ModelSave, CheckpointSave, CLIPSave, VAESave come back: by our loaders, at full size by ComfyUI's too."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="module")
def saved(models, tmp_path_factory):
    """The four files, in a models folder of ours."""
    import folder_paths
    from comfy_extras.nodes_model_merging import CheckpointSave, CLIPSave, ModelSave, VAESave

    folder = tmp_path_factory.mktemp("ladi_vton")
    wires = {
        ModelSave: {"model": models.model}, CLIPSave: {"clip": models.clip}, VAESave: {"vae": models.vae},
        CheckpointSave: {"model": models.model, "clip": models.clip, "vae": models.vae},
    }  # fmt: skip
    for node, inputs in wires.items():
        one = node()
        one.output_dir = str(folder)
        with torch.inference_mode():
            one.save(**inputs, filename_prefix=node.__name__)
    before = folder_paths.folder_names_and_paths["ladi_vton"]
    folder_paths.folder_names_and_paths["ladi_vton"] = ([str(folder)], before[1])
    yield {file.name.split("_")[0]: file.name for file in folder.iterdir()}
    folder_paths.folder_names_and_paths["ladi_vton"] = before


def same(first: torch.nn.Module, second: torch.nn.Module) -> bool:
    ours, theirs = first.state_dict(), second.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key].to(ours[key])) for key in ours)


@pytest.mark.parametrize("file", ["ModelSave", "CheckpointSave"])
def test_the_unet_and_its_schedule_come_back(run, models, saved, file):
    (model,) = run("LoadTryOnModel", unet_name=saved[file], precision="float32")
    assert same(model.model.diffusion_model, models.model.model.diffusion_model)
    assert torch.equal(model.model.model_sampling.sigmas, models.model.model.model_sampling.sigmas)


@pytest.mark.parametrize("file", ["VAESave", "CheckpointSave"])
def test_the_vae_comes_back(run, models, saved, file):
    (vae,) = run("LoadVAE", vae_name=saved[file], precision="float32")
    assert same(vae.first_stage_model, models.vae.first_stage_model)


@pytest.mark.parametrize("file", ["CLIPSave", "CheckpointSave"])
def test_the_text_encoder_comes_back(run, models, saved, file):
    (clip,) = run("LoadCLIP", clip_name=saved[file], precision="float32")
    with torch.inference_mode():
        now, then = (one.encode_from_tokens(one.tokenize("a red dress")) for one in (clip, models.clip))
    assert torch.equal(now, then)


def test_lists_offer_what_holds_the_part(nodes, saved):
    def offered(node: str) -> set[str]:
        return set(nodes[f"LadiVTON_{node}"].define_schema().inputs[0].options)

    assert {saved["ModelSave"], saved["CheckpointSave"]} == offered("LoadTryOnModel") & set(saved.values())
    assert {saved["VAESave"], saved["CheckpointSave"]} == offered("LoadVAE") & set(saved.values())
    assert {saved["CLIPSave"], saved["CheckpointSave"]} == offered("LoadCLIP") & set(saved.values())


def test_a_file_without_the_part_is_named(run, nodes, saved, module):
    error = module("ladivton_core.checkpoints.reading").CheckpointError
    with pytest.raises(error, match="VAESave.*a VAE.*text encoder was expected"):
        run("LoadCLIP", clip_name=saved["VAESave"])
    said = nodes["LadiVTON_LoadVAE"].validate_inputs(vae_name="nowhere.safetensors")
    assert "nowhere.safetensors" in said and "models/vae" in said and "download sd2" in said


def test_comfyui_knows_a_saved_unet_of_full_size(models, module):
    """Shapes alone: names and sizes of the published UNet as ModelSave writes them, read as UNETLoader reads them."""
    import comfy.model_detection

    native, presets = module("nodes.host.native"), module("ladivton_core.presets")
    config = native._unet_config(presets.SD2)
    config.set_inference_dtype(torch.float16, None)
    with torch.device("meta"):
        ours = native.TryOnModel(config, presets.SD2, device="meta")
    file = {f"model.diffusion_model.{key}": value for key, value in ours.diffusion_model.state_dict().items()}
    found = comfy.model_detection.model_config_from_unet(file, "model.diffusion_model.")
    assert type(found).__name__ == "SD20" and found.unet_config["in_channels"] == 31
    found.set_inference_dtype(torch.float16, None)
    stock = found.get_model({}, device="meta").diffusion_model.state_dict()
    assert {key: value.shape for key, value in stock.items()} == {
        key: value.shape for key, value in ours.diffusion_model.state_dict().items()
    }


@pytest.mark.long
def test_comfyuis_loaders_take_saved_vae_and_clip_of_full_size(models, module):
    """Stand-ins of Stable Diffusion 2's sizes, every tensor a number of its own: 0.5 G parameters."""
    import comfy.sd

    native, presets = module("nodes.host.native"), module("ladivton_core.presets")
    build, layout = module("ladivton_core.checkpoints.build"), module("ladivton_core.checkpoints.clip_layout")

    def numbered(part: str) -> dict[str, torch.Tensor]:
        with torch.device("meta"):
            blank = build.BUILDERS[part](presets.SD2).state_dict()
        return {key: torch.full(value.shape, place / 1024) for place, (key, value) in enumerate(blank.items())}

    ours = native.vae(presets.SD2, numbered("vae"), torch.float32)
    stock = comfy.sd.VAE(sd=ours.get_sd(), dtype=torch.float32)
    assert same(stock.first_stage_model, ours.first_stage_model)
    del ours, stock
    ours = native.clip(presets.SD2, layout.text_to_hf(numbered("text_encoder")), torch.float16)
    state = {key.removeprefix("clip_h.transformer."): value for key, value in ours.get_sd().items()}
    stock = comfy.sd.load_text_encoder_state_dicts([state], clip_type=comfy.sd.CLIPType.STABLE_DIFFUSION)
    ours, stock = (one.cond_stage_model.clip_h.transformer.text_model for one in (ours, stock))
    shared = ours.state_dict().keys() & stock.state_dict().keys()
    assert shared == ours.state_dict().keys()
    assert all(torch.equal(stock.state_dict()[key], ours.state_dict()[key]) for key in shared)
