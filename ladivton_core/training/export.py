"""From a finished training to a folder of weights in the published layout, with the recipe in its model card.

`python -m ladivton_core.training export RUNS --to FOLDER`. The nodes and `TryOnPipeline.from_files` load the
files unchanged.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch

from ..checkpoints.build import load, save
from ..disk.documents import read_text
from ..disk.writing import write_text
from ..embedded import PARTS
from ..presets import PRESETS
from .config import ConfigError
from .recipe import RECIPES, Recipe, read_recipe
from .stage import SCRATCH

log = logging.getLogger(__name__)
CARD = "CARD.md"
START, END = "<!-- recipe: written by `ladivton_core.training export` -->", "<!-- /recipe -->"
"""Lines of a model card between which the table of the recipe stands."""
_TOKEN_TABLE = "text_model.embeddings.token_embedding.weight"


def export(
    runs: Path, folder: Path, recipes: Mapping[str, Recipe] = RECIPES, dtype: torch.dtype = torch.float16
) -> dict[str, Path]:
    """Write the newest weights of every part the stages made; returns the files by part.

    Where the recipe notes what all of it started from (`init`), also the parts that no stage has changed.

    A token table that 8 bits hold exactly (`denoiser.starting_parts` makes one) is stored so.

    Args:
        runs: folder of the training.
        folder: where the weights go.
        recipes: by name; one of them is the training's.

    Raises:
        FileNotFoundError: no stage has finished in `runs`.
        ConfigError: it is the folder of another recipe.
    """
    recipe = read_recipe(runs)
    if not recipe["stages"]:
        raise FileNotFoundError(f"no stage has finished in {runs}.")
    if recipe["preset"] not in recipes:
        raise ConfigError(f"{runs} is a folder of the preset {recipe['preset']!r}; known are {', '.join(recipes)}.")
    stages = list(recipes[recipe["preset"]].stages)
    models = next(stage["settings"]["models"] for stage in recipe["stages"].values())
    folder.mkdir(parents=True, exist_ok=True)
    written = {}
    for part in PARTS:
        made = [runs / stage / f"{part}.safetensors" for stage in reversed(stages) if stage in recipe["stages"]]
        if "init" in recipe and recipe["init"] != SCRATCH:
            made.append(Path(recipe["init"]) / f"{part}.safetensors")
        source = next((file for file in made if file.is_file()), None)
        if source is None:
            log.info("no stage made %s: use the one the recipe started from", part)
            continue
        module = load(part, source, PRESETS[models])
        eight_bit = (_TOKEN_TABLE,) if part == "text_encoder" and _fits_eight_bit(module) else ()
        written[part] = folder / f"{part}.safetensors"
        save(part, module, written[part], dtype=dtype, eight_bit=eight_bit)
    total = sum(file.stat().st_size for file in written.values())
    log.info("wrote %d parts, %.1f MiB, to %s", len(written), total / 2**20, folder)
    note(folder / CARD, recipe)
    return written


def note(card: Path, recipe: dict) -> None:
    """Put the recipe's table into a model card, in place of the one it has; a card is started if there is none."""
    table = f"{START}\n{describe(recipe)}\n{END}"
    text = read_text(card, expected="a model card") if card.is_file() else f"# Model card\n\n{START}\n{END}\n"
    before, start, rest = text.partition(START)
    _, end, after = rest.partition(END)
    if not (start and end):
        log.warning("%s has no line %s ... %s: the recipe's table was not written", card, START, END)
        return
    write_text(card, before + table + after)


def describe(recipe: dict) -> str:
    """Markdown: seed, time, what the perceptual term was, and a row a stage."""
    stages = recipe["stages"]
    settings = [stage["settings"] for stage in stages.values()]
    seeds = sorted({str(found["seed"]) for found in settings})
    terms = sorted({found["perceptual"] for found in settings if "perceptual" in found})
    named = {"vgg19": "VGG19 features", "gradient": "L1 of gradients, in place of VGG19 features"}
    seconds = sum(stage["seconds"] for stage in stages.values())
    spent = f"{seconds / 3600:.1f} hours" if seconds >= 3600 else f"{seconds / 60:.0f} minutes"
    lines = [
        f"Preset `{recipe['preset']}`, seed {', '.join(seeds)}, {spent} in all. "
        f"Perceptual term: {', '.join(named[term] for term in terms) or 'none'}.",
        "",
        "| Stage | Steps x batch | Minutes | Held-out figures |",
        "|---|---|---|---|",
    ]
    for name, stage in stages.items():
        found = stage["settings"]
        length = (
            f"{found['epochs']} epochs" if found.get("epochs") else str(stage.get("steps") or found.get("steps", ""))
        )
        size = f"{length} x {found['batch']}" if length else ""
        figures = ", ".join(f"{key} {value:.4g}" for key, value in stage["figures"].items())
        lines.append(f"| {name} | {size} | {stage['seconds'] / 60:.1f} | {figures} |")
    return "\n".join(lines)


def _fits_eight_bit(module: torch.nn.Module) -> bool:
    table = module.token_embedding.weight
    return torch.equal(table.to(torch.float8_e4m3fn).to(table.dtype), table)
