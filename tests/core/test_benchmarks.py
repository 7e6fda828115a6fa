"""What `make bench` makes of its measurements."""

import argparse
import json
from pathlib import Path

import pytest
import torch

from ladivton_core.presets import TINY

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
OPTIONS = argparse.Namespace(preset="tiny", size=[512, 384], device="cpu", steps=5)


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    if not BENCHMARKS.is_dir():
        pytest.skip("the package has no benchmarks")
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def results(fast_step=0.25):
    import stages

    row = {engine: {"seconds": 1.0, "ratio": 1.0, "processor ratio": 1.0} for engine in stages.ENGINES}
    core = {stage: row for stage in stages.STAGES}
    fast = {"seconds": fast_step, "ratio": fast_step, "processor ratio": fast_step}
    core |= {
        "step": row | {"fast": fast},
        "step over UNet": 1.02,
        "distance": {"latents": 0.01},
        "growth": {"batch 1": 2},
    }
    peaks = {"matrix product": 1e11, "convolution": 5e10, "bandwidth": 1e10}
    return {
        "machine": {
            "name": "a chip", "plain": "float32", "fast": "bfloat16", "peaks": {"float32": peaks, "bfloat16": peaks},
            "operations": dict.fromkeys(stages.STAGES, 1e10),
        },
        "core": core,
        "memory": {engine: {"models": 2**20, "peak": 2**21} for engine in (*stages.ENGINES, "lean")},
        "graph": {stage: {"seconds": 2.0} for stage in ("warp", "invert", "encode", "denoise", "decode")}
        | {"step over bare UNet": 1.04, "peak": 2**21},
    }  # fmt: skip


def test_a_picture_is_the_sum_of_its_stages():
    import table

    core = results(fast_step=0.25)["core"]
    assert table.picture(core, "plain", 50) == 4 + 50 + 1
    assert table.picture(core, "fast", 20) == 4 + 20 * 0.25 + 1
    assert table.picture(core, "fast", 20, 0.5) == 4 + 10 * 0.25 + 10 * 1.0 + 1
    assert table.picture(core, "fast", 20, swap=True) == 4 + 20 * 0.25


def test_the_tables_are_markdown_with_every_engine():
    import table

    found = results()
    text = "\n".join(
        [table.machine(found["machine"], OPTIONS), table.engines(found, OPTIONS), table.pictures(found, OPTIONS),
         table.memory(found, OPTIONS), table.growth(found["core"]["growth"])]
    )  # fmt: skip
    assert "| a guided step | 10 | 0.100 | 0.100 | 1.00 | 1.00 | 1.00 | 0.250 | 0.25 | 40% | 2.00 |" in text
    assert "1.040 times the bare UNet's" in text and "| graph | | 2 | 1.00 |" in text
    assert "| batch 1 | 2.00 |" in text
    blocks = [block.splitlines() for block in text.split("\n\n") if block.startswith("|")]
    assert all(len({line.count("|") for line in block}) == 1 for block in blocks) and len(blocks) == 5


def test_what_moved_is_told_and_an_unknown_machine_is_kept_on_request(tmp_path, monkeypatch):
    import table

    monkeypatch.setattr(table, "TABLE", tmp_path / "ratios.json")
    assert "has no ratios for a chip | tiny 512x384. --update keeps them" in table.compare(results(), OPTIONS)
    assert not table.TABLE.exists()
    table.compare(results(), OPTIONS, update=True)
    assert json.loads(table.TABLE.read_text())["a chip | tiny 512x384"]["fast step"] == 0.25
    assert "- nothing moved" in table.compare(results(), OPTIONS)
    slower = table.compare(results(fast_step=0.5), OPTIONS)
    assert "- fast step: 0.25 before, 0.50 now, worse" in slower and "fast warp" not in slower


def test_ways_are_timed_in_turn_and_their_ratios_within_a_round():
    import measuring

    called = []
    ways = {name: (lambda name=name: called.append(name)) for name in "ab"}
    times = measuring.in_turn(ways, 3, torch.device("cpu"))
    assert called == ["a", "b"] + ["a", "b"] + ["b", "a"] + ["a", "b"]
    assert len(times["a"].clock) == len(times["b"].processor) == 3
    a, b = (measuring.Times(clock, clock) for clock in ((1.0, 10.0, 2.0), (2.0, 10.0, 8.0)))
    assert measuring.ratio(a, b) == 0.5


def test_operations_are_counted_without_weights():
    from measuring import operations

    found = operations(TINY, (128, 96))
    assert found["step"] == pytest.approx(2 * found["single"]) and min(found.values()) > 1e6
