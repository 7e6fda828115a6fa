"""What training writes loads in the graph's own loaders and runs; what the graph holds can be trained on."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from drawn_world.training.__main__ import main
from ladivton_core.checkpoints.reading import read_state_dict
from ladivton_core.embedded import embedded_path
from ladivton_core.presets import TINY
from ladivton_core.training.stage import find_part

SMALL = ("size=[128, 96]", "count=4", "held_out=1", "steps=1", "batch=2", "workers=1", 'sources=["drawn"]', "shares=[]")


@pytest.fixture
def native(pack, nodes):
    """The pack's module that builds ComfyUI's own models."""
    return importlib.import_module(f"{pack.__name__}.nodes.host.native")


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """One step of every stage, exported."""
    folder = tmp_path_factory.mktemp("trained")
    changes = [word for change in SMALL for word in ("--set", change)]
    main(["all", "--init", "scratch", "--out", str(folder / "runs"), *changes])
    main(["export", str(folder / "runs"), "--to", str(folder)])
    return folder


@pytest.mark.long
def test_trained_files_run_in_the_graph(trained, run, native, scene, monkeypatch):
    import folder_paths

    monkeypatch.setitem(folder_paths.folder_names_and_paths, "ladi_vton", ([str(trained)], {".safetensors"}))
    (model,) = run("LoadTryOnModel", unet_name="unet.safetensors")
    (warper,) = run("LoadWarper", warper_name="warping.safetensors")
    (adapter,) = run("LoadInversionAdapter", adapter_name="inversion_adapter.safetensors")
    (emasc,) = run("LoadEMASC", emasc_name="emasc.safetensors")
    states = {part: read_state_dict(trained / f"{part}.safetensors") for part in ("text_encoder", "vae", "vision")}
    clip, vae = native.clip(TINY, states["text_encoder"], torch.float32), native.vae(TINY, states["vae"], torch.float32)
    tower = native.clip_vision(TINY, states["vision"], torch.float32)
    person, garment = scene.person[:1], scene.garment[:1]
    pose_map = run("PoseMap", keypoints=scene.keypoints[:1], person=person)[0]
    mask = torch.zeros(1, *person.shape[1:3])
    mask[:, 32:96, 24:72] = 1
    warped = run(
        "GarmentWarper", warper=warper, garment=garment, agnostic=person * (1 - mask)[..., None], pose_map=pose_map
    )[0]
    words = run("TextualInversionEncoder", clip=clip, clip_vision=tower, adapter=adapter, garment=garment)[0]
    with torch.inference_mode():
        empty = clip.encode_from_tokens_scheduled(clip.tokenize(""))
    positive, negative, latent, skips = run(
        "TryOnConditioning", positive=words, negative=empty, vae=vae, person=person, mask=mask, pose_map=pose_map,
        warped_garment=warped,
    )  # fmt: skip
    samples = run("TryOnSampler", model=model, positive=positive, negative=negative, latent=latent, steps=1)[0]
    image = run("EMASCDecoder", vae=vae, emasc=emasc, samples=samples, skip_features=skips)[0]
    assert image.shape == person.shape and image.isfinite().all()


def test_a_checkpoint_in_the_original_layout_gives_the_same_parts(native, tmp_path):
    wanted = {part: read_state_dict(embedded_path(part)) for part in ("unet", "vae")}
    model = native.unet_model(TINY, dict(wanted["unet"]), torch.float32, "unet").model.state_dict()
    vae = native.vae(TINY, dict(wanted["vae"]), torch.float32).first_stage_model.state_dict()
    unet = {f"model.{key}": value for key, value in model.items() if key.startswith("diffusion_model.")}
    first = "model.diffusion_model.input_blocks.0.0.weight"
    unet[first] = unet[first][:, :9]
    state = unet | {f"first_stage_model.{key}": value for key, value in vae.items()}
    path = tmp_path / "sd2_inpainting.safetensors"
    save_file({key: value.detach().float().cpu().contiguous().clone() for key, value in state.items()}, path)
    for part in ("unet", "vae"):
        found = find_part(path, part, TINY).state_dict()
        assert found.keys() == wanted[part].keys()
        for key, value in found.items():
            expected = wanted[part][key].float()
            if (part, key) == ("unet", "conv_in.weight"):
                expected[:, 9:] = 0
            assert torch.equal(value, expected), key
    assert find_part(path, "vision", TINY) is None
