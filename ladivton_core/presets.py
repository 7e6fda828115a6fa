"""Model sizes, prediction type and noise schedule as data.

`SD2` is the paper's setup (arXiv 2305.13501, published §2 to §6), `TINY` the embedded default: the
same geometry (512x384 pictures, factor 8, TPS at 256x192) with small widths. A third size is a third
`Preset`, never an `if`. Read `denoising/schedule.py` next for how `NoiseSchedule` becomes numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

PUBLISHED_VAE_SCALE = 0.18215
"""Stable Diffusion's latent scaling factor. The tiny VAE is built so that it holds there as well."""


@dataclass(frozen=True)
class NoiseSchedule:
    """Which noise level belongs to which of the training timesteps, and what the UNet predicts.

    Attributes:
        beta_start, beta_end: ends of Stable Diffusion's `scaled_linear` betas.
        train_steps: number of training timesteps.
        prediction_type: `epsilon` (the paper) or `v_prediction`.
        snr_shift: every signal-to-noise ratio is divided by this; 1 leaves the schedule as published.
        zero_terminal_snr: rescale so that the last timestep is pure noise (arXiv 2305.08891).
        timestep_spacing: `leading` (the paper: 981, 961, ..., 1) or `trailing` (999, 979, ..., 19).
        steps_offset: added to `leading` timesteps; 1 in Stable Diffusion 2.
    """

    beta_start: float = 0.00085
    beta_end: float = 0.012
    train_steps: int = 1000
    prediction_type: Literal["epsilon", "v_prediction"] = "epsilon"
    snr_shift: float = 1.0
    zero_terminal_snr: bool = False
    timestep_spacing: Literal["leading", "trailing"] = "leading"
    steps_offset: int = 1


@dataclass(frozen=True)
class ClipTower:
    """Shape of one CLIP transformer, in Hugging Face's terms (`hidden_act` is always exact GELU)."""

    hidden_size: int
    intermediate_size: int
    num_hidden_layers: int
    num_attention_heads: int
    image_size: int = 224
    patch_size: int = 14
    projection_dim: int | None = None
    vocab_size: int = 49408
    max_position_embeddings: int = 77
    layer_norm_eps: float = 1e-5


@dataclass(frozen=True)
class Preset:
    """One complete set of models.

    Attributes:
        size: (height, width) in pixels the models were trained for.
        warp_size: (height, width) at which the thin-plate spline is predicted.
        unet, vae: keyword arguments of diffusers' `UNet2DConditionModel` and `AutoencoderKL`.
        text, vision: the CLIP towers. `text` counts the layers actually run (23 for SD2).
        num_words: how many pseudo-words the adapter writes.
        adapter, tps, refinement, emasc: keyword arguments of `InversionAdapter`, `ConvNetTPS`,
            `RefinementUNet` and `EMASC`.
        steps, guidance_scale: sampling defaults.
        skip_grow, skip_feather: decoding defaults, see `decoding.emasc.mask_features`; 0 is published.
        photo_spline, garment_parts: whether the warper has a second spline, for photographs, and a network that tells a
            garment's parts; a warping file decides by itself.
        drawn_only: trained on drawn people alone; who brings a photograph is told so.
        photographs: how somebody without a parse map is dressed: by the `published` masks in the refined garment, or
            by the `body`'s mask in the garment as the spline warps it, trousers and dresses centred (docs/photos.md).
        preview_rgb: least-squares colours of the latents for live previews, in [-1, 1]: one row of RGB for each
            of the 4 scaled latent channels, then the constant; None takes Stable Diffusion's.
    """

    name: str
    size: tuple[int, int]
    warp_size: tuple[int, int]
    unet: dict[str, Any]
    vae: dict[str, Any]
    text: ClipTower
    vision: ClipTower
    num_words: int
    adapter: dict[str, Any]
    tps: dict[str, Any]
    refinement: dict[str, Any]
    emasc: dict[str, Any]
    schedule: NoiseSchedule = field(default_factory=NoiseSchedule)
    vae_scale: float = PUBLISHED_VAE_SCALE
    steps: int = 50
    guidance_scale: float = 7.5
    skip_grow: int = 0
    skip_feather: int = 0
    photo_spline: bool = False
    garment_parts: bool = False
    drawn_only: bool = False
    photographs: Literal["published", "body"] = "published"
    preview_rgb: tuple[tuple[float, float, float], ...] | None = None


