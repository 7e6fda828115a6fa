"""Sampling and decoding settings for a widget that is left at 'what the model recommends'.

They belong to the preset a model was built from, which travels on the MODEL (every clone, LoRA and patch shares the
network it is kept on) and with EMASC. Each such value lies outside the range of what a person can ask for.
"""

from __future__ import annotations

from typing import Any

from ..ladivton_core.presets import SD2, Preset
from .host.types import TorchPart

STEPS = 0  # what a widget holds to ask the model
GUIDANCE = 0.0
SKIP_GROW = -257
SKIP_FEATHER = -1
LARGEST_GUIDANCE = 100.0

Setting = tuple[str, float, float, str]
"""Name for messages, value, the value that asks the model, field of `Preset`."""


def sampling_settings(model: Any, steps: int, guidance: float) -> tuple[int, float, str]:
    """Steps and guidance of a run, and a line that says them.

    Args:
        model: ComfyUI's MODEL.
        steps, guidance: as on the node; `STEPS` and `GUIDANCE` ask the model.

    Raises:
        ValueError: a value no run can take, or a MODEL that recommends nothing is asked.
    """
    check_guidance(guidance)
    preset = getattr(getattr(model, "model", None), "preset", None)
    settings = (("steps", steps, STEPS, "steps"), ("guidance", guidance, GUIDANCE, "guidance_scale"))
    values, line = _resolved(preset, "MODEL", settings)
    return int(values[0]), float(values[1]), line


def decoding_settings(emasc: TorchPart, skip_grow: int, skip_feather: int) -> tuple[int, int, str]:
    """Growth and softness in pixels of the hole in the skip features, and a line that says them.

    Args:
        emasc: the decoder's skip connections.
        skip_grow, skip_feather: as on the node; `SKIP_GROW` and `SKIP_FEATHER` ask EMASC.

    Raises:
        ValueError: an EMASC that recommends nothing is asked.
    """
    settings = (
        ("skip_grow", skip_grow, SKIP_GROW, "skip_grow"),
        ("skip_feather", skip_feather, SKIP_FEATHER, "skip_feather"),
    )
    values, line = _resolved(emasc.settings.get("preset"), "EMASC", settings)
    return int(values[0]), int(values[1]), line


def settings_of(preset: Preset) -> dict[str, float]:
    """What models of a preset's sizes recommend, by widget: for the page, which shows it before a run."""
    fields = {"steps": "steps", "guidance": "guidance_scale", "skip_grow": "skip_grow", "skip_feather": "skip_feather"}
    return {widget: getattr(preset, field) for widget, field in fields.items()}


def check_guidance(guidance: float | None) -> None:
    """Between 'what the model recommends' and 1, where guidance is off, lies nothing.

    Raises:
        ValueError: a value in between, or out of range.
    """
    if guidance is not None and guidance != GUIDANCE and not 1 <= guidance <= LARGEST_GUIDANCE:
        raise ValueError(
            f"'guidance' is {guidance:g}: give 1 (off) to {LARGEST_GUIDANCE:g}, or 0 for what the model recommends."
        )


def _resolved(preset: Preset | None, wire: str, settings: tuple[Setting, ...]) -> tuple[list[float], str]:
    values, words = [], []
    for name, value, asks, field in settings:
        best = None if preset is None else getattr(preset, field)
        if value == asks and best is None:
            raise ValueError(
                f"'{name}' is left to the model, but this {wire} recommends nothing: it was not loaded by this pack. "
                f"Set '{name}' yourself; the published models take {getattr(SD2, field):g}."
            )
        taken = best if value == asks else value
        values.append(taken)
        words.append(f"{name} {taken:g}" + ("" if best in (None, taken) else f" (recommended: {best:g})"))
    line = ", ".join(words)
    return values, line if preset is None or "(" in line else f"{line} (recommended)"
