"""The fast mode, guidance in a part of the schedule, other samplers, and items run alone."""

import copy
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from ladivton_core.checkpoints.build import build_unet
from ladivton_core.denoising import fast_unet, guidance
from ladivton_core.denoising.fast_unet import FastUNet, recorder
from ladivton_core.denoising.sampling import denoise
from ladivton_core.denoising.schedule import SAMPLERS, ddim_scheduler, sampling_scheduler
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import SD2, TINY
from ladivton_core.runtime import processor
from ladivton_core.runtime.processor import SPEEDS

H, W = 64, 48
BFLOAT16 = {"most": 0.35, "mean": 0.015}
"""How far a picture in [0, 1] of the embedded models may be from float32's: docs/performance.md."""


@pytest.fixture
def exact(embedded):
    return embedded


@pytest.fixture(scope="module")
def inputs(scene):
    return scene | {"seeds": [3, 4]}


@pytest.fixture(scope="module")
def unet():
    return build_unet(TINY).eval()


def step_inputs(batch=2):
    generator = torch.Generator().manual_seed(batch)
    return (
        torch.randn(batch, 31, 8, 8, generator=generator),
        torch.tensor(500),
        torch.randn(batch, 77, TINY.text.hidden_size, generator=generator),
    )


def plain(unet, sample, time, prompt):
    with torch.no_grad():
        return unet(sample, time, encoder_hidden_states=prompt, return_dict=False)[0]


def test_the_fast_mode_gives_the_exact_modes_picture(exact, inputs):
    expected = exact(**inputs, steps=3, guidance_scale=2.0)
    fast = TryOnPipeline.from_embedded(dtype=torch.float32, speed="fast")(**inputs, steps=3, guidance_scale=2.0)
    assert torch.allclose(fast.latents, expected.latents, atol=1e-4)
    assert torch.allclose(fast.images, expected.images, atol=1e-3)
    assert torch.allclose(fast.warped, expected.warped, atol=1e-4)


def test_in_bfloat16_the_picture_stays_within_its_tolerance(exact, inputs):
    expected = exact(**inputs, steps=3)
    fast = TryOnPipeline.from_embedded(dtype=torch.bfloat16, speed="fast")(**inputs, steps=3)
    assert (fast.latents.dtype, fast.images.dtype) == (torch.float32, torch.float32)
    difference = (fast.images - expected.images).abs()
    assert float(difference.max()) < BFLOAT16["most"] and float(difference.mean()) < BFLOAT16["mean"]


def test_an_unknown_speed_is_refused():
    with pytest.raises(ValueError, match="speed is one of exact, fast; got 'faster'"):
        TryOnPipeline.from_embedded(speed="faster")


def test_keys_and_values_are_computed_once_a_prompt(unet):
    calls = []
    layer = next(module for name, module in unet.named_modules() if name.endswith("attn2.to_k"))
    handle = layer.register_forward_hook(lambda *_: calls.append(1))
    fast = FastUNet(unet)
    sample, time, prompt = step_inputs()
    try:
        first = fast(sample, time, prompt)[0]
        again = fast(sample, time - 100, prompt)[0]
        assert len(calls) == 1 and not torch.equal(first, again)
        fast(sample, time, prompt.clone())
        assert len(calls) == 2
        fast.begin()
        fast(sample, time, prompt)
        assert len(calls) == 3
    finally:
        handle.remove()
    assert torch.allclose(first, plain(unet, sample, time, prompt), atol=1e-5)


def test_two_prompts_in_turn_keep_their_own(unet):
    fast = FastUNet(unet)
    one, two = step_inputs(1), step_inputs(2)
    for sample, time, prompt in (one, two, one, two):
        found = fast(sample, time, encoder_hidden_states=prompt, return_dict=False)[0]
        assert torch.allclose(found, plain(unet, sample, time, prompt), atol=1e-5)


