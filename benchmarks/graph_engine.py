"""The nodes at full size in this process, with ComfyUI's stock loaders for what is Stable Diffusion's.

Run by `full_size.py` in a process of its own, on the CPU; `core_engine.py` is its twin.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from core_engine import CATEGORY, GUIDANCE, SEED, loading, stage
from measuring import Measured, resident
from torch import Tensor

log = logging.getLogger(__name__)
REPOSITORY = Path(__file__).resolve().parents[1]
NAMES = {torch.float32: "float32", torch.bfloat16: "bfloat16", torch.float16: "float16"}


def run(
    comfyui: Path, models: Path, files: dict[str, Path], inputs: dict[str, Tensor], dtype: torch.dtype, steps: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Load with the loader nodes, then every stage twice, the second time measured. See `core_engine.run`."""
    nodes, stock = start(comfyui, models, dtype)
    figures: dict[str, Any] = {"load": {}, "start": resident()}
    parts: dict[str, Any] = {}
    for part, loader in loaders(nodes, stock, files, dtype).items():
        with Measured() as measured:
            parts[part] = loader()
        patcher = getattr(parts[part], "patcher", parts[part])
        figures["load"][part] = loading(measured, files[part], patcher.model_size())
        log.info("graph: loaded %s", part)
    stages, made = works(nodes, stock, parts, inputs, steps)
    for name, work in stages.items():
        with torch.inference_mode():
            work()
            with Measured() as measured:
                work()
        figures[name] = stage(measured)
        log.info("graph: %s", name)
    figures["end"] = resident()
    positive = made["conditioned"][0]
    kept = {
        "prompt": made["positive"][0][0], "words": made["words"], "channels": positive[0][1]["noise_concat"],
        "warped": made["warped"].movedim(-1, 1) * 2 - 1, "latents": made["samples"]["samples"] * 0.18215,
        "image": made["image"].movedim(-1, 1),
    }  # fmt: skip
    return figures, {name: tensor.float().contiguous() for name, tensor in kept.items()}


def loaders(nodes: Callable, stock: Any, files: dict[str, Path], dtype: torch.dtype) -> dict[str, Callable[[], Any]]:
    """What loads each part of the published sizes: our nodes, and ComfyUI's own where a part is Stable Diffusion's."""
    return {
        "unet": lambda: nodes("LoadTryOnModel", unet_name=files["unet"].name, precision=NAMES[dtype])[0],
        "warping": lambda: nodes("LoadWarper", warper_name=files["warping"].name)[0],
        "inversion_adapter": lambda: nodes("LoadInversionAdapter", adapter_name=files["inversion_adapter"].name)[0],
        "emasc": lambda: nodes("LoadEMASC", emasc_name=files["emasc"].name)[0],
        "vae": lambda: stock.VAELoader().load_vae(files["vae"].name)[0],
        "text_encoder": lambda: stock.CLIPLoader().load_clip(files["text_encoder"].name, "stable_diffusion")[0],
        "vision": lambda: stock.CLIPVisionLoader().load_clip(files["vision"].name)[0],
    }


def works(
    nodes: Callable,
    stock: Any,
    parts: dict[str, Any],
    inputs: dict[str, Tensor],
    steps: int,
    guidance: float = GUIDANCE,
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
            steps=steps, guidance=guidance,
        )  # fmt: skip

    def decode() -> None:
        (made["image"],) = nodes(
            "EMASCDecoder", vae=parts["vae"], emasc=parts["emasc"], samples=made["samples"],
            skip_features=made["conditioned"][3],
        )  # fmt: skip

    return {"warp": warp, "invert": invert, "encode": encode, "denoise": sample, "decode": decode}, made


def start(comfyui: Path, models: Path, dtype: torch.dtype, *, cpu: bool = True):
    """ComfyUI in this process, its models folder, and the pack: `nodes(id, **inputs)`, stock nodes."""
    sys.path.insert(0, str(comfyui))
    import comfy.cli_args

    chosen = comfy.cli_args.args
    chosen.cpu = cpu
    if dtype == torch.float32:  # ComfyUI keeps text and vision towers in float16 otherwise
        chosen.fp32_text_enc = chosen.fp32_vae = True
    import folder_paths

    import nodes as stock

    for folder in models.iterdir():
        folder_paths.add_model_folder_path(folder.name, str(folder), is_default=True)
    spec = importlib.util.spec_from_file_location("pack_at_full_size", REPOSITORY / "__init__.py")
    pack = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = pack
    started = time.process_time()
    spec.loader.exec_module(pack)
    listed = asyncio.run(asyncio.run(pack.comfy_entrypoint()).get_node_list())
    log.info("graph: importing the pack took %.2f s of the processor (goal 0.3)", time.process_time() - started)
    by_id = {node.define_schema().node_id: node for node in listed}
    return lambda name, **inputs: by_id[f"LadiVTON_{name}"].execute(**inputs).result, stock
