"""ComfyUI's own MODEL, VAE, CLIP and CLIP_VISION from a preset and a state dict.

Nothing is wrapped: what comes out is what ComfyUI's loaders return, so KSampler, previews, LoRA, ControlNet and
offloading work. Noise schedule and recommended settings travel inside the MODEL. `../models.py` holds the nodes,
`../sampling.py` reads the settings. Imported only when a model is loaded: it pulls in most of ComfyUI.
"""

from __future__ import annotations

import json
import os
import tempfile
from typing import TYPE_CHECKING

import comfy.clip_vision
import comfy.latent_formats
import comfy.model_base
import comfy.model_management as memory
import comfy.sd
import comfy.sd1_clip
import comfy.supported_models
import comfy.supported_models_base
import comfy.text_encoders.sd2_clip
import comfy.utils
import torch
from comfy.model_patcher import ModelPatcher
from torch import Tensor

from ...ladivton_core.checkpoints.layouts import describe, expect, load_strict
from ...ladivton_core.checkpoints.reading import CheckpointError
from ...ladivton_core.denoising.schedule import sigmas
from ...ladivton_core.presets import PRESETS
from .versions import in_precision, patcher_class

if TYPE_CHECKING:
    from ...ladivton_core.presets import ClipTower, Preset

IN_CHANNELS = 31
"""Latent 4, mask 1, masked-image latent 4, pose 18, warped-garment latent 4 (published §5)."""


ALL = 1e32
"""ComfyUI's own number for "no limit" (`LoadedModel.model_load`)."""


class TryOnModel(comfy.model_base.BaseModel):
    """ComfyUI's latent diffusion model that insists on the 27 extra channels and carries its preset.

    Attributes:
        preset: sizes and recommended settings. Every clone of the MODEL, patched or not, shares this network.
    """

    def __init__(self, config, preset: Preset, device=None) -> None:
        kinds = {"epsilon": comfy.model_base.ModelType.EPS, "v_prediction": comfy.model_base.ModelType.V_PREDICTION}
        schedule = preset.schedule
        super().__init__(config, model_type=kinds[schedule.prediction_type], device=device)
        self.preset = preset
        # Every sampler and scheduler of ComfyUI reads its noise levels here.
        self.model_sampling.set_sigmas(_strictly_rising(sigmas(schedule)))
        self.model_sampling.noise_schedule = schedule

    def extra_conds(self, **kwargs) -> dict:
        """As in ComfyUI, after a check that makes a missing conditioning node a readable error."""
        concat = kwargs.get("noise_concat")
        if concat is None or concat.shape[1] != IN_CHANNELS - 4:
            found = "no extra channels" if concat is None else f"{concat.shape[1]} extra channels"
            raise ValueError(
                f"The try-on MODEL needs the {IN_CHANNELS - 4} channels of mask, masked person, pose and garment, "
                f"and this conditioning has {found}. "
                "Connect positive and negative of 'Try-On Conditioning' to the sampler."
            )
        noise = kwargs.get("noise")
        if noise is not None and concat.shape[-2:] != noise.shape[-2:]:
            raise ValueError(
                f"The latent is {tuple(noise.shape[-2:])} and the try-on conditioning {tuple(concat.shape[-2:])} "
                "(height, width in latent pixels). Use the LATENT that comes out of the same 'Try-On Conditioning'."
            )
        return super().extra_conds(**kwargs)


def _strictly_rising(table: Tensor) -> Tensor:
    """Noise levels without ties, by parts in a million.

    ComfyUI finds the timestep of a sigma by looking for the nearest one and takes the first of equals. A schedule that
    ends in pure noise has several equal last ones, and the UNet would be told 997 where the paper's loop says 999.
    """
    rising = table.clone()
    for step in range(len(table) - 2, -1, -1):
        rising[step] = torch.minimum(rising[step], rising[step + 1] * (1 - 3e-6))
    return rising


def unet_model(
    preset: Preset, state_dict: dict[str, Tensor], dtype: torch.dtype | None = None, path: str | None = None
) -> ModelPatcher:
    """MODEL from a diffusers-keyed UNet.

    Args:
        preset: sizes and noise schedule.
        state_dict: keys of `UNet2DConditionModel`.
        dtype: weights' precision; None leaves the choice to ComfyUI.
        path: file it came from, for messages.

    Raises:
        CheckpointError: keys are missing or left over.
        ValueError: the preset's widths do not fit ComfyUI's SD2 UNet.
    """
    config = _unet_config(preset)
    load_device, offload_device = memory.get_torch_device(), memory.unet_offload_device()
    if dtype is None:
        parameters = comfy.utils.calculate_parameters(state_dict)
        dtype = memory.unet_dtype(model_params=parameters, supported_dtypes=config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, memory.unet_manual_cast(dtype, load_device, config.supported_inference_dtypes))
    model = TryOnModel(config, preset, device=offload_device)
    names = comfy.utils.unet_to_diffusers(config.unet_config)
    # A key without a counterpart keeps its name and is then reported as one too many.
    renamed = {names.get(key, key): value for key, value in state_dict.items()}
    load_strict(model.diffusion_model, renamed, "unet", path)
    model.diffusion_model.requires_grad_(False)
    return patcher_class()(model, load_device=load_device, offload_device=offload_device)


