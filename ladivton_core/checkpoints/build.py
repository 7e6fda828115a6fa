"""Building every model from a preset, filling it from a file of any known layout, and writing it again.

Parts are named as in `embedded.PARTS`. A file's layout and size are told from its content; the SD2 sized
modules are made on the meta device and take over the file's tensors, so that nothing is held twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Container, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from ..decoding.emasc import EMASC
from ..disk.tensors import write_tensors
from ..embedded import PARTS, embedded_path
from ..inversion.adapter import InversionAdapter
from ..inversion.encoders import TextTower, VisionTower
from ..presets import PRESETS, TINY, Preset
from ..runtime.defaults import in_float32, own_defaults
from ..warping.warper import GarmentWarper
from . import clip_layout, unet_layout, vae_layout
from .layouts import check_strict, describe, identify, load_strict, part_of, unet_channels
from .reading import CheckpointError, part_file, read_state_dict

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, UNet2DConditionModel

PHOTO_SPLINE, GARMENT_PARTS = "photo_tps.", "garment_parts."
"""Of the embedded warping file: what it has for photographs, see `GarmentWarper`."""
WARP_GRIDS = ("tps.gridGen.", f"{PHOTO_SPLINE}gridGen.")
"""What the warper computes when it is built; the published files hold it as well."""


@in_float32
def build_unet(preset: Preset) -> UNet2DConditionModel:
    """The try-on UNet (31 input channels, published §5), randomly initialised."""
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(**preset.unet)


@in_float32
def build_vae(preset: Preset) -> AutoencoderKL:
    """The autoencoder, randomly initialised; its config carries the preset's latent scale."""
    from diffusers import AutoencoderKL

    return AutoencoderKL(**preset.vae, scaling_factor=preset.vae_scale)


@in_float32
def build_text_encoder(preset: Preset) -> TextTower:
    """The text tower, randomly initialised."""
    return TextTower(preset.text)


@in_float32
def build_vision(preset: Preset) -> VisionTower:
    """The vision tower, randomly initialised."""
    return VisionTower(preset.vision)


@in_float32
def build_inversion_adapter(preset: Preset) -> InversionAdapter:
    """The inversion adapter, randomly initialised."""
    return InversionAdapter(**preset.adapter)


@in_float32
def build_warper(preset: Preset) -> GarmentWarper:
    """Thin-plate-spline matcher and refinement U-Net, randomly initialised."""
    return GarmentWarper.from_preset(preset)


@in_float32
def build_emasc(preset: Preset) -> EMASC:
    """EMASC, randomly initialised."""
    return EMASC(**preset.emasc)


BUILDERS: dict[str, Callable[[Preset], nn.Module]] = {
    "unet": build_unet,
    "vae": build_vae,
    "text_encoder": build_text_encoder,
    "vision": build_vision,
    "inversion_adapter": build_inversion_adapter,
    "warping": build_warper,
    "emasc": build_emasc,
}
"""Builder of every part in `embedded.PARTS`."""

# The tensors whose shapes tell a preset, in the module's own names.
_TELLING = {
    "unet": ("conv_out.weight", "time_embedding.linear_1.weight"),
    "vae": ("encoder.conv_in.weight", "encoder.conv_norm_out.weight"),
    "text_encoder": ("token_embedding.weight",),
    "vision": ("visual.conv1.weight", "visual.positional_embedding"),
    "inversion_adapter": ("layers.0.weight", "layers.6.weight"),
    "warping": ("tps.extractionA.model.0.weight", "refinement.inc.double_conv.0.weight"),
    "emasc": ("conv.0.2.weight", "conv.4.2.weight", "conv.0.weight", "conv.4.weight"),
}


def module_names(part: str, state: Mapping[str, Tensor], path: Path | str | None = None) -> dict[str, Tensor]:
    """A state dict of any layout known for `part`, in the names of our module; a file may hold other parts as well.

    Raises:
        CheckpointError: the file holds another kind; the message says which.
    """
    state = part_of(part, state, path)
    if part == "unet":
        return unet_layout.unet_from_ldm(state) if "input_blocks.0.0.weight" in state else state
    if part == "vae":
        from_ldm = "encoder.mid.block_1.conv1.weight" in state
        return vae_layout.vae_from_ldm(state) if from_ldm else vae_layout.vae_modern_names(state)
    if part == "vision":
        from_hf = any(key.startswith("vision_model.") for key in state)
        return clip_layout.vision_from_hf(state) if from_hf else clip_layout.vision_from_openclip(state)
    if part == "text_encoder":
        open_clip = "token_embedding.weight" in state
        return clip_layout.text_from_openclip(state) if open_clip else clip_layout.text_from_hf(state)
    if part == "warping":  # the published file also holds an epoch counter and optimisers
        ours = ("tps.", "refinement.", PHOTO_SPLINE, GARMENT_PARTS)
        return {key: tensor for key, tensor in state.items() if key.startswith(ours)}
    return dict(state)


