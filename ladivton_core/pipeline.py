"""TryOnPipeline: the facade over the five stages, for Python users, training, evaluation and batch runs.

Encode a garment or a person once, combine them many times. The same call gives the same picture for a
seed in any batch; `reference_generator` gives the paper's shared random stream instead. Paper section 3;
SPEC section 6. `encodings.py` holds what is encoded. The graph engine (`nodes/`) is the other user of the stages.
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from .checkpoints.build import load_embedded, load_parts
from .decoding.emasc import EMASC, mask_features
from .decoding.paste import paste_back as paste
from .decoding.taps import decode_with_skips, downscale_factor, encode_with_taps
from .denoising.conditioning import (
    POSTERIORS,
    binary_mask,
    concat_conditioning,
    latent_mask,
    latent_pose,
    latent_size,
    masked_image,
    posterior_latents,
)
from .denoising.noise import TryOnNoise, item_noise, shared_noise
from .denoising.sampling import Callback, denoise
from .denoising.schedule import ddim_scheduler
from .embedded import PARTS
from .encodings import GarmentEncoding, PersonEncoding, TryOnResult, expanded
from .finite import require_finite
from .inversion.adapter import InversionAdapter
from .inversion.encoders import TextTower, VisionTower
from .inversion.pixels import clip_pixels
from .inversion.prompts import prompts_for, tokenize
from .preprocessing.agnostic import nothing_to_repaint
from .presets import TINY, Preset
from .warping.warper import GarmentWarper, WarpResult

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel

log = logging.getLogger(__name__)

__all__ = ["GarmentEncoding", "PersonEncoding", "TryOnPipeline", "TryOnResult"]


@dataclass
class TryOnPipeline:
    """The models of one preset and how they are run together.

    Attributes:
        preset: sizes, schedule, defaults.
        unet, vae, text_encoder, vision, adapter, warper: the models.
        emasc: None decodes without skip features (the paper's ablation).
        scheduler: a diffusers scheduler in place of the paper's DDIM; its timesteps are set on every call.
    """

    preset: Preset
    unet: UNet2DConditionModel
    vae: AutoencoderKL
    text_encoder: TextTower
    vision: VisionTower
    adapter: InversionAdapter
    warper: GarmentWarper
    emasc: EMASC | None
    scheduler: Any = None
    _empty_prompt: Tensor | None = field(default=None, init=False, repr=False)

    @classmethod
    def from_embedded(
        cls, device: torch.device | str | None = None, dtype: torch.dtype = torch.float32
    ) -> TryOnPipeline:
        """The shipped tiny models, on the CPU in float32 unless told otherwise."""
        parts = {part: load_embedded(part, dtype=dtype, device=device) for part in PARTS}
        return cls.from_parts(TINY, parts)

    @classmethod
    def from_files(
        cls,
        files: dict[str, Path | str],
        preset: Preset,
        device: torch.device | str | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> TryOnPipeline:
        """Models from weight files of any known layout.

        Args:
            files: path by part (`embedded.PARTS`); `emasc` may be left out, `text_encoder` and `vision` may be
                the same whole CLIP file.
            preset: sizes every file must have, e.g. `presets.SD2`.
            device, dtype: of everything; the warper stays float32 (SPEC section 0).

        Raises:
            ValueError: a part is missing, or unknown.
            CheckpointError: a file is something else; says what.
        """
        return cls.from_parts(preset, load_parts(files, preset, dtype=dtype, device=device))

    @classmethod
    def from_parts(cls, preset: Preset, parts: Mapping[str, nn.Module]) -> TryOnPipeline:
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
        )

    @property
    def device(self) -> torch.device:
        """Where the UNet is; everything else is expected there too."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the UNet's weights."""
        return next(self.unet.parameters()).dtype

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> TryOnPipeline:
        """Move every model; the warper keeps float32. Returns self."""
        for module in (self.unet, self.vae, self.text_encoder, self.vision, self.adapter, self.emasc):
            if module is not None:
                module.to(device=device, dtype=dtype)
        self.warper.to(device=device)
        self._empty_prompt = None
        return self

    @torch.no_grad()
    def encode_garment(
        self, garment: Tensor, category: str | Sequence[str], prompt: str | None = None
    ) -> GarmentEncoding:
        """Textual inversion of garments (paper section 3.2).

        Args:
            garment: (B, 3, H, W) in [-1, 1] on white.
            category: one, or one an item, of `upper_body`, `lower_body`, `dresses`.
            prompt: own prompt in place of the paper's; `$` marks the place, one for each pseudo-word.

        Raises:
            ValueError: unknown category, a count that does not fit, or a prompt with another number of `$`.
        """
        num_words = self.preset.num_words
        prompts = prompts_for(category, garment.shape[0], num_words, prompt)
        garment = garment.to(self.device)
        # the preprocessing in float32 whatever the weights are (Q19)
        pixels = clip_pixels(garment.float(), self.preset.vision.image_size).to(self.dtype)
        words = self.adapter.pseudo_words(self._numbers(self.vision(pixels), "The vision tower"), num_words)
        self._numbers(words, "The inversion adapter")
        prompt = self._numbers(self.text_encoder(tokenize(prompts).to(self.device), words), "The text encoder")
        return GarmentEncoding(garment, words, prompt)

    @torch.no_grad()
    def encode_person(
        self,
        person: Tensor,
        mask: Tensor,
        pose_map: Tensor,
        *,
        emasc: bool = True,
        skip_grow: int | None = None,
        skip_feather: int | None = None,
    ) -> PersonEncoding:
        """Masked-image posterior and skip features of people.

        Args:
            person: (B, 3, H, W) in [-1, 1], H and W divisible by 8.
            mask: (B, 1, H, W) in [0, 1], cut at 0.5; 1 = repaint.
            pose_map: (B, 18, H, W) in [0, 1].
            emasc: False decodes without skip features.
            skip_grow, skip_feather: see `decoding.emasc.mask_features`; the preset's when None, 0 is published.

        Raises:
            ValueError: ranges, sizes or batches do not fit; names which.
        """
        person, mask, pose_map = (x.to(self.device) for x in (person, mask, pose_map))
        if not person.shape[0] == mask.shape[0] == pose_map.shape[0]:
            raise ValueError(
                f"person, mask and pose map need one batch size, "
                f"got {person.shape[0]}, {mask.shape[0]}, {pose_map.shape[0]}."
            )
        if pose_map.ndim != 4 or pose_map.shape[1] != 18 or pose_map.shape[-2:] != person.shape[-2:]:
            raise ValueError(
                f"pose map must be (B, 18, {person.shape[-2]}, {person.shape[-1]}), got {tuple(pose_map.shape)}."
            )
        latent_size(tuple(person.shape[-2:]), downscale_factor(self.vae))
        mask = binary_mask(mask)
        if empty := nothing_to_repaint(mask):
            log.warning(
                "Nothing is repainted in picture %s: the mask is below 0.5 all over.", ", ".join(map(str, empty))
            )
        posterior, taps = encode_with_taps(self.vae, masked_image(person, mask).to(self.dtype))
        self._numbers(posterior.parameters, "The VAE's encoder")
        skips = None
        if emasc and self.emasc is not None:
            grow = self.preset.skip_grow if skip_grow is None else skip_grow
            feather = self.preset.skip_feather if skip_feather is None else skip_feather
            skips = tuple(mask_features(self.emasc(taps), mask, grow=grow, feather=feather))
            for skip in skips:
                self._numbers(skip, "EMASC")
        return PersonEncoding(person, mask, pose_map, posterior.parameters, skips)

    @torch.no_grad()
    def warp(self, garment: Tensor, person: PersonEncoding) -> WarpResult:
        """The garment (B, 3, h, w) in [-1, 1] in the person's pose; always float32 (paper section 3.1)."""
        garment, agnostic, pose_map = (
            x.to(self.device, torch.float32) for x in (garment, person.agnostic, person.pose_map)
        )
        result = self.warper(garment, agnostic, pose_map)
        for made in (result.grid, result.warped):  # sampling at places that are no numbers gives a flat picture
            require_finite(made, "The garment warper")
        return result

    @torch.no_grad()
    def __call__(
        self,
        person: Tensor | PersonEncoding,
        garment: Tensor | GarmentEncoding,
        *,
        mask: Tensor | None = None,
        pose_map: Tensor | None = None,
        category: str | Sequence[str] = "upper_body",
        warped: Tensor | None = None,
        seeds: int | Sequence[int] = 0,
        steps: int | None = None,
        guidance_scale: float | None = None,
        cloth_cond_rate: float = 1.0,
        no_pose: bool = False,
        posterior: str = "sample",
        reference_generator: torch.Generator | None = None,
        noise: TryOnNoise | None = None,
        emasc: bool = True,
        paste_back: bool = False,
        paste_feather: int = 0,
        callback: Callback | None = None,
    ) -> TryOnResult:
        """Put garments on people.

        Persons, garments and seeds of length 1 are repeated to the longest of the three.

        Args:
            person: picture (B, 3, H, W) in [-1, 1] with `mask` and `pose_map`, or the result of `encode_person`.
            garment: picture (B, 3, h, w) in [-1, 1] with `category`, or the result of `encode_garment`.
            mask, pose_map: see `encode_person`; needed when `person` is a picture.
            category: see `encode_garment`.
            warped: warped garment (B, 3, H, W) in place of the warper's.
            seeds: one, or one an item; an item depends on its own seed only.
            steps, guidance_scale: the preset's when None; a scale of 1 or less switches guidance off.
            cloth_cond_rate: share of the steps that see the warped garment.
            no_pose: leave the pose out of the UNet's input; the warper still sees it.
            posterior: `sample` (the reference) or `mode` of the VAE posteriors.
            reference_generator: the reference's single generator; replaces `seeds`, and then a picture depends
                on its batch (SPEC section 6).
            noise: ready noises; replace both.
            emasc: False decodes without skip features.
            paste_back, paste_feather: put the person's own pixels back outside the mask (not in the paper).
            callback: see `denoising.sampling.denoise`.

        Returns:
            `TryOnResult`.

        Raises:
            ValueError: something is missing or does not fit; says what.
        """
        if posterior not in POSTERIORS:
            raise ValueError(f"posterior must be 'sample' or 'mode', got {posterior!r}.")
        if isinstance(person, Tensor):
            if mask is None or pose_map is None:
                raise ValueError(
                    "a person picture needs mask and pose_map beside it; or give the result of encode_person."
                )
            person = self.encode_person(person, mask, pose_map, emasc=emasc)
        elif not emasc:
            person = dataclasses.replace(person, skips=None)
        if isinstance(garment, Tensor):
            garment = self.encode_garment(garment, category)
        seeds = [seeds] if isinstance(seeds, int) else [int(seed) for seed in seeds]
        # The shared generator has no seeds to count; it draws for as many as there are people and garments.
        lengths = {"persons": person.person.shape[0], "garments": garment.garment.shape[0]}
        if reference_generator is None and noise is None:
            lengths["seeds"] = len(seeds)
        batch = max(lengths.values())
        if any(length not in (1, batch) for length in lengths.values()):
            counts = ", ".join(f"{length} {name}" for name, length in lengths.items())
            raise ValueError(f"batches do not fit: {counts}; each must be 1 or {batch}.")
        person, garment = expanded(person, batch), expanded(garment, batch)
        seeds = seeds * batch if len(seeds) == 1 else seeds

        height, width = person.person.shape[-2:]
        size = latent_size((height, width), downscale_factor(self.vae))
        with_garment = self.unet.config.in_channels != 27
        coarse = None
        if with_garment and warped is None:
            warp = self.warp(garment.garment, person)
            warped, coarse = warp.warped, warp.coarse
        if noise is None:
            shape = (self.vae.config.latent_channels, *size)
            if reference_generator is not None:
                noise = shared_noise(reference_generator, (batch, *shape), dtype=self.dtype, with_garment=with_garment)
            else:
                noise = item_noise(seeds, shape, dtype=self.dtype, with_garment=with_garment)
        conditioning = self.conditioning(person, warped, noise, posterior=posterior, no_pose=no_pose)
        scale = self.preset.guidance_scale if guidance_scale is None else guidance_scale
        latents = denoise(
            self.unet,
            self.scheduler or ddim_scheduler(self.preset.schedule),
            noise.latents.to(conditioning),
            conditioning,
            garment.prompt,
            self.empty_prompt().expand(batch, -1, -1) if scale > 1 else None,
            steps=self.preset.steps if steps is None else steps,
            guidance_scale=scale,
            cloth_cond_rate=cloth_cond_rate,
            callback=callback,
        )
        self._numbers(latents, "The try-on UNet")
        images = self.decode(latents, person.skips)
        if paste_back:
            images = paste(images, person.person / 2 + 0.5, person.mask, paste_feather).clamp(0, 1)
        return TryOnResult(images, latents, warped, coarse)

    @torch.no_grad()
    def conditioning(
        self,
        person: PersonEncoding,
        warped: Tensor | None,
        noise: TryOnNoise,
        *,
        posterior: str = "sample",
        no_pose: bool = False,
    ) -> Tensor:
        """The UNet's 27 conditioning channels (B, 27, h, w); 23 when the UNet takes no garment (SPEC section 5)."""
        noise = noise.to(person.moments)
        garment_latents = None
        if self.unet.config.in_channels != 27:
            if warped is None or warped.shape[-2:] != person.person.shape[-2:]:
                raise ValueError(
                    f"the warped garment must be (B, 3, {person.person.shape[-2]}, {person.person.shape[-1]})."
                )
            # through the taps' walk, not vae.encode: that one may tile or slice behind the caller's back
            moments = encode_with_taps(self.vae, warped.to(self.device, self.dtype))[0].parameters
            self._numbers(moments, "The VAE's encoder")
            garment_latents = posterior_latents(moments, noise.garment, posterior) * self.preset.vae_scale
        size = tuple(person.moments.shape[-2:])
        pose = latent_pose(person.pose_map.float(), size)
        return concat_conditioning(
            latent_mask(person.mask, size),
            posterior_latents(person.moments, noise.masked, posterior) * self.preset.vae_scale,
            torch.zeros_like(pose) if no_pose else pose,
            garment_latents,
        )

    @torch.no_grad()
    def empty_prompt(self) -> Tensor:
        """Embedding (1, 77, C) of the empty prompt, computed once (SPEC 4.6)."""
        if self._empty_prompt is None:
            self._empty_prompt = self.text_encoder(tokenize([""]).to(self.device))
        return self._empty_prompt

    @torch.no_grad()
    def decode(self, latents: Tensor, skips: Sequence[Tensor] | None = None) -> Tensor:
        """Scaled latents (B, 4, h, w) to pictures (B, 3, H, W) float32 in [0, 1] (SPEC section 6, step 10)."""
        image = decode_with_skips(self.vae, latents.to(self.device, self.dtype) / self.preset.vae_scale, skips)
        self._numbers(image, "The VAE's decoder")
        return (image / 2 + 0.5).clamp(0, 1).float()

    def _numbers(self, tensor: Tensor, stage: str) -> Tensor:
        """The tensor, when all its values are numbers.

        Raises:
            ValueError: they are not; names the stage and what helps.
        """
        advice = "Take dtype float32 or bfloat16." if self.dtype == torch.float16 else ""
        return require_finite(tensor, stage, advice, self.dtype)