def test_weights_in_another_format_are_seen():
    unet = build_unet(TINY).eval()
    fast = FastUNet(unet)
    sample, time, prompt = step_inputs()
    fast(sample, time, prompt)
    try:
        unet.bfloat16()
        found = fast(sample, time, prompt)[0]
        assert found.dtype == torch.float32
        there = plain(unet, sample.bfloat16(), time, prompt.bfloat16()).float()
    finally:
        unet.float()  # with rounded weights now
    exact = plain(unet, sample, time, prompt)
    # as near to it as the format itself comes on this processor, 1 % of it; another way to round may be twice as far
    assert 0 < (found - exact).abs().max() < 3 * (there - exact).abs().max()
    assert torch.allclose(fast(sample, time, prompt)[0], exact, atol=1e-5)


class Recording:
    """Stands in for CUDA graphs: writes new inputs where the recording reads, and replays without the caller."""

    def __init__(self):
        self.made, self.replayed = 0, 0

    def __call__(self, function, inputs):
        self.made += 1
        held = [x.clone() for x in inputs]

        def replay(*given):
            self.replayed += 1
            for kept, new in zip(held, given, strict=True):
                assert kept.stride() == new.stride() and kept.dtype == new.dtype
                kept.copy_(new)
            return function(*held).clone()

        return replay


def test_a_recording_is_made_once_a_shape_and_sees_new_prompts_and_weights(unet):
    record = Recording()
    fast = FastUNet(unet, record)
    with torch.inference_mode():  # what is kept must be writable outside of it
        fast(*step_inputs(1))
    for batch, made in ((1, 1), (2, 2), (1, 2), (2, 2)):
        sample, time, prompt = step_inputs(batch)
        prompt = prompt + record.replayed  # another one each time
        assert torch.allclose(fast(sample, time, prompt)[0], plain(unet, sample, time, prompt), atol=1e-5)
        assert record.made == made
    assert record.replayed == 5


def test_kept_keys_stay_where_a_recording_reads_them(unet):
    fast = FastUNet(unet, Recording())
    sample, time, prompt = step_inputs()
    fast(sample, time, prompt)
    (way,) = fast._ways.values()
    places = [tensor.data_ptr() for pair in way.kept for tensor in pair]
    fast(sample, time, prompt * 2)
    assert places == [tensor.data_ptr() for pair in way.kept for tensor in pair]


def test_threads_do_not_see_each_others_prompts(unet):
    fast = FastUNet(unet, Recording())
    jobs = [
        (sample, time, prompt * scale) for scale in (1, 2) for sample, time, prompt in (step_inputs(1), step_inputs(2))
    ]
    with ThreadPoolExecutor(4) as threads:
        for job, found in zip(jobs * 3, threads.map(lambda job: fast(*job)[0], jobs * 3), strict=True):
            assert torch.allclose(found, plain(unet, *job), atol=1e-5)


def test_a_copy_keeps_nothing_of_the_original(unet):
    fast = FastUNet(unet, None)
    fast(*step_inputs())
    other = copy.deepcopy(fast)
    assert other.unet is not unet and not other._ways
    assert torch.equal(other(*step_inputs())[0], fast(*step_inputs())[0])


def test_shapes_are_kept_a_few_at_a_time(unet):
    fast = FastUNet(unet, Recording())
    for batch in range(1, fast_unet.SHAPES + 3):
        fast(*step_inputs(batch))
    assert len(fast._ways) == fast_unet.SHAPES


def test_where_nothing_can_be_recorded_the_unet_runs_as_it_is_and_says_so(unet, caplog):
    def out_of_memory(function, inputs):
        raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate 2 GiB.")

    fast = FastUNet(unet, out_of_memory)
    sample, time, prompt = step_inputs()
    for _ in range(2):
        assert torch.allclose(fast(sample, time, prompt)[0], plain(unet, sample, time, prompt), atol=1e-5)
    assert fast.fallback_reason == "CUDA out of memory."
    assert caplog.text.count("runs without a CUDA graph") == 1


def test_an_error_of_the_unet_itself_is_not_taken_for_one_of_the_recording(unet):
    def record(function, inputs):
        return function

    fast = FastUNet(unet, record)
    sample, time, prompt = step_inputs()
    with pytest.raises(RuntimeError):
        fast(sample[:, :5], time, prompt)