def preset_for(part: str, state: Mapping[str, Tensor], path: Path | str | None = None) -> Preset:
    """The preset whose sizes a state dict (in module names) has.

    Raises:
        CheckpointError: no preset has them; the message lists the sizes.
    """
    sizes = {}
    for preset in PRESETS.values():
        with torch.device("meta"):
            own = BUILDERS[part](fitted(part, preset, state)).state_dict()
        told = {key: tuple(own[key].shape) for key in _TELLING[part] if key in own}
        if all(key in state and tuple(state[key].shape) == shape for key, shape in told.items()):
            return preset
        sizes[preset.name] = told
    found = {key: tuple(state[key].shape) for key in _TELLING[part] if key in state}
    raise CheckpointError(
        f"{'this state dict' if path is None else path} is {describe(state)} of a size no preset has: {found}; "
        + "; ".join(f"{name} has {told}" for name, told in sizes.items())
        + "."
    )


def fitted(part: str, preset: Preset, state: Mapping[str, Tensor]) -> Preset:
    """The preset with what a file decides by itself: EMASC's kind, 27 channels of a UNet, a warper's photographs."""
    if part == "emasc":
        kind = "linear" if "conv.0.weight" in state else "nonlinear"
        return dataclasses.replace(preset, emasc=preset.emasc | {"kind": kind})
    if part == "unet" and unet_channels(state) == 27:
        return dataclasses.replace(preset, unet=preset.unet | {"in_channels": 27})
    if part == "warping":
        spline, parts = (any(key.startswith(prefix) for key in state) for prefix in (PHOTO_SPLINE, GARMENT_PARTS))
        return dataclasses.replace(preset, photo_spline=spline, garment_parts=parts)
    return preset


