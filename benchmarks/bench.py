"""`make bench`: what the machine could do, and what a plain loop and each engine do, in one run.

    python benchmarks/bench.py                      # the shipped models, minutes on two cores
    python benchmarks/bench.py --full               # models of the published sizes: 8.4 GB of disk, 20 GB of memory
    python benchmarks/bench.py --full --size 128 96 # the same on a small picture
    python benchmarks/bench.py --device cuda --dtype float16
    python benchmarks/bench.py --update             # keep this run's ratios as the ones of this machine

Prints Markdown: peaks, operations of each stage, seconds at peak, of a plain diffusers loop and of each engine, medians
of rounds in turn, memory, and how seconds grow. Ratios are compared with those that `ratios.json` holds for the same
machine and models. Seconds mean nothing while others use the machine; ratios still something.
"""

from __future__ import annotations

import argparse
import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "scripts")]
sys.path.append(str(REPOSITORY))
ENGINES = ("plain", "exact", "fast")


def main() -> int:
    """Run everything, print it; 0, for a ratio that moved is news and no error."""
    from hosting import installation

    options = arguments()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    host = installation.find_or_install(tests=True)
    installation.run_inside(host)
    if options.child:
        child(options, host.comfyui)
        return 0
    import table

    options.work.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {"machine": run_child(options, "machine")}
    print(table.machine(results["machine"], options), flush=True)
    results["core"] = run_child(options, "core")
    results["memory"] = {engine: run_child(options, "memory", engine) for engine in (*ENGINES, "lean")}
    results["graph"] = None if options.no_graph else run_child(options, "graph")
    print(table.engines(results, options))
    print(table.pictures(results, options))
    print(table.memory(results, options))
    print(table.growth(results["core"]["growth"]))
    print(table.compare(results, options, update=options.update))
    return 0


def arguments() -> argparse.Namespace:
    """Of the command line; `preset` follows from `--full`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="models of the published sizes")
    parser.add_argument("--size", type=int, nargs=2, default=(512, 384), metavar=("H", "W"), help="of the picture")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float16", help="on a GPU (%(default)s); a CPU's is measured")
    parser.add_argument("--rounds", type=int, default=5, help="of every stage, engines in turn (%(default)s)")
    parser.add_argument("--steps", type=int, help="steps timed together (5, and 2 with --full)")
    parser.add_argument("--no-graph", action="store_true", help="leave ComfyUI out")
    parser.add_argument("--update", action="store_true", help="write this run's ratios into ratios.json")
    parser.add_argument("--work", type=Path, default=REPOSITORY / "output" / "full_size", help="where files go")
    parser.add_argument("--child", choices=("machine", "core", "memory", "graph"), help=argparse.SUPPRESS)
    parser.add_argument("--engine", choices=(*ENGINES, "lean"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.preset = "sd2" if options.full else "tiny"
    options.steps = options.steps or (2 if options.full else 5)
    return options


def run_child(options: argparse.Namespace, what: str, engine: str | None = None) -> dict[str, Any]:
    """One part in a process of its own: memory that one engine took is none of another's business."""
    given = [word for word in sys.argv[1:] if word != "--update"]
    command = [sys.executable, __file__, *given, "--child", what, *(["--engine", engine] if engine else [])]
    subprocess.run(command, check=True)
    return json.loads(_result(options, what, engine).read_text(encoding="utf-8"))


def child(options: argparse.Namespace, comfyui: Path) -> None:
    """Measure one part and leave it as JSON in the work folder."""
    import torch

    if options.child == "machine":
        import measuring

        from ladivton_core.presets import PRESETS
        from ladivton_core.runtime.processor import chosen_dtype

        device = torch.device(options.device)
        on_cpu = device.type == "cpu"
        fast = chosen_dtype(None, device, "fast") if on_cpu else getattr(torch, options.dtype)
        dtypes = {str(dtype).removeprefix("torch."): dtype for dtype in (torch.float32, fast)}
        found = {
            "name": measuring.name(device),
            "plain": "float32" if on_cpu else options.dtype,
            "fast": str(fast).removeprefix("torch."),
            "peaks": {name: measuring.peaks(device, dtype) for name, dtype in dtypes.items()},
            "operations": measuring.operations(PRESETS[options.preset], tuple(options.size)),
        }
    elif options.child == "graph":
        import graph_engine

        found = graph_engine.timed(options, comfyui)
    else:
        import stages

        found = stages.timed(options) if options.child == "core" else stages.remembered(options)
    _result(options, options.child, options.engine).write_text(json.dumps(found), encoding="utf-8")


def _result(options: argparse.Namespace, what: str, engine: str | None) -> Path:
    return options.work / f"bench_{'_'.join(filter(None, (options.preset, what, engine)))}.json"


if __name__ == "__main__":
    sys.exit(main())
