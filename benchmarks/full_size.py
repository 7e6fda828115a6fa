"""Both engines with models of the published sizes at 512 x 384: what loading takes, what stays, and agreement.

    python benchmarks/full_size.py                              # 8.4 GB of disk, 12 GB of memory, some minutes
    python benchmarks/full_size.py --dtypes float32 --steps 4

The weights are rule weights in files of the published layout (`stand_ins.py`), so the pictures mean nothing. Each
engine and number format has a process of its own; `bench.py --full` times the stages. Prints Markdown; exit code 1 when
the engines differ, a file takes too much memory to load, or a model is held twice.
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
Figures = dict[str, Any]


def main() -> int:
    """Run every engine in every number format, print, judge."""
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
        problems += judge(options.work, dtype, {e: run_child(options, e, dtype) for e in ("core", "graph")})
    print("\n".join(problems) or f"The engines agree within {AGREEMENT:g}; no file took too much memory to load.")
    return 1 if problems else 0


def run_child(options: argparse.Namespace, engine: str, dtype: str) -> Figures | None:
    """Figures of one engine in one number format; None where it would take hours here."""
    import torch
    from measuring import peaks

    if engine == "core":
        speed = {name: peaks(torch.device("cpu"), getattr(torch, name))["convolution"] for name in (dtype, "float32")}
        if (factor := speed["float32"] / speed[dtype]) > SLOW:
            print(f"\n{dtype} convolutions take {factor:.0f} times float32's on this CPU: the core is left out. In "
                  "the graph ComfyUI keeps the weights in that format and computes in float32.")  # fmt: skip
            return None
    command = [sys.executable, __file__, "--child", engine, "--dtypes", dtype, "--steps", str(options.steps)]
    subprocess.run([*command, "--work", str(options.work)], check=True)
    return json.loads((options.work / f"{engine}_{dtype}.json").read_text(encoding="utf-8"))


def child(options: argparse.Namespace, comfyui: Path) -> None:
    """One engine, one number format: figures and tensors into the work folder."""
    import stand_ins
    import torch
    from measuring import resident
    from safetensors.torch import save_file
    from stages import inputs

    files = stand_ins.write(options.work / "models")
    x = inputs(SIZE, torch.device("cpu"))
    for name in ("person", "garment"):  # whole 8-bit levels: what an IMAGE wire carries of a loaded picture
        x[name] = ((x[name] / 2 + 0.5) * 255).round() / 255 * 2 - 1
    (name,) = options.dtypes
    dtype = getattr(torch, name)
    figures: Figures = {"load": {}, "start": resident()}
    if options.child == "core":
        tensors = core(files, x, dtype, options.steps, figures)
    else:
        tensors = graph(comfyui, files, x, dtype, options.steps, figures)
    figures["end"] = resident()
    tensors = {name: tensor.float().contiguous() for name, tensor in tensors.items()}
    save_file(tensors, options.work / f"{options.child}_{name}.safetensors")
    (options.work / f"{options.child}_{name}.json").write_text(json.dumps(figures), encoding="utf-8")


def core(files: dict[str, Path], x: dict, dtype: Any, steps: int, figures: Figures) -> dict:
    """The library's results of every stage; `figures["load"]` gets what loading took."""
    from measuring import Measured
    from stages import CATEGORY, GUIDANCE, SEED

    from ladivton_core.checkpoints.build import load
    from ladivton_core.denoising.noise import item_noise
    from ladivton_core.pipeline import TryOnPipeline
    from ladivton_core.presets import SD2

    parts = {}
    for part, path in files.items():
        with Measured() as measured:
            parts[part] = load(part, path, SD2, dtype=dtype)
        held = sum(t.nbytes for t in (*parts[part].parameters(), *parts[part].buffers()))
        figures["load"][part] = loading(measured, path, held)
    p = TryOnPipeline.from_parts(SD2, parts)
    noise = item_noise([SEED], (4, SIZE[0] // 8, SIZE[1] // 8), dtype=dtype)
    person, garment = p.encode_person(x["person"], x["mask"], x["pose_map"]), p.encode_garment(x["garment"], CATEGORY)
    made = p(person, garment, noise=noise, steps=steps, guidance_scale=GUIDANCE)
    return {
        "prompt": garment.prompt, "words": garment.pseudo_words, "warped": made.warped, "latents": made.latents,
        "channels": p.conditioning(person, made.warped, noise).detach(), "image": made.images,
    }  # fmt: skip


def graph(comfyui: Path, files: dict[str, Path], x: dict, dtype: Any, steps: int, figures: Figures) -> dict:
    """The nodes' results under the names of `core`."""
    import graph_engine
    import torch
    from measuring import Measured, resident

    nodes, stock = graph_engine.start(comfyui, files["unet"].parents[1], dtype)
    figures["start"] = resident()
    parts = {}
    for part, loader in graph_engine.loaders(nodes, stock, files, dtype).items():
        with Measured() as measured:
            parts[part] = loader()
        patcher = getattr(parts[part], "patcher", parts[part])
        figures["load"][part] = loading(measured, files[part], patcher.model_size())
    stages, made = graph_engine.works(nodes, stock, parts, x, steps)
    with torch.inference_mode():
        for stage in stages.values():
            stage()
    return {
        "prompt": made["positive"][0][0], "words": made["words"], "warped": made["warped"].movedim(-1, 1) * 2 - 1,
        "latents": made["samples"]["samples"] * 0.18215, "image": made["image"].movedim(-1, 1),
        "channels": made["conditioned"][0][0][1]["noise_concat"],
    }  # fmt: skip


def loading(measured: Any, path: Path, held: int) -> dict[str, float]:
    """Bytes of a file, of the model, and what was resident at once beyond the model."""
    log.info("loaded %s", path.name)
    return {"file": path.stat().st_size, "model": held, "beyond": max(0, measured.peak - measured.before - held)}


def judge(work: Path, dtype: str, figures: dict[str, Figures | None]) -> list[str]:
    """Prints what was found in one number format; returns what is not as it should be, in words."""
    from safetensors.torch import load_file

    problems = []
    print(f"\n## {dtype}\n\n| engine | file | MiB | model, MiB | loading beyond the model, of the file |")
    print("|---|---|---|---|---|")
    run = {engine: found for engine, found in figures.items() if found}
    for engine, found in run.items():
        for part, load in found["load"].items():
            beyond = load["beyond"] / load["file"]
            print(f"| {engine} | {part} | {load['file'] / 2**20:,.0f} | {load['model'] / 2**20:,.0f} | {beyond:.2f} |")
            if beyond > LOADING:
                problems.append(f"{engine}: loading {part} took {beyond:.2f} times its size beyond the model.")
    for engine, found in run.items():
        held = (found["end"] - found["start"]) / sum(load["model"] for load in found["load"].values())
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


if __name__ == "__main__":
    sys.exit(main())
