"""The stages of one preset on loaded models: what is encoded, warped, conditioned and decoded, each by itself.

`pipeline.py` runs them together. Paper section 3; published §4 to §6. `encodings.py` holds what comes out.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

import torch
from torch import Tensor, nn

from .batches import require_pictures
from .decoding.emasc import EMASC, mask_features
from .decoding.taps import decode_with_skips, downscale_factor, encode_with_taps
from .denoising.conditioning import (
    binary_mask,
    latent_size,
    masked_at_half,
    try_on_channels,
)
from .denoising.fast_unet import FastUNet
from .denoising.noise import TryOnNoise
from .embedded import PARTS
from .encodings import GarmentEncoding, PersonEncoding
from .inversion.adapter import InversionAdapter
from .inversion.encoders import TextTower, VisionTower
from .inversion.pixels import clip_pixels
from .inversion.prompts import prompts_for, tokenize
from .preprocessing.masks.agnostic import nothing_to_repaint
from .preprocessing.prepare import FramedPerson
from .presets import Preset
from .runtime.defaults import own_defaults
from .runtime.finite import require_finite
from .runtime.processor import checked_speed, lay_out, layout
from .warping.skeleton import LEFT_TO_THE_SPLINE
from .warping.warper import GarmentWarper, WarpResult, fast_warp

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel

log = logging.getLogger(__name__)

_Self = TypeVar("_Self", bound="Stages")


@dataclass
class Stages:
    """The models of one preset, and a method for each stage.

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

    @property
    def parts(self) -> dict[str, nn.Module | None]:
        """The models by their names in `embedded.PARTS`."""
        own = (self.unet, self.vae, self.text_encoder, self.vision, self.adapter, self.warper, self.emasc)
        return dict(zip(PARTS, own, strict=True))

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

    def to(self: _Self, device: torch.device | str | None = None, dtype: torch.dtype | None = None) -> _Self:
        """Move every model; the warper keeps float32. Returns self."""
        for module in self.parts.values():
            if module is not None and module is not self.warper:
                module.to(device=device, dtype=dtype)
        self.warper.to(device=device)
        if self.text_encoder is not None:
            self._empty_prompt = None
        elif self._empty_prompt is not None:
            self._empty_prompt = self._empty_prompt.to(device=device, dtype=dtype)
        return self

    def release_encoders(self: _Self) -> _Self:
        """Let go of vision tower, inversion adapter and text encoder once all garments are encoded; half the weights.

        The empty prompt is kept. Nothing but these encodings can be worn from then on. Returns self.
        """
        self.empty_prompt()
        self.vision = self.adapter = self.text_encoder = None
        return self

    @own_defaults()
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
            ValueError: no such pictures, unknown category, a count that does not fit, a prompt with another number of
                `$`, or `release_encoders` let go of the models.
        """
        garment = require_pictures("garment", garment, 3, -1)
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

    @own_defaults()
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
        given = (("person", person, 3, -1), ("mask", mask, 1, 0), ("pose map", pose_map, 18, 0))
        person, mask, pose_map = (require_pictures(*each).to(self.device) for each in given)
        if not person.shape[0] == mask.shape[0] == pose_map.shape[0]:
            raise ValueError(
                f"person, mask and pose map need one batch size, "
                f"got {person.shape[0]}, {mask.shape[0]}, {pose_map.shape[0]}."
            )
        if pose_map.shape[-2:] != person.shape[-2:]:
            raise ValueError(
                f"pose map must be (B, 18, {person.shape[-2]}, {person.shape[-1]}), got {tuple(pose_map.shape)}."
            )
        latent_size(tuple(person.shape[-2:]), downscale_factor(self.vae))
        mask = binary_mask(mask)
        if empty := nothing_to_repaint(mask):
            log.warning(
                "Nothing is repainted in picture %s: the mask is below 0.5 all over.", ", ".join(map(str, empty))
            )
        posterior, taps = encode_with_taps(self.vae, self._picture(masked_at_half(person, mask)))
        self._numbers(posterior.parameters, "The VAE's encoder")
        skips = None
        if emasc and self.emasc is not None:
            grow = self.preset.skip_grow if skip_grow is None else skip_grow
            feather = self.preset.skip_feather if skip_feather is None else skip_feather
            skips = tuple(mask_features(self.emasc(taps), mask, grow=grow, feather=feather))
            for skip in skips:
                self._numbers(skip, "EMASC")
        return PersonEncoding(person, mask, pose_map, posterior.parameters, skips)

    @own_defaults()
    @torch.no_grad()
    def warp(
        self,
        garment: Tensor,
        person: PersonEncoding | FramedPerson,
        *,
        refined: bool = True,
        photograph: bool = False,
    ) -> WarpResult:
        """The garment (B, 3, h, w) in [-1, 1] in the person's pose; always float32 (paper section 3.1).

        Args:
            refined: False leaves the refinement out: `warped` is `coarse`.
            photograph: see `GarmentWarper.coarse_warp`.
        """
        require_pictures("garment", garment, 3, -1)
        garment, agnostic, pose_map = (
            x.to(self.device, torch.float32) for x in (garment, person.agnostic, person.pose_map)
        )
        if not refined:
            result = self.warper.coarse_warp(garment, agnostic, pose_map, photograph=photograph)
        elif self.speed == "fast":
            result = fast_warp(self.warper, garment, agnostic, pose_map, self.dtype, photograph=photograph)
        else:
            result = self.warper(garment, agnostic, pose_map, photograph=photograph)
        if photograph and self.warper.garment_parts is not None:
            for left in sorted(set(range(len(garment))) - set(result.dressed)):
                log.warning("The garment of picture %d %s.", left, LEFT_TO_THE_SPLINE)
        for made in (result.grid, result.warped):  # sampling at places that are no numbers gives a flat picture
            require_finite(made, "The garment warper")
        return result

    def ready_unet(self) -> UNet2DConditionModel | FastUNet:
        """What the loop calls: the UNet, or in fast mode what is built around it."""
        if self.speed == "exact":
            return self.unet
        if self._fast_unet is None or self._fast_unet.unet is not self.unet:
            self._fast_unet = FastUNet(self.unet)
        self._fast_unet.begin()
        return self._fast_unet

    @own_defaults()
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
        """The UNet's 27 conditioning channels (B, 27, h, w); 23 when the UNet takes no garment (published §5)."""
        garment_moments = None
        if self.unet.config.in_channels != 27:
            warped = None if warped is None else require_pictures("warped garment", warped, 3, -1)
            if warped is None or warped.shape[-2:] != person.person.shape[-2:]:
                raise ValueError(
                    f"the warped garment must be (B, 3, {person.person.shape[-2]}, {person.person.shape[-1]})."
                )
            # through the taps' walk, not vae.encode: that one may tile or slice behind the caller's back
            garment_moments = encode_with_taps(self.vae, self._picture(warped))[0].parameters
            self._numbers(garment_moments, "The VAE's encoder")
        return try_on_channels(
            person.mask,
            person.moments,
            person.pose_map,
            garment_moments,
            noise.to(person.moments) if posterior == "sample" else None,
            self.preset.vae_scale,
            no_pose=no_pose,
        )

    @own_defaults()
    @torch.no_grad()
    def empty_prompt(self) -> Tensor:
        """Embedding (1, 77, C) of the empty prompt, computed once (published §4.6)."""
        if self._empty_prompt is None:
            self._empty_prompt = self.text_encoder(tokenize([""]).to(self.device))
        return self._empty_prompt

    @own_defaults()
    @torch.no_grad()
    def decode(self, latents: Tensor, skips: Sequence[Tensor] | None = None) -> Tensor:
        """Scaled latents (B, 4, h, w) to pictures (B, 3, H, W) float32 in [0, 1] (published §6.10)."""
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
