"""The node that makes sampling cheaper with what is known of a try-on.

`guidance_interval.py` and `prompt_projections.py` do the work, inside ComfyUI's own sampling: Try-On Sampler, KSampler
and SamplerCustomAdvanced take the patched MODEL alike.
"""

from __future__ import annotations

from .types import CATEGORY, io, search_aliases


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
            ],
            outputs=[io.Model.Output("MODEL", display_name="MODEL", tooltip="For any sampler.")],
        )  # fmt: skip

    @classmethod
    def execute(
        cls, model, guidance_start: float = 0.0, guidance_end: float = 1.0, cache_prompt: bool = False
    ) -> io.NodeOutput:
        from .guidance_interval import guided_between
        from .prompt_projections import with_projections_kept

        if not 0 <= guidance_start < guidance_end <= 1:
            raise ValueError(
                f"'guidance_start' ({guidance_start:g}) must be below 'guidance_end' ({guidance_end:g}), "
                "both between 0 and 1. To switch guidance off, set 'guidance' of the sampler to 1."
            )
        patched = guided_between(model.clone(), guidance_start, guidance_end)
        return io.NodeOutput(with_projections_kept(patched, cache_prompt))


NODES = [LadiVTON_TryOnSpeed]
