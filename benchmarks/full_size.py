"""Both engines with models of the published sizes at 512 x 384: seconds, ratio to a plain loop, memory, agreement.

    python benchmarks/full_size.py                              # 8.4 GB of disk, 12 GB of memory, some minutes
    python benchmarks/full_size.py --dtypes float32 --steps 4

The weights are rule weights in files of the published layout (`stand_ins.py`), so the pictures mean nothing. Each
engine and number format has a process of its own (`core_engine.py`, `graph_engine.py`); the ratio is to a plain loop
over the same modules, timed in the core's process of the same run. Prints Markdown; exit code 1 when the engines differ
or a file takes too much memory to load.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "scripts")]
sys.path.append(str(REPOSITORY))

STAGES = ("warp", "invert", "encode", "denoise", "decode")
AGREEMENT = 1e-3
"""Largest difference of the engines in float32, relative to the largest value."""
LOADING = 1.3
"""Most bytes beyond the model that loading may take, as a multiple of the file's."""
TWICE = 1.4
"""Resident bytes after the last stage, as a multiple of the models', above which a large one is held twice."""
SLOW = 20
"""A number format whose convolutions take this many times float32's is not run by the core on this CPU."""
SIZE = (512, 384)

log = logging.getLogger("full_size")


def main() -> int:
    from hosting import installation

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--dtypes", nargs="+", default=["float32", "bfloat16"], choices=["float32", "bfloat16", "float16"]
    )
    parser.add_argument("--steps", type=int, default=2, help="guided denoising steps (2)")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "output" / "full_size", help="where the files go")
    parser.add_argument("--child", choices=("core", "graph"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    host = installation.find_or_install(tests=True)
    installation.run_inside(host)
    if options.child:
        child(options, host.comfyui)
        return 0
    import stand_ins

    stand_ins.write(options.work / "models")
    problems = []
    for dtype in options.dtypes:
        figures = {engine: run_child(options, engine, dtype) for engine in ("core", "graph")}
        print(table(dtype, options.steps, figures), flush=True)
        problems += judge(options.work, dtype, figures)
    print("\n".join(problems) or f"The engines agree within {AGREEMENT:g}; no file took too much memory to load.")
    return 1 if problems else 0


def run_child(options: argparse.Namespace, engine: str, dtype: str) -> dict | None:
    """Figures of one engine in one number format; None where it would take hours here."""
    if engine == "core" and (factor := slower_than_float32(dtype)) > SLOW:
        print(f"\n{dtype} convolutions take {factor:.0f} times float32's on this CPU: the core is left out. In the "
              "graph ComfyUI keeps the weights in that format and computes in float32.")  # fmt: skip
        return None
    command = [sys.executable, __file__, "--child", engine, "--dtypes", dtype, "--steps", str(options.steps)]
    subprocess.run([*command, "--work", str(options.work)], check=True)
    return json.loads((options.work / f"{engine}_{dtype}.json").read_text(encoding="utf-8"))


def child(options: argparse.Namespace, comfyui: Path) -> None:
    """One engine, one number format: figures and tensors into the work folder."""
    import stand_ins
    import torch
    from safetensors.torch import save_file

    (name,) = options.dtypes
    dtype, models = getattr(torch, name), options.work / "models"
    files = stand_ins.write(models)
    if options.child == "core":
        import core_engine

        figures, tensors = core_engine.run(files, inputs(), dtype, options.steps)
    else:
        import graph_engine

        figures, tensors = graph_engine.run(comfyui, models, files, inputs(), dtype, options.steps)
    save_file(tensors, options.work / f"{options.child}_{name}.safetensors")
    (options.work / f"{options.child}_{name}.json").write_text(json.dumps(figures), encoding="utf-8")


def inputs() -> dict:
    """A person, a garment, a mask and a pose that both engines get."""
    import torch

    from ladivton_core.parity.rule import rule_input
    from ladivton_core.preprocessing.pose.pose_map import pose_map

    pictures = {name: rule_input(5, name, (1, 3, *SIZE), -1.0, 1.0, block=16) for name in ("person", "garment")}
    # whole 8-bit levels: what an IMAGE wire carries of a loaded picture
    pictures = {name: ((picture / 2 + 0.5) * 255).round() / 255 * 2 - 1 for name, picture in pictures.items()}
    mask = torch.zeros(1, 1, *SIZE)
    mask[..., 128:384, 96:288] = 1
    joints = rule_input(5, "joints", (1, 18, 2), 40.0, 340.0).double()
    return pictures | {"mask": mask, "pose_map": pose_map(joints, SIZE)}


def slower_than_float32(dtype: str) -> float:
    """How much longer a convolution takes in a number format on this CPU."""
    import torch

    def seconds(kind: torch.dtype) -> float:
        picture, layer = torch.randn(1, 64, 64, 48, dtype=kind), torch.nn.Conv2d(64, 64, 3, padding=1, dtype=kind)
        with torch.inference_mode():
            layer(picture)
            started = time.perf_counter()
            layer(picture)
            return time.perf_counter() - started

    return seconds(getattr(torch, dtype)) / max(seconds(torch.float32), 1e-6)


def table(dtype: str, steps: int, figures: dict[str, dict | None]) -> str:
    """Markdown of one number format."""
    core, graph = figures["core"], figures["graph"]
    lines = [f"\n## {dtype}, {steps} guided steps\n", "| stage | plain loop, s | core, s | ratio | graph, s | ratio | "
             "peak core, MiB | peak graph, MiB |", "|---|---|---|---|---|---|---|---|"]  # fmt: skip
    for stage in STAGES:
        plain = core[stage]["plain_seconds"] if core else None
        cells = [_number(plain)]
        for found in (core, graph):
            cells += [_number(found and found[stage]["seconds"]), _ratio(found and found[stage]["seconds"], plain)]
        cells += [_mib(found and found[stage]["peak"]) for found in (core, graph)]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    lines += ["", "| file | MiB | model, MiB: core | graph | loading beyond the model, of the file: core | graph |",
              "|---|---|---|---|---|---|"]  # fmt: skip
    for part in graph["load"]:
        loads = [found and found["load"][part] for found in (core, graph)]
        beyond = [_ratio(load and load["beyond"], load and load["file"]) for load in loads]
        models = [_mib(load and load["model"]) for load in loads]
        lines.append(f"| {part} | {_mib(graph['load'][part]['file'])} | {' | '.join(models + beyond)} |")
    return "\n".join(lines)


def judge(work: Path, dtype: str, figures: dict[str, dict | None]) -> list[str]:
    """What is not as it should be, in words; prints the engines' differences."""
    from safetensors.torch import load_file

    problems = [
        f"{engine}: loading {part} took {load['beyond'] / load['file']:.2f} times its size beyond the model."
        for engine, found in figures.items()
        for part, load in (found["load"] if found else {}).items()
        if load["beyond"] > LOADING * load["file"]
    ]
    for engine, found in figures.items():
        if found:
            models = sum(load["model"] for load in found["load"].values())
            held = (found["end"] - found["start"]) / models
            print(f"\n{engine}: after the last stage {held:.2f} times the models' bytes are resident.")
            if held > TWICE:
                problems.append(f"{engine}: {held:.2f} times the models' bytes are resident: something is held twice.")
    if not all(figures.values()):
        return problems
    core, graph = (load_file(work / f"{engine}_{dtype}.safetensors") for engine in ("core", "graph"))
    print("\n| result | largest difference of the engines, relative |\n|---|---|")
    for name, expected in core.items():
        difference = float((graph[name] - expected).abs().max() / expected.abs().max())
        print(f"| {name} | {difference:.1e} |")
        if dtype == "float32" and not difference <= AGREEMENT:
            problems.append(f"The engines' {name} differ by {difference:.1e} in float32.")
    print()
    return problems


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


def _ratio(value: float | None, by: float | None) -> str:
    return "" if value is None or by is None else f"{value / by:.2f}"


def _mib(value: float | None) -> str:
    return "" if value is None else f"{value / 2**20:,.0f}"


if __name__ == "__main__":
    sys.exit(main())
