"""Nodes that load models: the embedded default, and the published LaDI-VTON files.

What a file holds is told from its content, never from its name; a file in the wrong node says what it is.
`native.py` turns weights into ComfyUI's own models. Stable Diffusion 2's VAE and text encoder and the CLIP vision
tower are loaded with ComfyUI's stock loaders.
"""

from __future__ import annotations

import torch

from ..ladivton_core.checkpoints.build import build_from, module_names, preset_for
from ..ladivton_core.checkpoints.layouts import check_values
from ..ladivton_core.checkpoints.reading import read_state_dict
from ..ladivton_core.embedded import PARTS, embedded_path
from ..ladivton_core.presets import TINY
from .model_files import FOLDER, acceptable, exists, find, fingerprint, fitting
from .types import CATEGORY, Emasc, InversionAdapter, TorchPart, Warper, check_choices, io, search_aliases

PRECISIONS = {"default": None, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def precision_input(more: str = "") -> io.Combo.Input:
    """The box for the number format; `more` goes on with its tooltip."""
    return io.Combo.Input(
        "precision", options=list(PRECISIONS), default="default",
        tooltip=f"Number format of the weights. 'default' is ComfyUI's choice{more}.",
    )  # fmt: skip


SEARCHED = (
    "virtual try-on", "vton", "clothes", "clothing", "garment", "dress", "outfit", "fashion", "wardrobe",
)  # fmt: skip
"""What people look for who do not know the pack: all of it is found by its first node."""


class LadiVTON_LoadEmbedded(io.ComfyNode):
    """All models of the shipped tiny default."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadEmbedded",
            display_name="Load Embedded Try-On Models",
            **search_aliases(*SEARCHED),
            category=f"{CATEGORY}/loaders",
            description="Loads every model of the small virtual try-on that ships with this pack: no download, "
            "a few seconds on a CPU. It was trained on drawn people and garments and shows how the graph works; "
            "for photographs load the published files instead.",
            inputs=[
                io.Combo.Input(
                    "precision", options=list(PRECISIONS), default="float32",
                    tooltip="Number format of the weights. The models are so small that float32 costs nothing; "
                        "'default' is whatever ComfyUI picks for this machine.",
                )
            ],
            outputs=[
                io.Model.Output(
                    "MODEL", display_name="MODEL",
                    tooltip="Try-on UNet with its noise schedule; for Try-On Sampler or KSampler.",
                ),
                io.Clip.Output("CLIP", display_name="CLIP", tooltip="Text encoder that reads the pseudo-words."),
                io.Vae.Output("VAE", display_name="VAE", tooltip="Autoencoder."),
                io.ClipVision.Output(
                    "CLIP_VISION", display_name="CLIP_VISION", tooltip="Vision tower that looks at the garment."
                ),
                Warper.Output("warper", display_name="warper", tooltip="Garment warper."),
                InversionAdapter.Output(
                    "adapter", display_name="adapter",
                    tooltip="Inversion adapter: from vision features to pseudo-words.",
                ),
                Emasc.Output("emasc", display_name="emasc", tooltip="Learned skip connections for the decoder."),
            ],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, precision: str | None = None) -> bool | str:
        return check_choices(cls, precision=precision)

    @classmethod
    def execute(cls, precision: str = "float32") -> io.NodeOutput:
        from . import native

        dtype = PRECISIONS[precision]
        paths = {part: str(embedded_path(part)) for part in PARTS}
        states = {part: read_state_dict(path) for part, path in paths.items()}
        for part in ("text_encoder", "vae", "vision"):  # ComfyUI fills these; the others are checked when filled
            check_values(states[part], paths[part])
        return io.NodeOutput(
            native.unet_model(TINY, states["unet"], dtype, paths["unet"]),
            native.clip(TINY, states["text_encoder"], dtype),
            native.vae(TINY, states["vae"], dtype),
            native.clip_vision(TINY, states["vision"], dtype),
            _part("warping", paths["warping"], states["warping"]),
            _part("inversion_adapter", paths["inversion_adapter"], states["inversion_adapter"]),
            _part("emasc", paths["emasc"], states["emasc"]),
        )

    @classmethod
    def fingerprint_inputs(cls, precision: str = "float32") -> str:
        return " ".join(str(embedded_path(part).stat().st_mtime_ns) for part in PARTS)


class LadiVTON_LoadTryOnModel(io.ComfyNode):
    """The 31-channel UNet as a native MODEL."""

    folders = (FOLDER, "diffusion_models")

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadTryOnModel",
            display_name="Load Try-On Model",
            **search_aliases("virtual try-on", "vton", "unet loader", "checkpoint"),
            category=f"{CATEGORY}/loaders",
            description="Loads LaDI-VTON's 31-channel UNet (unet_vitonhd.pth, unet_dresscode.pth) "
                "as a ComfyUI MODEL. LoRA, FreeU, ControlNet and every sampler work on it. "
                "The published weights are CC BY-NC 4.0: non-commercial use only.",
            inputs=[
                io.Combo.Input(
                    "unet_name", options=fitting("unet", *cls.folders),
                    tooltip="UNet file in models/ladi_vton or models/diffusion_models.",
                ),
                precision_input("; float32 is the reference and needs 3.5 GB"),
            ],
            outputs=[io.Model.Output("MODEL", display_name="MODEL", tooltip="Try-on UNet with its noise schedule.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, unet_name: str | None = None, precision: str | None = None) -> bool | str:
        return acceptable(cls, "unet", unet_name, *cls.folders, precision=precision)

    @classmethod
    def fingerprint_inputs(cls, unet_name: str, precision: str = "default") -> str:
        return fingerprint("unet", unet_name, *cls.folders)

    @classmethod
    def execute(cls, unet_name: str, precision: str = "default") -> io.NodeOutput:
        from . import native

        path = find("unet", unet_name, *cls.folders)
        state = module_names("unet", read_state_dict(path), path)
        return io.NodeOutput(native.unet_model(native.preset_of_unet(state, path), state, PRECISIONS[precision], path))


class LadiVTON_LoadWarper(io.ComfyNode):
    """The geometric matcher and refinement U-Net."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadWarper",
            display_name="Load Garment Warper",
            **search_aliases("vton", "clothes warping", "tps"),
            category=f"{CATEGORY}/loaders",
            description="Loads the thin-plate-spline matcher and the refinement U-Net (warping_vitonhd.pth, "
            "warping_dresscode.pth). Always float32. "
            "The published weights are CC BY-NC 4.0: non-commercial use only.",
            inputs=[
                io.Combo.Input(
                    "warper_name", options=fitting("warping", FOLDER), tooltip="Warping file in models/ladi_vton."
                )
            ],
            outputs=[Warper.Output("warper", display_name="warper", tooltip="Garment warper.")],
        )

    @classmethod
    def validate_inputs(cls, warper_name: str | None = None) -> bool | str:
        return exists("warping", warper_name, FOLDER)

    @classmethod
    def fingerprint_inputs(cls, warper_name: str) -> str:
        return fingerprint("warping", warper_name, FOLDER)

    @classmethod
    def execute(cls, warper_name: str) -> io.NodeOutput:
        return io.NodeOutput(_part("warping", find("warping", warper_name, FOLDER)))


