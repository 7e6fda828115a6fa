"""What fewer steps and fewer passes cost: samplers, steps and guidance intervals, as the tables of docs/performance.md.

    python benchmarks/samplers.py people --count 200    # the shipped models on unseen drawn people, hours on two cores
    python benchmarks/samplers.py people --speed fast   # the same in the fast mode: half an hour with bfloat16
    python benchmarks/samplers.py latents               # a UNet of the published size, rule weights, a small picture

`people` compares with the rendered truth. `latents` has no truth, for rule weights draw nothing: it gives the distance
to the result of the paper's 50 guided steps, relative to that result's spread. Neither says how good the published
weights are with fewer steps.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / "scripts")]
sys.path.append(str(REPOSITORY))

SPEEDS = ("exact", "fast")
SAMPLERS = ("ddim", "unipc", "dpmpp_2m")
STEPS = (10, 20, 30, 50)
INTERVALS = ((0.0, 1.0), (0.1, 0.9), (0.2, 0.8), (0.0, 0.5))
PAPER_STEPS, GUIDANCE, SEED = 50, 7.5, 7
log = logging.getLogger("samplers")


def main() -> int:
    """Print one of the tables."""
    from hosting import installation

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", choices=("people", "latents"))
    parser.add_argument("--count", type=int, default=200, help="people (%(default)s)")
    parser.add_argument("--speed", choices=SPEEDS, default=SPEEDS[0], help="of `people` (%(default)s)")
    parser.add_argument("--seed", type=int, default=6007, help="of their world, which nothing was trained on")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 96), metavar=("H", "W"), help="of `latents`")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="of `latents`")
    parser.add_argument(
        "--interval", type=float, nargs=2, action="append", metavar=("START", "END"), help="of `latents`"
    )
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    installation.run_inside(installation.find_or_install(tests=True))
    print(people(options) if options.table == "people" else latents(options))
    return 0


def people(options: argparse.Namespace) -> str:
    """The shipped models: the default and what is nearest to it in cost; of the exact mode, the fast one beside."""
    from drawn_world.figures.ablations import MEASURES, label, measure
    from drawn_world.figures.variants import Variant
    from drawn_world.world.scene import DrawnWorld
    from ladivton_core.pipeline import TryOnPipeline

    pipeline = TryOnPipeline.from_embedded(options.device, speed=options.speed)
    default = Variant().filled(pipeline.preset)
    variants = [Variant(sampler=sampler, steps=steps).filled(pipeline.preset)
                for sampler in SAMPLERS for steps in (2, 3, 5)]  # fmt: skip
    variants += [
        Variant(guidance_scale=1.5, guidance_interval=each).filled(pipeline.preset)
        for each in ((0.0, 1.0), (0.0, 0.5), (0.5, 1.0))
    ]
    world = DrawnWorld(options.seed, pipeline.preset.size)
    # the default first: the others' times are multiples of its
    figures, _ = measure(pipeline, sorted(variants, key=lambda v: v != default), world, options.count, "unpaired")
    rows = {label(variant, default): figures[variant] for variant in variants}
    if options.speed == "exact":
        fast = TryOnPipeline.from_embedded(options.device, speed="fast")
        found, _ = measure(fast, [default], world, options.count, "unpaired")
        rows[f"fast mode, {_name(fast.dtype)}"] = found[default]
    way = f"{options.speed} mode, {_name(pipeline.dtype)}"
    lines = [f"{options.count} people of world {options.seed}, unpaired, {way}.", "",
             f"| | {' | '.join(MEASURES.values())} |", "|---|" + "---|" * len(MEASURES)]  # fmt: skip
    for name, row in rows.items():
        cells = [f"{row[m]:.1%}" if m.endswith("right") else f"{row[m]:.4f}" if m == "ssim" else f"{row[m]:.2f}"
                 for m in MEASURES]  # fmt: skip
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _name(dtype: object) -> str:
    return str(dtype).removeprefix("torch.")


def latents(options: argparse.Namespace) -> str:
    """A UNet of the published size: distance to 50 guided DDIM steps, and UNet passes beside theirs."""
    import torch

    from ladivton_core.checkpoints.build import build_unet
    from ladivton_core.denoising.fast_unet import FastUNet
    from ladivton_core.denoising.noise import item_noise
    from ladivton_core.denoising.sampling import denoise
    from ladivton_core.denoising.schedule import sampling_scheduler
    from ladivton_core.parity.rule import rule_input, rule_state_dict
    from ladivton_core.presets import SD2

    with torch.device("meta"):
        unet = build_unet(SD2)
    unet.load_state_dict(rule_state_dict(4, unet.state_dict()), assign=True)
    fast = FastUNet(unet.eval().to(options.device))
    log.info("%d parameters", sum(p.numel() for p in unet.parameters()))
    h, w = (side // 8 for side in options.size)
    noise = item_noise([SEED], (4, h, w)).latents.to(options.device)
    channels = rule_input(5, "channels", (1, 27, h, w), -1.0, 1.0, block=4).to(options.device)
    prompt, empty = (
        rule_input(5, name, (1, 77, SD2.unet["cross_attention_dim"]), -1.7, 1.7).to(options.device)
        for name in ("prompt", "empty")
    )
    passes = 0

    def counting(sample, *args, **kwargs):
        nonlocal passes
        passes += len(sample)
        return fast(sample, *args, **kwargs)

    def run(sampler: str, steps: int, interval: tuple[float, float]) -> tuple[torch.Tensor, int]:
        nonlocal passes
        passes = 0
        scheduler = sampling_scheduler(SD2.schedule, sampler)
        found = denoise(
            counting, scheduler, noise, channels, prompt, empty, steps=steps, guidance_scale=GUIDANCE,
            guidance_interval=interval,
        )  # fmt: skip
        return found, passes

    reference, all_passes = run("ddim", PAPER_STEPS, (0.0, 1.0))
    lines = [
        f"Latents {h}x{w}, guidance {GUIDANCE:g}; distance to DDIM's {PAPER_STEPS} guided steps.",
        "",
        "| sampler | steps | guided from, to | UNet passes, of the paper's | distance |",
        "|---|---|---|---|---|",
    ]
    intervals = [tuple(each) for each in options.interval or INTERVALS]
    for sampler, steps, interval in itertools.product(SAMPLERS, options.steps, intervals):
        if (sampler, steps, interval) == ("ddim", PAPER_STEPS, (0.0, 1.0)):
            continue
        found, used = run(sampler, steps, interval)
        apart = float((found - reference).pow(2).mean().sqrt() / reference.std())
        span = "{:g}, {:g}".format(*interval)
        lines.append(f"| {sampler} | {steps} | {span} | {used / all_passes:.2f} | {apart:.3f} |")
        log.info("%s", lines[-1])
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