class WholePatcher(ModelPatcher):
    """ComfyUI's patcher for networks that it cannot take apart: they come to the device whole, or go whole.

    Where memory is short ComfyUI loads a model in pieces, and casts what it left behind weight by weight; only layers
    of its own can do that (`comfy.ops`, told by `comfy_cast_weights`). LaDI-VTON's own networks are plain torch. With
    `--novram` ComfyUI asks for pieces whatever `force_full_load` says, so the answer is given here.
    """

    def partially_load(self, device_to, extra_memory=0, force_patch_weights=False):
        """Load everything, whatever part was asked for."""
        return super().partially_load(device_to, ALL, force_patch_weights=force_patch_weights)

    def partially_unload(self, device_to, memory_to_free=0, force_patch_weights=False):
        """Free nothing, which makes ComfyUI take the whole model away (`LoadedModel.model_unload`)."""
        return 0


def preset_of_unet(state_dict: dict[str, Tensor], path: str) -> Preset:
    """The preset whose try-on UNet a diffusers state dict is; told from shapes, without building a diffusers model.

    Raises:
        CheckpointError: another kind of file, other input channels, or a width no preset has.
    """
    expect(state_dict, ("unet",), path)
    channels, width = state_dict["conv_in.weight"].shape[1], state_dict["conv_in.weight"].shape[0]
    if channels != IN_CHANNELS:
        raise CheckpointError(
            f"{path} is {describe(state_dict)}; the LaDI-VTON UNet has {IN_CHANNELS} "
            "(unet_vitonhd.pth or unet_dresscode.pth of the published files)."
        )
    for preset in PRESETS.values():
        if preset.unet["block_out_channels"][0] == width:
            return preset
    known = ", ".join(f"{p.unet['block_out_channels'][0]} ({p.name})" for p in PRESETS.values())
    raise CheckpointError(f"{path} is a try-on UNet whose first level has {width} channels; known sizes are {known}.")


