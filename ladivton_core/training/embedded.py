"""The embedded default from nothing: the order of the stages, and the export of their weights.

    world_cache RUNS/world --count 2400      the synthetic world, rendered
    vae RUNS/world RUNS                      stand-in for Stable Diffusion's VAE
    warper spline RUNS/world RUNS            paper: geometric matcher
    warper refinement RUNS/world RUNS        paper: refinement
    vision RUNS/world RUNS                   stand-in for CLIP ViT-H/14
    latents small RUNS/world RUNS            pre-extraction
    inversion RUNS                           paper: inversion adapter
    emasc RUNS/world RUNS                    paper: EMASC
    latents full RUNS/world RUNS --count 1300   pre-extraction
    tryon RUNS                               paper: try-on UNet with the adapter
    embedded RUNS                            write ladivton_core/embedded

Each line is `python -m ladivton_core.training.<line>` and resumes where it stopped; the defaults are what the shipped
weights were made with. `CARD.md` beside the weights has figures and times.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from ..checkpoints.build import build_emasc, build_vision, save
from ..embedded import EMBEDDED_DIR
from ..presets import TINY, Preset
from .denoiser import TryOnDenoiser
from .latents import averaged, trained_vae, trained_warper
from .tryon import FINISH

log = logging.getLogger(__name__)
_EIGHT_BIT = ("text_model.embeddings.token_embedding.weight",)  # never trained, made exact in 8 bits by TryOnDenoiser


def export(out: Path, folder: Path = EMBEDDED_DIR, preset: Preset = TINY) -> int:
    """Write every trained part as safetensors (float16, the token table 8 bits); returns the bytes written."""
    model = averaged(out, FINISH.name, TryOnDenoiser(preset))
    parts = {
        "unet": model.unet,
        "text_encoder": model.text,
        "inversion_adapter": model.adapter,
        "vae": trained_vae(out, preset),
        "vision": averaged(out, "vision", build_vision(preset)),
        "warping": trained_warper(out, preset),
        "emasc": averaged(out, "emasc", build_emasc(preset)),
    }
    for name, module in parts.items():
        save(name, module, folder / f"{name}.safetensors", dtype=torch.float16, eight_bit=_EIGHT_BIT)
    total = sum((folder / f"{name}.safetensors").stat().st_size for name in parts)
    log.info("wrote %d parts, %.1f MiB, to %s", len(parts), total / 2**20, folder)
    return total


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    export(parser.parse_args().out)
