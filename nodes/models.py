"""Nodes that load models: the embedded default, the published LaDI-VTON files, and what ComfyUI's save nodes wrote.

What a file holds is told from its content, never from its name; a file in the wrong node says what it is.
`host/native.py` turns weights into ComfyUI's own models. Stable Diffusion 2's VAE and text encoder and the CLIP vision
tower are loaded with ComfyUI's stock loaders, which know its sizes only: the embedded models, saved with
CheckpointSave, CLIPSave or VAESave (after a merge, say), come back through Load Try-On VAE and CLIP.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..ladivton_core.checkpoints.build import build_from, module_names, preset_for
from ..ladivton_core.checkpoints.clip_layout import text_to_hf, vision_to_hf
from ..ladivton_core.checkpoints.reading import read_state_dict
from ..ladivton_core.embedded import PARTS, embedded_path
from ..ladivton_core.presets import SD2, TINY
from .host.model_files import PUBLISHED_SETS, files_of, files_with, find, fingerprint, weights_at
from .host.notes import Notes
from .host.types import CATEGORY, Emasc, InversionAdapter, TorchPart, Warper, io, search_aliases
from .hurdles import stop_at_hurdles
from .recommended import settings_of

PRECISIONS = {"default": None, "float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}
EMBEDDED = "embedded"
NON_COMMERCIAL = "The published weights are CC BY-NC 4.0: non-commercial use only."

SEARCHED = (
    "virtual try-on", "vton", "clothes", "clothing", "garment", "dress", "outfit", "fashion", "wardrobe",
)  # fmt: skip
"""What people look for who do not know the pack: all of it is found by its first node."""


def all_outputs() -> list[Any]:
    """The seven models of a try-on, in the order in which both nodes that load them all give them."""
    return [
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
    ]  # fmt: skip


def load_all(paths: dict[str, str], dtype: torch.dtype | None) -> tuple[Any, ...]:
    """What `all_outputs` names, from a file a part.

    Args:
        paths: by part of `embedded.PARTS`; of the size that each file has.
        dtype: of what ComfyUI runs; None leaves it the choice. LaDI-VTON's own networks are float32.

    Raises:
        CheckpointError: a file holds another kind, another size, or values that are no numbers.
    """
    from .host import native

    unet, (text, text_size), (vae, vae_size), (vision, vision_size) = (
        unet_of(paths["unet"], dtype), *(weights_at(part, paths[part]) for part in ("text_encoder", "vae", "vision"))
    )  # fmt: skip
    return (
        unet,
        native.clip(text_size, text_to_hf(text), dtype),
        native.vae(vae_size, vae, dtype),
        native.clip_vision(vision_size, vision_to_hf(vision), dtype),
        *(_part(part, paths[part]) for part in ("warping", "inversion_adapter", "emasc")),
    )


def unet_of(path: str, dtype: torch.dtype | None) -> Any:
    """A file's try-on UNet as MODEL, its size told from the file."""
    from .host import native

    state = module_names("unet", read_state_dict(path), path)
    return native.unet_model(native.preset_of_unet(state, path), state, dtype, path)


def embedded_files() -> dict[str, str]:
    """The files that ship with the pack, by part."""
    return {part: str(embedded_path(part)) for part in PARTS}


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
                "for photographs load the published files with Load Try-On Models.",
            inputs=[
                io.Combo.Input(
                    "precision", options=list(PRECISIONS), default="float32",
                    tooltip="Number format of the weights. The models are so small that float32 costs nothing; "
                        "'default' is whatever ComfyUI picks for this machine.",
                )
            ],
            outputs=all_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(cls, precision: str = "float32") -> io.NodeOutput:
        return io.NodeOutput(*load_all(embedded_files(), PRECISIONS[precision]))

    @classmethod
    def fingerprint_inputs(cls, precision: str = "float32") -> str:
        return fingerprint(*embedded_files().values())