def _unet_config(preset: Preset) -> comfy.supported_models.SD20:
    """ComfyUI's SD2 configuration with the preset's widths (diffusers' words to ComfyUI's)."""
    unet = preset.unet
    widths, heads, layers = unet["block_out_channels"], unet["attention_head_dim"], unet["layers_per_block"]
    attends = ["CrossAttn" in kind for kind in unet["down_block_types"]]
    # Levels without attention do not use their heads; the middle always attends, at the last width.
    levels = [*zip(widths, heads, attends, strict=True), (widths[-1], heads[-1], True)]
    head_dims = {width // count for width, count, cross in levels if cross}
    if len(head_dims) != 1 or any(w % widths[0] for w in widths) or unet["norm_num_groups"] != 32:
        raise ValueError(
            f"ComfyUI's SD2 UNet cannot run the preset {preset.name!r}: it needs one head width, "
            "level widths that are multiples of the first, and 32 norm groups."
        )
    config = comfy.supported_models.SD20(
        {
            "use_checkpoint": False,
            "image_size": 32,
            "in_channels": unet["in_channels"],
            "out_channels": unet["out_channels"],
            "use_spatial_transformer": True,
            "legacy": False,
            "adm_in_channels": None,
            "model_channels": widths[0],
            "num_res_blocks": [layers] * len(widths),
            "channel_mult": [w // widths[0] for w in widths],
            "transformer_depth": [int(cross) for cross in attends for _ in range(layers)],
            "transformer_depth_middle": 1,
            "transformer_depth_output": [int(cross) for cross in attends for _ in range(layers + 1)],
            "use_linear_in_transformer": unet["use_linear_projection"],
            "context_dim": unet["cross_attention_dim"],
            "use_temporal_attention": False,
            "use_temporal_resblock": False,
        }
    )
    config.unet_config["num_head_channels"] = head_dims.pop()
    if preset.preview_rgb is not None:  # live previews; TAESD knows Stable Diffusion's latents only
        config.latent_format = comfy.latent_formats.SD15()
        config.latent_format.latent_rgb_factors = [list(row) for row in preset.preview_rgb[:-1]]
        config.latent_format.latent_rgb_factors_bias = list(preset.preview_rgb[-1])
        config.latent_format.taesd_decoder_name = None
    return config


def vae(preset: Preset, state_dict: dict[str, Tensor], dtype: torch.dtype | None = None) -> comfy.sd.VAE:
    """VAE from a diffusers-keyed autoencoder of any widths that are multiples of the first; carries its preset."""
    widths = preset.vae["block_out_channels"]
    if any(width % widths[0] for width in widths) or preset.vae["norm_num_groups"] != 32:
        raise ValueError(
            f"ComfyUI's VAE cannot run the preset {preset.name!r}: widths {widths} must be multiples of the first."
        )
    ddconfig = {
        "double_z": True,
        "z_channels": preset.vae["latent_channels"],
        "resolution": 256,
        "in_channels": 3,
        "out_ch": 3,
        "ch": widths[0],
        "ch_mult": [width // widths[0] for width in widths],
        "num_res_blocks": preset.vae["layers_per_block"],
        "attn_resolutions": [],
        "dropout": 0.0,
    }
    params = {"ddconfig": ddconfig, "embed_dim": preset.vae["latent_channels"]}
    made = comfy.sd.VAE(sd=dict(in_precision(state_dict, dtype)), config={"params": params}, dtype=dtype)
    made.first_stage_model.preset = preset
    return made


def clip(preset: Preset, state_dict: dict[str, Tensor], dtype: torch.dtype | None = None) -> comfy.sd.CLIP:
    """CLIP from an SD2-style text encoder in Hugging Face's layout (`text_model.*`).

    Args:
        dtype: None leaves the choice to ComfyUI, which keeps text encoders in float16 even on the CPU.

    Raises:
        ValueError: weights are missing.
    """
    import folder_paths

    target = comfy.supported_models_base.ClipTarget(_tokenizer(preset.text), _text_encoder(preset.text))
    options = {} if dtype is None else {"dtype": dtype}
    parameters = comfy.utils.calculate_parameters(state_dict)
    folders = folder_paths.get_folder_paths("embeddings")
    built = comfy.sd.CLIP(target, embedding_directory=folders, parameters=parameters, model_options=options)
    # SD2 has no use for the pooled output; an identity keeps it finite.
    weights = {"text_projection.weight": torch.eye(preset.text.hidden_size), **state_dict}
    missing, _ = built.load_sd(in_precision(weights, dtype))
    _refuse_missing(missing, "text encoder")
    return built


def _text_encoder(tower: ClipTower) -> type:
    """ComfyUI model class of an SD2-style text encoder; `tower` counts the layers that run, so the last is read."""
    config = {**_clip_config(tower), "max_position_embeddings": tower.max_position_embeddings, "eos_token_id": 49407}

    class TextModel(comfy.sd1_clip.SDClipModel):
        def __init__(self, device="cpu", dtype=None, model_options={}) -> None:  # noqa: B006 (ComfyUI's signature)
            super().__init__(
                device=device, layer="last", textmodel_json_config=dict(config), dtype=dtype,
                special_tokens={"start": 49406, "end": 49407, "pad": 0}, return_projected_pooled=True,
                model_options=model_options,
            )  # fmt: skip

    class TextEncoder(comfy.sd1_clip.SD1ClipModel):
        def __init__(self, device="cpu", dtype=None, model_options={}, **kwargs) -> None:  # noqa: B006
            super().__init__(
                device=device, dtype=dtype, model_options=model_options, clip_name="h", clip_model=TextModel, **kwargs
            )

    return TextEncoder


def _tokenizer(tower: ClipTower) -> type:
    """SD2's tokenizer that takes `embedding:` files of this tower's width."""

    class Tokenizer(comfy.text_encoders.sd2_clip.SD2ClipHTokenizer):
        def __init__(self, *args, **kwargs) -> None:
            super().__init__(*args, **kwargs)
            self.embedding_size = tower.hidden_size

    class PromptTokenizer(comfy.sd1_clip.SD1Tokenizer):
        def __init__(self, embedding_directory=None, tokenizer_data={}) -> None:  # noqa: B006
            super().__init__(embedding_directory, tokenizer_data, clip_name="h", tokenizer=Tokenizer)

    return PromptTokenizer


def clip_vision(
    preset: Preset, state_dict: dict[str, Tensor], dtype: torch.dtype | None = None
) -> comfy.clip_vision.ClipVisionModel:
    """CLIP_VISION from a vision tower in Hugging Face's layout (`vision_model.*`); `dtype` as in `clip`.

    Raises:
        ValueError: weights are missing.
    """
    tower = preset.vision
    config = {
        **_clip_config(tower), "model_type": "clip_vision_model", "image_size": tower.image_size, "num_channels": 3,
        "patch_size": tower.patch_size, "projection_dim": tower.projection_dim or tower.hidden_size,
    }  # fmt: skip
    # ComfyUI takes the configuration from a file only.
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "config.json")
        with open(path, "w", encoding="utf-8") as file:
            json.dump(config, file)
        built = comfy.clip_vision.ClipVisionModel(path)
    if dtype is not None:
        built.dtype = dtype
        built.model.to(dtype)
    missing, _ = built.load_sd(in_precision(state_dict, dtype))
    _refuse_missing([key for key in missing if not key.startswith("visual_projection")], "vision tower")
    return built


def _clip_config(tower: ClipTower) -> dict:
    return {
        "hidden_size": tower.hidden_size, "intermediate_size": tower.intermediate_size, "hidden_act": "gelu",
        "num_hidden_layers": tower.num_hidden_layers, "num_attention_heads": tower.num_attention_heads,
        "layer_norm_eps": tower.layer_norm_eps, "vocab_size": tower.vocab_size,
    }  # fmt: skip


def _refuse_missing(missing: list[str], what: str) -> None:
    missing = [key for key in missing if not key.endswith(("position_ids", "logit_scale"))]
    if missing:
        raise ValueError(f"the {what} file lacks {len(missing)} tensors, the first is {missing[0]!r}.")
