"""Try-On Speed: guidance in a part of the steps is what two samplers in a row give, and kept projections change no bit.

Compared with the unpatched MODEL through Try-On Sampler, KSampler and SamplerCustomAdvanced. Torch Compile's stock node
and the faster samplers of KSampler work on the same MODEL. At 96 x 128 on the embedded models, guided.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import pytest
import torch

STEPS, GUIDANCE, SEED = 4, 1.8, 20


@pytest.fixture(scope="session")
def conditioned(condition) -> tuple:
    """One person: positive, negative, latent."""
    return condition(0)[:3]


@pytest.fixture(scope="session")
def speed(run, models):
    """`speed(model=..., **settings)`: the patched MODEL."""
    return lambda model=None, **settings: run("TryOnSpeed", model=model or models.model, **settings)[0]


@pytest.fixture(scope="session")
def samplers(run) -> dict[str, Callable]:
    """Each way to sample: `samplers[name](model, conditioned)`, latents."""
    from comfy.samplers import CFGGuider
    from comfy_extras.nodes_custom_sampler import SamplerCustomAdvanced

    import nodes as stock

    def ours(model, conditioned, steps=STEPS, guidance=GUIDANCE):
        wires = dict(zip(("positive", "negative", "latent"), conditioned, strict=True))
        return run("TryOnSampler", model=model, **wires, seed=SEED, steps=steps, guidance=guidance)[0]["samples"]

    def ksampler(model, conditioned, sampler="euler", steps=STEPS):
        positive, negative, latent = conditioned
        with torch.inference_mode():
            settings = (SEED, steps, GUIDANCE, sampler, "sgm_uniform")
            return stock.KSampler().sample(model, *settings, positive, negative, latent)[0]["samples"]

    def custom(model, conditioned):
        positive, negative, latent = conditioned
        sigmas, sampler = run("PaperSchedule", model=model, steps=STEPS)
        (noise,) = run("PaperNoise", seed=SEED)
        guider = CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(GUIDANCE)
        with torch.inference_mode():
            return SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent).result[0]["samples"]

    return {"Try-On Sampler": ours, "KSampler": ksampler, "SamplerCustomAdvanced": custom}


@pytest.fixture
def rows(models):
    """Batch of every call of the network, as it comes in."""
    seen: list[int] = []
    hook = models.model.model.diffusion_model.input_blocks[0][0].register_forward_pre_hook(
        lambda _module, args: seen.append(len(args[0]))
    )
    yield seen
    hook.remove()


@pytest.fixture
def computed(models, module):
    """Names of the key and value layers, once for every time one of them computes."""
    layers = module("nodes.host.speed_hooks").projections(models.model.model.diffusion_model)
    calls: list[str] = []

    def counted(name, compute):
        def forward(*args, **kwargs):
            calls.append(name)
            return compute(*args, **kwargs)

        return forward

    for name, layer in layers.items():
        layer.forward = counted(name, layer.forward)
    own = {name: layer.forward for name, layer in layers.items()}
    yield calls
    assert all(layer.forward is own[name] for name, layer in layers.items()), "the layers are left as they were found"
    for layer in layers.values():
        del layer.forward


def test_as_it_is_set_at_first_nothing_is_patched(speed, models):
    assert speed().wrappers == models.model.wrappers
    again = speed(speed(guidance_end=0.5, cache_prompt=True))
    assert not any(key for kind in again.wrappers.values() for key, patches in kind.items() if patches)


@pytest.mark.parametrize("sampler", ["Try-On Sampler", "KSampler", "SamplerCustomAdvanced"])
@pytest.mark.parametrize(("interval", "twice"), [((0.0, 0.4), [0, 1]), ((0.4, 1.0), [2, 3]), ((0.1, 0.6), [1, 2])])
def test_outside_the_interval_the_model_runs_once(speed, samplers, conditioned, rows, sampler, interval, twice):
    samplers[sampler](speed(guidance_start=interval[0], guidance_end=interval[1]), conditioned)
    assert [step for step, batch in enumerate(rows) if batch == 2] == twice and len(rows) == STEPS


def test_an_interval_is_what_two_guidances_in_a_row_give(run, speed, samplers, models, conditioned):
    from comfy.samplers import CFGGuider
    from comfy_extras.nodes_custom_sampler import DisableNoise, SamplerCustomAdvanced

    positive, negative, latent = conditioned
    sigmas, sampler = run("PaperSchedule", model=models.model, steps=STEPS)
    (noise,), (silence,) = run("PaperNoise", seed=SEED), DisableNoise.execute().result
    for part, guidance, start in ((sigmas[:3], GUIDANCE, noise), (sigmas[2:], 1.0, silence)):
        guider = CFGGuider(models.model)
        guider.set_conds(positive, negative)
        guider.set_cfg(guidance)
        with torch.inference_mode():
            latent = SamplerCustomAdvanced.execute(start, guider, sampler, part, latent).result[0]
    patched = samplers["Try-On Sampler"](speed(guidance_end=0.5), conditioned)
    torch.testing.assert_close(patched, latent["samples"], rtol=0, atol=1e-5 * float(patched.abs().max()))
    whole = samplers["Try-On Sampler"](models.model, conditioned)
    assert not torch.allclose(patched, whole, rtol=0, atol=0.01 * float(whole.abs().max()))


def test_an_empty_interval_says_what_to_do(speed):
    with pytest.raises(ValueError, match=r"'guidance_start' \(0.6\) must be below 'guidance_end' \(0.6\).*set 'guid"):
        speed(guidance_start=0.6, guidance_end=0.6)


@pytest.mark.parametrize("sampler", ["Try-On Sampler", "KSampler", "SamplerCustomAdvanced"])
def test_kept_projections_are_computed_once_a_run_and_change_no_bit(
    speed, samplers, models, conditioned, computed, sampler
):
    plain = samplers[sampler](models.model, conditioned)
    every = len(computed)
    layers = len(set(computed))
    assert layers > 0 and every == STEPS * layers
    patched = speed(cache_prompt=True)
    for _ in range(2):  # a run starts with nothing kept
        computed.clear()
        assert torch.equal(samplers[sampler](patched, conditioned), plain)
        assert len(computed) == layers


def test_the_two_go_together(speed, samplers, conditioned, computed):
    plain = samplers["Try-On Sampler"](speed(guidance_end=0.5), conditioned)
    computed.clear()
    kept = samplers["Try-On Sampler"](speed(guidance_end=0.5, cache_prompt=True), conditioned)
    assert torch.equal(kept, plain)
    assert len(computed) == 2 * len(set(computed)), "both sides, then the positive alone"


def test_another_prompt_is_never_answered_with_what_is_kept(speed, samplers, models, condition, conditioned):
    """Prompts that change within a run, other lengths, other orders, two of them at once, a batch."""
    positive, negative, latent = conditioned
    (tensor, options), (empty, _) = positive[0], negative[0]
    other = tensor.flip(1)
    two = condition()[:3]
    cases = {
        "another in the second half": (
            [[tensor, options | {"end_percent": 0.5}], [other, options | {"start_percent": 0.5}]], negative, latent,
        ),
        "two at once": ([[tensor, options], [other, options]], negative, latent),
        "a longer one": ([[torch.cat([tensor, other], 1), options]], negative, latent),
        "swapped": ([[empty, options]], [[tensor, negative[0][1]]], latent),
        "a batch": two,
        "the batch the other way round": ([[two[0][0][0].flip(0), two[0][0][1]]], two[1], two[2]),
    }  # fmt: skip
    kept = speed(cache_prompt=True)
    seen = []
    for name, case in cases.items():
        plain = samplers["KSampler"](models.model, case)
        assert torch.equal(samplers["KSampler"](kept, case), plain), name
        seen.append(plain)
    assert not torch.equal(seen[0], seen[1]) and not torch.equal(seen[4], seen[5])


@pytest.fixture
def lora(models) -> dict:
    """Changes of the weights that make keys and values of the prompt."""
    generator = torch.Generator().manual_seed(0)
    weights = models.model.model.state_dict()
    names = [name for name in weights if name.endswith(("attn2.to_k.weight", "attn2.to_v.weight"))]
    return {name: ("diff", (torch.randn(weights[name].shape, generator=generator) * 0.1,)) for name in names}


def test_a_lora_counts_wherever_it_is_put(speed, samplers, models, conditioned, lora):
    def with_lora(model):
        patched = model.clone()
        assert len(patched.add_patches(lora, 1.0)) == len(lora)
        return patched

    sample = samplers["Try-On Sampler"]
    kept = speed(cache_prompt=True)
    plain, changed = sample(models.model, conditioned), sample(with_lora(models.model), conditioned)
    assert not torch.allclose(plain, changed, rtol=0, atol=0.01)
    for model, expected in ((kept, plain), (with_lora(kept), changed), (kept, plain)):
        assert torch.equal(sample(model, conditioned), expected)
    assert torch.equal(sample(speed(with_lora(models.model), cache_prompt=True), conditioned), changed)


def test_weights_that_change_within_a_run_are_seen(speed, samplers, models, conditioned, lora):
    """A LoRA hooked to a conditioning, its strength falling from step to step."""
    import comfy.hooks

    positive, negative, latent = conditioned

    def hooked(model):
        hook = comfy.hooks.WeightHook(strength_model=1.0)
        hook.weights, hook.need_weight_init = lora, False
        frames = comfy.hooks.HookKeyframeGroup()
        for start in (0.0, 0.5):
            frames.add(comfy.hooks.HookKeyframe(strength=1.0 - start, start_percent=start))
        group = comfy.hooks.HookGroup()
        group.add(hook)
        group.set_keyframes_on_hooks(frames)
        return samplers["KSampler"](model, ([[positive[0][0], positive[0][1] | {"hooks": group}]], negative, latent))

    expected = hooked(models.model)
    assert not torch.allclose(expected, samplers["KSampler"](models.model, conditioned), rtol=0, atol=0.01)
    assert torch.equal(hooked(speed(cache_prompt=True)), expected)


def test_patches_of_the_cross_attention_are_handed_everything(speed, samplers, models, conditioned):
    """One that changes the prompt with the noise level, one that takes keys and values over and writes into them."""
    from comfy.ldm.modules.attention import optimized_attention

    def louder(n, context, value, options):
        scale = 1 + float(options["sigmas"][0]) / 10
        return n, context * scale, value * scale

    def halved(q, k, v, options):
        return optimized_attention(q, k, v.mul_(0.5), heads=options["n_heads"])

    for patch in (
        lambda model: model.set_model_attn2_patch(louder),
        lambda model: model.set_model_attn2_replace(halved, "middle", 0),
    ):
        plain, kept = models.model.clone(), speed(cache_prompt=True)
        for model in (plain, kept):
            patch(model)
        expected = samplers["KSampler"](plain, conditioned)
        assert not torch.equal(expected, samplers["KSampler"](models.model, conditioned))
        assert torch.equal(samplers["KSampler"](kept, conditioned), expected)


def test_a_run_that_fails_leaves_the_network_as_it_was(speed, samplers, models, conditioned, module):
    def fail(args):
        raise RuntimeError("in the middle of a step")

    kept = speed(cache_prompt=True)
    kept.set_model_sampler_cfg_function(fail)
    with pytest.raises(RuntimeError, match="in the middle"):
        samplers["KSampler"](kept, conditioned)
    layers = module("nodes.host.speed_hooks").projections(models.model.model.diffusion_model)
    assert layers and not any("forward" in layer.__dict__ for layer in layers.values())


def test_a_model_without_such_an_attention_is_named(speed, models):
    other = models.model.clone()
    other.model = type("Other", (torch.nn.Module,), {})()
    other.model.diffusion_model = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="'cache_prompt' needs a network with Stable Diffusion's cross-attention"):
        speed(other, cache_prompt=True)
    assert speed(other, guidance_end=0.5)


@pytest.mark.soak
@pytest.mark.parametrize("backend", ["eager", "inductor"])
def test_the_stock_torch_compile_node_works_on_the_model(speed, samplers, models, conditioned, backend):
    """With the backend of its own that needs no GPU, and with torch's that traces the network and runs it as it is."""
    import shutil

    from comfy_extras.nodes_torch_compile import TorchCompileModel

    if backend == "inductor" and not (shutil.which("g++") or shutil.which("clang++")):
        pytest.skip("inductor needs a C++ compiler")
    (compiled,) = TorchCompileModel.execute(models.model, backend).result
    plain = samplers["Try-On Sampler"](models.model, conditioned)
    bound = {"rtol": 0, "atol": 1e-3 * float(plain.abs().max())}
    torch.testing.assert_close(samplers["Try-On Sampler"](compiled, conditioned), plain, **bound)
    both = speed(compiled, guidance_end=0.4, cache_prompt=True)
    expected = samplers["KSampler"](speed(guidance_end=0.4), conditioned)
    torch.testing.assert_close(samplers["KSampler"](both, conditioned), expected, **bound)


