"""Nodes that run the denoising: Try-On Sampler, its parts for ComfyUI's custom sampling, and what makes it cheaper.

Paper section 3.3. `host/paper_sampling.py` and `host/speed_hooks.py` do the work; schedule and noise are the core's.
`decoding.py` takes the latent.
"""

from __future__ import annotations

from torch import Tensor

from ..ladivton_core.runtime.finite import require_finite
from .conditioning import largest
from .host.notes import Notes
from .host.types import CATEGORY, LARGEST_SEED, ItemNoise, advanced, io, search_aliases
from .recommended import GUIDANCE, LARGEST_GUIDANCE, STEPS, check_guidance, sampling_settings
from .tensors import common_batch

UNET_ADVICE = (
    "Choose 'precision' bfloat16 or float32 in 'Load Try-On Model', or start ComfyUI with --bf16-unet or --fp32-unet; "
    "with a LoRA or another patch, try without it."
)


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
                    "cloth_cond_rate", **advanced(), default=1.0, min=0.0, max=1.0, step=0.05,
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
        from .host import paper_sampling

        _check_model(model)
        steps, guidance, used = sampling_settings(model, steps, guidance)
        notes = Notes("Try-On Sampler")
        notes.say(used)
        notes.warn(paper_sampling.lost_schedule(model))
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
        result = paper_sampling.sample(
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


class LadiVTON_PaperSchedule(io.ComfyNode):
    """The noise levels that Try-On Sampler visits, and its steps between them."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_PaperSchedule",
            display_name="Paper Schedule",
            **search_aliases("ddim", "scheduler", "sigmas", "sampler", "virtual try-on"),
            category=f"{CATEGORY}/sampling",
            description="The paper's SIGMAS and SAMPLER for SamplerCustomAdvanced: "
                "with Paper Noise and CFGGuider it gives Try-On Sampler's result to the bit. "
                "Split Sigmas may cut the schedule: the sampler knows where it begins and where it ends, "
                "and its parts join without a seam.",
            inputs=[
                io.Model.Input("model", tooltip="Try-on MODEL: the noise schedule travels in it."),
                io.Int.Input(
                    "steps", default=STEPS, min=STEPS, max=999,
                    tooltip="Sampling steps, as in Try-On Sampler. 0 takes what the model recommends.",
                ),
                io.Float.Input(
                    "denoise", default=1.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Below 1: the last steps of a longer schedule, to start from what the LATENT holds. "
                        "0 gives no steps.",
                ),
            ],
            outputs=[
                io.Sigmas.Output("sigmas", display_name="SIGMAS", tooltip="Noise levels, one more than steps."),
                io.Sampler.Output(
                    "sampler", display_name="SAMPLER",
                    tooltip="The paper's DDIM steps. Use it with the SIGMAS of this node, whole or split.",
                ),
            ],
        )  # fmt: skip

    @classmethod
    def execute(cls, model, steps: int = STEPS, denoise: float = 1.0) -> io.NodeOutput:
        from .host.paper_sampling import lost_schedule, paper_steps

        steps, _, used = sampling_settings(model, steps, guidance=1.0)
        notes = Notes("Paper Schedule")
        notes.say(used.partition(",")[0])
        notes.warn(lost_schedule(model))
        run = paper_steps(model, steps, denoise or 1.0)
        return io.NodeOutput(run.sigmas if denoise else run.sigmas[:0], run.sampler, ui=notes.ui)


class LadiVTON_PaperNoise(io.ComfyNode):
    """The noise that Try-On Sampler starts from."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_PaperNoise",
            display_name="Paper Noise",
            **search_aliases("noise", "seed", "virtual try-on"),
            category=f"{CATEGORY}/sampling",
            description="Try-On Sampler's first noise as a NOISE for SamplerCustomAdvanced. "
                "Random Noise draws another one from the same seed.",
            inputs=[
                io.Int.Input(
                    "seed", default=1234, min=0, max=LARGEST_SEED, control_after_generate=True,
                    tooltip="Seed of the first noise; item i of a batch uses seed + i.",
                ),
            ],
            outputs=[io.Noise.Output("noise", display_name="NOISE", tooltip="For SamplerCustomAdvanced, "
                "in the first part of a split schedule; Disable Noise in the later ones.")],
        )  # fmt: skip

    @classmethod
    def execute(cls, seed: int = 1234) -> io.NodeOutput:
        return io.NodeOutput(ItemNoise(seed))


