"""ComfyUI's own classes, filled from a preset and a state dict, compute what the core and the golden data do."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
from types import SimpleNamespace

import pytest
import torch

from ladivton_core.parity.case import Case
from ladivton_core.parity.rule import rule_state_dict
from ladivton_core.presets import SD2, TINY, ClipTower, NoiseSchedule


@pytest.fixture(scope="session")
def native(module, models):
    return module("nodes.host.native")


@pytest.fixture(scope="session")
def paper_sampler(pack, models):
    return importlib.import_module(f"{pack.__name__}.nodes.host.paper_sampling")


@pytest.fixture
def case(golden):
    """`case("clip_vision_a")`."""
    from safetensors.torch import load_file

    def load(name: str) -> Case:
        meta = json.loads((golden / f"{name}.json").read_text(encoding="utf-8"))
        return Case(name, golden, meta, load_file(golden / f"{name}.safetensors"))

    return load


def tower(config: dict) -> ClipTower:
    names = {field.name for field in dataclasses.fields(ClipTower)}
    return ClipTower(**{key: value for key, value in config.items() if key in names})


def device_of(network: torch.nn.Module) -> torch.device:
    """Where ComfyUI's memory manager has put it: both sides of a comparison are computed there."""
    return next(network.parameters()).device


@torch.inference_mode()
def test_unet_equals_diffusers(models, pipeline):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 31, 16, 16, generator=generator)
    context = torch.randn(2, 77, TINY.text.hidden_size, generator=generator)
    times = torch.tensor([999.0, 21.0])
    network = models.model.model.diffusion_model
    x, context, times = (tensor.to(device_of(network)) for tensor in (x, context, times))
    expected = copy.deepcopy(pipeline.unet).to(device_of(network))(x, times, context).sample
    actual = network(x, times, context=context)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))


@torch.inference_mode()
def test_vae_equals_diffusers(models, pipeline, scene, across):
    pixels = scene.person.movedim(-1, 1).contiguous() * 2 - 1
    network = models.vae.first_stage_model
    pixels, diffusers = pixels.to(device_of(network)), copy.deepcopy(pipeline.vae).to(device_of(network))
    expected = diffusers.encode(pixels).latent_dist.mode()
    torch.testing.assert_close(network.encode(pixels), expected, rtol=1e-4, atol=1e-4)
    decoded = (diffusers.decode(expected).sample / 2 + 0.5).clamp(0, 1).cpu()
    torch.testing.assert_close(models.vae.decode(expected).movedim(-1, 1).cpu(), decoded, rtol=0, atol=across(1e-4))


@torch.inference_mode()
def test_text_encoder_equals_golden_data_with_and_without_pseudo_words(native, module, case):
    golden = case("text_encoding_a")
    config = tower(golden.config["text_config"])
    core_like = _hf_text_shapes(config)
    weights = rule_state_dict(golden.seed, core_like, golden.gain)
    clip = native.clip(dataclasses.replace(TINY, text=config), weights, torch.float32)
    insert = module("nodes.inversion")._with_words
    for row, ids in enumerate(golden.tensors["input_ids"].tolist()):
        tokens = {"h": [[(token, 1.0) for token in ids]]}
        encoded = {"plain_last_hidden_state": clip.encode_from_tokens(tokens)}
        if 259 in ids:
            words = golden.inputs["word_embeddings"][row]
            encoded["last_hidden_state"] = clip.encode_from_tokens(insert(tokens, words))
        for name, actual in encoded.items():
            assert golden.check(name, actual, expected=golden.tensors[name][row : row + 1]).ok


@torch.inference_mode()
def test_vision_tower_equals_golden_data(native, case):
    golden = case("clip_vision_a")
    config = tower(golden.config["vision_config"])
    weights = rule_state_dict(golden.seed, _hf_vision_shapes(config), golden.gain)
    vision = native.clip_vision(dataclasses.replace(TINY, vision=config), weights, torch.float32)
    hidden, _, embeds, _ = vision.model(pixel_values=golden.inputs["pixel_values"])
    assert golden.check("last_hidden_state", hidden).ok
    assert golden.check("image_embeds", embeds).ok


