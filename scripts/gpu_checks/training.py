"""A few steps of every training stage in float16, of the paper's recipe and of the embedded default's."""

from __future__ import annotations

import dataclasses
import shutil
import time
from pathlib import Path

from hosting.places import REPOSITORY

from .page import Page, Setting

TREES = REPOSITORY / "tests" / "golden" / "datasets"
SMALL = {"size": (128, 96), "held_out": 2, "steps": 3, "batch": 2, "workers": 0}


def run(setting: Setting, page: Page) -> None:
    """A row a stage: seconds and the loss it ended with; a stage that fails is a problem and ends its recipe."""
    import os

    os.environ["ACCELERATE_TORCH_DEVICE"] = setting.device
    from ladivton_core.training.embedded.stages import STAGES
    from ladivton_core.training.recipe import PAPER

    half = "no" if setting.rehearse else "fp16"
    page.head("recipe", "stage", "seconds", "precision")
    folder = setting.work / "training"
    shutil.rmtree(folder, ignore_errors=True)
    for chosen in ("vitonhd", "embedded"):
        try:
            if chosen == "vitonhd":
                own = {"models": "tiny", "epochs": 0, "sheet_steps": 1, "precision": half, "perceptual": "gradient"}
                changes = SMALL | own | {"root": str(viton_hd(folder))}
                stages, start = PAPER, str(inpainting(folder))
            else:
                # `extract` knows bfloat16 only; `world` computes nothing in half precision
                precisions = {f"{stage}.precision": half for stage in STAGES if stage not in ("world", "extract")}
                changes = SMALL | {"count": 8, "workers": 1} | precisions
                stages, start = STAGES, "scratch"
            stage_by_stage(page, chosen, folder / f"runs_{chosen}", start, changes, list(stages))
        except Exception as error:  # the other recipe still has its turn
            page.problem(f"{chosen}: {type(error).__name__}: {error}")


def stage_by_stage(page: Page, preset: str, runs: Path, start: str, changes: dict, stages: list[str]) -> None:
    """Run a recipe's stages one after the other."""
    from ladivton_core.training.recipe import Recipe, read_recipe

    recipe = Recipe(preset, runs, start, changes=changes, tracker="none")
    for stage in stages:
        started = time.perf_counter()
        recipe.run(stage, recipe.settings(stage))
        noted = read_recipe(runs)["stages"][stage]["settings"]
        page.row((preset, stage, time.perf_counter() - started, noted.get("precision", "")))


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
