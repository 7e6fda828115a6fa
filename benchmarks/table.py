"""The figures of `bench.py` as Markdown, and its ratios against those of `ratios.json`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

STAGES = ("warp", "invert", "person", "garment latents", "step", "single", "decode")
NAMES = {"step": "a guided step", "single": "a step without guidance", "person": "encode person, EMASC",
         "garment latents": "encode warped garment", "invert": "textual inversion"}  # fmt: skip
GRAPH = {"warp": "warp", "invert": "invert", "step": "denoise", "decode": "decode"}
"""Stages that the graph has as well; it encodes person and warped garment in one node."""
ENGINES = ("plain", "exact", "fast")
MIB, GIGA = 2**20, 1e9

Results = dict[str, Any]


def machine(found: Results, options: argparse.Namespace) -> str:
    """Peaks."""
    lines = [f"# {found['name']}", "", f"{options.preset}, {options.size[0]}x{options.size[1]}, on {options.device}; "
             f"plain and exact in {found['plain']}, fast in {found['fast']}.", "",
             "| peak | matrix product, GFLOP/s | convolution, GFLOP/s | copy, GB/s |", "|---|---|---|---|"]  # fmt: skip
    for dtype, peaks in found["peaks"].items():
        numbers = (peaks["matrix product"], peaks["convolution"], peaks["bandwidth"])
        lines.append(f"| {dtype} | " + " | ".join(f"{number / GIGA:,.0f}" for number in numbers) + " |")
    return "\n".join(lines)


def engines(results: Results, options: argparse.Namespace) -> str:
    """Every stage in every engine."""
    head, core, graph = results["machine"], results["core"], results["graph"]
    peak = {name: max(head["peaks"][head[name]][what] for what in ("matrix product", "convolution"))
            for name in ("plain", "fast")}  # fmt: skip
    lines = ["", "| stage | GFLOP | at peak, s: plain | fast | plain, s | exact, s | ratio | fast, s | ratio "
             "| fast, share of peak | graph, s |", "|" + "---|" * 11]  # fmt: skip
    for stage in STAGES:
        work, row = head["operations"][stage], core[stage]
        cells = [f"{work / GIGA:,.0f}", _seconds(work / peak["plain"]), _seconds(work / peak["fast"])]
        cells.append(_seconds(row["plain"]["seconds"]))
        for engine in ("exact", "fast"):
            cells += [_seconds(row[engine]["seconds"]), f"{row[engine]['ratio']:.2f}"]
        cells.append(f"{work / peak['fast'] / row['fast']['seconds']:.0%}")
        cells.append(_seconds(graph[GRAPH[stage]]["seconds"]) if graph and stage in GRAPH else "")
        lines.append(f"| {NAMES.get(stage, stage)} | {' | '.join(cells)} |")
    if graph:
        encode, over = graph["encode"]["seconds"], graph["step over bare UNet"]
        lines += ["", f"Graph: person and warped garment encoded in {encode:.2f} s; a guided step is {over:.3f} times "
                  "the bare UNet's (goal 1.05)."]  # fmt: skip
    lines += ["", f"A guided step of the fast mode is {core['step over UNet']:.3f} times its UNet's call (goal 1.10)."]
    apart = ", ".join(f"{name} {value:.1e}" for name, value in core["distance"].items())
    lines += ["", f"The fast mode's distance from the exact one, of the results' spread: {apart}."]
    processor = ", ".join(f"{NAMES.get(s, s)} {core[s]['fast']['processor ratio']:.2f}" for s in STAGES)
    lines += ["", f"Fast to plain in processor seconds, which others on the machine disturb less: {processor}."]
    return "\n".join(lines)


def pictures(results: Results, options: argparse.Namespace) -> str:
    """Whole pictures, summed from the stages."""
    core = results["core"]
    base = picture(core, "plain", 50)
    rows = {"plain, 50 guided steps": base}
    for engine in ("exact", "fast"):
        for steps, guided in ((50, 1.0), (20, 1.0), (20, 0.5)):
            share = "" if guided == 1 else f", {guided:.0%} of them guided"
            rows[f"{engine}, {steps} steps{share}"] = picture(core, engine, steps, guided)
            if engine == "fast" and steps == 20:
                rows[f"another garment on the same person, {steps} steps{share}"] = picture(
                    core, engine, steps, guided, swap=True
                )
    lines = ["", "| a picture, the sum of its stages | s | times the plain loop's speed |", "|---|---|---|"]
    lines += [f"| {name} | {_seconds(seconds)} | {base / seconds:.1f} |" for name, seconds in rows.items()]
    return "\n".join(lines)


def picture(core: Results, engine: str, steps: int, guided: float = 1.0, *, swap: bool = False) -> float:
    """Seconds of a picture from its stages; a swap leaves out what the person's encoding holds."""
    seconds = {stage: core[stage][engine]["seconds"] for stage in STAGES}
    once = sum(seconds[stage] for stage in ("warp", "invert", "garment latents", "decode"))
    loop = steps * (guided * seconds["step"] + (1 - guided) * seconds["single"])
    return once + loop + (0 if swap else seconds["person"])