def _layer_shapes(prefix: str, config: ClipTower) -> dict[str, tuple]:
    width, hidden = config.hidden_size, config.intermediate_size
    shapes = {}
    for layer in range(config.num_hidden_layers):
        start = f"{prefix}.encoder.layers.{layer}."
        for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= {f"{start}self_attn.{name}.weight": (width, width), f"{start}self_attn.{name}.bias": (width,)}
        for name in ("layer_norm1", "layer_norm2"):
            shapes |= {f"{start}{name}.weight": (width,), f"{start}{name}.bias": (width,)}
        shapes |= {f"{start}mlp.fc1.weight": (hidden, width), f"{start}mlp.fc1.bias": (hidden,)}
        shapes |= {f"{start}mlp.fc2.weight": (width, hidden), f"{start}mlp.fc2.bias": (width,)}
    return shapes


def _hf_text_shapes(config: ClipTower) -> dict[str, torch.Tensor]:
    width = config.hidden_size
    shapes = _layer_shapes("text_model", config) | {
        "text_model.embeddings.token_embedding.weight": (config.vocab_size, width),
        "text_model.embeddings.position_embedding.weight": (config.max_position_embeddings, width),
        "text_model.final_layer_norm.weight": (width,),
        "text_model.final_layer_norm.bias": (width,),
    }
    return {key: torch.empty(shape) for key, shape in shapes.items()}


def _hf_vision_shapes(config: ClipTower) -> dict[str, torch.Tensor]:
    width = config.hidden_size
    shapes = _layer_shapes("vision_model", config) | {
        "vision_model.embeddings.class_embedding": (width,),
        "vision_model.embeddings.patch_embedding.weight": (width, 3, config.patch_size, config.patch_size),
        "vision_model.embeddings.position_embedding.weight": ((config.image_size // config.patch_size) ** 2 + 1, width),
        "visual_projection.weight": (config.projection_dim, width),
    }
    for name in ("pre_layrnorm", "post_layernorm"):
        shapes |= {f"vision_model.{name}.weight": (width,), f"vision_model.{name}.bias": (width,)}
    return {key: torch.empty(shape) for key, shape in shapes.items()}


def test_noise_schedule_travels_in_the_model(models, paper_sampler):
    from ladivton_core.denoising.schedule import paper_sigmas, sigmas

    sampling = copy.deepcopy(models.model.get_model_object("model_sampling")).cpu()
    torch.testing.assert_close(sampling.sigmas, sigmas(TINY.schedule), rtol=2e-5, atol=0)
    every = torch.arange(len(sampling.sigmas))
    assert torch.equal(sampling.timestep(sampling.sigmas), every), "ComfyUI finds every timestep by its sigma"
    for steps in (1, 7, 20):
        ours = paper_sampler.paper_steps(models.model, steps).sigmas
        torch.testing.assert_close(ours, paper_sigmas(TINY.schedule, steps), rtol=2e-5, atol=0)


def test_without_a_schedule_the_papers_is_taken(paper_sampler):
    other = SimpleNamespace(get_model_object=lambda name: object(), model=object())
    assert dataclasses.asdict(paper_sampler.noise_schedule(other)) == dataclasses.asdict(NoiseSchedule())
    assert paper_sampler.lost_schedule(other) is None


def test_every_published_unet_key_has_a_place_of_its_shape(native, repository):
    import comfy.utils

    manifest = json.loads((repository / "tests" / "core" / "manifests" / "unet.json").read_text(encoding="utf-8"))
    config = native._unet_config(SD2)
    config.set_inference_dtype(torch.float32, None)
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    own = native.TryOnModel(config, SD2, device="meta").diffusion_model.state_dict()
    published = {names[key]: tuple(shape) for key, shape in manifest["state_dict"].items()}
    assert published == {key: tuple(tensor.shape) for key, tensor in own.items()}


def test_precision_is_what_was_asked_for(run, models):
    assert models.clip.cond_stage_model.clip_h.transformer.text_model.final_layer_norm.weight.dtype == torch.float32
    assert models.clip_vision.model.vision_model.encoder.layers[0].mlp.fc1.weight.dtype == torch.float32
    assert models.model.model_dtype() == torch.float32
    assert models.vae.vae_dtype == torch.float32
