"""A GPU without a GPU: every stage and the whole pipeline on fake cuda tensors, full size, float16.

FakeTensorMode computes shapes, types and devices only and raises where devices mix (`memory_plan.py`), so
this finds a tensor left on the CPU on a machine that has nothing else.
"""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from ladivton_core.denoising.fast_unet import FastUNet
from ladivton_core.memory_plan import FakeRun, fake_inputs, fake_pipeline, markdown, memory_plan
from ladivton_core.presets import SD2, TINY

MODELS = Path(__file__).parents[2] / "docs" / "models.md"
CUDA = torch.device("cuda", 0)
HALF = torch.float16


@pytest.fixture(scope="module")
def full_size_plan():
    return {stage.name: stage for stage in memory_plan(SD2, CUDA, HALF)}


@pytest.fixture(scope="module")
def models():
    """The mode and a small pipeline whose weights live in it; `full_size_plan` runs the large one's stages."""
    with FakeTensorMode() as mode:
        return mode, fake_pipeline(TINY, CUDA, HALF)


def _is(tensor, dtype, *shape):
    assert (tensor.device, tensor.dtype, tuple(tensor.shape)) == (CUDA, dtype, shape)


def test_the_warper_stays_on_the_device_and_in_float32(full_size_plan):
    result = full_size_plan["warp"].result
    _is(result.warped, torch.float32, 1, 3, 512, 384)
    _is(result.coarse, torch.float32, 1, 3, 512, 384)
    _is(result.grid, torch.float32, 1, 512, 384, 2)
    _is(result.control_points, torch.float32, 1, 25, 2)


def test_textual_inversion_stays_on_the_device_in_half_precision(full_size_plan):
    result = full_size_plan["textual inversion"].result
    _is(result.pseudo_words, HALF, 1, 16, 1024)
    _is(result.prompt, HALF, 1, 77, 1024)


def test_encoding_with_taps_and_emasc_stay_on_the_device_in_half_precision(full_size_plan):
    person = full_size_plan["encode person"].result
    _is(person.moments, HALF, 1, 8, 64, 48)
    _is(person.mask, torch.float32, 1, 1, 512, 384)
    sizes = [(512, 384), (512, 384), (256, 192), (128, 96), (64, 48)]
    for skip, width, size in zip(person.skips, (128, 256, 512, 512, 512), sizes, strict=True):
        _is(skip, HALF, 1, width, *size)
    _is(full_size_plan["encode warped garment"].result, HALF, 1, 27, 64, 48)


def test_a_guided_step_and_decoding_with_skips_stay_on_the_device(full_size_plan):
    _is(full_size_plan["denoise"].result, HALF, 1, 4, 64, 48)
    _is(full_size_plan["decode"].result, torch.float32, 1, 3, 512, 384)


def test_the_whole_pipeline_takes_pictures_from_the_cpu_and_answers_on_the_device(models):
    mode, pipeline = models
    with mode, FakeRun(CUDA):
        inputs = fake_inputs(TINY, torch.device("cpu"))
        result = pipeline(**inputs, category="dresses", steps=2, cloth_cond_rate=0.5, paste_back=True, paste_feather=4)
    _is(result.images, torch.float32, 1, 3, 512, 384)
    _is(result.latents, HALF, 1, 4, 64, 48)
    _is(result.warped, torch.float32, 1, 3, 512, 384)


def test_stages_called_alone_move_what_they_are_given(models):
    mode, pipeline = models
    with mode, FakeRun(CUDA):
        inputs = fake_inputs(TINY, torch.device("cpu"))
        person = pipeline.encode_person(inputs["person"], inputs["mask"], inputs["pose_map"])
        warp = pipeline.warp(inputs["garment"], person)
        image = pipeline.decode(torch.empty(1, 4, 64, 48), person.skips)
    _is(warp.warped, torch.float32, 1, 3, 512, 384)
    _is(image, torch.float32, 1, 3, 512, 384)


def test_a_tensor_left_on_the_cpu_is_caught(models):
    mode, pipeline = models
    with mode, FakeRun(CUDA):
        tokens = torch.zeros(1, 257, TINY.vision.hidden_size, dtype=HALF)
        with pytest.raises(RuntimeError, match="[Dd]evice"):
            pipeline.adapter(tokens)
        with pytest.raises(RuntimeError, match="[Dd]evice"):
            tokens + tokens.to(CUDA)
        pipeline.adapter(tokens.to(CUDA))


def _table(text):
    """Rows of a Markdown table, their names and then their numbers."""
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in text.splitlines() if line.startswith("|")]
    return [row[:2] for row in rows], [int(cell) for row in rows[2:] for cell in row[2:]]


def test_the_memory_plan_in_the_documentation_is_the_computed_one(full_size_plan):
    single = memory_plan(SD2, CUDA, torch.float32)
    names, numbers = _table(markdown(single, list(full_size_plan.values())))
    told_names, told = _table(MODELS.read_text(encoding="utf-8").split("\n## Memory\n")[1])
    assert told_names == names
    weights = [index for index in range(len(numbers)) if index % 4 < 2]
    assert [told[index] for index in weights] == [numbers[index] for index in weights]
    # other versions of torch and diffusers may free an intermediate tensor a little sooner or later
    assert told == pytest.approx(numbers, rel=0.1)


@pytest.mark.long
def test_the_plan_does_not_depend_on_what_comfyui_has_set_in_this_process():
    first = {stage.name: stage.peak for stage in memory_plan(TINY, CUDA, HALF)}
    allowed = torch.backends.cuda.fp16_bf16_reduction_math_sdp_allowed
    before = allowed()
    torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(not before)
    try:
        again = {stage.name: stage.peak for stage in memory_plan(TINY, CUDA, HALF)}
        assert allowed() is not before, "left as it was found"
    finally:
        torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(before)
    assert again == first


@pytest.mark.filterwarnings("ignore:CUDA is not available", "ignore:Accessing the data pointer of FakeTensor")
def test_the_fast_mode_stays_on_the_device_and_keeps_latents_in_float32(monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "to", lambda module, **layout: module)  # fake weights cannot be laid out anew
    with FakeTensorMode(), FakeRun(CUDA):
        fast = dataclasses.replace(fake_pipeline(TINY, CUDA, HALF), speed="fast")
        fast._fast_unet = FastUNet(fast.unet, None)  # a graph would need the device itself
        inputs = fake_inputs(TINY, torch.device("cpu"))
        result = fast(**inputs, steps=2, guidance_scale=2.0)
    _is(result.images, torch.float32, 1, 3, 512, 384)
    _is(result.latents, torch.float32, 1, 4, 64, 48)
    _is(result.warped, torch.float32, 1, 3, 512, 384)
