"""Nodes that take Try-On Conditioning apart: the person encoded once, and a garment for an encoded person.

A new garment then costs nothing of the person's work. Paper section 3.3; `sampling.py` has both halves in one node.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..ladivton_core.denoising.conditioning import (
    concat_conditioning,
    latent_mask,
    latent_pose,
    masked_at_half,
    posterior_mode,
    unconditional,
)
from ..ladivton_core.denoising.conditioning import sample_posterior as sampled
from ..ladivton_core.denoising.noise import item_noise
from ..ladivton_core.presets import PUBLISHED_VAE_SCALE
from ..ladivton_core.runtime.finite import require_finite
from .native_taps import encode_moments
from .noise import LARGEST_SEED, item_seeds
from .notes import Notes, of_empty_masks
from .tensors import check_multiple_of_8, common_batch, from_image, from_mask, repeat_to
from .types import CATEGORY, EncodedPersonType, PoseMap, SkipFeatures, SkipFeaturesType, io, search_aliases


@dataclass(frozen=True)
class EncodedPerson:
    """What a try-on needs of people, whatever they will wear.

    Attributes:
        picture: (B, 3, H, W) in [-1, 1].
        mask: (B, 1, H, W) in {0, 1}, 1 = repaint.
        pose_map: (B, 18, H, W).
        moments: posterior of the masked picture, (B, 8, h, w).
        features: taps f1...f5 of the encoder on it, (B, C_i, h_i, w_i); f2 is the same tensor as f1.
        latents: of the whole picture, (B, 4, h, w); None leaves the sampler's LATENT empty.
    """

    picture: Tensor
    mask: Tensor
    pose_map: Tensor
    moments: Tensor
    features: tuple[Tensor, ...]
    latents: Tensor | None = None

    def one_by_one(self) -> list[EncodedPerson]:
        """Every person alone, as batches of one."""

        def only(item: int) -> EncodedPerson:
            f1, _, *deeper = (feature[item : item + 1] for feature in self.features)
            rest = {name: getattr(self, name) for name in ("picture", "mask", "pose_map", "moments", "latents")}
            parts = {name: None if value is None else value[item : item + 1] for name, value in rest.items()}
            return replace(self, features=(f1, f1, *deeper), **parts)

        return [self] if len(self.picture) == 1 else [only(item) for item in range(len(self.picture))]


def encode_person(
    vae, person: Tensor, mask: Tensor, pose_map: Tensor, *, with_latents: bool = False, progress=None
) -> EncodedPerson:
    """People through the VAE.

    Args:
        person: IMAGE.
        mask: MASK of its size.
        pose_map: of its size.
        with_latents: encode the whole picture too.
        progress: moved on by one a picture encoded.

    Raises:
        ValueError: sizes or batches differ, or a side is no multiple of 8.
    """
    picture = from_image(person, "person")
    check_multiple_of_8(*picture.shape[-2:], "person")
    same_size(picture, pose_map=pose_map)
    batch = common_batch(person=picture, mask=from_mask(mask, tuple(picture.shape[-2:])), pose_map=pose_map)
    moments, features = encode_moments(vae, masked_at_half(batch["person"], batch["mask"]), progress)
    latents = posterior_mode(encode_moments(vae, batch["person"], progress)[0]) if with_latents else None
    return EncodedPerson(batch["person"], batch["mask"], batch["pose_map"], moments, features, latents)


def dressed(
    people: EncodedPerson, positive: list, negative: list, vae, garment: Tensor, *, sample_posterior: bool = True,
    posterior_seed: int = 1234, no_pose: bool = False, progress=None, name: str = "encoded_person",
) -> tuple[list, list, dict, SkipFeatures]:  # fmt: skip
    """Conditionings with the 27 extra channels, LATENT and skip features of encoded people in warped garments.

    Args:
        garment: warped, (B, 3, H, W) in [-1, 1]; one serves every person, and one person every garment.
        name: what messages call the people.

    Raises:
        ValueError: sizes or batches differ.
    """
    import comfy.model_management as memory

    same_size(people.picture, what=name, warped_garment=garment)
    for side, conditioning in (("positive", positive), ("negative", negative)):
        for tensor, _ in conditioning:
            require_finite(tensor, f"The text encoder (CLIP) before '{side}'", "Start ComfyUI with --fp32-text-enc.")
    latents = {"latents": people.latents} if people.latents is not None else {}
    batch = common_batch(
        **{name: people.moments}, warped_garment=garment, positive=largest(positive), negative=largest(negative),
        mask=people.mask, pose_map=people.pose_map, **latents,
    )  # fmt: skip
    moments = batch[name]
    items, size = moments.shape[0], tuple(moments.shape[-2:])
    # Encoded as they came: one garment for many people is looked at once.
    garment_moments = repeat_to(encode_moments(vae, garment, progress)[0].to(moments.device), items)
    if sample_posterior:
        noise = item_noise(item_seeds(posterior_seed, items), (4, *size))
        masked_latents = sampled(moments, noise=noise.masked)
        garment_latents = sampled(garment_moments, noise=noise.garment)
    else:
        masked_latents, garment_latents = posterior_mode(moments), posterior_mode(garment_moments)
    pose = latent_pose(batch["pose_map"].to(masked_latents))
    channels = concat_conditioning(
        latent_mask(batch["mask"]).to(masked_latents),
        masked_latents * PUBLISHED_VAE_SCALE,
        torch.zeros_like(pose) if no_pose else pose,
        garment_latents * PUBLISHED_VAE_SCALE,
    )
    empty = torch.zeros(items, 4, *size, device=memory.intermediate_device())
    return (
        _with_channels(positive, channels),
        _with_channels(negative, unconditional(channels)),
        {"samples": batch["latents"].contiguous() if latents else empty},
        SkipFeatures(people.features, batch["mask"]),
    )


def same_size(picture: Tensor, what: str = "person", **others: Tensor) -> None:
    """Raise a ValueError that names the one of `others` which has not the picture's (height, width)."""
    height, width = picture.shape[-2:]
    for name, tensor in others.items():
        if tuple(tensor.shape[-2:]) != (height, width):
            raise ValueError(
                f"'{name}' is {tensor.shape[-2]} x {tensor.shape[-1]} and '{what}' {height} x {width} "
                "(height x width). Make it from the same person picture."
            )


