"""The ablation table: one thing of the default changed at a time, on the same unseen samples.

Writes a Markdown page, whose sentences are made from the numbers, and a contact sheet. `variants.py` says what can
be changed, `evaluate.py` how a single variant is measured at length.
"""

from __future__ import annotations

import dataclasses
import logging
import statistics
import time
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from ladivton_core.denoising.schedule import SAMPLERS
from ladivton_core.disk.sheet import write_sheet
from ladivton_core.disk.writing import write_text
from ladivton_core.pipeline import TryOnPipeline
from ladivton_core.presets import Preset

from ..world.scene import DrawnWorld
from .classifier import load_classifier, look
from .evaluate import compare
from .truth import draw, people
from .variants import Variant, encode, run

log = logging.getLogger(__name__)
GUIDANCE = (1.0, 2.5, 5.0, 7.5)
STEPS = (4, 5, 8, 10, 20, 50)
SKIP_MARGINS = ((0, 0), (1, 1), (4, 4))
WITHHELD = (("garment",), ("words",), ("garment", "words"), ("emasc",))
MEASURES = {
    "ssim": "SSIM",
    "psnr_mask": "PSNR in the mask, dB",
    "psnr_outside": "PSNR outside, dB",
    "colour_right": "colour right",
    "pattern_right": "pattern right",
}
_PART_NAMES = {"garment": "warped garment", "words": "pseudo-words", "emasc": "EMASC"}
_SAMPLER_NAMES = {"ddim": "DDIM", "unipc": "UniPC", "dpmpp_2m": "DPM++ 2M"}
_FIELDS = {"Guidance": "guidance_scale", "Steps": "steps", "Sampler": "sampler", "Skip margin": "skip_margin"}
_SHEET_ROWS, _SHEET_HEIGHT = 8, 192

Figures = dict[str, float]


def grid(preset: Preset) -> dict[str, list[Variant]]:
    """Variants by what they change, the default among each; every number filled in."""
    default = Variant().filled(preset)

    def changed(field: str, values: Iterable) -> list[Variant]:
        return [dataclasses.replace(default, **{field: value}) for value in values]

    return {
        "Parts": [default, *changed("withhold", WITHHELD)],
        "Guidance": changed(_FIELDS["Guidance"], sorted({default.guidance_scale, *GUIDANCE})),
        "Steps": changed(_FIELDS["Steps"], sorted({default.steps, *STEPS})),
        "Sampler": changed(_FIELDS["Sampler"], SAMPLERS),
        "Skip margin": changed(_FIELDS["Skip margin"], sorted({default.skip_margin, *SKIP_MARGINS})),
    }


def label(variant: Variant, default: Variant) -> str:
    """What a variant changes, e.g. `guidance 5`; `default` for the default."""
    words = []
    if variant.withhold != default.withhold:
        words.append("without " + " and ".join(_PART_NAMES[part] for part in variant.withhold))
    if variant.guidance_scale != default.guidance_scale:
        words.append(f"guidance {variant.guidance_scale:g}")
    if variant.guidance_interval != default.guidance_interval:
        words.append("guided from {:g} to {:g}".format(*variant.guidance_interval))
    if variant.steps != default.steps:
        words.append(_plural(variant.steps, "step"))
    if variant.sampler != default.sampler:
        words.append(_SAMPLER_NAMES[variant.sampler])
    if variant.skip_margin != default.skip_margin:
        words.append(f"skip margin {_margin_text(variant)}")
    return ", ".join(words) or "default"


def write(
    out: Path, seed: int, count: int, order: str, *, batch: int = 1, pipeline: TryOnPipeline | None = None
) -> dict[Variant, Figures]:
    """Run the grid on `count` samples of world `seed` and write `out/ablations.md` and `out/images/ablations.jpg`.

    Args:
        order, batch, pipeline: see `evaluate.evaluate`.

    Returns:
        Figures of every variant: those of `MEASURES`, and `time`, the multiple of the default's time.

    Raises:
        ValueError: an unknown order, or no samples.
        FileNotFoundError: the classifier's weights are missing.
    """
    pipeline = pipeline or TryOnPipeline.from_embedded()
    groups = grid(pipeline.preset)
    default = groups["Parts"][0]
    variants = list(dict.fromkeys([default, *(variant for group in groups.values() for variant in group)]))
    figures, rows = measure(pipeline, variants, DrawnWorld(seed, pipeline.preset.size), count, order, batch)
    titles = ["person", "garment", *(label(variant, default) for variant in variants), "truth"]
    write_sheet(rows, out / "images" / "ablations.jpg", _SHEET_HEIGHT, titles)
    write_text(out / "ablations.md", _page(groups, default, figures, seed, count, order))
    return figures