class LadiVTON_LoadInversionAdapter(io.ComfyNode):
    """The network that turns vision features into pseudo-words."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadInversionAdapter",
            display_name="Load Inversion Adapter",
            **search_aliases("vton", "textual inversion"),
            category=f"{CATEGORY}/loaders",
            description="Loads the textual inversion adapter (inversion_adapter_vitonhd.pth, "
            "inversion_adapter_dresscode.pth). "
            "The published weights are CC BY-NC 4.0: non-commercial use only.",
            inputs=[
                io.Combo.Input(
                    "adapter_name", options=fitting("inversion_adapter", FOLDER),
                    tooltip="Adapter file in models/ladi_vton.",
                )
            ],
            outputs=[InversionAdapter.Output("adapter", display_name="adapter", tooltip="Inversion adapter.")],
        )  # fmt: skip

    @classmethod
    def validate_inputs(cls, adapter_name: str | None = None) -> bool | str:
        return exists("inversion_adapter", adapter_name, FOLDER)

    @classmethod
    def fingerprint_inputs(cls, adapter_name: str) -> str:
        return fingerprint("inversion_adapter", adapter_name, FOLDER)

    @classmethod
    def execute(cls, adapter_name: str) -> io.NodeOutput:
        return io.NodeOutput(_part("inversion_adapter", find("inversion_adapter", adapter_name, FOLDER)))


class LadiVTON_LoadEMASC(io.ComfyNode):
    """The learned skip connections."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LadiVTON_LoadEMASC",
            display_name="Load EMASC",
            **search_aliases("vton", "skip connections"),
            category=f"{CATEGORY}/loaders",
            description="Loads the Enhanced Mask-Aware Skip Connections (emasc_vitonhd.pth, emasc_dresscode.pth), "
            "which carry detail outside the mask from the VAE's encoder to its decoder. "
            "The published weights are CC BY-NC 4.0: non-commercial use only.",
            inputs=[
                io.Combo.Input(
                    "emasc_name", options=fitting("emasc", FOLDER), tooltip="EMASC file in models/ladi_vton."
                )
            ],
            outputs=[Emasc.Output("emasc", display_name="emasc", tooltip="Learned skip connections.")],
        )

    @classmethod
    def validate_inputs(cls, emasc_name: str | None = None) -> bool | str:
        return exists("emasc", emasc_name, FOLDER)

    @classmethod
    def fingerprint_inputs(cls, emasc_name: str) -> str:
        return fingerprint("emasc", emasc_name, FOLDER)

    @classmethod
    def execute(cls, emasc_name: str) -> io.NodeOutput:
        return io.NodeOutput(_part("emasc", find("emasc", emasc_name, FOLDER)))


def _part(part: str, path: str, state: dict | None = None) -> TorchPart:
    """One of LaDI-VTON's own networks, its size told from the file."""
    state = read_state_dict(path) if state is None else state
    module = build_from(part, state, path=path)
    if part == "inversion_adapter":
        return TorchPart(module, path, num_words=preset_for(part, state, path).num_words)
    if part == "emasc":
        return TorchPart(module, path, preset=preset_for(part, state, path))
    return TorchPart(module, path)


NODES = [
    LadiVTON_LoadEmbedded,
    LadiVTON_LoadTryOnModel,
    LadiVTON_LoadWarper,
    LadiVTON_LoadInversionAdapter,
    LadiVTON_LoadEMASC,
]