def _unet(widths, down, up, heads, layers, context) -> dict[str, Any]:
    return dict(
        sample_size=64, in_channels=31, out_channels=4, center_input_sample=False,
        flip_sin_to_cos=True, freq_shift=0, down_block_types=down, up_block_types=up,
        block_out_channels=widths, layers_per_block=layers, downsample_padding=1,
        mid_block_scale_factor=1, act_fn="silu", norm_num_groups=32, norm_eps=1e-5,
        cross_attention_dim=context, attention_head_dim=heads, dual_cross_attention=False,
        use_linear_projection=True,
    )  # fmt: skip


def _vae(widths, layers) -> dict[str, Any]:
    return dict(
        in_channels=3, out_channels=3, latent_channels=4, act_fn="silu", norm_num_groups=32,
        down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=widths, layers_per_block=layers, sample_size=512,
    )  # fmt: skip


def _emasc(vae_widths, kind="nonlinear") -> dict[str, Any]:
    """Tap widths (published §3.1) and decoder widths (published §3.4) that follow from a VAE's level widths."""
    a, b, c, d = vae_widths
    return dict(in_channels=(a, a, a, b, c), out_channels=(a, b, c, d, d), kind=kind)


_CROSS_DOWN, _DOWN = "CrossAttnDownBlock2D", "DownBlock2D"
_CROSS_UP, _UP = "CrossAttnUpBlock2D", "UpBlock2D"

SD2 = Preset(
    name="sd2",
    size=(512, 384),
    warp_size=(256, 192),
    unet=_unet(
        (320, 640, 1280, 1280), (_CROSS_DOWN,) * 3 + (_DOWN,), (_UP,) + (_CROSS_UP,) * 3, (5, 10, 20, 20), 2, 1024
    ),
    vae=_vae((128, 256, 512, 512), 2),
    text=ClipTower(1024, 4096, 23, 16),
    vision=ClipTower(1280, 5120, 32, 16, projection_dim=1024),
    num_words=16,
    adapter=dict(
        input_dim=1280,
        hidden_dim=5120,
        output_dim=16 * 1024,
        num_encoder_layers=1,
        dropout=0.5,
        num_heads=16,
        mlp_dim=5120,
    ),
    tps=dict(height=256, width=192, input_nc=21, n_layer=3),
    refinement=dict(n_channels=24, n_classes=3, bilinear=True),
    emasc=_emasc((128, 256, 512, 512)),
)

# Widths obey ComfyUI's native SD2 classes: GroupNorm 32, heads of 64 (so two a level), VAE widths multiples of the
# first. The UNet is as wide at the top as below: all fine work happens there, and 64 channels in 32 groups are two a
# group. Attention only at 16x12 latents: higher up it would cost more than everything else together.
TINY = Preset(
    name="tiny",
    size=(512, 384),
    warp_size=(256, 192),
    unet=_unet((128, 128, 128), (_DOWN, _DOWN, _CROSS_DOWN), (_CROSS_UP, _UP, _UP), (2, 2, 2), 1, 64),
    vae=_vae((64, 64, 64, 128), 1),
    text=ClipTower(64, 128, 2, 4),
    vision=ClipTower(96, 192, 3, 3, projection_dim=64),
    num_words=16,
    adapter=dict(
        input_dim=96, hidden_dim=192, output_dim=16 * 64, num_encoder_layers=1, dropout=0.0, num_heads=3, mlp_dim=192
    ),
    tps=dict(
        height=256, width=192, input_nc=21, n_layer=3, base_width=16, max_width=128, regression_widths=(128, 64, 64, 32)
    ),
    refinement=dict(n_channels=24, n_classes=3, bilinear=True, base_width=32),
    emasc=_emasc((64, 64, 64, 128)),
    schedule=NoiseSchedule(
        prediction_type="v_prediction", snr_shift=32.0, zero_terminal_snr=True, timestep_spacing="trailing"
    ),
    steps=5,
    guidance_scale=1.0,
    skip_grow=2,  # without it EMASC draws a thin line along the mask's edge
    skip_feather=2,
    drawn_only=True,
    photographs="body",  # the refinement knows drawn people only, and on photographs damages what the spline gives
    preview_rgb=((0.5, 0.48, 0.45), (0.09, 0.02, -0.19), (-0.1, 0.14, -0.03), (0.01, 0.01, 0.01), (0.36, 0.35, 0.32)),
)  # fmt: skip

PRESETS = {preset.name: preset for preset in (SD2, TINY)}
"""Every preset by name."""