def measure(
    pipeline: TryOnPipeline, variants: list[Variant], world: DrawnWorld, count: int, order: str, batch: int = 1
) -> tuple[dict[Variant, Figures], list[Tensor]]:
    """Figures of every variant on the same samples, as `write` returns them; rows of the first samples' pictures."""
    classifier = load_classifier()
    columns: dict[Variant, dict[str, list[Tensor]]] = {variant: {} for variant in variants}
    seconds: dict[Variant, list[float]] = {variant: [] for variant in variants}
    rows: list[Tensor] = []
    for block in people(world, count, batch=batch):
        samples, started = draw(world, block, order), time.monotonic()
        encoded = encode(pipeline, samples)
        encoding = time.monotonic() - started
        pictures = [samples.person, samples.garment]
        for variant in variants:
            started = time.monotonic()
            images = run(pipeline, encoded, variant).images.cpu()
            seconds[variant].append((encoding + time.monotonic() - started) / len(block))
            for name, values in compare(images, samples, look(classifier, images, samples.mask)).items():
                columns[variant].setdefault(name, []).append(values)
            pictures.append(images)
        if len(rows) < _SHEET_ROWS:
            rows += list(torch.stack([*pictures, samples.truth], dim=1))
        log.info("%d of %d samples", block[-1] + 1, count)
    usual = statistics.median(seconds[variants[0]])
    figures = {
        variant: {name: float(torch.cat(columns[variant][name]).mean()) for name in MEASURES}
        | {"time": statistics.median(seconds[variant]) / usual}
        for variant in variants
    }
    return figures, rows[:_SHEET_ROWS]


def _page(
    groups: dict[str, list[Variant]],
    default: Variant,
    figures: dict[Variant, Figures],
    seed: int,
    count: int,
    order: str,
) -> str:
    head = ["", *MEASURES.values(), "time"]
    lines = [
        "# Ablations",
        "",
        f"`python -m drawn_world.figures ablations --seed {seed} --count {count} --order {order}` wrote this page "
        "and every sentence in it; edit `drawn_world/figures/ablations.py` instead.",
        "",
        f"The embedded default on {_plural(count, 'unseen sample')} of the drawn world (seed {seed}, {order} "
        f"order), compared with the rendered truth; no paste-back. The default is {_SAMPLER_NAMES[default.sampler]}, "
        f"{_plural(default.steps, 'step')}, guidance {default.guidance_scale:g}, skip margin "
        f"{_margin_text(default)} (pixels by which the hole in the skip features grows, and is feathered); each row "
        "changes one thing. "
        "A withheld warped garment is zeros, withheld pseudo-words are the empty prompt. Colour and pattern are judged "
        f"by a classifier trained on rendered truths; one picture is {1 / count:.1%}. Time is the median per picture "
        "as a multiple of the default's.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
        _row(default, default, figures),
    ]
    for variants in groups.values():
        lines += [_row(variant, default, figures) for variant in variants if variant != default]
    lines += ["", "## What the numbers say", ""]
    lines += _without(groups["Parts"], default, figures)
    lines += [best_rows(name, groups[name], default, figures) for name in _FIELDS]
    lines += ["", "![the same samples under every variant](images/ablations.jpg)", ""]
    lines += [f"*The first {min(count, _SHEET_ROWS)} samples; columns in the order of the table.*", ""]
    return "\n".join(lines)


def _row(variant: Variant, default: Variant, figures: dict[Variant, Figures]) -> str:
    values = [_text(name, figures[variant][name]) for name in MEASURES]
    return f"| {' | '.join([label(variant, default), *values])} | {figures[variant]['time']:.2f} |"


def _text(name: str, value: float) -> str:
    if name.endswith("_right"):
        return f"{value:.0%}"
    return f"{value:.4f}" if name == "ssim" else f"{value:.2f}"


def _without(variants: list[Variant], default: Variant, figures: dict[Variant, Figures]) -> list[str]:
    """One line a withheld part: how each figure moves."""
    usual, lines = figures[default], []
    for variant in variants:
        if variant == default:
            continue
        moves = [
            f"{title} {_text(name, usual[name])} to {_text(name, figures[variant][name])}"
            for name, title in MEASURES.items()
            if _text(name, usual[name]) != _text(name, figures[variant][name])
        ]
        lines.append(
            f"- {label(variant, default).replace('without', 'Without', 1)}: {'; '.join(moves) or 'no figure moves'}."
        )
    return lines


def best_rows(title: str, variants: list[Variant], default: Variant, figures: dict[Variant, Figures]) -> str:
    """One line a group: which of its rows has the highest of each figure."""
    field = _FIELDS[title]

    def name(variant: Variant) -> str:
        value = getattr(variant, field)
        if field == "skip_margin":
            return _margin_text(variant)
        return _SAMPLER_NAMES[value] if field == "sampler" else f"{value:g}"

    parts = []
    for measure, heading in MEASURES.items():
        texts = {variant: _text(measure, figures[variant][measure]) for variant in variants}
        top = max(figures[variant][measure] for variant in variants)
        winners = [name(variant) for variant in variants if texts[variant] == _text(measure, top)]
        found = "the same everywhere" if len(winners) == len(variants) else f"best at {' and '.join(winners)}"
        parts.append(f"{heading} {found} ({_text(measure, top)}; default {texts[default]})")
    return f"- {title} (default {name(default)}): {'; '.join(parts)}."


def _margin_text(variant: Variant) -> str:
    return "{}/{}".format(*variant.skip_margin)


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" + ("" if count == 1 else "s")
