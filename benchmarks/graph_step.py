"""The graph's stages in ComfyUI, and what a step of Try-On Sampler costs beyond the bare UNet inside it.

Run by `bench.py` in a process of its own; `graph_engine.py` starts ComfyUI and loads the models.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path
from typing import Any

import graph_engine
import torch
from measuring import Measured
from paired import in_turn, ratio
from stages import GUIDANCE, SEED, files, inputs

from ladivton_core.presets import PRESETS

log = logging.getLogger(__name__)
FURTHER = 2
"""Steps of the longer run for each of the shorter one: their difference is free of what a run costs once."""


def timed(options: argparse.Namespace, comfyui: Path) -> dict[str, Any]:
    """Seconds a stage, and the ratio of a step to the bare UNet's, both of rounds in turn."""
    on_cpu = options.device == "cpu"
    dtype = torch.float32 if on_cpu else getattr(torch, options.dtype)
    weights = files(options.preset, options.work)
    folder = options.work / "models"
    folder.mkdir(parents=True, exist_ok=True)
    nodes, stock = graph_engine.start(comfyui, folder, dtype, cpu=on_cpu)
    with Measured() as loading:
        if options.preset == "tiny":
            names = ("unet", "text_encoder", "vae", "vision", "warping", "inversion_adapter", "emasc")
            parts = dict(zip(names, nodes("LoadEmbedded"), strict=True))
        else:
            parts = {part: load() for part, load in graph_engine.loaders(nodes, stock, weights, dtype).items()}
    size = tuple(options.size)
    x = {name: tensor.clone() for name, tensor in inputs(size, torch.device("cpu")).items()}
    works, made = graph_engine.works(nodes, stock, parts, x, options.steps, GUIDANCE)
    device = torch.device("cpu" if on_cpu else "cuda")
    found: dict[str, Any] = {}
    with Measured() as running:
        for stage, work in works.items():
            times = in_turn({stage: work}, options.rounds, device)
            found[stage] = {"seconds": times[stage].median / (options.steps if stage == "denoise" else 1)}
            log.info("graph: %s", stage)
    found["peak"] = running.peak - loading.before
    found["step over bare UNet"] = _step(options, nodes, parts, made, device)
    return found


def _step(options: argparse.Namespace, nodes: Any, parts: Any, made: dict[str, Any], device: torch.device) -> float:
    """A guided step of Try-On Sampler as a multiple of one call of the UNet on both halves."""
    positive, negative, latent, _ = made["conditioned"]
    preset, few = PRESETS[options.preset], options.steps
    network = parts["unet"].model.diffusion_model
    weight = next(network.parameters())
    h, w = latent["samples"].shape[-2:]
    prompt = torch.zeros(2, 77, preset.unet["cross_attention_dim"], device=weight.device, dtype=weight.dtype)
    sample = torch.zeros(2, preset.unet["in_channels"], h, w, device=weight.device, dtype=weight.dtype)
    time = torch.full((2,), 500.0, device=weight.device)

    def run(steps: int) -> None:
        nodes(
            "TryOnSampler", model=parts["unet"], positive=positive, negative=negative, latent=latent, seed=SEED,
            steps=steps, guidance=GUIDANCE,
        )  # fmt: skip

    def bare() -> None:
        for _ in range(few * FURTHER):
            network(sample, time, context=prompt)

    ways = {"few": lambda: run(few), "more": lambda: run(few * (1 + FURTHER)), "bare": bare}
    times = in_turn(ways, options.rounds, device)
    # in each round, what the further steps took
    further = tuple(more - less for more, less in zip(times["more"].clock, times["few"].clock, strict=True))
    return ratio(type(times["few"])(further, further), times["bare"])
