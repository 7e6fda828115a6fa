"""TryOnPipeline: the facade over the five stages, for Python users, training, evaluation and batch runs.

Encode a garment or a person once, combine them many times. The same call gives the same picture for a
seed in any batch, as far as kernels allow (see `items_alone`); `reference_generator` gives the paper's shared random
stream instead. Paper section 3; published §6. `stages.py` has each stage by itself, `encodings.py` what is encoded,
`docs/performance.md` what the fast mode does. The graph engine (`nodes/`) is the other user of the stages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .batches import require_pictures
from .checkpoints.build import load_embedded, load_parts
from .decoding import paste
from .decoding.taps import downscale_factor
from .denoising.conditioning import POSTERIORS, latent_size
from .denoising.guidance import EVERYWHERE, Interval
from .denoising.noise import TryOnNoise, item_noise, shared_noise
from .denoising.sampling import Callback, denoise
from .denoising.schedule import ddim_scheduler, sampling_scheduler
from .embedded import PARTS
from .encodings import (
    GarmentEncoding,
    PersonEncoding,
    TryOnResult,
    batch_of,
    count,
    expanded,
    item,
    joined,
)
from .preprocessing.masks.body_mask import worn_cloth
from .preprocessing.prepare import FramedPerson
from .presets import TINY, Preset
from .runtime.defaults import own_defaults
from .runtime.processor import SPEEDS, chosen_dtype
from .stages import Stages

__all__ = ["SPEEDS", "GarmentEncoding", "PersonEncoding", "TryOnPipeline", "TryOnResult"]


class TryOnPipeline(Stages):
    """The models of one preset and how they are run together; `Stages` has the attributes.

    How a call samples, by name:
        seeds: one, or one an item; an item depends on its own seed only (to the bit with `items_alone`).
        steps, guidance_scale: the preset's when None; a scale of 1 or less switches guidance off.
        guidance_interval: share of the noise schedule that is guided (`denoising.guidance`); the paper's is all.
        sampler: one of `denoising.schedule.SAMPLERS` in place of the pipeline's scheduler.
        cloth_cond_rate: share of the steps that see the warped garment.
        no_pose: leave the pose out of the UNet's input; the warper still sees it.
        posterior: `sample` (the reference) or `mode` of the VAE posteriors.
        reference_generator: the reference's single generator; replaces `seeds`, and then a picture depends
            on its batch (published §6).
        noise: ready noises; replace both.
        emasc: False decodes without skip features.
        paste_back, paste_feather: put the person's own pixels back outside the mask (not in the paper).
        callback: see `denoising.sampling.denoise`; with `items_alone` it also gets `item` and `items`.
        items_alone: run the items one after the other, so that each is what it is in a call of its own, to the
            bit. In one batch torch chooses other kernels, and an item differs by about 8e-4 in float32, 2e-3 in
            float16 and 1.2e-2 in bfloat16 (latents, measured on a GPU). Encodings are taken as they were made.
    """

    @classmethod
    def from_embedded(
        cls,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        speed: str = "exact",
    ) -> TryOnPipeline:
        """The shipped tiny models, on the CPU unless told otherwise; `dtype` and `speed` as in `from_files`."""
        dtype = chosen_dtype(dtype, device, speed)
        parts = {part: load_embedded(part, dtype=dtype, device=device) for part in PARTS}
        return cls.from_parts(TINY, parts, speed=speed)

    @classmethod
    def from_files(
        cls,
        files: dict[str, Path | str],
        preset: Preset,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        *,
        speed: str = "exact",
    ) -> TryOnPipeline:
        """Models from weight files of any known layout.

        Args:
            files: path by part (`embedded.PARTS`); `emasc` may be left out, `text_encoder` and `vision` may be
                the same whole CLIP file.
            preset: sizes every file must have, e.g. `presets.SD2`.
            device, dtype: of everything; the warper stays float32 (published §0). None as `dtype` is float32, and
                in fast mode on a CPU bfloat16 where `processor.fastest_dtype` measured that to be faster.
            speed: see the attribute.

        Raises:
            ValueError: a part is missing or unknown, or the speed is.
            CheckpointError: a file is something else; says what.
        """
        dtype = chosen_dtype(dtype, device, speed)
        return cls.from_parts(preset, load_parts(files, preset, dtype=dtype, device=device), speed=speed)

    @classmethod
    def from_parts(cls, preset: Preset, parts: Mapping[str, nn.Module], *, speed: str = "exact") -> TryOnPipeline:
        """The models of `embedded.PARTS` by name, built and on one device; `emasc` may be missing."""
        return cls(
            preset=preset,
            unet=parts["unet"],
            vae=parts["vae"],
            text_encoder=parts["text_encoder"],
            vision=parts["vision"],
            adapter=parts["inversion_adapter"],
            warper=parts["warping"],
            emasc=parts.get("emasc"),
            speed=speed,
        )

    @own_defaults()
    @torch.no_grad()
    def __call__(
        self,
        person: Tensor | PersonEncoding | FramedPerson,
        garment: Tensor | GarmentEncoding,
        *,
        mask: Tensor | None = None,
        pose_map: Tensor | None = None,
        category: str | Sequence[str] = "upper_body",
        warped: Tensor | None = None,
        seeds: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance_scale: float | None = None,
        guidance_interval: Interval = EVERYWHERE,
        sampler: str | None = None,
        cloth_cond_rate: float = 1.0,
        no_pose: bool = False,
        posterior: str = "sample",
        reference_generator: torch.Generator | None = None,
        noise: TryOnNoise | None = None,
        emasc: bool = True,
        lay_garment: bool | None = None,
        paste_back: bool = False,
        paste_feather: int = 0,
        callback: Callback | None = None,
        items_alone: bool = False,
    ) -> TryOnResult:
        """Put garments on people. Persons, garments and seeds of length 1 are repeated to the longest of the three.

        Args:
            person: picture (B, 3, H, W) in [-1, 1] with `mask` and `pose_map`; or the result of `encode_person`; or
                the `framed` of `preprocessing.prepare.prepare_person`: then the garment is not refined, and the mask
                is the body's under it, so that each pair is encoded by itself.
            garment: picture (B, 3, h, w) in [-1, 1] with `category`, or the result of `encode_garment`.
            mask, pose_map: see `encode_person`; needed when `person` is a picture.
            category: see `encode_garment`; of a photograph one for all, which also draws the body's mask.
            warped: warped garment (B, 3, H, W) in place of the warper's.
            lay_garment: the warped garment goes past the sampler as pixels too, see `decoding.paste.lay_garment`; None:
                with a `FramedPerson`.

        Raises:
            ValueError: something is missing or does not fit; says what.
        """
        if items_alone:
            if not isinstance(person, PersonEncoding | FramedPerson):
                require_pictures("person", person, 3, -1)
            if not isinstance(garment, GarmentEncoding):
                require_pictures("garment", garment, 3, -1)
            given = locals()
            del given["self"], given["items_alone"]
            return run_alone(self, **given)
        if posterior not in POSTERIORS:
            raise ValueError(f"posterior must be 'sample' or 'mode', got {posterior!r}.")
        if not isinstance(person, PersonEncoding | FramedPerson):
            if mask is None or pose_map is None:
                raise ValueError("a person picture needs mask and pose_map; or give the result of encode_person.")
            person = self.encode_person(person, mask, pose_map, emasc=emasc)
        if not isinstance(garment, GarmentEncoding):
            garment = self.encode_garment(garment, category)
        seeds = [seeds] if isinstance(seeds, int) else [int(seed) for seed in seeds]
        # The shared generator has no seeds to count; it draws for as many as there are people and garments.
        seeded = reference_generator is None and noise is None
        batch = batch_of(person.person.shape[0], garment.garment.shape[0], len(seeds) if seeded else None)
        person, garment = expanded(person, batch), expanded(garment, batch)
        underlay, coarse, grid, shown, framed = None, None, None, None, isinstance(person, FramedPerson)
        if warped is None and (framed or self._takes_garment):
            warp = self.warp(garment.garment, person, refined=not framed, photograph=framed)
            warped, coarse, grid = warp.warped, warp.coarse, warp.grid
        if framed:
            repainted, shown, underlay = person.under(warped, category)
            person = self.encode_person(person.person, repainted, person.pose_map, emasc=emasc)
        noise = noise or self._noise(person, seeds * batch if len(seeds) == 1 else seeds, reference_generator)
        conditioning = self.conditioning(person, warped, noise, posterior=posterior, no_pose=no_pose)
        scale = self.preset.guidance_scale if guidance_scale is None else guidance_scale
        latents = denoise(
            self.ready_unet(),
            self._scheduler(sampler),
            noise.latents.to(conditioning.device, torch.float32 if self.speed == "fast" else conditioning.dtype),
            conditioning,
            garment.prompt,
            self.empty_prompt().expand(batch, -1, -1) if scale > 1 else None,
            steps=self.preset.steps if steps is None else steps,
            guidance_scale=scale,
            guidance_interval=guidance_interval,
            cloth_cond_rate=cloth_cond_rate,
            callback=callback,
        )
        self._numbers(latents, "The try-on UNet")
        images = self.decode(latents, person.skips if emasc else None)
        if emasc and self._takes_garment and (framed if lay_garment is None else lay_garment):
            laid = warped.to(images) / 2 + 0.5
            cloth = worn_cloth(laid) * person.mask
            images = paste.lay_garment(images, laid, cloth, underlay)
        shown = person.mask if shown is None else shown
        if paste_back:
            images = paste.paste_back(images, person.person / 2 + 0.5, shown, paste_feather).clamp(0, 1)
        return TryOnResult(images, latents, warped, coarse, shown, grid)

    @property
    def _takes_garment(self) -> bool:
        return self.unet.config.in_channels != 27

    def _noise(self, person: PersonEncoding, seeds: list[int], shared: torch.Generator | None) -> TryOnNoise:
        """Noises of an item each from its seed, or of all from one generator."""
        batch, _, *size = person.person.shape
        shape = (self.vae.config.latent_channels, *latent_size(tuple(size), downscale_factor(self.vae)))
        # torch draws other numbers in half precision: in fast mode a seed is to give the exact mode's picture
        drawn = torch.float32 if self.speed == "fast" else self.dtype
        if shared is not None:
            return shared_noise(shared, (batch, *shape), dtype=drawn, with_garment=self._takes_garment)
        return item_noise(seeds, shape, dtype=drawn, with_garment=self._takes_garment)

    def _scheduler(self, sampler: str | None) -> Any:
        if sampler is not None:
            return sampling_scheduler(self.preset.schedule, sampler)
        return self.scheduler or ddim_scheduler(self.preset.schedule)


def run_alone(
    pipeline: Any,
    *,
    person: Any,
    garment: Any,
    seeds: int | Sequence[int],
    category: str | Sequence[str],
    noise: Any,
    reference_generator: Any,
    callback: Any,
    **options: Any,
) -> TryOnResult:
    """Call a pipeline once an item, encoding included where pictures are given; arguments as the pipeline's.

    In one batch torch chooses other kernels than for one item, and sums in another order.

    Raises:
        ValueError: batches do not fit, or a shared generator, which draws for a whole batch, is to serve several items.
    """
    seeds = [seeds] if isinstance(seeds, int) else [int(seed) for seed in seeds]
    seeded = reference_generator is None and noise is None
    batch = batch_of(count(person), count(garment), len(seeds) if seeded else None)
    if reference_generator is not None and batch > 1:
        raise ValueError("items_alone needs seeds or noise: the reference's generator draws for a whole batch at once.")
    categories = [category] * batch if isinstance(category, str) else list(category)
    if len(categories) not in (1, batch):
        raise ValueError(f"there are {len(categories)} categories for {batch} items; give one, or one each.")
    results = []
    for index in range(batch):

        def told(state: dict[str, Any], index: int = index) -> None:
            callback(state | {"item": index, "items": batch})

        results.append(
            pipeline(
                item(person, index),
                item(garment, index),
                seeds=seeds[index % len(seeds)],
                category=categories[index % len(categories)],
                noise=item(noise, index),
                reference_generator=reference_generator,
                callback=callback and told,
                **{name: item(value, index) for name, value in options.items()},
            )
        )
    return joined(results)
