"""The core's stages as things to time: a plain diffusers loop, the exact mode and the fast one, on the same inputs.

Run by `bench.py` in a process of its own. The plain loop and the exact mode share their models; the fast mode has its
own, in the number format it would choose.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from measuring import Measured, anonymous, in_turn, mapped, ratio, seconds_of
from table import ENGINES, STAGES
from torch import Tensor

from ladivton_core.checkpoints.build import load
from ladivton_core.decoding.emasc import mask_features
from ladivton_core.decoding.taps import encode_with_taps
from ladivton_core.denoising.noise import item_noise
from ladivton_core.denoising.sampling import denoise
from ladivton_core.denoising.schedule import ddim_scheduler
from ladivton_core.embedded import PARTS, embedded_path
from ladivton_core.inversion.pixels import clip_pixels
from ladivton_core.inversion.prompts import prompt_for, tokenize
from ladivton_core.parity.rule import rule_input
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.preprocessing.pose.pose_map import pose_map
from ladivton_core.presets import PRESETS
from ladivton_core.runtime.processor import chosen_dtype

log = logging.getLogger(__name__)

GUIDANCE, SEED, CATEGORY = 7.5, 7, "upper_body"

Ways = dict[str, Callable[[], Any]]


def files(preset: str, work: Path) -> dict[str, Path]:
    """Weights by part: the shipped ones, or stand-ins of the published layouts, written if need be."""
    if preset == "tiny":
        return {part: embedded_path(part) for part in PARTS}
    import stand_ins

    return stand_ins.write(work / "models")


def pipeline(options: argparse.Namespace, engine: str) -> TryOnPipeline:
    """One engine's models: float32 on a CPU but for the fast mode's own choice, `--dtype` elsewhere."""
    device = torch.device(options.device)
    dtype = torch.float32 if device.type == "cpu" else getattr(torch, options.dtype)
    speed = "fast" if engine in ("fast", "lean") else "exact"
    if device.type == "cpu":
        dtype = chosen_dtype(None, device, speed)
    preset = PRESETS[options.preset]
    return TryOnPipeline.from_parts(
        preset,
        {
            part: load(part, path, preset, dtype=dtype, device=device)
            for part, path in files(options.preset, options.work).items()
        },
        speed=speed,
    )


def inputs(size: tuple[int, int], device: torch.device, batch: int = 1) -> dict[str, Tensor]:
    """A person, a garment, a mask over the middle and a pose; rule inputs."""
    pictures = {name: rule_input(5, name, (1, 3, *size), -1.0, 1.0, block=16) for name in ("person", "garment")}
    mask = torch.zeros(1, 1, *size)
    mask[..., size[0] // 4 : size[0] * 3 // 4, size[1] // 4 : size[1] * 3 // 4] = 1
    joints = rule_input(5, "joints", (1, 18, 2), 0.1 * size[1], 0.9 * size[1]).double()
    made = pictures | {"mask": mask, "pose_map": pose_map(joints, size)}
    return {name: x.expand(batch, *x.shape[1:]).to(device) for name, x in made.items()}


def ways(engine: str, p: TryOnPipeline, size: tuple[int, int], steps: int) -> Ways:
    """Every stage of an engine as a call; `step` and `single` take `steps` of them."""
    x = inputs(size, p.device)
    person = p.encode_person(x["person"], x["mask"], x["pose_map"])
    garment = p.encode_garment(x["garment"], CATEGORY)
    warped = p.warp(garment.garment, person).warped
    noise = item_noise([SEED], (p.vae.config.latent_channels, size[0] // 8, size[1] // 8))
    channels = p.conditioning(person, warped, noise)
    empty, latents = p.empty_prompt(), noise.latents.to(channels)
    shared = {"steps": steps, "cloth_cond_rate": 1.0}

    if engine == "plain":

        def encoded() -> Any:
            posterior, taps = encode_with_taps(p.vae, (x["person"] * (1 - x["mask"])).to(p.dtype))
            return posterior, mask_features(p.emasc(taps), x["mask"])

        def single() -> Any:
            return loop(p, channels, garment.prompt, empty, latents, steps, guided=False)

        return {
            "warp": lambda: p.warper(x["garment"], person.agnostic, x["pose_map"]),
            "invert": lambda: inversion(p, x["garment"]),
            "person": encoded,
            "garment latents": lambda: p.vae.encode(warped.to(p.dtype)).latent_dist,
            "step": lambda: loop(p, channels, garment.prompt, empty, latents, steps),
            "single": single,
            "decode": lambda: p.vae.decode(latents.to(p.dtype) / p.preset.vae_scale).sample,
        }

    def inverted() -> Any:
        # The pipeline keeps the empty prompt, and a second call would cost nothing.
        return p.encode_garment(x["garment"], CATEGORY), p.text_encoder(tokenize([""]).to(p.device))

    def sampled(scale: float) -> Any:
        start = latents.float() if engine == "fast" else latents
        return denoise(
            p.ready_unet(), ddim_scheduler(p.preset.schedule), start, channels, garment.prompt, empty,
            guidance_scale=scale, **shared,
        )  # fmt: skip

    return {
        "warp": lambda: p.warp(x["garment"], person),
        "invert": inverted,
        "person": lambda: p.encode_person(x["person"], x["mask"], x["pose_map"]),
        "garment latents": lambda: p.conditioning(person, warped, noise),
        "step": lambda: sampled(GUIDANCE),
        "single": lambda: sampled(1.0),
        "decode": lambda: p.decode(latents, person.skips),
    }


def inversion(pipeline: TryOnPipeline, garment: Tensor) -> tuple[Tensor, Tensor]:
    """Tower, adapter and text encoder called one after the other; prompt and empty prompt."""
    words = pipeline.preset.num_words
    pixels = clip_pixels(garment, pipeline.preset.vision.image_size).to(pipeline.dtype)
    pseudo = pipeline.adapter.pseudo_words(pipeline.vision(pixels), words)
    ids = tokenize([prompt_for(CATEGORY, words), ""]).to(pipeline.device)
    return pipeline.text_encoder(ids[:1], pseudo), pipeline.text_encoder(ids[1:])


def loop(
    pipeline: TryOnPipeline,
    channels: Tensor,
    prompt: Tensor,
    empty: Tensor,
    latents: Tensor,
    steps: int,
    *,
    guided: bool = True,
) -> Tensor:
    """One UNet call for both halves, or for the prompt's alone; diffusers' own DDIM step."""
    scheduler = ddim_scheduler(pipeline.preset.schedule)
    scheduler.set_timesteps(steps)
    bare = channels.clone()
    bare[:, 5:] = 0
    context = torch.cat([empty.expand_as(prompt), prompt])
    for time in scheduler.timesteps:
        if not guided:
            single = pipeline.unet(torch.cat([latents, channels], 1), time, prompt).sample
            latents = scheduler.step(single, time, latents).prev_sample
            continue
        both = torch.cat([torch.cat([latents, bare], 1), torch.cat([latents, channels], 1)])
        low, high = pipeline.unet(both, time, context).sample.chunk(2)
        latents = scheduler.step(low + GUIDANCE * (high - low), time, latents).prev_sample
    return latents


def timed(options: argparse.Namespace) -> dict[str, Any]:
    """Seconds of every stage and engine, and ratios to the plain loop, medians of rounds in turn."""
    device, size = torch.device(options.device), tuple(options.size)
    models = {"plain": pipeline(options, "plain")}
    models["exact"] = models["plain"]
    models["fast"] = pipeline(options, "fast")
    calls = {engine: ways(engine, models[engine], size, options.steps) for engine in ENGINES}
    found: dict[str, Any] = {"dtypes": {engine: str(p.dtype).removeprefix("torch.") for engine, p in models.items()}}
    for stage in STAGES:
        times = in_turn({engine: calls[engine][stage] for engine in ENGINES}, options.rounds, device)
        each = options.steps if stage in ("step", "single") else 1
        found[stage] = {
            engine: {
                "seconds": times[engine].median / each,
                "ratio": ratio(times[engine], times["plain"]),
                "processor ratio": ratio(times[engine], times["plain"], processor=True),
            }
            for engine in ENGINES
        }
        log.info("core: %s", stage)
    found["step over UNet"] = step_over_unet(options, models["fast"], calls["fast"])
    found["distance"] = distance(calls)
    found["growth"] = growth(options, models["fast"])
    return found


def step_over_unet(options: argparse.Namespace, p: TryOnPipeline, calls: Ways) -> float:
    """A guided step of the fast mode as a multiple of its UNet's call alone (on a GPU, the graph's replay)."""
    device, (h, w) = torch.device(options.device), (side // 8 for side in options.size)
    sample = torch.zeros(2, p.unet.config.in_channels, h, w, device=device)
    prompt = torch.zeros(2, 77, p.unet.config.cross_attention_dim, device=device)
    unet, time = p.ready_unet(), torch.tensor(500)
    bare = [lambda: unet(sample, time, prompt)] * options.steps
    times = in_turn({"step": calls["step"], "UNet": lambda: [call() for call in bare]}, options.rounds, device)
    return ratio(times["step"], times["UNet"])


def distance(calls: dict[str, Ways]) -> dict[str, float]:
    """How far the fast mode's results are from the exact ones, relative to their spread."""
    with torch.inference_mode():
        pairs = {
            "latents": [calls[engine]["step"]().float() for engine in ("exact", "fast")],
            "warped garment": [calls[engine]["warp"]().warped for engine in ("exact", "fast")],
            "picture": [calls[engine]["decode"]() for engine in ("exact", "fast")],
        }
    return {name: float((a - b).pow(2).mean().sqrt() / a.std()) for name, (a, b) in pairs.items()}