def test_recording_is_for_cuda():
    assert recorder(torch.device("cpu")) is None and recorder(torch.device("mps")) is None
    assert recorder(torch.device("cuda", 0)) is not None


def test_an_attention_that_does_more_is_refused():
    class Own:
        def __call__(self, attn, hidden_states, *args, **kwargs):
            return hidden_states

    unet = build_unet(TINY)
    unet.set_attn_processor(Own())
    with pytest.raises(ValueError, match=r"attn2 is no plain cross-attention \(Own\)"):
        FastUNet(unet)


class Halves(nn.Module):
    """Stands in for the UNet: counts the halves of every call and predicts the mean of the prompt."""

    def __init__(self):
        super().__init__()
        self.sizes, self.prompts = [], []

    def forward(self, sample, timestep, encoder_hidden_states, return_dict):
        self.sizes.append(len(sample))
        self.prompts.append(encoder_hidden_states)
        return (encoder_hidden_states.mean((1, 2))[:, None, None, None].expand_as(sample[:, :4]),)


def halves(interval, steps=20, schedule=SD2.schedule, scale=7.5):
    unet = Halves()
    channels, prompt = torch.zeros(1, 27, 4, 4), torch.ones(1, 77, 8)
    denoise(
        unet, ddim_scheduler(schedule), torch.zeros(1, 4, 4, 4), channels, prompt, -prompt, steps=steps,
        guidance_scale=scale, guidance_interval=interval,
    )  # fmt: skip
    return unet


@pytest.mark.parametrize("schedule", [SD2.schedule, TINY.schedule], ids=["leading", "trailing"])
def test_guidance_costs_half_a_step_inside_its_interval_only(schedule):
    assert halves(guidance.EVERYWHERE, schedule=schedule).sizes == [2] * 20
    assert halves((0.25, 0.75), schedule=schedule).sizes == [1] * 5 + [2] * 10 + [1] * 5
    assert halves((0.0, 0.5), schedule=schedule).sizes == [2] * 10 + [1] * 10
    assert halves((0.25, 0.75), schedule=schedule, scale=1.0).sizes == [1] * 20


def test_a_step_without_guidance_sees_the_prompt_and_one_tensor_of_it():
    unet = halves((0.5, 1.0), steps=4)
    assert [float(prompt.mean()) for prompt in unet.prompts] == [1, 1, 0, 0]
    assert unet.prompts[0] is unet.prompts[1] and unet.prompts[2] is unet.prompts[3]


def test_the_interval_is_a_share_of_the_schedule_whatever_the_steps():
    for steps in (10, 20, 50):
        assert halves((0.2, 0.8), steps=steps).sizes.count(2) == pytest.approx(0.6 * steps, abs=1)


@pytest.mark.parametrize("interval", [(0.5, 0.5), (-0.1, 1), (0, 1.1), (0.8, 0.2), "all", (1,), None])
def test_what_is_no_interval_is_refused(interval):
    with pytest.raises(ValueError, match="guidance_interval"):
        halves(interval)


@pytest.mark.parametrize(("schedule", "gain"), [(SD2.schedule, 2.5), (TINY.schedule, 0.9)], ids=["sd2", "tiny"])
def test_every_sampler_ends_where_many_steps_of_ddim_end(schedule, gain):
    """On the exact model of Gaussian data, whatever the schedule predicts and however it spaces its steps."""
    noise, variance = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(1)), 1.1

    def sampled(name, steps):
        scheduler = sampling_scheduler(schedule, name)
        alphas = scheduler.alphas_cumprod.double()

        class Gaussian(nn.Module):
            def forward(self, sample, timestep, encoder_hidden_states, return_dict):
                x, a = sample[:, :4].double(), alphas[int(timestep)]
                clean = a.sqrt() * variance * x / (a * variance + 1 - a)
                eps = (x - a.sqrt() * clean) / (1 - a).sqrt()
                v = a.sqrt() * eps - (1 - a).sqrt() * clean
                return ((eps if schedule.prediction_type == "epsilon" else v).float(),)

        inputs = (torch.zeros(1, 27, 8, 8), torch.zeros(1, 77, 8))
        return denoise(Gaussian(), scheduler, noise, *inputs, steps=steps, guidance_scale=1.0)

    best = sampled("ddim", 500)
    error = {
        (name, steps): float((sampled(name, steps) - best).pow(2).mean().sqrt())
        for name in SAMPLERS
        for steps in (20, 200)
    }
    for name in SAMPLERS:
        assert error[name, 200] < 0.25 * error[name, 20]
        if name != "ddim":  # the shifted schedule of the small models leaves a higher order nothing to gain
            assert error[name, 20] * gain < error["ddim", 20]