class LadiVTON_LoadModels(io.ComfyNode):
    """All models of a try-on, by the name of what they were trained on."""

    @classmethod
    def define_schema(cls) -> io.Schema:
        choice = io.Combo.Input(
            "models", options=[EMBEDDED, *PUBLISHED_SETS], default=EMBEDDED,
            tooltip="'embedded' ships with this pack and knows drawn people and garments. "
                "'VITON-HD' is for tops, 'Dress Code' for tops, trousers, skirts and dresses, of photographs: "
                "seven files each, which you fetch once.",
        )  # fmt: skip
        # for the page (web/js/recommended.js), which shows it before a run
        choice.extra_dict = {
            "recommended": {EMBEDDED: settings_of(TINY)} | dict.fromkeys(PUBLISHED_SETS, settings_of(SD2))
        }
        return io.Schema(
            node_id="LadiVTON_LoadModels",
            display_name="Load Try-On Models",
            **search_aliases(*SEARCHED, "checkpoint", "loader"),
            category=f"{CATEGORY}/loaders",
            description="Loads all seven models of a try-on at once: the small ones that ship with this pack, "
                "or the published ones, once their files are there. "
                "What is missing it names when it runs: every file with its folder, "
                "and one command that fetches them all. "
                f"{NON_COMMERCIAL}",
            inputs=[
                choice,
                io.Combo.Input(
                    "precision", options=list(PRECISIONS), default="default",
                    tooltip="Number format of the weights. 'default' is float32 for the embedded models, "
                        "which are small, and ComfyUI's choice for the published ones.",
                ),
            ],
            hidden=[io.Hidden.dynprompt],
            outputs=all_outputs(),
        )  # fmt: skip

    @classmethod
    def execute(cls, models: str = EMBEDDED, precision: str = "default") -> io.NodeOutput:
        notes, dtype = Notes("Load Try-On Models"), PRECISIONS[precision]
        if models == EMBEDDED:
            paths, dtype = embedded_files(), dtype or torch.float32
            notes.say("Drawn people and garments only. For photographs choose other 'models'.")
        else:
            stop_at_hurdles(cls.hidden)
            paths = files_of(PUBLISHED_SETS[models])
            notes.say(f"{models}: {', '.join(Path(path).name for path in paths.values())}.")
        return io.NodeOutput(*load_all(paths, dtype), ui=notes.ui)

    @classmethod
    def fingerprint_inputs(cls, models: str = EMBEDDED, precision: str = "default") -> str:
        try:
            return fingerprint(*(embedded_files() if models == EMBEDDED else files_of(PUBLISHED_SETS[models])).values())
        except ValueError:  # said by the run itself
            return "missing"


class _Loader(io.ComfyNode):
    """A node that loads one part from a chosen file; its schema follows from what a loader says of itself.

    Attributes:
        part: one of `embedded.PARTS`.
        title, aliases, description: as in the schema.
        file: id and tooltip of the list of the files that hold the part.
        output: what it gives.
        precision: how the tooltip of the number format goes on; None where there is no choice.
    """

    part: str
    title: str
    aliases: tuple[str, ...]
    description: str
    file: tuple[str, str]
    output: io.Output
    precision: str | None = None

    @classmethod
    def define_schema(cls) -> io.Schema:
        name, tooltip = cls.file
        inputs = [io.Combo.Input(name, options=files_with(cls.part), tooltip=tooltip)]
        if cls.precision is not None:
            inputs.append(
                io.Combo.Input(
                    "precision", options=list(PRECISIONS), default="default",
                    tooltip=f"Number format of the weights. 'default' is ComfyUI's choice{cls.precision}.",
                )
            )  # fmt: skip
        return io.Schema(
            node_id=cls.__name__, display_name=cls.title, **search_aliases(*cls.aliases),
            category=f"{CATEGORY}/loaders", description=cls.description, inputs=inputs, outputs=[cls.output],
        )  # fmt: skip

    @classmethod
    def execute(cls, precision: str = "default", **chosen: str) -> io.NodeOutput:
        return io.NodeOutput(cls.load(find(cls.part, chosen[cls.file[0]]), PRECISIONS[precision]))

    @classmethod
    def load(cls, path: str, dtype: torch.dtype | None) -> Any:
        """The part from a file; LaDI-VTON's own networks are float32."""
        return _part(cls.part, path)

    @classmethod
    def fingerprint_inputs(cls, **chosen: Any) -> str:
        return fingerprint(find(cls.part, chosen[cls.file[0]]))


class LadiVTON_LoadTryOnModel(_Loader):
    """The 31-channel UNet as a native MODEL."""

    part, title = "unet", "Load Try-On Model"
    aliases = ("virtual try-on", "vton", "unet loader", "checkpoint")
    description = (
        "Loads LaDI-VTON's 31-channel UNet (unet_vitonhd.pth, unet_dresscode.pth) "
        f"as a ComfyUI MODEL. LoRA, FreeU, ControlNet and every sampler work on it. {NON_COMMERCIAL}"
    )
    file = ("unet_name", "UNet file in models/ladi_vton or models/diffusion_models.")
    precision = "; float32 is the reference and needs 3.5 GB"
    output = io.Model.Output("MODEL", display_name="MODEL", tooltip="Try-on UNet with its noise schedule.")
    load = staticmethod(unet_of)


