"""Settings that nobody gave are the model's own: the paper's for Stable Diffusion 2, whatever was patched."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from ladivton_core.checkpoints.build import build_emasc
from ladivton_core.presets import SD2, TINY


@pytest.fixture(scope="module")
def recommended(module):
    return module("nodes.recommended")


@pytest.fixture(scope="module")
def sd2(module, models):
    """MODEL of Stable Diffusion 2's size, without memory behind its weights."""
    from comfy.model_patcher import ModelPatcher

    native = module("nodes.host.native")  # loaded with the embedded models
    network = native.TryOnModel(native._unet_config(SD2), SD2, device="meta")
    return ModelPatcher(network, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


def lora(model):
    clone = model.clone()
    weight = clone.model.diffusion_model.input_blocks[0][0].weight
    name = "diffusion_model.input_blocks.0.0.weight"
    assert clone.add_patches({name: ("diff", (torch.zeros_like(weight),))}, 0.5) == [name]
    return clone


def free_u(model):
    from comfy_extras.nodes_freelunch import FreeU

    return (
        FreeU.execute(model, 1.1, 1.2, 0.9, 0.2)[0]
        if hasattr(FreeU, "execute")
        else FreeU().patch(model, 1.1, 1.2, 0.9, 0.2)[0]
    )


def other_schedule(model):
    from comfy_extras.nodes_model_advanced import ModelSamplingDiscrete

    return ModelSamplingDiscrete().patch(model, "v_prediction", True)[0]


@pytest.mark.parametrize("patched", [lambda model: model, lora, free_u, other_schedule])
def test_sd2_resolves_to_the_papers_values_after_any_patch(recommended, sd2, patched):
    steps, guidance, line = recommended.sampling_settings(patched(sd2), recommended.STEPS, recommended.GUIDANCE)
    assert (steps, guidance) == (50, 7.5)
    assert line == "steps 50, guidance 7.5 (recommended)"


def test_sd2s_emasc_resolves_to_the_papers_values(recommended, module, tmp_path):
    with torch.device("meta"):
        state = build_emasc(SD2).state_dict()
    file = tmp_path / "emasc_vitonhd.safetensors"
    save_file({key: torch.zeros(value.shape, dtype=torch.float16) for key, value in state.items()}, file)
    emasc = module("nodes.models")._part("emasc", str(file))
    grow, feather, line = recommended.decoding_settings(emasc, recommended.SKIP_GROW, recommended.SKIP_FEATHER)
    assert (grow, feather) == (0, 0)
    assert line == "skip_grow 0, skip_feather 0 (recommended)"


def test_the_embedded_models_resolve_to_their_presets(recommended, models):
    assert recommended.sampling_settings(models.model, 0, 0.0)[:2] == (TINY.steps, TINY.guidance_scale)
    assert recommended.decoding_settings(models.emasc, -257, -1)[:2] == (TINY.skip_grow, TINY.skip_feather)


def test_numbers_that_were_given_win_and_what_was_recommended_is_said(recommended, models):
    steps, guidance, line = recommended.sampling_settings(models.model, 50, 0.0)
    assert (steps, guidance) == (50, TINY.guidance_scale)
    assert line == f"steps 50 (recommended: {TINY.steps}), guidance {TINY.guidance_scale:g}"
    assert recommended.decoding_settings(models.emasc, -256, 0)[:2] == (-256, 0)


def test_a_model_that_recommends_nothing_is_named_only_when_asked(recommended):
    foreign = SimpleNamespace(model=SimpleNamespace())
    assert recommended.sampling_settings(foreign, 20, 3.0) == (20, 3.0, "steps 20, guidance 3")
    with pytest.raises(ValueError, match="'steps' is left to the model.*not loaded by this pack.*take 50"):
        recommended.sampling_settings(foreign, 0, 3.0)


@pytest.mark.parametrize("guidance", [0.5, -1.0, 101.0, float("nan")])
def test_guidance_that_means_nothing_is_refused_on_the_node_and_by_wire(nodes, recommended, models, guidance):
    assert "'guidance' is" in nodes["LadiVTON_TryOnSampler"].validate_inputs(guidance=guidance)
    with pytest.raises(ValueError, match="0 for what the model recommends"):
        recommended.sampling_settings(models.model, 5, guidance)
    assert nodes["LadiVTON_TryOnSampler"].validate_inputs(guidance=None) is True


def test_a_run_with_the_nodes_defaults_is_the_run_with_the_recommended_numbers(nodes, models, condition, caplog):
    positive, negative, latent, skips = condition(0)
    wires = {"model": lora(models.model), "positive": positive, "negative": negative, "latent": latent}
    sampler, decoder = nodes["LadiVTON_TryOnSampler"], nodes["LadiVTON_EMASCDecoder"]
    with torch.inference_mode(), caplog.at_level(logging.INFO):
        left = sampler.execute(**wires)
        given = sampler.execute(**wires, steps=TINY.steps, guidance=TINY.guidance_scale)
        picture = decoder.execute(models.vae, models.emasc, left[0], skips)
        same = decoder.execute(
            models.vae, models.emasc, given[0], skips, skip_grow=TINY.skip_grow, skip_feather=TINY.skip_feather
        )
    assert torch.equal(left[0]["samples"], given[0]["samples"])
    assert torch.equal(picture[0], same[0])
    assert left.ui == {"text": [f"steps {TINY.steps}, guidance {TINY.guidance_scale:g} (recommended)"]}
    assert f"Try-On Sampler: {left.ui['text'][0]}" in caplog.messages