def largest(conditioning: list) -> Tensor:
    """The prompt tensor (B, T, C) with the largest batch, to compare batches with."""
    return max((tensor for tensor, _ in conditioning), key=len)


def _with_channels(conditioning: list, channels: Tensor) -> list:
    """Conditioning with the extra input channels in every entry."""
    return [[tensor, options | {"noise_concat": channels}] for tensor, options in conditioning]


def text_inputs() -> list[io.Input]:
    """The two conditionings that every conditioning node of the try-on takes."""
    return [
        io.Conditioning.Input("positive", tooltip="From Textual Inversion Encoder "
            "(or any Stable Diffusion 2 prompt)."),
        io.Conditioning.Input("negative", tooltip="Clip Text Encode with an empty text, as in the paper."),
    ]  # fmt: skip


def posterior_inputs(more: str = "") -> list[io.Input]:
    """How the latents are drawn, and the paper's ablation; `more` goes on with the seed's tooltip."""
    return [
        io.Boolean.Input(
            "sample_posterior", default=True,
            tooltip="Draw the VAE's latents at random around their mean, as the paper's code does; "
                "off takes the mean, as ComfyUI's VAE Encode does.",
        ),
        io.Int.Input(
            "posterior_seed", default=1234, min=0, max=LARGEST_SEED,
            tooltip=f"Seed of that draw; item i of a batch uses seed + i.{more}",
        ),
        io.Boolean.Input("no_pose", default=False, tooltip="Hide the pose from the model "
            "(an ablation of the paper)."),
    ]  # fmt: skip