@pytest.fixture(scope="session")
def distance(samplers, models, conditioned, condition):
    """`distance(sampler)`: of KSampler's latents after 6 steps from Euler's after 24, relative; of another person's."""
    sample = samplers["KSampler"]
    settled = sample(models.model, conditioned, "euler", 24)

    @functools.cache
    def after_six(sampler: str, person: int = 0) -> float:
        found = sample(models.model, condition(person)[:3] if person else conditioned, sampler, 6)
        return float((found - settled).norm() / settled.norm())

    return after_six


@pytest.mark.parametrize("sampler", ["uni_pc", "dpmpp_2m"])
def test_samplers_of_higher_order_give_the_same_picture(distance, sampler):
    """In few steps about as near as Euler to where many lead, and far from another person's picture."""
    found, euler = distance(sampler), distance("euler")
    assert found < 1.5 * euler
    assert found < 0.5 * distance("euler", person=1)


@pytest.fixture
def graphs(module, monkeypatch):
    """Recordings of runs, made on the CPU: inputs have one place each, as a CUDA graph's; or `fault` is raised."""

    class Recorder(list):
        fault: Exception | None = None

        def __call__(self, function, inputs):
            if self.fault:
                raise self.fault
            held = [given.clone() for given in inputs]
            self.append(tuple(tuple(given.shape) for given in inputs))

            def replay(*given):
                for kept, new in zip(held, given, strict=True):
                    kept.copy_(new)
                return function(*held).clone()

            return replay

    made = Recorder()
    monkeypatch.setattr(module("nodes.host.cuda_graphs"), "recorder", lambda device: made)
    return made