def test_a_sampler_of_the_call_goes_before_the_pipelines(exact, inputs):
    one = {key: x[:1] for key, x in inputs.items()} | {"warped": inputs["garment"][:1], "steps": 2}
    paper, other = (exact(**one, sampler=name).latents for name in (None, "unipc"))
    assert torch.equal(paper, exact(**one, sampler="ddim").latents) and not torch.equal(paper, other)
    with pytest.raises(ValueError, match="no sampler 'euler' here"):
        exact(**one, sampler="euler")


def test_items_run_alone_are_their_single_runs_to_the_bit(exact, inputs):
    states = []
    alone = exact(**inputs, category=["dresses", "upper_body"], steps=2, items_alone=True, callback=states.append)
    single = exact(
        **{key: x[1:] for key, x in inputs.items()}, category="upper_body", steps=2, guidance_interval=(0.0, 1.0)
    )
    assert torch.equal(alone.images[1:], single.images) and torch.equal(alone.latents[1:], single.latents)
    assert torch.equal(alone.warped[1:], single.warped) and alone.images.shape[0] == 2
    assert [(state["item"], state["items"], state["step"]) for state in states] == [
        (i, 2, s) for i in (0, 1) for s in (0, 1)
    ]


def test_items_run_alone_share_what_there_is_one_of(exact, inputs):
    person = exact.encode_person(inputs["person"][:1], inputs["mask"][:1], inputs["pose_map"][:1])
    options = {"garment": inputs["garment"], "category": "dresses", "steps": 1, "items_alone": True}
    assert exact(person, **options, seeds=5).images.shape[0] == 2
    with pytest.raises(ValueError, match="1 persons, 2 garments, 3 seeds"):
        exact(person, **options, seeds=[1, 2, 3])
    with pytest.raises(ValueError, match="draws for a whole batch"):
        exact(person, **options, reference_generator=torch.Generator())


def test_encoded_garments_are_worn_without_the_encoders(inputs):
    pipeline = TryOnPipeline.from_embedded()
    pictures = {name: inputs[name] for name in ("mask", "pose_map")}
    garment = pipeline.encode_garment(inputs["garment"], "dresses")
    options = {"steps": 1, "guidance_scale": 2.0, "seeds": 3}
    before = pipeline(inputs["person"], garment, **pictures, **options)
    assert pipeline.release_encoders().to("cpu", torch.float32).text_encoder is None
    assert torch.equal(pipeline(inputs["person"], garment, **pictures, **options).images, before.images)
    with pytest.raises(ValueError, match="encode all of them before"):
        pipeline(inputs["person"], inputs["garment"], **pictures, **options)


def test_the_number_format_is_measured_once_and_taken_where_it_pays(monkeypatch):
    processor.fastest_dtype.cache_clear()
    try:
        for gains, expected in (
            ((4.0, 2.0), torch.bfloat16),
            ((9.0, 0.01), torch.float32),
            ((1.1, 1.1), torch.float32),
        ):
            asked = []
            found = dict(zip(("convolution", "matrix product"), gains, strict=True))
            monkeypatch.setattr(processor, "bfloat16_gains", lambda found=found, asked=asked: asked.append(1) or found)
            processor.fastest_dtype.cache_clear()
            assert processor.fastest_dtype() is expected and processor.fastest_dtype() is expected
            assert len(asked) == 1
    finally:
        processor.fastest_dtype.cache_clear()


