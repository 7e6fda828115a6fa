"""Nodes that set up and run the denoising: try-on conditioning and try-on sampler.

Paper section 3.3. `native_taps.py` and `paper_sampler.py` talk to ComfyUI's VAE and sampler; the channel order, the
noise and the schedule are the core's. `decoding.py` takes the latent.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..ladivton_core.denoising.conditioning import (
    concat_conditioning,
    latent_mask,
    latent_pose,
    masked_image,
    posterior_mode,
    unconditional,
)
from ..ladivton_core.denoising.conditioning import (
    sample_posterior as sampled,
)
from ..ladivton_core.denoising.noise import item_noise
from ..ladivton_core.presets import PUBLISHED_VAE_SCALE
from .lane import categories_differ
from .native_taps import encode_moments
from .notes import Notes
from .recommended import GUIDANCE, LARGEST_GUIDANCE, STEPS, check_guidance, sampling_settings
from .tensors import check_multiple_of_8, common_batch, from_image, from_mask
from .types import CATEGORY, PoseMap, SkipFeatures, SkipFeaturesType, io

LARGEST_SEED = 2**64 - 1


def item_seeds(seed: int, items: int, index: list[int] | None = None) -> list[int]:
    """Seed of every item of a batch: item i is what a run of its own with `seed + i` would give.

    Args:
        seed: of item 0.
        items: batch size.
        index: original positions, when a batch was cut up before (`batch_index` of a LATENT).

    Raises:
        ValueError: `index` does not name one position an item.
    """
    if index is not None and len(index) != items:
        raise ValueError(
            f"'latent' was cut down to the items {list(index)} of its batch, 'positive' and 'negative' hold {items}. "
            "Take the same items out of person, mask, pose_map and warped_garment before 'Try-On Conditioning'."
        )
    positions = range(items) if index is None else index
    return [(seed + position) % (LARGEST_SEED + 1) for position in positions]


class LadiVTON_TryOnConditioning(io.ComfyNode):
    """Everything the UNet sees beside the noisy latent."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_TryOnConditioning",
            display_name="Try-On Conditioning",
            category=f"{CATEGORY}/sampling",
            description="Adds mask, masked person, pose and warped garment to the conditionings: "
                "27 channels that the try-on model sees beside the noise. "
                "The negative keeps mask and person only, which is what guidance steers away from.",
            inputs=[
                io.Conditioning.Input("positive", tooltip="From Textual Inversion Encoder "
                    "(or any Stable Diffusion 2 prompt)."),
                io.Conditioning.Input("negative", tooltip="Clip Text Encode with an empty text, as in the paper."),
                io.Vae.Input("vae", tooltip="Stable Diffusion VAE (or the embedded one)."),
                io.Image.Input("person", tooltip="Photo of the person, whole."),
                io.Mask.Input("mask", tooltip="White where the sampler repaints, from Agnostic Person."),
                PoseMap.Input("pose_map", tooltip="Pose of the person, from Pose Map."),
                io.Image.Input("warped_garment", tooltip="From Garment Warper."),
                io.Boolean.Input(
                    "sample_posterior", default=True,
                    tooltip="Draw the VAE's latents at random around their mean, as the paper's code does; "
                        "off takes the mean, as ComfyUI's VAE Encode does.",
                ),
                io.Int.Input(
                    "posterior_seed", default=1234, min=0, max=LARGEST_SEED,
                    tooltip="Seed of that draw; item i of a batch uses seed + i. "
                        "Separate from the sampler's, so that a new picture needs no new encoding.",
                ),
                io.Boolean.Input("no_pose", default=False, tooltip="Hide the pose from the model "
                    "(an ablation of the paper)."),
            ],
            outputs=[
                io.Conditioning.Output("positive_out", display_name="positive", tooltip="For the sampler."),
                io.Conditioning.Output("negative_out", display_name="negative", tooltip="For the sampler."),
                io.Latent.Output("latent", display_name="latent", tooltip="Empty latent of "
                    "the right size, for the sampler."),
                SkipFeaturesType.Output("skip_features", display_name="skip_features", tooltip="Encoder features of "
                    "the masked person, for EMASC Decoder."),
            ],
            hidden=[io.Hidden.dynprompt],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, positive: list, negative: list, vae, person: Tensor, mask: Tensor, pose_map: Tensor,
        warped_garment: Tensor, sample_posterior: bool = True, posterior_seed: int = 1234, no_pose: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        import comfy.model_management as memory
        from comfy.utils import ProgressBar

        picture = from_image(person, "person")
        size = (picture.shape[-2], picture.shape[-1])
        check_multiple_of_8(*size, "person")
        garment = from_image(warped_garment, "warped_garment")
        for name, tensor in (("pose_map", pose_map), ("warped_garment", garment)):
            if tuple(tensor.shape[-2:]) != size:
                raise ValueError(
                    f"'{name}' is {tensor.shape[-2]} x {tensor.shape[-1]} and 'person' {size[0]} x {size[1]} "
                    "(height x width). Make it from the same person picture."
                )
        inputs = common_batch(
            person=picture, mask=from_mask(mask, size), pose_map=pose_map, warped_garment=garment,
            positive=_largest(positive), negative=_largest(negative),
        )  # fmt: skip
        items = inputs["person"].shape[0]

        notes = Notes("Try-On Conditioning")
        notes.warn(_other_category(cls.hidden))

        progress = ProgressBar(2 * items)
        masked_moments, features = encode_moments(vae, masked_image(inputs["person"], inputs["mask"]), progress)
        garment_moments, _ = encode_moments(vae, inputs["warped_garment"], progress)
        if sample_posterior:
            noise = item_noise(item_seeds(posterior_seed, items), (4, *masked_moments.shape[-2:]))
            masked_latents = sampled(masked_moments, noise=noise.masked)
            garment_latents = sampled(garment_moments, noise=noise.garment)
        else:
            masked_latents, garment_latents = posterior_mode(masked_moments), posterior_mode(garment_moments)
        pose = latent_pose(inputs["pose_map"].to(masked_latents))
        channels = concat_conditioning(
            latent_mask(inputs["mask"]).to(masked_latents),
            masked_latents * PUBLISHED_VAE_SCALE,
            torch.zeros_like(pose) if no_pose else pose,
            garment_latents * PUBLISHED_VAE_SCALE,
        )
        latent = torch.zeros(items, 4, *channels.shape[-2:], device=memory.intermediate_device())
        return io.NodeOutput(
            _with_channels(positive, channels),
            _with_channels(negative, unconditional(channels)),
            {"samples": latent},
            SkipFeatures(features, inputs["mask"]),
            ui=notes.ui,
        )