def growth(options: argparse.Namespace, p: TryOnPipeline) -> dict[str, float]:
    """Seconds a picture of the fast mode by size, batch, garments and persons: the fastest of three."""
    device, size = torch.device(options.device), tuple(options.size)
    steps = {"steps": min(options.steps, p.preset.steps), "guidance_scale": p.preset.guidance_scale}
    found: dict[str, float] = {}

    def measure(name: str, pictures: int, call: Callable[[], Any]) -> None:
        found[name] = seconds_of(call, device, tries=3) / pictures
        log.info("growth: %s", name)

    def whole(x: dict[str, Tensor]) -> Callable[[], Any]:
        return lambda: p(**x, **steps)

    for factor in (0.5, 1.0, 1.5):
        scaled = tuple(max(64, round(side * factor / 64) * 64) for side in size)
        measure(f"size {scaled[0]}x{scaled[1]}", 1, whole(inputs(scaled, device)))
    for batch in (1, 2, 4):
        measure(f"batch {batch}", batch, whole(inputs(size, device, batch)))
    x = inputs(size, device)
    person = p.encode_person(x["person"], x["mask"], x["pose_map"])
    garment = p.encode_garment(x["garment"], CATEGORY)
    others = {name: x[name] for name in ("mask", "pose_map")}
    measure("another garment", 1, lambda: p(person, x["garment"], **steps))
    measure("another person", 1, lambda: p(x["person"], garment, **others, **steps))
    return found


