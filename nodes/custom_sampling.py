"""Nodes that hand the paper's sampling to ComfyUI's custom sampling: schedule, noise, and the garment's share of steps.

SamplerCustomAdvanced with them is Try-On Sampler taken apart, and can be split and restarted. `paper_sampler.py` and
`noise.py` hold what they hand out; `sampling.py` has Try-On Sampler itself.
"""

from __future__ import annotations

from torch import Tensor

from .noise import LARGEST_SEED, ItemNoise
from .notes import Notes
from .recommended import STEPS, sampling_settings
from .types import CATEGORY, io, search_aliases


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
        from .paper_sampler import lost_schedule, paper_steps

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
                    "cloth_cond_rate", default=1.0, min=0.0, max=1.0, step=0.05,
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
        from .paper_sampler import garment_for_first_steps
        from .sampling import channels_of

        for name, conditioning in (("positive", positive), ("negative", negative)):
            channels_of(conditioning, name)
        if len(sigmas) < 2:  # no step, nothing to choose
            return io.NodeOutput(positive, negative)
        times = model.get_model_object("model_sampling").timestep(sigmas).cpu()
        return io.NodeOutput(
            garment_for_first_steps(positive, cloth_cond_rate, times),
            garment_for_first_steps(negative, cloth_cond_rate, times),
        )


NODES = [LadiVTON_PaperSchedule, LadiVTON_PaperNoise, LadiVTON_GarmentSteps]
