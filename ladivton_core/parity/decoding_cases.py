"""Golden families of the decoding stage: emasc and vae_emasc."""

from __future__ import annotations

import torch
from torch import Tensor

from ..decoding.emasc import mask_features, masks_at
from ..decoding.taps import decode_with_skips, encode_with_taps
from ..denoising.conditioning import binary_mask, masked_at_half
from .case import Case, Check, family
from .models import rule_emasc, rule_vae


@family("emasc")
@torch.no_grad()
def emasc(case: Case) -> list[Check]:
    """The module, and the cumulative masking of its outputs."""
    config = case.config
    widths = dict(in_channels=config["in_channels"], out_channels=config["out_channels"])
    model = rule_emasc(widths, case.seed, config.get("type", "nonlinear"), case.gain)
    outputs = model([case.inputs[f"feat{level}"] for level in range(len(config["in_channels"]))])
    mask = binary_mask(case.inputs["mask"])
    computed = {"mask": mask}
    for level, (out, masked, small) in enumerate(
        zip(outputs, mask_features(outputs, mask), masks_at(mask, outputs), strict=True)
    ):
        computed |= {f"out{level}": out, f"masked{level}": masked, f"mask_at_{level}": small}
    return list(
        case.checks(computed, exact=[name for name in computed if name.startswith("mask") and "ed" not in name])
    )


@family("vae_emasc")
@torch.no_grad()
def vae_emasc(case: Case) -> list[Check]:
    """Taps, posterior, and the decoder with masked, unmasked and no skip features."""
    config = case.config
    levels = list(range(1, len(config["emasc_in"]) + 1))
    if config.get("int_layers", levels) != levels:
        raise ValueError(f"int_layers {config['int_layers']} are not supported; the published taps are {levels}.")
    vae = rule_vae(config["vae"], case.seed, case.gain)
    widths = dict(in_channels=config["emasc_in"], out_channels=config["emasc_out"])
    model = rule_emasc(
        widths, config["emasc_seed"], config.get("emasc_type", config.get("type", "nonlinear")), case.gain
    )
    mask = binary_mask(case.inputs["mask"])
    posterior, taps = encode_with_taps(vae, masked_at_half(case.inputs["image"], mask))
    outputs = model(taps)
    masked = mask_features(outputs, mask)
    z = case.inputs["z"]
    computed = {
        "mask": mask,
        "mean": posterior.mean,
        "logvar": posterior.logvar,
        "decoded_emasc_masked": decode_with_skips(vae, z, masked),
        "decoded_emasc_unmasked": decode_with_skips(vae, z, outputs),
        "decoded_plain": decode_with_skips(vae, z),
    }
    computed |= {f"tap{level}": _as_stored(case, f"tap{level}", tap) for level, tap in enumerate(taps, start=1)}
    computed |= {f"emasc_masked{i}": _as_stored(case, f"emasc_masked{i}", feature) for i, feature in enumerate(masked)}
    return list(case.checks(computed, exact=["mask"]))


def _as_stored(case: Case, name: str, tensor: Tensor) -> Tensor:
    """Large feature maps are stored as every fourth row and column (the case's description)."""
    if name in case.tensors and case.tensors[name].shape != tensor.shape:
        return tensor[:, :, ::4, ::4]
    return tensor
