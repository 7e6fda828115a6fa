"""What newer versions of ComfyUI do otherwise, with stand-ins; `make test-newest` has real ones."""

from __future__ import annotations

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from ladivton_core.embedded import embedded_path


@pytest.fixture(scope="module")
def native(module, models):
    return module("nodes.host.native")


@pytest.fixture
def state(module):
    """`state("vae")`: an embedded file, float32."""
    return lambda part: module("ladivton_core.checkpoints.reading").read_state_dict(str(embedded_path(part)))


@pytest.mark.parametrize("part", ["clip", "clip_vision", "vae"])
def test_a_precision_holds_where_the_files_tensors_are_taken_over(native, state, module, monkeypatch, part):
    """Dynamic memory: `load_state_dict(..., assign=True)`."""
    load = torch.nn.Module.load_state_dict
    assigned = lambda self, weights, strict=True, assign=False: load(self, weights, strict=strict, assign=True)  # noqa: E731
    monkeypatch.setattr(torch.nn.Module, "load_state_dict", assigned)
    tiny = module("ladivton_core.presets").TINY
    file = {"clip": "text_encoder", "clip_vision": "vision", "vae": "vae"}[part]
    built = getattr(native, part)(tiny, state(file), torch.bfloat16)
    network = {"clip": "cond_stage_model", "clip_vision": "model", "vae": "first_stage_model"}[part]
    named = getattr(built, network).named_parameters()
    kinds = {weight.dtype for name, weight in named if not name.endswith("logit_scale")}  # in no file
    assert kinds == {torch.bfloat16}


def test_the_hosts_own_patcher_class_is_taken_where_there_is_one(native, state, module, monkeypatch):
    import comfy.model_patcher

    class CoreModelPatcher(comfy.model_patcher.ModelPatcher):
        pass

    tiny = module("ladivton_core.presets").TINY
    assert type(native.unet_model(tiny, state("unet"))).__name__ == "ModelPatcher"
    monkeypatch.setattr(comfy.model_patcher, "CoreModelPatcher", CoreModelPatcher, raising=False)
    assert isinstance(native.unet_model(tiny, state("unet")), CoreModelPatcher)


@pytest.fixture
def decode(run, models, condition):
    """Decode one person's empty latent."""
    _, _, latent, skips = condition(0)
    return lambda: run(
        "EMASCDecoder", vae=models.vae, emasc=models.emasc, samples=latent, skip_features=skips, skip_grow=0,
        skip_feather=0,
    )  # fmt: skip


def test_every_error_the_host_takes_for_lack_of_memory_is_answered(decode, models, monkeypatch):
    import comfy.model_management as memory

    def full(*_):
        raise RuntimeError("an accelerator's own words")

    monkeypatch.setattr(models.vae.first_stage_model, "decode", full)
    with pytest.raises(RuntimeError, match="an accelerator's own words"):
        decode()
    monkeypatch.setattr(memory, "is_oom", lambda error: "accelerator" in str(error), raising=False)
    with pytest.raises(RuntimeError, match="Not enough memory to decode"):
        decode()


def test_the_vae_runs_on_its_own_device(decode, models, scene, module, monkeypatch):
    import comfy.model_management as memory

    entered = []

    @contextmanager
    def cuda_device_context(device):
        entered.append(device)
        yield

    monkeypatch.setattr(memory, "cuda_device_context", cuda_device_context, raising=False)
    decode()
    with torch.inference_mode():
        module("nodes.host.taps").encode_moments(models.vae, module("nodes.tensors").from_image(scene.person[:1]))
    assert entered == [models.vae.device] * 2


@pytest.mark.parametrize("kind", [int, np.int64, np.int32])
def test_tokens_may_be_any_integers(module, kind):
    inversion = module("nodes.inversion")
    placeholder = inversion.PLACEHOLDER_ID
    ids = [kind(49406), kind(placeholder), kind(320), kind(placeholder), kind(49407)]
    clip = SimpleNamespace(tokenize=lambda text: {"h": [[(token, 1.0) for token in ids]]})
    tokens = inversion.tokens_with_room(clip, "$ and $", "upper_body", 2)
    words = torch.arange(16.0).view(2, 8)
    ((_, *chunk),) = inversion._with_words(tokens, words)["h"]
    assert torch.equal(chunk[0][0], words[0]) and torch.equal(chunk[2][0], words[1]) and chunk[1][0] == 320