@pytest.mark.parametrize("name", ["Try-On Sampler", "KSampler", "SamplerCustomAdvanced"])
def test_a_run_is_recorded_once_for_each_shape_and_anew_in_the_next(speed, samplers, models, conditioned, graphs, name):
    sample = samplers[name]
    plain = sample(models.model, conditioned)
    patched = speed(cuda_graph=True, cache_prompt=True)
    assert torch.equal(sample(patched, conditioned), plain)
    both = len(graphs)
    assert both == 1, "both sides of the guidance together"
    assert torch.equal(sample(patched, conditioned), plain) and len(graphs) == 2 * both
    expected = sample(speed(guidance_end=0.5), conditioned)
    assert torch.equal(sample(speed(guidance_end=0.5, cuda_graph=True), conditioned), expected)
    assert len(set(graphs[2 * both :])) == len(graphs) - 2 * both == 2, "with guidance and without"


@pytest.mark.parametrize(
    ("hinder", "words"),
    [
        ("fault", "no graph can hold this"),
        ("patch", "another patch works on the network"),
        ("wrapper", "another pack is wrapped around the network"),
        ("cpu", "the model runs on cpu, and they need CUDA"),
        ("memory", "a part of the weights waits in main memory"),
    ],
)
def test_what_no_graph_can_hold_runs_as_before_and_says_so_once(
    speed, samplers, models, conditioned, graphs, module, monkeypatch, caplog, hinder, words
):
    from comfy.patcher_extension import WrappersMP

    sample, model = samplers["KSampler"], models.model.clone()
    if hinder == "fault":
        graphs.fault = RuntimeError("no graph can hold this\nand more")
    elif hinder == "patch":
        model.set_model_attn1_output_patch(lambda n, options: n)
    elif hinder == "wrapper":
        model.add_wrapper(WrappersMP.DIFFUSION_MODEL, lambda executor, *args, **kwargs: executor(*args, **kwargs))
    elif hinder == "memory":
        elsewhere = torch.empty(1, device="meta")
        monkeypatch.setattr(model.model.diffusion_model, "parameters", lambda *_, **__: iter([elsewhere]))
    else:
        monkeypatch.setattr(module("nodes.host.cuda_graphs"), "recorder", lambda device: None)
    plain = sample(model, conditioned)
    assert torch.equal(sample(speed(model, cuda_graph=True), conditioned), plain)
    said = [record.getMessage() for record in caplog.records if "without a CUDA graph" in record.getMessage()]
    assert len(said) == 1 and words in said[0] and "and more" not in said[0] and graphs == []