def remembered(options: argparse.Namespace) -> dict[str, float]:
    """Bytes one picture takes at most, models included: the engine of `--engine`, two guided steps.

    `lean` is the fast mode that lets go of the garment's encoders once they are done. What loading takes for a moment
    does not count, and pages of a weight file that no weight is read from neither.
    """
    device, size = torch.device(options.device), tuple(options.size)
    _import_everything()
    with Measured(anonymous) as loading:
        p = pipeline(options, options.engine)
    weights = [t for m in p.parts.values() if m is not None for t in (*m.parameters(), *m.buffers())]
    models, in_files = sum(t.nbytes for t in weights), mapped(weights)
    del weights
    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats(device)
    with Measured(anonymous) as running, torch.inference_mode():
        if options.engine == "plain":
            for stage in ways("plain", p, size, 2).values():
                stage()
        elif options.engine == "lean":
            x = inputs(size, device)
            garment = p.encode_garment(x.pop("garment"), CATEGORY)
            p.release_encoders()(garment=garment, **x, steps=2, guidance_scale=GUIDANCE)
        else:
            p(**inputs(size, device), steps=2, guidance_scale=GUIDANCE)
    peak = torch.cuda.max_memory_allocated(device) if on_gpu else running.peak - loading.before + in_files
    return {"peak": peak, "models": models}


def _import_everything() -> None:
    """What the first use of the libraries takes is no engine's."""
    import open_clip.transformer  # noqa: F401
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel  # noqa: F401

    for dtype in (torch.float32, torch.bfloat16):
        torch.nn.Conv2d(8, 8, 3, dtype=dtype)(torch.ones(1, 8, 8, 8, dtype=dtype))
