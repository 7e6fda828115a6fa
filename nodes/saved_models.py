"""Nodes that load a VAE or a text encoder of any size this pack knows, also from what ComfyUI's save nodes wrote.

ComfyUI's own loaders know Stable Diffusion's sizes; they do for the published models. The embedded models, saved with
CheckpointSave, CLIPSave or VAESave (after a merge, say), come back through these. `models.py` has the UNet.
"""

from __future__ import annotations

from ..ladivton_core.checkpoints.build import module_names, preset_for
from ..ladivton_core.checkpoints.clip_layout import text_to_hf
from ..ladivton_core.checkpoints.reading import read_state_dict
from .model_files import FOLDER, exists, find, fingerprint, fitting
from .models import PRECISIONS
from .types import CATEGORY, check_choices, io, search_aliases


def _precision() -> io.Combo.Input:
    return io.Combo.Input(
        "precision", options=list(PRECISIONS), default="default",
        tooltip="Number format of the weights. 'default' is ComfyUI's choice.",
    )  # fmt: skip


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
                _precision(),
            ],
            outputs=[io.Vae.Output("VAE", display_name="VAE", tooltip="Autoencoder.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, vae_name: str | None = None, precision: str | None = None) -> bool | str:
        known = check_choices(cls, precision=precision)
        return exists("vae", vae_name, *cls.folders) if known is True else known

    @classmethod
    def fingerprint_inputs(cls, vae_name: str, precision: str = "default") -> str:
        return fingerprint("vae", vae_name, *cls.folders)

    @classmethod
    def execute(cls, vae_name: str, precision: str = "default") -> io.NodeOutput:
        from . import native

        path = find("vae", vae_name, *cls.folders)
        state = module_names("vae", read_state_dict(path), path)
        return io.NodeOutput(native.vae(preset_for("vae", state, path), state, PRECISIONS[precision]))


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
                _precision(),
            ],
            outputs=[io.Clip.Output("CLIP", display_name="CLIP", tooltip="Text encoder that reads the pseudo-words.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, clip_name: str | None = None, precision: str | None = None) -> bool | str:
        known = check_choices(cls, precision=precision)
        return exists("text_encoder", clip_name, *cls.folders) if known is True else known

    @classmethod
    def fingerprint_inputs(cls, clip_name: str, precision: str = "default") -> str:
        return fingerprint("text_encoder", clip_name, *cls.folders)

    @classmethod
    def execute(cls, clip_name: str, precision: str = "default") -> io.NodeOutput:
        from . import native

        path = find("text_encoder", clip_name, *cls.folders)
        state = module_names("text_encoder", read_state_dict(path), path)
        preset = preset_for("text_encoder", state, path)
        return io.NodeOutput(native.clip(preset, text_to_hf(state), PRECISIONS[precision]))


NODES = [LadiVTON_LoadVAE, LadiVTON_LoadCLIP]
