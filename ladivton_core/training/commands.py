"""The command line of a training, for any recipes: their stages, `all` and `export`. `__main__.py` has the paper's."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

import torch

from ..checkpoints.build import load, save
from ..checkpoints.reading import CheckpointError
from ..disk.documents import read_text
from ..disk.terminal import to_terminal
from ..disk.writing import write_text
from ..embedded import PARTS
from ..presets import PRESETS
from ..runtime.process import prepare_process
from .config import ConfigError, change
from .recipe import RECIPES, Recipe, StageFailure, Training, read_recipe
from .stage import SCRATCH

log = logging.getLogger(__name__)

LOG = "log.txt"
"""Log of a training, in its folder."""
STAGES_FAILED = 3
"""Exit status of a training of which some stages failed and the others ran to their end."""
_FILES = {
    "root": ("--data", "FOLDER", "root of the data set"),
    "vgg": ("--vgg", "FILE", "torchvision's VGG19 weights"),
}
"""Settings with an option of their own."""
CARD = "CARD.md"
START, END = "<!-- recipe: written by `ladivton_core.training export` -->", "<!-- /recipe -->"
"""Lines of a model card between which the table of the recipe stands."""
_TOKEN_TABLE = "text_model.embeddings.token_embedding.weight"


def main(
    given: Sequence[str],
    program: str,
    description: str,
    recipes: Mapping[str, Recipe],
    training: type[Training] = Training,
) -> None:
    """Run what the command line says; a message and an exit status end it where somebody has to change something.

    Args:
        given: arguments.
        program, description: for the help.
        recipes: to choose from with `--preset`, which a single one needs not.
        training: how a recipe is carried out; where it has a field `minutes`, `all` has that option.
    """
    chosen = _parser(program, description, recipes, training).parse_args(given)
    prepare_process()
    to_terminal(form="%(asctime)s %(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # names every file of every checkpoint
    try:
        if chosen.command == "export":
            export(chosen.runs, chosen.to, recipes)
            return
        status = _train(chosen, recipes, training)
    except (ConfigError, CheckpointError, FileNotFoundError) as error:
        sys.exit(f"{error}")
    if status:
        sys.exit(status)


def _parser(
    program: str, description: str, recipes: Mapping[str, Recipe], training: type[Training]
) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        program, description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")
    kinds = {name: kind for recipe in recipes.values() for name, kind in recipe.stages.items()}
    known = {field.name for kind in kinds.values() for field in dataclasses.fields(kind.settings_type)}
    for name in (*kinds, "all"):
        stage = commands.add_parser(name, help="every stage of the preset, in order" if name == "all" else None)
        if len(recipes) == 1:
            stage.set_defaults(preset=next(iter(recipes)))
        else:
            stage.add_argument("--preset", required=True, choices=tuple(recipes))
        stage.add_argument("--out", type=Path, required=True, metavar="RUNS", help="folder of the training")
        for setting, (option, value, told) in _FILES.items():
            if setting in known:
                stage.add_argument(option, dest=setting, metavar=value, help=told)
        stage.add_argument("--init", default="", metavar="PATH", help="weights to start from, or 'scratch'")
        stage.add_argument("--device", help="cuda, cuda:1, mps, cpu, ...; what torch offers when left out")
        stage.add_argument("--weights", action="append", default=[], metavar="PART=FILE", help="a part of your own")
        stage.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
        stage.add_argument("--tracker", default="", help="an accelerate tracker, or none")
        if name != "all":
            stage.add_argument("--config", type=Path, metavar="FILE", help="in place of the stage's own config file")
            continue
        stage.add_argument("--to", type=Path, metavar="FOLDER", help="export there at the end")
        if "minutes" in {field.name for field in dataclasses.fields(training)}:
            stage.add_argument("--minutes", type=float, default=0.0, help="for everything; without it, the steps")
    last = commands.add_parser("export", help="write the published layout")
    last.add_argument("runs", type=Path, metavar="RUNS")
    last.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    return parser


def _train(chosen: argparse.Namespace, recipes: Mapping[str, Recipe], training: type[Training]) -> int:
    """Run a stage or all of them; the exit status."""
    if chosen.device:
        os.environ["ACCELERATE_TORCH_DEVICE"] = chosen.device
    weights = {}
    for pair in chosen.weights:
        part, equals, file = pair.partition("=")
        if part not in (*PARTS, "tps") or not equals:
            raise ConfigError(f"--weights {pair}: write PART=FILE; parts are {', '.join(PARTS)}, tps.")
        weights[part] = Path(file)
    changes = {name: value for name in _FILES if (value := getattr(chosen, name, None))}
    run = training(
        recipes[chosen.preset],
        chosen.out,
        chosen.init,
        weights,
        getattr(chosen, "config", None),
        changes | dict(map(change, chosen.set)),
        chosen.tracker,
        **({"minutes": chosen.minutes} if "minutes" in chosen else {}),
    )
    status = 0
    from accelerate import PartialState

    main_process = PartialState().is_main_process
    with log_to(chosen.out) if main_process else nullcontext():
        if chosen.command == "all":
            try:
                run.run_all()
            except StageFailure as error:  # the rest is there
                log.error("%s", error)
                status = STAGES_FAILED
            if chosen.to and main_process:
                export(chosen.out, chosen.to, recipes)
        else:
            run.run(chosen.command)
    PartialState().destroy_process_group()
    return status


@contextmanager
def log_to(folder: Path) -> Iterator[None]:
    """Let the log go to `folder/log.txt` as well as to the screen."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / LOG, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        handler.close()


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
