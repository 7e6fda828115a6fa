"""TryOnPipeline: the facade over the five stages, for Python users, training, evaluation and batch runs.

Encode a garment or a person once, combine them many times. The same call gives the same picture for a
seed in any batch, as far as kernels allow (see `items_alone`); `reference_generator` gives the paper's shared random
stream instead. Paper section 3; SPEC section 6. `encodings.py` holds what is encoded, `docs/performance.md` what the
fast mode does. The graph engine (`nodes/`) is the other user of the stages.
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
from .denoising.fast_unet import FastUNet
from .denoising.guidance import EVERYWHERE, Interval
from .denoising.noise import TryOnNoise, item_noise, shared_noise
from .denoising.sampling import Callback, denoise
from .denoising.schedule import ddim_scheduler, sampling_scheduler
from .embedded import PARTS
from .encodings import GarmentEncoding, PersonEncoding, TryOnResult, batch_of, expanded
from .finite import require_finite
from .inversion.adapter import InversionAdapter
from .inversion.encoders import TextTower, VisionTower
from .inversion.pixels import clip_pixels
from .inversion.prompts import prompts_for, tokenize
from .items_alone import run_alone
from .preprocessing.agnostic import nothing_to_repaint
from .presets import TINY, Preset
from .processor import layout
from .speed import SPEEDS, checked_speed, chosen_dtype, fast_warp, lay_out, on_fitting_threads
from .warping.warper import GarmentWarper, WarpResult

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel

log = logging.getLogger(__name__)

__all__ = ["SPEEDS", "GarmentEncoding", "PersonEncoding", "TryOnPipeline", "TryOnResult"]


@dataclass
class TryOnPipeline:
    """The models of one preset and how they are run together.

    Attributes:
        preset: sizes, schedule, defaults.
        unet, vae, text_encoder, vision, adapter, warper: the models.
        emasc: None decodes without skip features (the paper's ablation).
        scheduler: a diffusers scheduler in place of the paper's DDIM; its timesteps are set on every call.
        speed: one of `SPEEDS`. `fast` changes the models in place (memory format, processors of the cross-attention),
            keeps the latents in float32 between the steps whatever the weights are, and refines the warped garment in
            the weights' format; its pictures lie within that format's tolerance of the exact ones.
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
    speed: str = "exact"
    _empty_prompt: Tensor | None = field(default=None, init=False, repr=False)
    _fast_unet: FastUNet | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        if checked_speed(self.speed) == "fast":
            lay_out(self.vae, self.emasc)
            self._fast_unet = FastUNet(self.unet)

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
            device, dtype: of everything; the warper stays float32 (SPEC section 0). None as `dtype` is float32, and
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

    @property
    def device(self) -> torch.device:
        """Where the UNet is; everything else is expected there too."""
        return next(self.unet.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the UNet's weights."""
        return next(self.unet.parameters()).dtype

    @property
    def fallback_reason(self) -> str | None:
        """Why the fast mode runs without a CUDA graph where it should have one; None when all is well."""
        return self._fast_unet and self._fast_unet.fallback_reason

    def to(self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> TryOnPipeline:
        """Move every model; the warper keeps float32. Returns self."""
        for module in (self.unet, self.vae, self.text_encoder, self.vision, self.adapter, self.emasc):
            if module is not None:
                module.to(device=device, dtype=dtype)
        self.warper.to(device=device)
        if self.text_encoder is not None:
            self._empty_prompt = None
        elif self._empty_prompt is not None:
            self._empty_prompt = self._empty_prompt.to(device=device, dtype=dtype)
        return self

    def release_encoders(self) -> TryOnPipeline:
        """Let go of vision tower, inversion adapter and text encoder once all garments are encoded; half the weights.

        The empty prompt is kept. Nothing but these encodings can be worn from then on. Returns self.
        """
        self.empty_prompt()
        self.vision = self.adapter = self.text_encoder = None
        return self

    @on_fitting_threads
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
            ValueError: unknown category, a count that does not fit, a prompt with another number of `$`, or
                `release_encoders` let go of the models.
        """
        if self.vision is None or self.adapter is None or self.text_encoder is None:
            raise ValueError("release_encoders let go of what encodes garments: encode all of them before it.")
        num_words = self.preset.num_words
        prompts = prompts_for(category, garment.shape[0], num_words, prompt)
        garment = garment.to(self.device)
        # the preprocessing in float32 whatever the weights are (Q19)
        pixels = clip_pixels(garment.float(), self.preset.vision.image_size).to(self.dtype)
        words = self.adapter.pseudo_words(self._numbers(self.vision(pixels), "The vision tower"), num_words)
        self._numbers(words, "The inversion adapter")
        prompt = self._numbers(self.text_encoder(tokenize(prompts).to(self.device), words), "The text encoder")
        return GarmentEncoding(garment, words, prompt)

    @on_fitting_threads
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
        posterior, taps = encode_with_taps(self.vae, self._picture(masked_image(person, mask)))
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
        if self.speed == "fast":
            result = fast_warp(self.warper, garment, agnostic, pose_map, self.dtype)
        else:
            result = self.warper(garment, agnostic, pose_map)
        for made in (result.grid, result.warped):  # sampling at places that are no numbers gives a flat picture
            require_finite(made, "The garment warper")
        return result

    @on_fitting_threads
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
        guidance_interval: Interval = EVERYWHERE,
        sampler: str | None = None,
        cloth_cond_rate: float = 1.0,
        no_pose: bool = False,
        posterior: str = "sample",
        reference_generator: torch.Generator | None = None,
        noise: TryOnNoise | None = None,
        emasc: bool = True,
        paste_back: bool = False,
        paste_feather: int = 0,
        callback: Callback | None = None,
        items_alone: bool = False,
    ) -> TryOnResult:
        """Put garments on people.

        Persons, garments and seeds of length 1 are repeated to the longest of the three.

        Args:
            person: picture (B, 3, H, W) in [-1, 1] with `mask` and `pose_map`, or the result of `encode_person`.
            garment: picture (B, 3, h, w) in [-1, 1] with `category`, or the result of `encode_garment`.
            mask, pose_map: see `encode_person`; needed when `person` is a picture.
            category: see `encode_garment`.
            warped: warped garment (B, 3, H, W) in place of the warper's.
            seeds: one, or one an item; an item depends on its own seed only (to the bit with `items_alone`).
            steps, guidance_scale: the preset's when None; a scale of 1 or less switches guidance off.
            guidance_interval: share of the noise schedule that is guided (`denoising.guidance`); the paper's is all.
            sampler: one of `denoising.schedule.SAMPLERS` in place of the pipeline's scheduler.
            cloth_cond_rate: share of the steps that see the warped garment.
            no_pose: leave the pose out of the UNet's input; the warper still sees it.
            posterior: `sample` (the reference) or `mode` of the VAE posteriors.
            reference_generator: the reference's single generator; replaces `seeds`, and then a picture depends
                on its batch (SPEC section 6).
            noise: ready noises; replace both.
            emasc: False decodes without skip features.
            paste_back, paste_feather: put the person's own pixels back outside the mask (not in the paper).
            callback: see `denoising.sampling.denoise`; with `items_alone` it also gets `item` and `items`.
            items_alone: run the items one after the other, so that each is what it is in a call of its own, to the
                bit. In one batch torch chooses other kernels, and an item differs by about 8e-4 in float32, 2e-3 in
                float16 and 1.2e-2 in bfloat16 (latents, measured on a GPU). Encodings are taken as they were made.

        Returns:
            `TryOnResult`.

        Raises:
            ValueError: something is missing or does not fit; says what.
        """
        if items_alone:
            given = locals()
            del given["self"], given["items_alone"]
            return run_alone(self, **given)
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
        seeded = reference_generator is None and noise is None
        batch = batch_of(person.person.shape[0], garment.garment.shape[0], len(seeds) if seeded else None)
        person, garment = expanded(person, batch), expanded(garment, batch)
        seeds = seeds * batch if len(seeds) == 1 else seeds

        height, width = person.person.shape[-2:]
        size = latent_size((height, width), downscale_factor(self.vae))
        fast = self.speed == "fast"
        with_garment = self.unet.config.in_channels != 27
        coarse = None
        if with_garment and warped is None:
            warp = self.warp(garment.garment, person)
            warped, coarse = warp.warped, warp.coarse
        if noise is None:
            shape = (self.vae.config.latent_channels, *size)
            # torch draws other numbers in half precision: in fast mode a seed is to give the exact mode's picture
            drawn = {"dtype": torch.float32 if fast else self.dtype, "with_garment": with_garment}
            if reference_generator is not None:
                noise = shared_noise(reference_generator, (batch, *shape), **drawn)
            else:
                noise = item_noise(seeds, shape, **drawn)
        conditioning = self.conditioning(person, warped, noise, posterior=posterior, no_pose=no_pose)
        scale = self.preset.guidance_scale if guidance_scale is None else guidance_scale
        latents = denoise(
            self._ready_unet(),
            self._scheduler(sampler),
            noise.latents.to(conditioning.device, torch.float32 if fast else conditioning.dtype),
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
        images = self.decode(latents, person.skips)
        if paste_back:
            images = paste(images, person.person / 2 + 0.5, person.mask, paste_feather).clamp(0, 1)
        return TryOnResult(images, latents, warped, coarse)

    def _ready_unet(self) -> UNet2DConditionModel | FastUNet:
        """What the loop calls: the UNet, or in fast mode what is built around it."""
        if self.speed == "exact":
            return self.unet
        if self._fast_unet is None or self._fast_unet.unet is not self.unet:
            self._fast_unet = FastUNet(self.unet)
        self._fast_unet.begin()
        return self._fast_unet

    def _scheduler(self, sampler: str | None) -> Any:
        if sampler is not None:
            return sampling_scheduler(self.preset.schedule, sampler)
        return self.scheduler or ddim_scheduler(self.preset.schedule)

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
            moments = encode_with_taps(self.vae, self._picture(warped))[0].parameters
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
        image = decode_with_skips(self.vae, self._picture(latents) / self.preset.vae_scale, skips)
        self._numbers(image, "The VAE's decoder")
        return (image / 2 + 0.5).clamp(0, 1).float()

    def _picture(self, tensor: Tensor) -> Tensor:
        """A picture (B, C, H, W) as the models take it: device, number format, memory format."""
        tensor = tensor.to(self.device, self.dtype)
        return tensor.contiguous(memory_format=layout(self.device, self.dtype)) if self.speed == "fast" else tensor

    def _numbers(self, tensor: Tensor, stage: str) -> Tensor:
        """The tensor, when all its values are numbers.

        Raises:
            ValueError: they are not; names the stage and what helps.
        """
        advice = "Take dtype float32 or bfloat16." if self.dtype == torch.float16 else ""
        return require_finite(tensor, stage, advice, self.dtype)
