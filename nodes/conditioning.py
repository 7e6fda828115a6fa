"""The node that joins person, pose and garment to the prompt, and its two halves, which `wardrobe.py` has as nodes.

A person is encoded once (`encode_person`); a new garment then costs nothing of the person's work (`dress`). Channels
and noise are the core's; `sampling.py` takes the conditioning. Paper section 3.3.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.denoising.conditioning import masked_at_half, posterior_mode, try_on_channels, unconditional
from ..ladivton_core.denoising.noise import item_noise
from ..ladivton_core.encodings import PersonEncoding
from ..ladivton_core.preprocessing.masks.agnostic import nothing_to_repaint
from ..ladivton_core.preprocessing.masks.body_mask import worn_cloth
from ..ladivton_core.presets import PUBLISHED_VAE_SCALE
from ..ladivton_core.runtime.finite import require_finite
from .host.notes import Notes
from .host.taps import encode_moments
from .host.types import (
    CATEGORY,
    LARGEST_SEED,
    PoseMap,
    ProgressBar,
    SkipFeatures,
    SkipFeaturesType,
    advanced,
    io,
    item_seeds,
    search_aliases,
)
from .tensors import check_multiple_of_8, common_batch, from_image, from_mask, photo_pixels, repeat_to
from .upstream import categories_differ, in_running_graph, photo_for_drawn_models


def encode_person(
    vae, person: Tensor, mask: Tensor, pose_map: Tensor, *, with_latents: bool = False, progress=None
) -> PersonEncoding:
    """People through the VAE.

    Args:
        person: IMAGE (B, H, W, 3).
        mask: MASK (B, H, W) of its size.
        pose_map: (B, 18, H, W).
        with_latents: encode the whole picture too.
        progress: moved on by one a picture encoded.

    Raises:
        ValueError: sizes or batches differ, or a side is no multiple of 8.
    """
    picture = from_image(person, "person")
    check_multiple_of_8(*picture.shape[-2:], "person")
    _require_same_size(picture, pose_map=pose_map)
    batch = common_batch(person=picture, mask=from_mask(mask, tuple(picture.shape[-2:])), pose_map=pose_map)
    moments, taps = encode_moments(vae, masked_at_half(batch["person"], batch["mask"]), progress)
    latents = posterior_mode(encode_moments(vae, batch["person"], progress)[0]) if with_latents else None
    return PersonEncoding(**batch, moments=moments, taps=taps, latents=latents)


def dress(
    people: PersonEncoding, positive: list, negative: list, vae, garment: Tensor, *, sample_posterior: bool = True,
    posterior_seed: int = 1234, no_pose: bool = False, lay_garment: bool = False, underlay: Tensor | None = None,
    progress=None, name: str = "encoded_person",
) -> tuple[list, list, dict, SkipFeatures]:  # fmt: skip
    """Conditionings with the 27 extra channels, LATENT and skip features of encoded people in warped garments.

    Args:
        garment: warped, (B, 3, H, W) in [-1, 1]; one serves every person, and one person every garment.
        sample_posterior, posterior_seed: latents are drawn, item i with seed + i; else they are the posteriors' means.
        no_pose: hides the pose from the model.
        lay_garment: the decoder lays the garment itself into what it decodes.
        underlay: what it then lays under it (B, H, W, 3) in [0, 1], see `masks/underlay.py`.
        name: what messages call the people.

    Raises:
        ValueError: sizes or batches differ, or a conditioning has values that are no numbers.
    """
    import comfy.model_management as memory

    under = None if underlay is None else photo_pixels(underlay, "underlay")
    _require_same_size(
        people.person, what=name, warped_garment=garment, **({} if under is None else {"underlay": under})
    )
    if under is not None and not lay_garment:
        raise ValueError("'underlay' is laid with the garment only: switch 'lay_garment' on, or disconnect it.")
    for side, conditioning in (("positive", positive), ("negative", negative)):
        for tensor, _ in conditioning:
            require_finite(tensor, f"The text encoder (CLIP) before '{side}'", "Start ComfyUI with --fp32-text-enc.")
    batch = common_batch(
        **{name: people.moments}, warped_garment=garment, positive=largest(positive), negative=largest(negative),
        mask=people.mask, pose_map=people.pose_map, latents=people.latents, underlay=under,
    )  # fmt: skip
    moments = batch[name]
    # Encoded as they came: one garment for many people is looked at once.
    garment_moments, _ = encode_moments(vae, garment, progress)
    shown = garment / 2 + 0.5
    laid = (shown, worn_cloth(shown) * batch["mask"], batch["underlay"]) if lay_garment else None
    items, size = moments.shape[0], tuple(moments.shape[-2:])
    channels = try_on_channels(
        batch["mask"], moments, batch["pose_map"],
        repeat_to(garment_moments.to(moments.device), items),
        item_noise(item_seeds(posterior_seed, items), (4, *size)) if sample_posterior else None,
        PUBLISHED_VAE_SCALE, no_pose=no_pose,
    )  # fmt: skip
    if people.latents is None:
        latents = torch.zeros(items, 4, *size, device=memory.intermediate_device())
    else:
        latents = batch["latents"].contiguous()
    return (
        [[tensor, options | {"noise_concat": channels}] for tensor, options in positive],
        [[tensor, options | {"noise_concat": unconditional(channels)}] for tensor, options in negative],
        {"samples": latents},
        SkipFeatures(people.taps, batch["mask"], laid),
    )


def _require_same_size(picture: Tensor, what: str = "person", **others: Tensor) -> None:
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


def of_empty_masks(mask: Tensor) -> str | None:
    """What to say of the pictures whose mask (B, 1, H, W) has nothing to repaint; None where every one has."""
    empty = nothing_to_repaint(mask)
    if not empty:
        return None
    return (
        f"Nothing is repainted in picture {', '.join(map(str, empty))}: 'mask' is below one half all over. "
        "Check the category of Agnostic Person, and that a painted mask is white over the garment."
    )


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
            "sample_posterior", **advanced(), default=True,
            tooltip="Draw the VAE's latents at random around their mean, as the paper's code does; "
                "off takes the mean, as ComfyUI's VAE Encode does.",
        ),
        io.Int.Input(
            "posterior_seed", **advanced(), default=1234, min=0, max=LARGEST_SEED,
            tooltip=f"Seed of that draw; item i of a batch uses seed + i.{more}",
        ),
        io.Boolean.Input("no_pose", **advanced(), default=False, tooltip="Hide the pose from the model "
            "(an ablation of the paper)."),
    ]  # fmt: skip


def lay_garment_inputs() -> list[io.Input]:
    """What the decoder lays into its picture, at the end of every conditioning node."""
    return [
        io.Boolean.Input(
            "lay_garment", **advanced(), default=False, optional=True,
            tooltip="Beyond the paper: EMASC Decoder lays the warped garment itself where its cloth lies, "
                "in the light of what was sampled. Turn it on for photographs with the embedded models, "
                "which are too small to draw letters.",
        ),
        io.Image.Input(
            "underlay", optional=True,
            tooltip="From Body Mask: laid under the garment, but for what of it is middle grey.",
        ),
    ]  # fmt: skip


def conditioning_outputs() -> list[io.Output]:
    """What `dress` gives."""
    return [
        io.Conditioning.Output("positive_out", display_name="positive", tooltip="For the sampler."),
        io.Conditioning.Output("negative_out", display_name="negative", tooltip="For the sampler."),
        io.Latent.Output("latent", display_name="latent", tooltip="Empty latent of "
            "the right size, or the encoded person, for the sampler."),
        SkipFeaturesType.Output("skip_features", display_name="skip_features", tooltip="Encoder features of "
            "the masked person, for EMASC Decoder."),
    ]  # fmt: skip


class LadiVTON_TryOnConditioning(io.ComfyNode):
    """Everything the UNet sees beside the noisy latent."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_TryOnConditioning",
            display_name="Try-On Conditioning",
            **search_aliases("virtual try-on", "vton", "inpaint conditioning"),
            category=f"{CATEGORY}/sampling",
            description="Adds mask, masked person, pose and warped garment to the conditionings: "
                "27 channels that the try-on model sees beside the noise. "
                "The negative keeps mask and person only, which is what guidance steers away from.",
            inputs=[
                *text_inputs(),
                io.Vae.Input("vae", tooltip="Stable Diffusion VAE (or the embedded one)."),
                io.Image.Input("person", tooltip="Photo of the person, whole."),
                io.Mask.Input("mask", tooltip="White where the sampler repaints, from Agnostic Person or Body Mask."),
                PoseMap.Input("pose_map", tooltip="Pose of the person, from Pose Map."),
                io.Image.Input("warped_garment", tooltip="From Garment Warper."),
                *posterior_inputs(" Separate from the sampler's, so that a new picture needs no new encoding."),
                io.Boolean.Input(
                    "latent_of_person", **advanced(), default=False, optional=True,
                    tooltip="Put the encoded person into the LATENT instead of leaving it empty: "
                        "for a sampler with 'denoise' below 1, "
                        "or with Set Latent Noise Mask, which keeps what it does not repaint.",
                ),
                *lay_garment_inputs(),
            ],
            outputs=conditioning_outputs(),
            hidden=[io.Hidden.dynprompt],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, positive: list, negative: list, vae, person: Tensor, mask: Tensor, pose_map: Tensor,
        warped_garment: Tensor, sample_posterior: bool = True, posterior_seed: int = 1234, no_pose: bool = False,
        latent_of_person: bool = False, lay_garment: bool = False, underlay: Tensor | None = None,
    ) -> io.NodeOutput:  # fmt: skip
        picture, garment = from_image(person, "person"), from_image(warped_garment, "warped_garment")
        size = (picture.shape[-2], picture.shape[-1])
        check_multiple_of_8(*size, "person")
        _require_same_size(picture, pose_map=pose_map, warped_garment=garment)
        common_batch(  # all are asked before the first is encoded
            person=picture, mask=from_mask(mask, size), pose_map=pose_map, warped_garment=garment,
            positive=largest(positive), negative=largest(negative),
        )  # fmt: skip
        notes = Notes("Try-On Conditioning")
        notes.warn(in_running_graph(cls.hidden, categories_differ))
        notes.warn(photo_for_drawn_models(vae, cls.hidden))
        notes.warn(of_empty_masks(from_mask(mask, size)))
        progress = ProgressBar((2 if latent_of_person else 1) * picture.shape[0] + garment.shape[0])
        people = encode_person(vae, person, mask, pose_map, with_latents=latent_of_person, progress=progress)
        return io.NodeOutput(
            *dress(
                people, positive, negative, vae, garment, sample_posterior=sample_posterior,
                posterior_seed=posterior_seed, no_pose=no_pose, lay_garment=lay_garment, underlay=underlay,
                progress=progress, name="person",
            ),
            ui=notes.ui,
        )  # fmt: skip


NODES = [LadiVTON_TryOnConditioning]