def conditioning_outputs() -> list[io.Output]:
    """What `dressed` gives."""
    return [
        io.Conditioning.Output("positive_out", display_name="positive", tooltip="For the sampler."),
        io.Conditioning.Output("negative_out", display_name="negative", tooltip="For the sampler."),
        io.Latent.Output("latent", display_name="latent", tooltip="Empty latent of "
            "the right size, or the encoded person, for the sampler."),
        SkipFeaturesType.Output("skip_features", display_name="skip_features", tooltip="Encoder features of "
            "the masked person, for EMASC Decoder."),
    ]  # fmt: skip


class LadiVTON_EncodePerson(io.ComfyNode):
    """The half of Try-On Conditioning that stays with the person."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_EncodePerson",
            display_name="Encode Person",
            **search_aliases("vae encode", "wardrobe", "virtual try-on"),
            category=f"{CATEGORY}/wardrobe",
            description="Encodes a person once for any number of garments: "
                "with Garment Conditioning, a new garment runs nothing of the person again.",
            inputs=[
                io.Vae.Input("vae", tooltip="Stable Diffusion VAE (or the embedded one)."),
                io.Image.Input("person", tooltip="Photo of the person, whole."),
                io.Mask.Input("mask", tooltip="White where the sampler repaints, from Agnostic Person."),
                PoseMap.Input("pose_map", tooltip="Pose of the person, from Pose Map."),
                io.Boolean.Input(
                    "latent_of_person", default=False,
                    tooltip="Put the encoded person into the LATENT of Garment Conditioning "
                        "instead of leaving it empty, as in Try-On Conditioning.",
                ),
            ],
            outputs=[
                EncodedPersonType.Output("encoded_person", display_name="encoded_person",
                    tooltip="For Garment Conditioning and Wardrobe People."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, vae, person: Tensor, mask: Tensor, pose_map: Tensor, latent_of_person: bool = False
    ) -> io.NodeOutput:
        from comfy.utils import ProgressBar

        progress, notes = ProgressBar((2 if latent_of_person else 1) * person.shape[0]), Notes("Encode Person")
        people = encode_person(vae, person, mask, pose_map, with_latents=latent_of_person, progress=progress)
        notes.warn(of_empty_masks(people.mask))
        return io.NodeOutput(people, ui=notes.ui)


class LadiVTON_GarmentConditioning(io.ComfyNode):
    """The half of Try-On Conditioning that changes with the garment."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_GarmentConditioning",
            display_name="Garment Conditioning",
            **search_aliases("wardrobe", "clothes", "outfit", "virtual try-on"),
            category=f"{CATEGORY}/wardrobe",
            description="Try-On Conditioning for a person from Encode Person: the same channels, to the bit, "
                "without encoding the person again.",
            inputs=[
                *text_inputs(),
                io.Vae.Input("vae", tooltip="The VAE that encoded the person."),
                EncodedPersonType.Input("encoded_person", tooltip="From Encode Person or Wardrobe People."),
                io.Image.Input("warped_garment", tooltip="From Garment Warper."),
                *posterior_inputs(),
            ],
            outputs=conditioning_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(
        cls, positive: list, negative: list, vae, encoded_person: EncodedPerson, warped_garment: Tensor,
        sample_posterior: bool = True, posterior_seed: int = 1234, no_pose: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        from comfy.utils import ProgressBar

        garment = from_image(warped_garment, "warped_garment")
        return io.NodeOutput(
            *dressed(
                encoded_person, positive, negative, vae, garment, sample_posterior=sample_posterior,
                posterior_seed=posterior_seed, no_pose=no_pose, progress=ProgressBar(garment.shape[0]),
            )
        )  # fmt: skip


NODES = [LadiVTON_EncodePerson, LadiVTON_GarmentConditioning]