def _other_category(hidden) -> str | None:
    """`categories_differ` of the node that runs now; None outside a running graph."""
    from comfy_execution.utils import get_executing_context

    graph, here = None if hidden is None else hidden.dynprompt, get_executing_context()
    if graph is None or here is None:
        return None
    return categories_differ(lambda node: graph.get_node(node) if graph.has_node(node) else None, here.node_id)


def _largest(conditioning: list) -> Tensor:
    """The prompt tensor (B, T, C) with the largest batch, to compare batches with."""
    return max((tensor for tensor, _ in conditioning), key=len)


def _with_channels(conditioning: list, channels: Tensor) -> list:
    """Conditioning with the extra input channels in every entry."""
    return [[tensor, options | {"noise_concat": channels}] for tensor, options in conditioning]


class LadiVTON_TryOnSampler(io.ComfyNode):
    """The paper's sampling."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_TryOnSampler",
            display_name="Try-On Sampler",
            category=f"{CATEGORY}/sampling",
            description="Samples with exactly the paper's DDIM steps on the noise schedule that travels in the "
                "MODEL, and with the steps and the guidance the model recommends. "
                "KSampler works in its place, but does not ask the model: "
                "euler, denoise 1, and sgm_uniform with 5 steps and cfg 1 for the embedded models, "
                "ddim_uniform with 50 steps and cfg 7.5 for the published ones. "
                "Item i of a batch uses seed + i, so that an item with the same seed gives "
                "the same picture in any batch.",
            inputs=[
                io.Model.Input("model", tooltip="Try-on MODEL, LoRA and other patches included."),
                io.Conditioning.Input("positive", tooltip="From Try-On Conditioning."),
                io.Conditioning.Input("negative", tooltip="From Try-On Conditioning."),
                io.Latent.Input("latent", tooltip="From Try-On Conditioning."),
                io.Int.Input(
                    "seed", default=1234, min=0, max=LARGEST_SEED, control_after_generate=True,
                    tooltip="Seed of the first noise; item i of a batch uses seed + i.",
                ),
                io.Int.Input(
                    "steps", default=STEPS, min=STEPS, max=999,
                    tooltip="Sampling steps. 0 takes what the model recommends: "
                        "for the published models the paper's 50, for the embedded ones a few.",
                ),
                io.Float.Input(
                    "guidance", default=GUIDANCE, min=GUIDANCE, max=LARGEST_GUIDANCE, step=0.1, round=0.01,
                    tooltip="How strongly words, pose and garment are followed. "
                        "0 takes what the model recommends: for the published models the paper's 7.5. "
                        "1 switches guidance off and halves the time, and suits the embedded models.",
                ),
                io.Float.Input(
                    "cloth_cond_rate", default=1.0, min=0.0, max=1.0, step=0.05,
                    tooltip="Share of the steps, from the first, in which the warped garment is seen. "
                        "1 is the paper's value.",
                ),
            ],
            outputs=[io.Latent.Output("samples", display_name="samples", tooltip="For EMASC Decoder, or VAE Decode.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, guidance: float | None = None) -> bool | str:
        try:
            check_guidance(guidance)
        except ValueError as error:
            return str(error)
        return True

    @classmethod
    def execute(
        cls, model, positive: list, negative: list, latent: dict, seed: int = 1234, steps: int = STEPS,
        guidance: float = GUIDANCE, cloth_cond_rate: float = 1.0,
    ) -> io.NodeOutput:  # fmt: skip
        from . import paper_sampler

        _check_model(model)
        steps, guidance, used = sampling_settings(model, steps, guidance)
        notes = Notes("Try-On Sampler")
        notes.say(used)
        samples = common_batch(
            latent=latent["samples"], positive=_largest(positive), negative=_largest(negative),
            positive_channels=_channels(positive, "positive"), negative_channels=_channels(negative, "negative"),
        )["latent"]  # fmt: skip
        seeds = item_seeds(seed, samples.shape[0], latent.get("batch_index"))
        noise = item_noise(seeds, (4, *samples.shape[-2:])).latents
        result = paper_sampler.sample(
            model, noise, positive, negative, torch.zeros_like(samples), steps=steps, guidance=guidance,
            cloth_cond_rate=cloth_cond_rate, seed=seed,
        )  # fmt: skip
        return io.NodeOutput({**latent, "samples": result}, ui=notes.ui)


def _check_model(model) -> None:
    """Only a 31-channel UNet takes the try-on conditioning.

    Raises:
        ValueError: another MODEL; the message says which node loads the right one.
    """
    channels = getattr(model.model.model_config, "unet_config", {}).get("in_channels")
    if channels != 31:
        raise ValueError(
            f"This MODEL ({type(model.model).__name__}) takes {channels} input channels, LaDI-VTON's takes 31: "
            "latent 4, mask 1, masked person 4, pose 18, warped garment 4. Load it with 'Load Try-On Model' or "
            "'Load Embedded Try-On Models'."
        )


def _channels(conditioning: list, name: str) -> Tensor:
    """The extra channels (B, 27, h, w) of a conditioning.

    Raises:
        ValueError: there are none.
    """
    for _, options in conditioning:
        if "noise_concat" not in options:
            raise ValueError(f"'{name}' has no try-on channels. Connect the outputs of 'Try-On Conditioning'.")
    return conditioning[0][1]["noise_concat"]


NODES = [LadiVTON_TryOnConditioning, LadiVTON_TryOnSampler]