def memory(results: Results, options: argparse.Namespace) -> str:
    """Peaks of one picture."""
    found, graph = results["memory"], results["graph"]
    base = found["plain"]["peak"]
    lines = ["", "| memory | models, MiB | peak with models, MiB | of the plain loop's |", "|---|---|---|---|"]
    for engine in (*ENGINES, "lean"):
        peak = found[engine]["peak"]
        name = "fast, garment's encoders released" if engine == "lean" else engine
        lines.append(f"| {name} | {found[engine]['models'] / MIB:,.0f} | {peak / MIB:,.0f} | {peak / base:.2f} |")
    if graph:
        lines.append(f"| graph | | {graph['peak'] / MIB:,.0f} | {graph['peak'] / base:.2f} |")
    return "\n".join(lines)


def growth(found: dict[str, float]) -> str:
    """Seconds a picture of the fast mode, by what grows."""
    lines = ["", "| fast, few steps | s a picture |", "|---|---|"]
    return "\n".join(lines + [f"| {name} | {_seconds(seconds)} |" for name, seconds in found.items()])


def _seconds(value: float) -> str:
    return f"{value:.2f}" if value >= 1 else f"{value:.3f}" if value >= 0.01 else f"{value:.1e}"


TABLE = Path(__file__).with_name("ratios.json")
MOVED = 0.15
"""Share by which a ratio may differ before it is told: quiet machines repeat theirs within a tenth."""


def of_run(results: dict[str, Any]) -> dict[str, float]:
    """Every ratio of a run by name; lower is better."""
    core, graph = results["core"], results["graph"]
    found = {f"{engine} {stage}": core[stage][engine]["ratio"] for engine in ("exact", "fast") for stage in STAGES}
    plain = picture(core, "plain", 50)
    found["fast picture, 20 steps"] = picture(core, "fast", 20) / plain
    found["fast picture, 20 steps, half guided"] = picture(core, "fast", 20, 0.5) / plain
    found["fast swap"] = picture(core, "fast", 20, swap=True) / picture(core, "fast", 20)
    found |= {
        f"{engine} memory": results["memory"][engine]["peak"] / results["memory"]["plain"]["peak"]
        for engine in ("exact", "fast", "lean")
    }
    found["fast step over its UNet"] = core["step over UNet"]
    if graph:
        found["graph step over bare UNet"] = graph["step over bare UNet"]
        found["graph memory"] = graph["peak"] / results["memory"]["plain"]["peak"]
    return found


def compare(results: dict[str, Any], options: argparse.Namespace, *, update: bool = False) -> str:
    """What moved against the table, in words; with `update` the run takes its place."""
    known = json.loads(TABLE.read_text(encoding="utf-8")) if TABLE.is_file() else {}
    key = f"{results['machine']['name']} | {options.preset} {options.size[0]}x{options.size[1]}"
    now, before = of_run(results), known.get(key)
    if update:
        known[key] = {name: round(value, 3) for name, value in sorted(now.items())}
        TABLE.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    if before is None:
        kept = "They are kept now." if update else "--update keeps them."
        return f"\n{TABLE.name} has no ratios for {key}. {kept}"
    moved = [
        f"- {name}: {before[name]:.2f} before, {value:.2f} now, {'worse' if value > before[name] else 'better'}"
        for name, value in now.items()
        if name in before and abs(value / before[name] - 1) > MOVED
    ]
    missing = [f"- {name}: not measured this time" for name in before if name not in now]
    head = f"\nAgainst {TABLE.name}, {key}, by more than {MOVED:.0%}:"
    return "\n".join([head, *(moved + missing or ["- nothing moved"])])
