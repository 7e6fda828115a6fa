"""The nodes in this process, with ComfyUI's stock loaders for what is Stable Diffusion's.

Run by `bench.py`, which times the stages, and by `full_size.py`, in a process of its own.
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hosting import in_process
from measuring import Measured, in_turn, ratio
from stages import CATEGORY, GUIDANCE, SEED, files, inputs
from torch import Tensor

from ladivton_core.presets import PRESETS

log = logging.getLogger(__name__)

REPOSITORY = Path(__file__).resolve().parents[1]
FURTHER = 2
"""Steps of the longer run for each of the shorter one: their difference is free of what a run costs once."""


def start(comfyui: Path, models: Path, dtype: torch.dtype, *, cpu: bool = True):
    """ComfyUI in this process, its models folder, and the pack: `nodes(id, **inputs)`, stock nodes."""
    in_process.import_comfyui(comfyui)
    import comfy.cli_args

    comfy.cli_args.args.cpu = cpu
    if dtype == torch.float32:  # ComfyUI keeps text and vision towers in float16 otherwise
        comfy.cli_args.args.fp32_text_enc = comfy.cli_args.args.fp32_vae = True
    import folder_paths

    import nodes as stock

    for folder in models.iterdir():
        folder_paths.add_model_folder_path(folder.name, str(folder), is_default=True)
    started = time.process_time()
    classes = in_process.node_classes(in_process.import_pack(REPOSITORY, "pack_at_full_size"))
    log.info("graph: importing the pack took %.2f s of the processor (goal 0.3)", time.process_time() - started)
    return lambda name, **inputs: classes[f"LadiVTON_{name}"].execute(**inputs).result, stock


def loaders(nodes: Callable, stock: Any, files: dict[str, Path], dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """What loads each part of the published sizes: our nodes, and ComfyUI's own where a part is Stable Diffusion's."""
    return {
        "unet": lambda: nodes(
            "LoadTryOnModel", unet_name=files["unet"].name, precision=str(dtype).removeprefix("torch.")
        )[0],
        "warping": lambda: nodes("LoadWarper", warper_name=files["warping"].name)[0],
        "inversion_adapter": lambda: nodes("LoadInversionAdapter", adapter_name=files["inversion_adapter"].name)[0],
        "emasc": lambda: nodes("LoadEMASC", emasc_name=files["emasc"].name)[0],
        "vae": lambda: stock.VAELoader().load_vae(files["vae"].name)[0],
        "text_encoder": lambda: stock.CLIPLoader().load_clip(files["text_encoder"].name, "stable_diffusion")[0],
        "vision": lambda: stock.CLIPVisionLoader().load_clip(files["vision"].name)[0],
    }


def works(
    nodes: Callable, stock: Any, parts: dict[str, Any], inputs: dict[str, Tensor], steps: int
) -> tuple[dict[str, Callable[[], None]], dict[str, Any]]:
    """Every stage as a call, to be made in this order, and where its results land."""
    person, garment = ((inputs[name] / 2 + 0.5).movedim(1, -1).contiguous() for name in ("person", "garment"))
    mask, pose_map = inputs["mask"][:, 0], inputs["pose_map"]
    agnostic = ((inputs["person"] * (1 - inputs["mask"])) / 2 + 0.5).movedim(1, -1).contiguous()
    made: dict[str, Any] = {}

    def warp() -> None:
        warper = parts["warping"]
        made["warped"] = nodes("GarmentWarper", warper=warper, garment=garment, agnostic=agnostic, pose_map=pose_map)[0]

    def invert() -> None:
        made["positive"], made["words"] = nodes(
            "TextualInversionEncoder", clip=parts["text_encoder"], clip_vision=parts["vision"],
            adapter=parts["inversion_adapter"], garment=garment, category=CATEGORY,
        )  # fmt: skip
        made["negative"] = stock.CLIPTextEncode().encode(parts["text_encoder"], "")[0]

    def encode() -> None:
        made["conditioned"] = nodes(
            "TryOnConditioning", positive=made["positive"], negative=made["negative"], vae=parts["vae"], person=person,
            mask=mask, pose_map=pose_map, warped_garment=made["warped"], posterior_seed=SEED,
        )  # fmt: skip

    def sample() -> None:
        positive, negative, latent, _ = made["conditioned"]
        (made["samples"],) = nodes(
            "TryOnSampler", model=parts["unet"], positive=positive, negative=negative, latent=latent, seed=SEED,
            steps=steps, guidance=GUIDANCE,
        )  # fmt: skip

    def decode() -> None:
        (made["image"],) = nodes(
            "EMASCDecoder", vae=parts["vae"], emasc=parts["emasc"], samples=made["samples"],
            skip_features=made["conditioned"][3],
        )  # fmt: skip

    return {"warp": warp, "invert": invert, "encode": encode, "denoise": sample, "decode": decode}, made


def timed(options: argparse.Namespace, comfyui: Path) -> dict[str, Any]:
    """Seconds a stage, and the ratio of a step to the bare UNet's, both of rounds in turn."""
    on_cpu = options.device == "cpu"
    dtype = torch.float32 if on_cpu else getattr(torch, options.dtype)
    weights = files(options.preset, options.work)
    folder = options.work / "models"
    folder.mkdir(parents=True, exist_ok=True)
    nodes, stock = start(comfyui, folder, dtype, cpu=on_cpu)
    with Measured() as loading:
        if options.preset == "tiny":
            names = ("unet", "text_encoder", "vae", "vision", "warping", "inversion_adapter", "emasc")
            parts = dict(zip(names, nodes("LoadEmbedded"), strict=True))
        else:
            parts = {part: load() for part, load in loaders(nodes, stock, weights, dtype).items()}
    size = tuple(options.size)
    x = {name: tensor.clone() for name, tensor in inputs(size, torch.device("cpu")).items()}
    stages, made = works(nodes, stock, parts, x, options.steps)
    device = torch.device("cpu" if on_cpu else "cuda")
    found: dict[str, Any] = {}
    with Measured() as running:
        for stage, work in stages.items():
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
