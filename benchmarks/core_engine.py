"""The core's pipeline at full size, stage by stage, each beside a plain loop over the same modules.

Run by `full_size.py` in a process of its own; `graph_engine.py` is its twin.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import plain
import torch
from measuring import Measured, resident
from torch import Tensor

from ladivton_core.checkpoints.build import load
from ladivton_core.denoising.noise import item_noise
from ladivton_core.denoising.sampling import denoise
from ladivton_core.denoising.schedule import ddim_scheduler
from ladivton_core.inversion.prompts import tokenize
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import SD2

log = logging.getLogger(__name__)
SEED, GUIDANCE, CATEGORY = 7, 7.5, plain.CATEGORY


def run(
    files: dict[str, Path], inputs: dict[str, Tensor], dtype: torch.dtype, steps: int
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Load, then every stage three times: once to warm up, the plain loop, and the one that counts.

    Args:
        files: by part.
        inputs: `person`, `garment` (1, 3, H, W) in [-1, 1], `mask` (1, 1, H, W), `pose_map` (1, 18, H, W).

    Returns:
        Figures by stage, and the tensors to compare with the graph's.
    """
    figures: dict[str, Any] = {"load": {}, "start": resident()}
    parts = {}
    for part, path in files.items():
        with Measured() as measured:
            parts[part] = load(part, path, SD2, dtype=dtype)
        held = sum(t.nbytes for t in (*parts[part].parameters(), *parts[part].buffers()))
        figures["load"][part] = loading(measured, path, held)
        log.info("core: loaded %s", part)
    pipeline = TryOnPipeline.from_parts(SD2, parts)
    person, garment, mask, pose_map = (inputs[name] for name in ("person", "garment", "mask", "pose_map"))
    noise = item_noise([SEED], (4, person.shape[-2] // 8, person.shape[-1] // 8), dtype=dtype)
    made: dict[str, Any] = {}

    def invert() -> None:
        made["garment"], made["empty"] = pipeline.encode_garment(garment, CATEGORY), _anew(pipeline)

    def encode() -> None:
        made["person"] = pipeline.encode_person(person, mask, pose_map)
        made["channels"] = pipeline.conditioning(made["person"], made["warped"], noise)

    def sample() -> None:
        made["latents"] = denoise(
            pipeline.unet, ddim_scheduler(SD2.schedule), noise.latents, made["channels"], made["garment"].prompt,
            made["empty"], steps=steps, guidance_scale=GUIDANCE,
        )  # fmt: skip

    def warp() -> None:
        made["warped"] = pipeline.warper(garment, person * (1 - mask), pose_map).warped

    def decode() -> None:
        made["image"] = pipeline.decode(made["latents"], made["person"].skips)

    stages: dict[str, tuple[Callable[[], None], Callable[[], Any]]] = {
        "warp": (warp, lambda: pipeline.warper(garment, person * (1 - mask), pose_map)),
        "invert": (invert, lambda: plain.inversion(pipeline, garment)),
        "encode": (encode, lambda: [pipeline.vae.encode(x.to(dtype)) for x in (person * (1 - mask), made["warped"])]),
        "denoise": (sample, lambda: plain.loop(
            pipeline, made["channels"], made["garment"].prompt, made["empty"], noise.latents, steps, GUIDANCE
        )),
        "decode": (decode, lambda: pipeline.vae.decode(made["latents"].to(dtype) / SD2.vae_scale)),
    }  # fmt: skip
    for name, (engine, tutorial) in stages.items():
        with torch.inference_mode():
            engine()
            with Measured() as baseline:
                tutorial()
            with Measured() as measured:
                engine()
        figures[name] = stage(measured) | {"plain_seconds": baseline.seconds}
        log.info("core: %s", name)
    figures["end"] = resident()
    kept = {"prompt": made["garment"].prompt, "words": made["garment"].pseudo_words}
    kept |= {name: made[name] for name in ("warped", "channels", "latents", "image")}
    return figures, {name: tensor.float().contiguous() for name, tensor in kept.items()}


def loading(measured: Measured, path: Path, held: int) -> dict[str, float]:
    """Bytes of a file, of the model, and what was resident at once beyond the model."""
    beyond = max(0, measured.peak - measured.before - held)
    return {"seconds": measured.seconds, "file": path.stat().st_size, "model": held, "beyond": beyond}


def stage(measured: Measured) -> dict[str, float]:
    """Seconds, and bytes resident beyond what was there before."""
    return {"seconds": measured.seconds, "peak": measured.peak - measured.before}


def _anew(pipeline: TryOnPipeline) -> Tensor:
    """The empty prompt, which the pipeline keeps: a second call of its method would cost nothing."""
    return pipeline.text_encoder(tokenize([""]).to(pipeline.device))
