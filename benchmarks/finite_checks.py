"""What looking for NaN and infinity costs: `python benchmarks/finite_checks.py`, with the shipped models on the CPU.

Time inside `runtime.finite.all_finite` beside the time of a whole run (5 steps, 512 x 384), and beside the time
of loading. Both engines check the same tensors; `--device cuda` takes a GPU.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import torch

sys.path.append(str(Path(__file__).resolve().parents[1]))

from drawn_world.figures import truth  # noqa: E402
from drawn_world.world.scene import DrawnWorld  # noqa: E402
from ladivton_core.pipeline import TryOnPipeline  # noqa: E402
from ladivton_core.runtime import finite  # noqa: E402


class Counted:
    """`all_finite` with a clock."""

    def __init__(self) -> None:
        self.seconds, self.calls, self._original = 0.0, 0, finite.all_finite

    def __enter__(self) -> Counted:
        def counted(tensor: torch.Tensor) -> bool:
            started = time.perf_counter()
            found = self._original(tensor)
            self.seconds, self.calls = self.seconds + time.perf_counter() - started, self.calls + 1
            return found

        finite.all_finite = counted
        return self

    def __exit__(self, *_) -> None:
        finite.all_finite = self._original


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    with Counted() as loading:
        started = time.perf_counter()
        pipeline = TryOnPipeline.from_embedded(options.device)
        seconds = time.perf_counter() - started
    print(f"loading: {loading.calls} checks, {loading.seconds:.3f} of {seconds:.2f} s")
    samples = truth.draw(DrawnWorld(999, pipeline.preset.size), range(1), "unpaired")
    shares = []
    for _ in range(options.runs + 1):
        with Counted() as running:
            started = time.perf_counter()
            pipeline(
                samples.person * 2 - 1, samples.garment * 2 - 1, mask=samples.mask, pose_map=samples.pose_map,
                category=samples.categories,
            )  # fmt: skip
            seconds = time.perf_counter() - started
        shares.append(running.seconds / seconds)
    shares = sorted(shares[1:])  # the first one warms up
    print(f"a run: {running.calls} checks, median {shares[len(shares) // 2]:.2%} of its time, highest {shares[-1]:.2%}")


if __name__ == "__main__":
    main()
