"""Training on the command line.

    python -m ladivton_core.training all --preset embedded --out RUNS --minutes 30
    python -m ladivton_core.training tps --preset vitonhd --data VITON-HD --out RUNS
    python -m ladivton_core.training tryon --preset vitonhd --out RUNS --init SD2-INPAINTING --set steps=100
    python -m ladivton_core.training export RUNS --to FOLDER

Several GPUs: `accelerate launch -m ladivton_core.training ...`. See docs/training.md.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
from contextlib import nullcontext
from pathlib import Path

from ..checkpoints.reading import CheckpointError
from ..disk.terminal import to_terminal
from ..embedded import PARTS
from ..runtime.freed_memory import ask_for_large_pages
from .config import EMBEDDED, PRESETS, ConfigError, StageFailure, change


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Parsed command line."""
    from .recipe import STAGES, SUPERSEDED

    parser = argparse.ArgumentParser(
        "python -m ladivton_core.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")
    for name in (*STAGES, "all"):
        stage = commands.add_parser(name, help="every stage of the preset, in order" if name == "all" else None)
        stage.add_argument("--preset", metavar="PRESET", required=True, help=f"one of {', '.join(PRESETS)}")
        stage.add_argument("--out", type=Path, required=True, metavar="RUNS", help="folder of the recipe")
        stage.add_argument("--data", metavar="FOLDER", help="root of the data set")
        stage.add_argument("--init", default=None, metavar="PATH", help="weights to start from, or 'scratch'")
        stage.add_argument("--device", help="cuda, cuda:1, mps, cpu, ...; what torch offers when left out")
        stage.add_argument("--weights", action="append", default=[], metavar="PART=FILE", help="a part of your own")
        stage.add_argument("--vgg", metavar="FILE", help="torchvision's VGG19 weights")
        stage.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
        stage.add_argument("--tracker", help="an accelerate tracker, or none")
        if name == "all":
            stage.add_argument(
                "--minutes", type=float, default=0.0, help=f"budget of the preset {EMBEDDED}; without it, its steps"
            )
        else:
            stage.add_argument("--config", type=Path, metavar="FILE", help="in place of the stage's own config file")
    export = commands.add_parser("export", help="write the published layout")
    export.add_argument("runs", type=Path, metavar="RUNS")
    export.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    for name in SUPERSEDED:
        commands.add_parser(name, add_help=False)
    given = list(sys.argv[1:] if given is None else given)
    # of a stage that is no more the options need not be understood
    return parser.parse_args(given[:1] if given and given[0] in SUPERSEDED else given)


def main(given: list[str] | None = None) -> None:
    """Run what the command line says."""
    from .recipe import SUPERSEDED

    chosen = arguments(given)
    if chosen.command in SUPERSEDED:
        raise ConfigError(f"the stage {chosen.command} is no more. In its place there is {SUPERSEDED[chosen.command]}.")
    ask_for_large_pages()
    to_terminal(form="%(asctime)s %(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # names every file of every checkpoint
    if chosen.command == "export":
        from .export import export

        export(chosen.runs, chosen.to)
        return
    if chosen.preset not in PRESETS:
        renamed = f" 'synthetic' is now {EMBEDDED!r}, see docs/training.md." if chosen.preset == "synthetic" else ""
        raise ConfigError(f"preset {chosen.preset!r} is unknown; choose one of {', '.join(PRESETS)}.{renamed}")
    if chosen.device:
        os.environ["ACCELERATE_TORCH_DEVICE"] = chosen.device  # for the second process of a recipe too
    from drawn_world.training.sitting import log_to

    from .recipe import Recipe

    weights = {}
    for pair in chosen.weights:
        part, equals, file = pair.partition("=")
        if part not in (*PARTS, "tps") or not equals:
            raise ConfigError(f"--weights {pair}: write PART=FILE; parts are {', '.join(PARTS)}, tps.")
        weights[part] = Path(file)
    changes = {name: value for name, value in (("root", chosen.data), ("vgg", chosen.vgg)) if value}
    changes |= dict(map(change, chosen.set))
    recipe = Recipe(
        chosen.preset,
        chosen.out,
        chosen.init or "",
        weights,
        getattr(chosen, "config", None),
        changes,
        chosen.tracker or ("none" if chosen.preset == EMBEDDED else "tensorboard"),
        getattr(chosen, "minutes", 0.0),
    )
    with log_to(chosen.out) if chosen.preset == EMBEDDED else nullcontext():
        if chosen.command == "all":
            recipe.run_all()
        else:
            recipe.run(chosen.command)
    from accelerate import PartialState

    PartialState().destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except StageFailure as error:
        logging.getLogger(__name__).error("%s", error)
        sys.exit(3)  # the rest of the recipe is there
    except (ConfigError, CheckpointError, FileNotFoundError) as error:
        sys.exit(f"{error}")
