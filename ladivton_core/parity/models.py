"""Models of a golden case: sizes from its configuration, weights from the rule.

A case's `config` uses the reference's names (`vision_config`, `scheduler`, ...); this file turns them into
`presets` and filled modules. The rule hashes published key names, so towers and VAE are filled through
`checkpoints/`. Source: `reference/golden/README.md`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ..checkpoints import clip_layout, vae_layout
from ..decoding.emasc import EMASC
from ..denoising.schedule import ddim_scheduler
from ..inversion.adapter import InversionAdapter
from ..inversion.encoders import TextTower, VisionTower
from ..presets import ClipTower, NoiseSchedule
from .rule import load_rule_weights, rule_state_dict

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel


def tower(config: Mapping[str, Any]) -> ClipTower:
    """`ClipTower` of a Hugging Face configuration.

    Raises:
        ValueError: an activation our towers do not have.
    """
    if config.get("hidden_act", "gelu") != "gelu":
        raise ValueError(f"hidden_act {config['hidden_act']!r} is not supported; the towers use exact GELU.")
    names = {entry.name for entry in dataclasses.fields(ClipTower)}
    return ClipTower(**{key: value for key, value in config.items() if key in names})


def scheduler_of(config: Mapping[str, Any]) -> DDIMScheduler:
    """Our scheduler for a DDIM configuration; diffusers' own for options the paper does not have."""
    ours = {"beta_schedule": "scaled_linear", "clip_sample": False, "set_alpha_to_one": False, "trained_betas": None}
    if any(config.get(key, value) != value for key, value in ours.items()):
        from diffusers import DDIMScheduler

        return DDIMScheduler(**config)
    return ddim_scheduler(schedule_of(config))


def schedule_of(config: Mapping[str, Any]) -> NoiseSchedule:
    """`NoiseSchedule` of a DDIM configuration."""
    names = {"num_train_timesteps": "train_steps"}
    known = {entry.name for entry in dataclasses.fields(NoiseSchedule)}
    renamed = {names.get(key, key): value for key, value in config.items()}
    return NoiseSchedule(**{key: value for key, value in renamed.items() if key in known})


def emasc_widths(vae_config: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """EMASC's widths that follow from a VAE's levels (published §3.1, 3.4)."""
    widths = tuple(vae_config["block_out_channels"])
    return dict(in_channels=(widths[0], widths[0], *widths[:-1]), out_channels=(*widths, widths[-1]))


def rule_text_encoder(config: Mapping[str, Any], seed: int, gain: float = 1.0) -> TextTower:
    """Text tower with rule weights."""
    module = TextTower(tower(config))
    weights = rule_state_dict(seed, clip_layout.text_to_hf(module.state_dict()), gain)
    module.load_state_dict(clip_layout.text_from_hf(weights))
    return module.eval()


def rule_vision(config: Mapping[str, Any], seed: int, gain: float = 1.0) -> VisionTower:
    """Vision tower with rule weights."""
    module = VisionTower(tower(config))
    weights = rule_state_dict(seed, clip_layout.vision_to_hf(module.state_dict()), gain)
    module.load_state_dict(clip_layout.vision_from_hf(weights))
    return module.eval()


def rule_vae(config: Mapping[str, Any], seed: int, gain: float = 1.0) -> AutoencoderKL:
    """Autoencoder with rule weights, hashed under its old attention names."""
    from diffusers import AutoencoderKL

    module = AutoencoderKL(**config)
    weights = rule_state_dict(seed, vae_layout.vae_old_names(module.state_dict()), gain)
    module.load_state_dict(vae_layout.vae_modern_names(weights))
    return module.eval()


def rule_unet(config: Mapping[str, Any], seed: int, gain: float = 1.0) -> UNet2DConditionModel:
    """UNet with rule weights."""
    from diffusers import UNet2DConditionModel

    return load_rule_weights(UNet2DConditionModel(**config), seed, gain)


def rule_emasc(widths: Mapping[str, Any], seed: int, kind: str = "nonlinear", gain: float = 1.0) -> EMASC:
    """EMASC with rule weights."""
    return load_rule_weights(EMASC(**widths, kind=kind), seed, gain)


def adapter_arguments(config: Mapping[str, Any], vision: Mapping[str, Any]) -> dict[str, Any]:
    """`InversionAdapter`'s arguments from a case's adapter entries and the vision configuration (published §4.3)."""
    return dict(
        input_dim=config.get("input_dim", vision["hidden_size"]),
        hidden_dim=config["hidden_dim"],
        output_dim=config["output_dim"],
        num_encoder_layers=config.get("num_encoder_layers", 1),
        num_heads=vision["num_attention_heads"],
        mlp_dim=vision["intermediate_size"],
        layer_norm_eps=vision.get("layer_norm_eps", 1e-5),
    )


def rule_adapter(
    config: Mapping[str, Any], vision: Mapping[str, Any], seed: int, gain: float = 1.0
) -> InversionAdapter:
    """Inversion adapter with rule weights."""
    return load_rule_weights(InversionAdapter(**adapter_arguments(config, vision)), seed, gain)
