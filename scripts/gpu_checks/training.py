"""A few steps of every training stage in float16, of the paper's recipe and of the embedded default's."""

from __future__ import annotations

import dataclasses
import os
import shutil
import time
from pathlib import Path

from hosting.places import REPOSITORY

from .page import Page, Setting

TREES = REPOSITORY / "tests" / "golden" / "datasets"
SMALL = {"size": (128, 96), "held_out": 2, "steps": 3, "batch": 2, "workers": 0}


def run(setting: Setting, page: Page) -> None:
    """A row a stage; a stage that fails is a problem and ends its recipe."""
    os.environ["ACCELERATE_TORCH_DEVICE"] = setting.device
    from drawn_world.training.recipe import EMBEDDED
    from ladivton_core.training.recipe import RECIPES

    half = "no" if setting.rehearse else "fp16"
    folder = setting.work / "training"
    shutil.rmtree(folder, ignore_errors=True)
    papers = {"models": "tiny", "epochs": 0, "sheet_steps": 1, "precision": half, "perceptual": "gradient"}
    # `extract` knows bfloat16 only; `world` computes nothing in half precision
    own = {f"{stage}.precision": half for stage in EMBEDDED.stages if stage not in ("world", "extract")}
    recipes = (
        (RECIPES["vitonhd"], str(inpainting(folder)), SMALL | papers | {"root": str(viton_hd(folder))}),
        (EMBEDDED, "scratch", SMALL | own | {"count": 8, "workers": 1}),
    )
    page.head("recipe", "stage", "seconds", "precision")
    for recipe, start, changes in recipes:
        train(page, recipe, folder / f"runs_{recipe.name}", start, changes)


def train(page: Page, recipe, runs: Path, start: str, changes: dict) -> None:
    """Run a recipe's stages one after the other."""
    from ladivton_core.training.recipe import Training

    training = Training(recipe, runs, start, changes=changes, tracker="none")
    for stage, settings in training.plan().items():
        started = time.perf_counter()
        try:
            training.run(stage, settings)
        except Exception as error:  # what it would have made is missing from here on; the other recipe has its turn
            page.problem(f"{recipe.name}, {stage}: {type(error).__name__}: {error}")
            return
        page.row((recipe.name, stage, time.perf_counter() - started, getattr(settings, "precision", "")))


def inpainting(folder: Path) -> Path:
    """An inpainting model of tiny widths as a diffusers folder, its UNet random."""
    import torch

    from ladivton_core.checkpoints.build import build_unet
    from ladivton_core.embedded import embedded_path
    from ladivton_core.presets import TINY

    target = folder / "inpainting"
    torch.manual_seed(0)
    build_unet(dataclasses.replace(TINY, unet=TINY.unet | {"in_channels": 9})).save_pretrained(target / "unet")
    places = {
        "vae": "vae/diffusion_pytorch_model",
        "text_encoder": "text_encoder/model",
        "vision": "image_encoder/model",
    }
    for part, place in places.items():
        (target / place).parent.mkdir()
        shutil.copy(embedded_path(part), target / f"{place}.safetensors")
    return target


def viton_hd(folder: Path) -> Path:
    """A data set in VITON-HD's layout, with a training split."""
    target = folder / "vitonhd"
    shutil.copytree(TREES / "vitonhd", target)
    shutil.copytree(target / "test", target / "train")
    shutil.copy(target / "test_pairs.txt", target / "train_pairs.txt")
    return target