class LadiVTON_LoadWarper(_Loader):
    """The geometric matcher and refinement U-Net."""

    part, title = "warping", "Load Garment Warper"
    aliases = ("vton", "clothes warping", "tps")
    description = (
        "Loads the thin-plate-spline matcher and the refinement U-Net (warping_vitonhd.pth, "
        f"warping_dresscode.pth). Always float32. {NON_COMMERCIAL}"
    )
    file = ("warper_name", "Warping file in models/ladi_vton.")
    output = Warper.Output("warper", display_name="warper", tooltip="Garment warper.")


class LadiVTON_LoadInversionAdapter(_Loader):
    """The network that turns vision features into pseudo-words."""

    part, title = "inversion_adapter", "Load Inversion Adapter"
    aliases = ("vton", "textual inversion")
    description = (
        "Loads the textual inversion adapter (inversion_adapter_vitonhd.pth, "
        f"inversion_adapter_dresscode.pth). {NON_COMMERCIAL}"
    )
    file = ("adapter_name", "Adapter file in models/ladi_vton.")
    output = InversionAdapter.Output("adapter", display_name="adapter", tooltip="Inversion adapter.")


class LadiVTON_LoadEMASC(_Loader):
    """The learned skip connections."""

    part, title = "emasc", "Load EMASC"
    aliases = ("vton", "skip connections")
    description = (
        "Loads the Enhanced Mask-Aware Skip Connections (emasc_vitonhd.pth, emasc_dresscode.pth), "
        f"which carry detail outside the mask from the VAE's encoder to its decoder. {NON_COMMERCIAL}"
    )
    file = ("emasc_name", "EMASC file in models/ladi_vton.")
    output = Emasc.Output("emasc", display_name="emasc", tooltip="Learned skip connections.")


class LadiVTON_LoadVAE(_Loader):
    """An autoencoder of any known size."""

    part, title = "vae", "Load Try-On VAE"
    aliases = ("vae loader", "vton")
    description = (
        "Loads the VAE out of a file of VAESave or CheckpointSave, of the embedded size too, "
        "or Stable Diffusion 2's. ComfyUI's Load VAE does for the latter."
    )
    file, precision = ("vae_name", "File in models/ladi_vton or models/vae."), ""
    output = io.Vae.Output("VAE", display_name="VAE", tooltip="Autoencoder.")

    @classmethod
    def load(cls, path: str, dtype: torch.dtype | None) -> Any:
        from .host import native

        state, preset = weights_at(cls.part, path)
        return native.vae(preset, state, dtype)


class LadiVTON_LoadCLIP(_Loader):
    """A text encoder of any known size."""

    part, title = "text_encoder", "Load Try-On CLIP"
    aliases = ("clip loader", "text encoder", "vton")
    description = (
        "Loads the text encoder out of a file of CLIPSave or CheckpointSave, of the embedded size too, "
        "or Stable Diffusion 2's. ComfyUI's Load CLIP does for the latter."
    )
    file, precision = ("clip_name", "File in models/ladi_vton or models/text_encoders."), ""
    output = io.Clip.Output("CLIP", display_name="CLIP", tooltip="Text encoder that reads the pseudo-words.")

    @classmethod
    def load(cls, path: str, dtype: torch.dtype | None) -> Any:
        from .host import native

        state, preset = weights_at(cls.part, path)
        return native.clip(preset, text_to_hf(state), dtype)


def _part(part: str, path: str) -> TorchPart:
    """One of LaDI-VTON's own networks, its size told from the file."""
    state = read_state_dict(path)
    module = build_from(part, state, path=path)
    if part == "inversion_adapter":
        return TorchPart(module, path, num_words=preset_for(part, state, path).num_words)
    if part == "emasc":
        return TorchPart(module, path, preset=preset_for(part, state, path))
    return TorchPart(module, path)


NODES = [
    LadiVTON_LoadEmbedded, LadiVTON_LoadModels, LadiVTON_LoadTryOnModel, LadiVTON_LoadWarper,
    LadiVTON_LoadInversionAdapter, LadiVTON_LoadEMASC, LadiVTON_LoadVAE, LadiVTON_LoadCLIP,
]  # fmt: skip
