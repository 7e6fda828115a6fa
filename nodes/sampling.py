"""Nodes that set up and run the denoising: try-on conditioning and try-on sampler.

Paper section 3.3. `encoded_person.py` and `paper_sampler.py` do the work; the channel order, the noise and the schedule
are the core's. `decoding.py` takes the latent.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.runtime.finite import require_finite
from .encoded_person import (
    conditioning_outputs,
    dressed,
    encode_person,
    largest,
    posterior_inputs,
    same_size,
    text_inputs,
)
from .lane import categories_differ
from .noise import LARGEST_SEED, ItemNoise
from .notes import Notes, of_empty_masks
from .recommended import GUIDANCE, LARGEST_GUIDANCE, STEPS, check_guidance, sampling_settings
from .tensors import check_multiple_of_8, common_batch, from_image, from_mask
from .types import CATEGORY, PoseMap, io, search_aliases

UNET_ADVICE = (
    "Choose 'precision' bfloat16 or float32 in 'Load Try-On Model', or start ComfyUI with --bf16-unet or --fp32-unet; "
    "with a LoRA or another patch, try without it."
)


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
                io.Mask.Input("mask", tooltip="White where the sampler repaints, from Agnostic Person."),
                PoseMap.Input("pose_map", tooltip="Pose of the person, from Pose Map."),
                io.Image.Input("warped_garment", tooltip="From Garment Warper."),
                *posterior_inputs(" Separate from the sampler's, so that a new picture needs no new encoding."),
                io.Boolean.Input(
                    "latent_of_person", default=False, optional=True,
                    tooltip="Put the encoded person into the LATENT instead of leaving it empty: "
                        "for a sampler with 'denoise' below 1, "
                        "or with Set Latent Noise Mask, which keeps what it does not repaint.",
                ),
            ],
            outputs=conditioning_outputs(),
            hidden=[io.Hidden.dynprompt],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, positive: list, negative: list, vae, person: Tensor, mask: Tensor, pose_map: Tensor,
        warped_garment: Tensor, sample_posterior: bool = True, posterior_seed: int = 1234, no_pose: bool = False,
        latent_of_person: bool = False,
    ) -> io.NodeOutput:  # fmt: skip
        from comfy.utils import ProgressBar

        picture, garment = from_image(person, "person"), from_image(warped_garment, "warped_garment")
        size = (picture.shape[-2], picture.shape[-1])
        check_multiple_of_8(*size, "person")
        same_size(picture, pose_map=pose_map, warped_garment=garment)
        common_batch(  # all are asked before the first is encoded
            person=picture, mask=from_mask(mask, size), pose_map=pose_map, warped_garment=garment,
            positive=largest(positive), negative=largest(negative),
        )  # fmt: skip
        notes = Notes("Try-On Conditioning")
        notes.warn(_other_category(cls.hidden))
        notes.warn(of_empty_masks(from_mask(mask, size)))
        progress = ProgressBar((2 if latent_of_person else 1) * picture.shape[0] + garment.shape[0])
        people = encode_person(vae, person, mask, pose_map, with_latents=latent_of_person, progress=progress)
        return io.NodeOutput(
            *dressed(
                people, positive, negative, vae, garment, sample_posterior=sample_posterior,
                posterior_seed=posterior_seed, no_pose=no_pose, progress=progress, name="person",
            ),
            ui=notes.ui,
        )  # fmt: skip


def _other_category(hidden) -> str | None:
    """`categories_differ` of the node that runs now; None outside a running graph."""
    from comfy_execution.utils import get_executing_context

    graph, here = None if hidden is None else hidden.dynprompt, get_executing_context()
    if graph is None or here is None:
        return None
    return categories_differ(lambda node: graph.get_node(node) if graph.has_node(node) else None, here.node_id)


class LadiVTON_TryOnSampler(io.ComfyNode):
    """The paper's sampling."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_TryOnSampler",
            display_name="Try-On Sampler (Dress the Person)",
            **search_aliases(
                "virtual try-on", "vton", "clothes", "clothing",
                "outfit", "fashion", "ksampler", "ddim",
            ),
            category=f"{CATEGORY}/sampling",
            description="Samples with exactly the paper's DDIM steps on the noise schedule that travels in the "
                "MODEL, and with the steps and the guidance the model recommends. "
                "KSampler works in its place, but does not ask the model: "
                "euler, denoise 1, and sgm_uniform with 5 steps and cfg 1 for the embedded models, "
                "ddim_uniform with 50 steps and cfg 7.5 for the published ones. "
                "Item i of a batch uses seed + i, so that an item with the same seed gives "
                "the same picture in any batch, up to rounding.",
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
                io.Float.Input(
                    "denoise", default=1.0, min=0.0, max=1.0, step=0.01, optional=True,
                    tooltip="1 starts from noise alone and takes the LATENT as empty, as the paper does. "
                        "Below 1 sampling starts from what the LATENT holds, with that share of the noise. "
                        "Either way a noise mask keeps what it does not repaint.",
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
        guidance: float = GUIDANCE, cloth_cond_rate: float = 1.0, denoise: float = 1.0,
    ) -> io.NodeOutput:  # fmt: skip
        from . import paper_sampler

        _check_model(model)
        steps, guidance, used = sampling_settings(model, steps, guidance)
        notes = Notes("Try-On Sampler")
        notes.say(used)
        notes.warn(paper_sampler.lost_schedule(model))
        if (denoise < 1 or "noise_mask" in latent) and not latent["samples"].any():
            notes.warn(
                "The LATENT is empty: 'denoise' below 1 starts from it, and a noise mask keeps it. "
                "Turn on 'latent_of_person' in Try-On Conditioning, or connect the LATENT of a first pass."
            )
        samples = common_batch(
            latent=latent["samples"], positive=largest(positive), negative=largest(negative),
            positive_channels=channels_of(positive, "positive"), negative_channels=channels_of(negative, "negative"),
        )["latent"]  # fmt: skip
        start = {**latent, "samples": samples}
        if denoise == 0:
            return io.NodeOutput(start, ui=notes.ui)
        result = paper_sampler.sample(
            model, ItemNoise(seed), positive, negative, start, steps=steps, guidance=guidance,
            cloth_cond_rate=cloth_cond_rate, denoise=denoise,
        )  # fmt: skip
        require_finite(result, "The try-on UNet", UNET_ADVICE, model.model.get_dtype())
        return io.NodeOutput({**start, "samples": result}, ui=notes.ui)


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


def channels_of(conditioning: list, name: str) -> Tensor:
    """The extra channels (B, 27, h, w) of a conditioning.

    Raises:
        ValueError: there are none.
    """
    for _, options in conditioning:
        if "noise_concat" not in options:
            raise ValueError(f"'{name}' has no try-on channels. Connect the outputs of 'Try-On Conditioning'.")
    return conditioning[0][1]["noise_concat"]


NODES = [LadiVTON_TryOnConditioning, LadiVTON_TryOnSampler]
