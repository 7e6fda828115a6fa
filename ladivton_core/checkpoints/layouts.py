"""What a state dict holds, told from its keys and shapes, never from the file's name.

`part_of` takes one part out of a file that holds several. `load_strict` fills a module and, when the file is something
else, says what it is. `reading.py` makes the dict, `build.py` the modules.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from ..disk.names import printable
from ..embedded import PARTS
from ..runtime.finite import first_not_finite
from ..start import command

KINDS = {
    "unet": "a diffusers UNet",
    "vae": "a diffusers VAE",
    "text_encoder": "a CLIP text encoder",
    "vision": "a CLIP vision tower",
    "clip": "a whole CLIP model (text and vision)",
    "inversion_adapter": "an inversion adapter",
    "warping": "a warping file (thin-plate spline and refinement)",
    "tps": "the thin-plate-spline half of a warping file",
    "refinement": "the refinement half of a warping file",
    "garment_parts": "what the embedded warping file knows of garments' parts",
    "emasc": "EMASC",
    "ldm_checkpoint": "a whole Stable Diffusion checkpoint in the original layout",
    "ldm_unet": "a UNet in the original Stable Diffusion layout",
    "ldm_vae": "a VAE in the original Stable Diffusion layout",
    "lora": "a LoRA",
    "controlnet": "a ControlNet",
    "vgg19": "torchvision's VGG19",
    "unknown": "none of the layouts this pack knows",
}
"""Every kind `identify` answers with, in words."""

# Where a whole checkpoint in the original layout keeps the parts.
_LDM_PREFIXES = {
    "unet": "model.diffusion_model.",
    "vae": "first_stage_model.",
    "text_encoder": "cond_stage_model.model.",
}
# What tells them there from other models' (Flux's UNet has the same prefix, SDXL's text encoders another one).
_LDM_SIGNS = {
    "unet": "model.diffusion_model.input_blocks.0.0.weight",
    "vae": "first_stage_model.encoder.conv_in.weight",
    "text_encoder": "cond_stage_model.model.token_embedding.weight",
}
_HOLDS = {
    "clip": ("text_encoder", "vision"),
    "ldm_unet": ("unet",),
    "ldm_vae": ("vae",),
    **{part: (part,) for part in PARTS},
}

_MOST_KEYS = 64  # that are looked below: a file made of thousands would take long
_MUCH = 64 << 20  # bytes from which a tensor that repeats itself is looked at: a few KB could fill the memory

# Looked for in this order; every key of a row has to be there (a trailing * matches any ending).
_SIGNS: tuple[tuple[str, tuple[str, ...]], ...] = (
    *(("ldm_checkpoint", (sign,)) for sign in _LDM_SIGNS.values()),
    ("controlnet", ("controlnet_cond_embedding.*",)),
    ("controlnet", ("zero_convs.*",)),
    ("warping", ("tps.*", "refinement.*")),
    ("tps", ("extractionA.model.0.weight", "loc_net.*")),
    ("refinement", ("inc.*", "outc.*")),
    ("garment_parts", ("down.0.0.weight", "parts.0.weight", "unit.weight")),
    ("inversion_adapter", ("encoder_layers.0.self_attn.k_proj.weight", "post_layernorm.weight", "layers.0.weight")),
    ("emasc", ("conv.0.0.weight", "conv.1.0.weight")),
    ("emasc", ("conv.0.weight", "conv.1.weight")),
    ("unet", ("conv_in.weight", "time_embedding.linear_1.weight", "down_blocks.*")),
    ("ldm_unet", ("input_blocks.0.0.weight", "time_embed.0.weight")),
    ("vae", ("encoder.conv_in.weight", "decoder.conv_in.weight", "encoder.down_blocks.*")),
    ("ldm_vae", ("encoder.conv_in.weight", "decoder.conv_in.weight", "encoder.down.*")),
    ("clip", ("text_model.*", "vision_model.*")),
    ("clip", ("visual.conv1.weight", "token_embedding.weight")),
    ("text_encoder", ("text_model.embeddings.token_embedding.weight",)),
    ("text_encoder", ("embeddings.token_embedding.weight", "final_layer_norm.weight")),
    ("text_encoder", ("token_embedding.weight", "ln_final.weight")),
    ("vision", ("vision_model.embeddings.patch_embedding.weight",)),
    ("vision", ("visual.conv1.weight",)),
    ("lora", ("lora_*",)),
    ("vgg19", ("features.0.weight", "features.28.weight")),
)


def identify(state: Mapping[str, Tensor]) -> str:
    """Kind of a state dict, a key of `KINDS`; `unknown` when nothing fits."""
    for kind, signs in _SIGNS:
        if all(_has(state, sign) for sign in signs):
            return kind
    if any(".lora_" in key for key in state):
        return "lora"
    return "unknown"


def parts_in(state: Mapping[str, Tensor]) -> tuple[str, ...]:
    """Which of `embedded.PARTS` a state dict holds, in whatever layout; several in a whole model's single file."""
    kind = identify(state)
    if kind == "ldm_checkpoint":
        return tuple(part for part, sign in _LDM_SIGNS.items() if sign in state)
    return _HOLDS.get(kind, ())


