"""ComfyUI's VAE, its encoder tapped and its decoder fed with skip features.

The counterpart of `ladivton_core/decoding/taps.py` for ComfyUI's own autoencoder: hooks on its modules, there for
one call and always removed. Paper section 3.4; published §3.1 and 3.4. `../conditioning.py` encodes, `../decoding.py`
decodes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import torch
from torch import Tensor, nn

from ...ladivton_core.runtime.finite import require_finite
from .types import one_by_one
from .versions import on_device

LEVELS = 4
VAE_ADVICE = "Start ComfyUI with --fp32-vae (or --bf16-vae), or load another VAE file."


def load_vae(vae, *others, memory_required: float) -> nn.Module:
    """Bring a VAE, and other patchers with it, to the device; returns its first-stage model.

    Raises:
        ValueError: not a Stable Diffusion autoencoder.
    """
    import comfy.model_management as memory

    vae.throw_exception_if_invalid()
    model = vae.first_stage_model
    encoder, decoder = getattr(model, "encoder", None), getattr(model, "decoder", None)
    fits = all(hasattr(model, name) for name in ("quant_conv", "post_quant_conv")) and all(
        len(getattr(half, levels, ())) == LEVELS for half, levels in ((encoder, "down"), (decoder, "up"))
    )
    if not fits:
        raise ValueError(
            f"This VAE is a {type(model).__name__} without Stable Diffusion's four encoder and decoder levels, "
            "which EMASC taps. Use Stable Diffusion 1 or 2's VAE, or the embedded one."
        )
    memory.load_models_gpu([vae.patcher, *others], memory_required=memory_required, force_full_load=True)
    return model


def encode_moments(vae, image: Tensor, progress=None) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Encode pictures one by one: posterior moments and the encoder's taps.

    Args:
        vae: ComfyUI VAE.
        image: (B, 3, H, W) in [-1, 1], sides divisible by 8.
        progress: ComfyUI's `ProgressBar`, moved on by one a picture; the node's own by itself.

    Returns:
        Moments (B, 8, h, w) float32 on ComfyUI's intermediate device, and f1...f5, (B, C_i, h_i, w_i), on the VAE's
        offload device; f2 is the same tensor as f1 (Q12).
    """
    import comfy.model_management as memory

    model = load_vae(vae, memory_required=vae.memory_used_encode(image.shape, vae.vae_dtype))
    encoder = model.encoder
    moments, taps = [], []
    for item in one_by_one(range(image.shape[0]), progress):
        with on_device(vae.device), taps_kept(encoder) as seen:
            pixels = image[item : item + 1].to(vae.device, vae.vae_dtype)
            found = model.quant_conv(encoder(pixels))
            require_finite(found, "The VAE's encoder", VAE_ADVICE, vae.vae_dtype)
            moments.append(found.float().to(memory.intermediate_device()))
        taps.append([seen[level].to(vae.patcher.offload_device) for level in range(LEVELS)])
    f1, f3, f4, f5 = (torch.cat(level) for level in zip(*taps, strict=True))
    return torch.cat(moments), (f1, f1, f3, f4, f5)


@contextmanager
def taps_kept(encoder: nn.Module) -> Iterator[dict[int, Tensor]]:
    """While inside, an encoder pass leaves its taps in the dict: 0 = f1 (= f2), 1...3 = f3...f5 (published §3.1)."""
    seen: dict[int, Tensor] = {}

    def keeper(level: int):
        return lambda _module, args: seen.__setitem__(level, args[0])

    with ExitStack() as hooks:  # also when one of them cannot be registered
        for level in range(LEVELS):
            hook = encoder.down[level].block[0].register_forward_pre_hook(keeper(level))
            hooks.callback(hook.remove)
        yield seen


@contextmanager
def skips_added(model: nn.Module, skips: Sequence[Tensor]) -> Iterator[None]:
    """While inside, every decode of `model` adds masked EMASC outputs f1'...f5' on its way up (published §3.4).

    Raises:
        ValueError: during the decode, a skip feature has not the size of what it is added to.
    """
    decoder = model.decoder
    # The decoder runs `up` from the last level to the first; f1' joins after the last norm, before conv_out.
    places = [decoder.conv_out] + [decoder.up[level].block[0] for level in range(LEVELS)]
    with ExitStack() as hooks:
        for place, skip in zip(places, skips, strict=True):
            hooks.callback(place.register_forward_pre_hook(_adder(skip)).remove)
        yield


def _adder(skip: Tensor):
    def add(_module: nn.Module, args: tuple) -> tuple:
        hidden, *rest = args
        if hidden.shape != skip.shape:
            raise ValueError(
                f"A skip feature {tuple(skip.shape)} does not fit the decoder's {tuple(hidden.shape)}. "
                "Skip features need the LATENT and the VAE of the same graph, "
                "and a VAE that decodes the whole picture: switch tiled decoding off."
            )
        return (hidden + skip.to(hidden), *rest)

    return add