class LadiVTON_GarmentSteps(io.ComfyNode):
    """The warped garment for the first steps only."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_GarmentSteps",
            display_name="Garment for First Steps",
            **search_aliases("cloth_cond_rate", "timestep range", "clothes", "virtual try-on"),
            category=f"{CATEGORY}/sampling",
            description="Shows the warped garment to the model in the first steps only, "
                "as 'cloth_cond_rate' of Try-On Sampler does; for any other sampler.",
            inputs=[
                io.Model.Input("model", tooltip="Try-on MODEL: knows which timestep a noise level is."),
                io.Conditioning.Input("positive", tooltip="From Try-On Conditioning."),
                io.Conditioning.Input("negative", tooltip="From Try-On Conditioning."),
                io.Sigmas.Input("sigmas", tooltip="The steps of the whole run, before any split."),
                io.Float.Input(
                    "cloth_cond_rate", **advanced(), default=1.0, min=0.0, max=1.0, step=0.05,
                    tooltip="Share of the steps, from the first, in which the warped garment is seen. "
                        "1 is the paper's value.",
                ),
            ],
            outputs=[
                io.Conditioning.Output("positive_out", display_name="positive", tooltip="For the sampler."),
                io.Conditioning.Output("negative_out", display_name="negative", tooltip="For the sampler."),
            ],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, positive: list, negative: list, sigmas: Tensor, cloth_cond_rate: float = 1.0
    ) -> io.NodeOutput:
        from .host.paper_sampling import garment_for_first_steps

        for name, conditioning in (("positive", positive), ("negative", negative)):
            channels_of(conditioning, name)
        if len(sigmas) < 2:  # no step, nothing to choose
            return io.NodeOutput(positive, negative)
        times = model.get_model_object("model_sampling").timestep(sigmas).cpu()
        return io.NodeOutput(
            garment_for_first_steps(positive, cloth_cond_rate, times),
            garment_for_first_steps(negative, cloth_cond_rate, times),
        )


class LadiVTON_TryOnSpeed(io.ComfyNode):
    """A MODEL that does less in each step."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_TryOnSpeed",
            display_name="Try-On Speed",
            **search_aliases("faster", "acceleration", "guidance interval", "cfg interval", "cache", "virtual try-on"),
            category=f"{CATEGORY}/sampling",
            description="Makes sampling cheaper: guidance in a part of the steps only, "
                "each of the others running the model once where guidance runs it twice, "
                "and the prompt's part of the attention computed once a run. "
                "As it is set at first the picture does not change. For any sampler.",
            inputs=[
                io.Model.Input("model", tooltip="Try-on MODEL, LoRA and other patches included."),
                io.Float.Input(
                    "guidance_start", default=0.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Share of the noise schedule before which nothing is guided. 0 guides from the first step.",
                ),
                io.Float.Input(
                    "guidance_end", default=1.0, min=0.0, max=1.0, step=0.01,
                    tooltip="Share of the noise schedule after which nothing is guided. 1 guides to the last step. "
                        "Any other picture than with 0 and 1 is not the paper's.",
                ),
                io.Boolean.Input(
                    "cache_prompt", default=False,
                    tooltip="Keep what the attention makes of the prompt from step to step; "
                        "the picture stays the same to the bit. "
                        "Together with Torch Compile, or where another patch works on the attention, "
                        "everything is computed as before.",
                ),
                io.Boolean.Input(
                    "cuda_graph", default=False, optional=True,
                    tooltip="On an NVIDIA GPU, launch each step as one CUDA graph, recorded in a run's first step. "
                        "Takes the place of 'cache_prompt'. "
                        "What no graph can hold (ControlNet, other patches, weights in main memory) runs as before, "
                        "and ComfyUI's log says why.",
                ),
            ],
            outputs=[io.Model.Output("MODEL", display_name="MODEL", tooltip="For any sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls,
        model,
        guidance_start: float = 0.0,
        guidance_end: float = 1.0,
        cache_prompt: bool = False,
        cuda_graph: bool = False,
    ) -> io.NodeOutput:
        from .host.cuda_graphs import record_steps
        from .host.speed_hooks import guide_between, keep_projections

        if not 0 <= guidance_start < guidance_end <= 1:
            raise ValueError(
                f"'guidance_start' ({guidance_start:g}) must be below 'guidance_end' ({guidance_end:g}), "
                "both between 0 and 1. To switch guidance off, set 'guidance' of the sampler to 1."
            )
        patched = guide_between(model.clone(), guidance_start, guidance_end)
        patched = keep_projections(patched, cache_prompt and not cuda_graph)
        return io.NodeOutput(record_steps(patched, cuda_graph))


NODES = [
    LadiVTON_TryOnSampler, LadiVTON_PaperSchedule, LadiVTON_PaperNoise, LadiVTON_GarmentSteps, LadiVTON_TryOnSpeed,
]  # fmt: skip