def unet_channels(state: Mapping[str, Tensor]) -> int | None:
    """Input channels of the UNet in a state dict of any layout; None where there is none."""
    for key in ("conv_in.weight", "input_blocks.0.0.weight", _LDM_SIGNS["unet"]):
        if key in state and state[key].ndim == 4:
            return state[key].shape[1]
    return None


def below_keys(state: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """What lies below each first word of the names; nothing where those are too many to be keys of a training."""
    groups: dict[str, dict[str, Tensor]] = {}
    for key, tensor in state.items():
        first, dot, rest = key.partition(".")
        if dot:
            groups.setdefault(first, {})[rest] = tensor
            if len(groups) > _MOST_KEYS:
                return {}
    return groups


def part_of(part: str, state: Mapping[str, Tensor], path: Path | str | None = None) -> dict[str, Tensor]:
    """A part's tensors, still in the file's layout but without the prefix a whole checkpoint gives them.

    Raises:
        CheckpointError: the part is not in there (the message says what is), or a tensor claims more than is stored.
    """
    if part not in parts_in(state):
        raise CheckpointError(
            f"{_source(path)} is {describe(state)}; {KINDS[part]} was expected here.{_found_below(part, state)}"
        )
    prefix = _LDM_PREFIXES[part] if identify(state) == "ldm_checkpoint" else ""
    for key, tensor in state.items():
        claimed = tensor.numel() * tensor.itemsize
        if claimed > _MUCH and not tensor.is_meta and claimed > tensor.untyped_storage().nbytes():
            raise CheckpointError(
                f"{_source(path)} has values for a part of {key} only, which claims {claimed / 1e6:,.0f} MB: "
                "the file is damaged or made to fill the memory; download it again."
            )
    return {key.removeprefix(prefix): tensor for key, tensor in state.items() if key.startswith(prefix)}


def describe(state: Mapping[str, Tensor]) -> str:
    """One phrase a person understands: the kind, and what tells it from its neighbours."""
    kind = identify(state)
    phrase = KINDS[kind]
    if kind == "ldm_checkpoint":
        return f"{phrase} ({', '.join(parts_in(state))})"
    if kind in ("unet", "ldm_unet"):
        channels = unet_channels(state)
        known = {
            4: "text to image",
            9: "Stable Diffusion inpainting",
            27: "LaDI-VTON without a garment",
            31: "LaDI-VTON",
        }
        return f"{phrase} with {channels} input channels ({known.get(channels, 'unknown model')})"
    if kind == "unknown":
        return f"{phrase} (first keys: {', '.join(list(state)[:3])})"
    return phrase


def expect(state: Mapping[str, Tensor], kinds: tuple[str, ...], path: Path | str | None) -> str:
    """The dict's kind, when it is one of `kinds`.

    Raises:
        CheckpointError: it is something else; the message says what.
    """
    kind = identify(state)
    if kind not in kinds:
        raise CheckpointError(f"{_source(path)} is {describe(state)}; {KINDS[kinds[0]]} was expected here.")
    return kind


def load_strict(
    module: nn.Module,
    state: Mapping[str, Tensor],
    what: str,
    path: Path | str | None = None,
    *,
    optional: tuple[str, ...] = (),
    dtype: torch.dtype | None = None,
) -> nn.Module:
    """Fill a module: every key present, none left over, every shape equal.

    Args:
        module: built, or on the meta device (then the tensors are taken over instead of copied).
        state: state dict in the module's own names.
        what: kind the caller wants, a key of `KINDS`; used in messages.
        path: file it came from; used in messages.
        optional: prefixes of keys the file may leave out because the module computes them.
        dtype: floating-point type on the meta device; a built module keeps its own.

    Returns:
        The module.

    Raises:
        CheckpointError: keys or shapes differ, or a value is no number. Says what the file is instead, or names the
            first differences.
    """
    own = module.state_dict()
    check_strict(own, state, what, path, optional=optional)
    check_values(state, path)
    on_meta = any(tensor.is_meta for tensor in own.values())
    if on_meta:
        state = {
            key: tensor.to(dtype) if dtype and tensor.is_floating_point() else tensor for key, tensor in state.items()
        }
    module.load_state_dict(state, strict=False, assign=on_meta)
    return module


def check_strict(
    own: Mapping[str, Tensor],
    state: Mapping[str, Tensor],
    what: str,
    path: Path | str | None = None,
    *,
    optional: tuple[str, ...] = (),
) -> None:
    """Compare names and shapes with those of a module's state dict, as `load_strict` does before it fills anything.

    Raises:
        CheckpointError: they differ.
    """
    missing = [key for key in own if key not in state and not key.startswith(optional or ("\0",))]
    surplus = [key for key in state if key not in own]
    wrong = [key for key in own if key in state and own[key].shape != state[key].shape]
    if missing or surplus or wrong:
        raise CheckpointError(_difference(own, state, what, path, missing, surplus, wrong))
    for key in own:
        if key in state and own[key].is_floating_point() and not state[key].is_floating_point():
            raise CheckpointError(
                f"{_source(path)} holds whole numbers ({state[key].dtype}) where weights belong, first in {key}: "
                "it was quantised for another program. Take the file in float32, float16 or bfloat16."
            )


def check_values(state: Mapping[str, Tensor], path: Path | str | None = None) -> None:
    """Refuse weights that are not all numbers: they would give a black or wrong picture without a word.

    Raises:
        CheckpointError: NaN or infinity; the message names the first tensor that holds one.
    """
    name = first_not_finite(state)
    if name is not None:
        raise CheckpointError(
            f"{_source(path)} holds values that are no numbers (NaN or infinite), first in {name}: "
            "the training that wrote it had failed, or a conversion to float16 overflowed. Take another copy."
        )


def _found_below(part: str, state: Mapping[str, Tensor]) -> str:
    """The way out where a file holds the part among other things, under a key of its own."""
    found = [key for key, inner in below_keys(state).items() if part in parts_in(inner)]
    if not found:
        return ""
    return f" There is one under {' and under '.join(map(repr, found))}; take it out: " + command(
        f"checkpoints convert SOURCE TARGET --inside {found[0]}"
    )


def _difference(own, state, what, path, missing, surplus, wrong) -> str:
    kind = identify(state)
    if kind not in (what, "unknown") and len(missing) > len(own) // 2:
        return f"{_source(path)} is {describe(state)}; {KINDS.get(what, what)} was expected here."
    parts = []
    if wrong:
        key = wrong[0]
        parts.append(
            f"{len(wrong)} of other shape, e.g. {key} {tuple(state[key].shape)} instead of {tuple(own[key].shape)}"
        )
    if missing:
        parts.append(f"{len(missing)} missing, e.g. {missing[0]}")
    if surplus:
        parts.append(f"{len(surplus)} too many, e.g. {surplus[0]}")
    return (
        f"{_source(path)} does not fit {KINDS.get(what, what)} of this size: {'; '.join(parts)}. "
        "It may belong to another preset or be damaged; pick the file that goes with the other models."
    )


def _source(path: Path | str | None) -> str:
    return "this state dict" if path is None else str(path)


def _has(state: Mapping[str, Tensor], sign: str) -> bool:
    if sign.endswith("*"):
        return any(key.startswith(sign[:-1]) for key in state)
    return sign in state


class CheckpointError(ValueError):
    """A weight file that cannot be used; the message says what it is and what was expected."""

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))  # names of files and tensors come from anywhere
