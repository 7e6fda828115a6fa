"""Ways to run the pipeline on samples: what is withheld, which sampler, how many steps, how much guidance.

Encoding is kept apart from sampling, so that every variant of a sample shares it.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from ladivton_core.denoising.guidance import EVERYWHERE, Interval, checked
from ladivton_core.denoising.schedule import SAMPLERS
from ladivton_core.pipeline import GarmentEncoding, PersonEncoding, TryOnPipeline, TryOnResult
from ladivton_core.presets import Preset
from ladivton_core.warping.warper import WarpResult

from .truth import Samples

PARTS = ("garment", "words", "emasc")
"""What can be withheld: the warped garment's latents (zeros), the pseudo-words (the empty prompt), EMASC."""


@dataclass(frozen=True)
class Variant:
    """One way to run the pipeline.

    Attributes:
        withhold: some of `PARTS`.
        sampler: one of `denoising.schedule.SAMPLERS`.
        steps, guidance_scale: the preset's when None.
        skip_margin: (`skip_grow`, `skip_feather`) of the decoding, pixels; the preset's when None.
        guidance_interval: share of the noise schedule that is guided.

    Raises:
        ValueError: an unknown part or sampler, fewer than 1 step, or no interval.
    """

    withhold: tuple[str, ...] = ()
    sampler: str = "ddim"
    steps: int | None = None
    guidance_scale: float | None = None
    skip_margin: tuple[int, int] | None = None
    guidance_interval: Interval = EVERYWHERE

    def __post_init__(self) -> None:
        unknown = [part for part in self.withhold if part not in PARTS]
        if unknown:
            raise ValueError(f"cannot withhold {', '.join(unknown)}; parts are {', '.join(PARTS)}")
        if self.sampler not in SAMPLERS:
            raise ValueError(f"unknown sampler {self.sampler!r}; it is one of {', '.join(SAMPLERS)}")
        if self.steps is not None and self.steps < 1:
            raise ValueError(f"steps must be at least 1, got {self.steps}")
        checked(self.guidance_interval)

    def filled(self, preset: Preset) -> Variant:
        """The same with the preset's numbers in place of None."""
        return dataclasses.replace(
            self,
            steps=preset.steps if self.steps is None else self.steps,
            guidance_scale=preset.guidance_scale if self.guidance_scale is None else self.guidance_scale,
            skip_margin=_margin(preset) if self.skip_margin is None else self.skip_margin,
        )


@dataclass(frozen=True)
class Encoded:
    """Samples after everything that no variant changes."""

    person: PersonEncoding
    garment: GarmentEncoding
    warp: WarpResult
    seeds: tuple[int, ...]


def encode(pipeline: TryOnPipeline, samples: Samples) -> Encoded:
    """Encode persons and garments and warp; each item's seed is its number, so that batches change rounding only."""
    person = pipeline.encode_person(samples.person * 2 - 1, samples.mask, samples.pose_map)
    garment = pipeline.encode_garment(samples.garment * 2 - 1, samples.categories)
    return Encoded(person, garment, pipeline.warp(garment.garment, person), samples.indices)


def run(pipeline: TryOnPipeline, encoded: Encoded, variant: Variant) -> TryOnResult:
    """Sample and decode one variant; the pipeline's own scheduler gives way to the variant's."""
    person, garment = encoded.person, encoded.garment
    if variant.skip_margin not in (None, _margin(pipeline.preset)):
        grow, feather = variant.skip_margin
        person = pipeline.encode_person(
            person.person, person.mask, person.pose_map, skip_grow=grow, skip_feather=feather
        )
    if "words" in variant.withhold:
        garment = dataclasses.replace(garment, prompt=pipeline.empty_prompt().expand_as(garment.prompt))
    return pipeline(
        person,
        garment,
        warped=encoded.warp.warped,
        seeds=encoded.seeds,
        steps=variant.steps,
        guidance_scale=variant.guidance_scale,
        guidance_interval=variant.guidance_interval,
        sampler=variant.sampler,
        cloth_cond_rate=0.0 if "garment" in variant.withhold else 1.0,
        emasc="emasc" not in variant.withhold,
    )


def _margin(preset: Preset) -> tuple[int, int]:
    return preset.skip_grow, preset.skip_feather
