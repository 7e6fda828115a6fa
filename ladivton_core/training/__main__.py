"""Training on the command line.

    python -m ladivton_core.training all --preset synthetic --out RUNS
    python -m ladivton_core.training tps --preset vitonhd --data VITON-HD --out RUNS
    python -m ladivton_core.training tryon --preset vitonhd --out RUNS --init SD2-INPAINTING --set steps=100
    python -m ladivton_core.training export RUNS --to FOLDER

Several GPUs: `accelerate launch -m ladivton_core.training ...`. See docs/training.md.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from ..checkpoints.reading import CheckpointError
from ..disk.terminal import to_terminal
from ..embedded import PARTS
from .config import PRESETS, ConfigError, change


def arguments(given: list[str] | None = None) -> argparse.Namespace:
    """Parsed command line."""
    from .recipe import STAGES

    parser = argparse.ArgumentParser(
        "python -m ladivton_core.training", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="STAGE")
    for name in (*STAGES, "all"):
        stage = commands.add_parser(name, help="every stage of the preset, in order" if name == "all" else None)
        stage.add_argument("--preset", choices=PRESETS, required=True)
        stage.add_argument("--out", type=Path, required=True, metavar="RUNS", help="folder of the recipe")
        stage.add_argument("--data", metavar="FOLDER", help="root of the data set")
        stage.add_argument("--init", default=None, metavar="PATH", help="SD2 inpainting: folder or file; or 'scratch'")
        stage.add_argument("--weights", action="append", default=[], metavar="PART=FILE", help="a part of your own")
        stage.add_argument("--vgg", metavar="FILE", help="torchvision's VGG19 weights")
        stage.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change a setting")
        stage.add_argument("--tracker", default="tensorboard", help="an accelerate tracker, or none")
        if name != "all":
            stage.add_argument("--config", type=Path, metavar="FILE", help="in place of the stage's own config file")
    export = commands.add_parser("export", help="write the published layout")
    export.add_argument("runs", type=Path, metavar="RUNS")
    export.add_argument("--to", type=Path, required=True, metavar="FOLDER")
    return parser.parse_args(given)


def main(given: list[str] | None = None) -> None:
    """Run what the command line says."""
    chosen = arguments(given)
    to_terminal(form="%(asctime)s %(message)s")
    logging.getLogger("accelerate").setLevel(logging.WARNING)  # names every file of every checkpoint
    if chosen.command == "export":
        from .export import export

        export(chosen.runs, chosen.to)
        return
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
        # nothing pretrained goes with the drawn world
        chosen.init or ("scratch" if chosen.preset == "synthetic" else ""),
        weights,
        getattr(chosen, "config", None),
        changes,
        chosen.tracker,
    )
    if chosen.command == "all":
        recipe.run_all()
    else:
        recipe.run(chosen.command)
    from accelerate import PartialState

    PartialState().destroy_process_group()


if __name__ == "__main__":
    try:
        main()
    except (ConfigError, CheckpointError, FileNotFoundError) as error:
        sys.exit(f"{error}")
