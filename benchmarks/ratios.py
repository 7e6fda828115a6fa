"""The ratios of a run beside the committed ones of the same kind of machine: `ratios.json`, written with `--update`."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from table import STAGES, picture

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