def test_a_gain_is_the_ratio_of_the_shortest_times_on_one_thread(monkeypatch):
    """By a clock that only the operations move: one prepares for long, and the machine is busy in all tries but one."""
    clock, threads = [0.0], torch.get_num_threads()
    seconds = {("convolution", torch.float32): 8.0, ("convolution", torch.bfloat16): 2.0,
               ("matrix product", torch.float32): 1.0, ("matrix product", torch.bfloat16): 4.0}  # fmt: skip

    def operation(name, dtype):
        busy = iter([1000.0, 5.0, 7.0, 0.0, 9.0, 5.0, 1000.0])

        def run():
            assert torch.get_num_threads() == 1 and torch.is_inference_mode_enabled()
            clock[0] += seconds[name, dtype] + next(busy)

        return run

    told = SimpleNamespace(resolution=1e-9)
    monkeypatch.setattr(
        processor, "time", SimpleNamespace(thread_time=lambda: clock[0], get_clock_info=lambda name: told)
    )
    monkeypatch.setattr(processor, "_convolution", lambda dtype: operation("convolution", dtype))
    monkeypatch.setattr(processor, "_matrix_product", lambda dtype: operation("matrix product", dtype))
    assert processor.bfloat16_gains() == {"convolution": 4.0, "matrix product": 0.25}
    assert torch.get_num_threads() == threads
    told.resolution = 1.0  # too coarse for one operation: the clock on the wall tells
    monkeypatch.setattr(processor.time, "perf_counter", processor.time.__dict__.pop("thread_time"), raising=False)
    assert processor.bfloat16_gains() == {"convolution": 4.0, "matrix product": 0.25}


def test_what_is_timed_runs_in_both_formats():
    for dtype in (torch.float32, torch.bfloat16):
        assert processor._convolution(dtype)().dtype == processor._matrix_product(dtype)().dtype == dtype


@pytest.mark.parametrize(
    ("files", "quota"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu/cpu.cfs_quota_us": "400000", "cpu/cpu.cfs_period_us": "100000"}, 4.0),
        ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
        ({}, None),
    ],
)
def test_a_containers_quota_counts(tmp_path, files, quota):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert processor._quota(tmp_path) == quota


COMMAND = """
import os, sys
from ladivton_core.runtime import process, processor
processor.usable_cores = lambda: 1
process.prepare_process()
import torch
print(torch.get_num_threads(), *map(os.environ.get, process.ALLOCATOR))
"""


@pytest.mark.long
def test_a_command_sets_its_allocator_and_no_more_threads_than_cores(repository):
    environment = {**os.environ, "OMP_NUM_THREADS": "3", "MALLOC_TRIM_THRESHOLD_": "1"}
    environment = {name: value for name, value in environment.items() if name not in ("THP_MEM_ALLOC_ENABLE",)}
    environment.pop("MALLOC_MMAP_THRESHOLD_", None)
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND], cwd=repository, env=environment, capture_output=True, text=True, check=True
    )
    assert ran.stdout.split() == ["1", "1", str(2**25), "1"], "what the environment said goes before"


def state_of_the_process() -> dict:
    names = ("get_num_threads", "get_default_dtype", "get_deterministic_debug_mode")
    return {name: getattr(torch, name)() for name in names} | os.environ


@pytest.mark.parametrize("speed", SPEEDS)
def test_a_pipeline_changes_nothing_of_its_process(inputs, monkeypatch, speed):
    """Also not while it runs, and not where it has more threads than cores."""
    monkeypatch.setattr(processor, "usable_cores", lambda: 1)
    threads, seen = torch.get_num_threads(), []
    pipeline = TryOnPipeline.from_embedded(dtype=torch.float32, speed=speed)
    try:
        torch.set_num_threads(2)
        before = state_of_the_process()
        pipeline(**inputs, steps=1, callback=lambda *_, **__: seen.append(state_of_the_process()))
        assert seen and all(state == before for state in [*seen, state_of_the_process()])
        assert torch.is_grad_enabled()  # off while it runs, in its thread alone
    finally:
        torch.set_num_threads(threads)