def build_from(
    part: str,
    state: Mapping[str, Tensor],
    preset: Preset | None = None,
    *,
    path: Path | str | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> nn.Module:
    """Module of a part filled from a state dict of any known layout, in eval mode.

    Args:
        part: one of `embedded.PARTS`.
        state: flat state dict as `read_state_dict` gives it.
        preset: sizes; told from the shapes when None.
        path: file it came from, for messages.
        dtype: of the weights; the warper is float32 whatever this says (published §0).
        device: where to; None leaves it on the CPU.

    Raises:
        CheckpointError: another kind of file, another size, missing or surplus keys.
    """
    if part not in BUILDERS:
        raise ValueError(f"there is no part {part!r}; parts are {', '.join(BUILDERS)}.")
    state, preset = _module_state(part, state, preset, path)
    if part == "unet" and unet_channels(state) not in (None, preset.unet["in_channels"]):
        raise CheckpointError(
            f"{path or 'this state dict'} is {describe(state)}; "
            f"the try-on UNet has {preset.unet['in_channels']} input channels."
        )
    if part == "warping":
        # small, and its grid is computed: built for real and filled by copying
        with own_defaults():
            module = load_strict(build_warper(preset), state, part, path, optional=WARP_GRIDS)
        return (module if device is None else module.to(device)).eval()
    with torch.device("meta"):
        module = BUILDERS[part](preset)
    module = load_strict(module, state, part, path, dtype=dtype)
    return (module if device is None else module.to(device)).eval()


def check(part: str, state: Mapping[str, Tensor], path: Path | str | None = None) -> Preset:
    """Whether a state dict of any known layout has exactly the names and shapes of a part; no tensor is read.

    Stable Diffusion's own inpainting UNet (9 input channels) passes: training starts from it.

    Returns:
        The preset it belongs to.

    Raises:
        CheckpointError: another kind of file, a size no preset has, missing or surplus keys, other shapes.
    """
    state, preset = _module_state(part, {key: tensor.to("meta") for key, tensor in state.items()}, None, path)
    with torch.device("meta"):
        own = BUILDERS[part](preset).state_dict()
    if part == "unet" and unet_channels(state) == unet_layout.INPAINTING_CHANNELS:
        own |= {"conv_in.weight": own["conv_in.weight"][:, : unet_layout.INPAINTING_CHANNELS]}
    check_strict(own, state, part, path, optional=WARP_GRIDS if part == "warping" else ())
    return preset


def load(
    part: str,
    path: Path | str,
    preset: Preset | None = None,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> nn.Module:
    """`build_from` a file, or the part's file in a diffusers folder."""
    path = part_file(path, part)
    return build_from(part, read_state_dict(path), preset, path=path, dtype=dtype, device=device)


def load_parts(
    files: Mapping[str, Path | str],
    preset: Preset,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str | None = None,
) -> dict[str, nn.Module]:
    """`load` of every part, by part; `emasc` may be left out.

    Raises:
        ValueError: a part is missing, or unknown.
    """
    missing = [part for part in PARTS if part not in files and part != "emasc"]
    unknown = [part for part in files if part not in PARTS]
    if missing or unknown:
        raise ValueError(
            f"from_files needs one file for each of {', '.join(PARTS)}; missing {missing}, unknown {unknown}."
        )
    return {part: load(part, path, preset, dtype=dtype, device=device) for part, path in files.items()}


def load_embedded(
    part: str, *, dtype: torch.dtype = torch.float32, device: torch.device | str | None = None, preset: Preset = TINY
) -> nn.Module:
    """The shipped tiny model of a part."""
    return load(part, embedded_path(part), preset, dtype=dtype, device=device)


def published_state_dict(part: str, module: nn.Module) -> dict[str, Tensor]:
    """A part's state dict in the layout of its file: Hugging Face's for the towers, without computed grids."""
    state = module.state_dict()
    if part == "vision":
        return clip_layout.vision_to_hf(state)
    if part == "text_encoder":
        return clip_layout.text_to_hf(state)
    if part == "warping":
        return {key: tensor for key, tensor in state.items() if not key.startswith(WARP_GRIDS)}
    return state


def save(
    part: str,
    module: nn.Module,
    path: Path | str,
    *,
    dtype: torch.dtype | None = torch.float16,
    eight_bit: Container[str] = (),
) -> None:
    """Write a part as safetensors in `published_state_dict`'s layout, floating-point tensors as `dtype`.

    Args:
        eight_bit: names of tensors whose values all fit float8_e4m3fn and are stored so.

    Raises:
        ValueError: such a tensor would change, or a value is too large for `dtype`.
        OSError: the disk is full; what was there before is untouched.
    """
    tensors = published_state_dict(part, module)
    dtypes = {key: dtype for key, tensor in tensors.items() if dtype and tensor.is_floating_point()}
    for key in tensors:
        if key in eight_bit:
            dtypes[key] = torch.float8_e4m3fn
            if not torch.equal(tensors[key].to(torch.float8_e4m3fn).to(tensors[key].dtype), tensors[key]):
                raise ValueError(f"{key} of {part} has values that 8 bits cannot hold; leave it out of eight_bit.")
    write_tensors(Path(path), tensors, {"part": part}, dtypes=dtypes)


def _module_state(
    part: str, state: Mapping[str, Tensor], preset: Preset | None, path: Path | str | None
) -> tuple[dict[str, Tensor], Preset]:
    """A file's tensors in our module's names, and the preset fitted to them."""
    state = module_names(part, state, path)
    preset = fitted(part, preset or preset_for(part, state, path), state)
    if part == "text_encoder":
        state = cut_text(state, preset.text.num_hidden_layers)
    if part == "vision":
        state = _with_unused_head(state, preset)
    return state, preset


def cut_text(state: dict[str, Tensor], layers: int) -> dict[str, Tensor]:
    """Text tower cut to the layers that run, when it has exactly one more, as a whole OpenCLIP model does."""
    last, beyond = (f"transformer.resblocks.{number}.ln_1.weight" in state for number in (layers, layers + 1))
    if last and not beyond:
        return clip_layout.text_from_openclip(state, layers)
    return state


def _with_unused_head(state: dict[str, Tensor], preset: Preset) -> dict[str, Tensor]:
    """Vision tower keys; a file without the projection or post norm, which LaDI-VTON never runs, gets idle ones."""
    width = preset.vision.hidden_size
    like = state.get("visual.class_embedding", torch.zeros(width))
    idle = {
        "visual.ln_post.weight": like.new_ones(width),
        "visual.ln_post.bias": like.new_zeros(width),
        "visual.proj": like.new_zeros(width, preset.vision.projection_dim or width),
    }
    return idle | state


__all__ = [
    "BUILDERS",
    "build_emasc",
    "build_from",
    "build_inversion_adapter",
    "build_text_encoder",
    "build_unet",
    "build_vae",
    "build_vision",
    "build_warper",
    "check",
    "cut_text",
    "identify",
    "load",
    "load_embedded",
    "module_names",
    "preset_for",
    "published_state_dict",
    "save",
]
