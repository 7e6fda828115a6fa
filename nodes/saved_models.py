"""Nodes that load a VAE or a text encoder of any size this pack knows, also from what ComfyUI's save nodes wrote.

ComfyUI's own loaders know Stable Diffusion's sizes; they do for the published models. The embedded models, saved with
CheckpointSave, CLIPSave or VAESave (after a merge, say), come back through these. `models.py` has the UNet.
"""

from __future__ import annotations

from ..ladivton_core.checkpoints.clip_layout import text_to_hf
from .model_files import FOLDER, acceptable, fingerprint, fitting, weights
from .models import PRECISIONS, precision_input
from .types import CATEGORY, io, search_aliases


class LadiVTON_LoadVAE(io.ComfyNode):
    """An autoencoder of any known size."""

    folders = (FOLDER, "vae")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadVAE",
            display_name="Load Try-On VAE",
            **search_aliases("vae loader", "vton"),
            category=f"{CATEGORY}/loaders",
            description="Loads the VAE out of a file of VAESave or CheckpointSave, of the embedded size too, "
                "or Stable Diffusion 2's. ComfyUI's Load VAE does for the latter.",
            inputs=[
                io.Combo.Input(
                    "vae_name", options=fitting("vae", *cls.folders),
                    tooltip="File in models/ladi_vton or models/vae.",
                ),
                precision_input(),
            ],
            outputs=[io.Vae.Output("VAE", display_name="VAE", tooltip="Autoencoder.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, vae_name: str | None = None, precision: str | None = None) -> bool | str:
        return acceptable(cls, "vae", vae_name, *cls.folders, precision=precision)

    @classmethod
    def fingerprint_inputs(cls, vae_name: str, precision: str = "default") -> str:
        return fingerprint("vae", vae_name, *cls.folders)

    @classmethod
    def execute(cls, vae_name: str, precision: str = "default") -> io.NodeOutput:
        from . import native

        state, preset, _ = weights("vae", vae_name, *cls.folders)
        return io.NodeOutput(native.vae(preset, state, PRECISIONS[precision]))


class LadiVTON_LoadCLIP(io.ComfyNode):
    """A text encoder of any known size."""

    folders = (FOLDER, "text_encoders")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadCLIP",
            display_name="Load Try-On CLIP",
            **search_aliases("clip loader", "text encoder", "vton"),
            category=f"{CATEGORY}/loaders",
            description="Loads the text encoder out of a file of CLIPSave or CheckpointSave, of the embedded size too, "
                "or Stable Diffusion 2's. ComfyUI's Load CLIP does for the latter.",
            inputs=[
                io.Combo.Input(
                    "clip_name", options=fitting("text_encoder", *cls.folders),
                    tooltip="File in models/ladi_vton or models/text_encoders.",
                ),
                precision_input(),
            ],
            outputs=[io.Clip.Output("CLIP", display_name="CLIP", tooltip="Text encoder that reads the pseudo-words.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, clip_name: str | None = None, precision: str | None = None) -> bool | str:
        return acceptable(cls, "text_encoder", clip_name, *cls.folders, precision=precision)

    @classmethod
    def fingerprint_inputs(cls, clip_name: str, precision: str = "default") -> str:
        return fingerprint("text_encoder", clip_name, *cls.folders)

    @classmethod
    def execute(cls, clip_name: str, precision: str = "default") -> io.NodeOutput:
        from . import native

        state, preset, _ = weights("text_encoder", clip_name, *cls.folders)
        return io.NodeOutput(native.clip(preset, text_to_hf(state), PRECISIONS[precision]))


NODES = [LadiVTON_LoadVAE, LadiVTON_LoadCLIP]
