"""Floating-point operations of every stage, counted on tensors without values: no weights, no time."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from ladivton_core.checkpoints.build import BUILDERS
from ladivton_core.decoding.taps import decode_with_skips, encode_with_taps
from ladivton_core.presets import Preset
from ladivton_core.warping.warper import GarmentWarper


def operations(preset: Preset, size: tuple[int, int], batch: int = 1) -> dict[str, float]:
    """Operations by stage, one addition and one multiplication being two.

    `step` is a guided one, `single` one without guidance; `person` and `garment latents` are the two encodings.
    """
    with torch.device("meta"):
        parts = {part: build(preset).eval() for part, build in BUILDERS.items() if part != "warping"}
        height, width = size
        latents = (height // 8, width // 8)
        picture = torch.empty(batch, 3, height, width)
        tokens = torch.empty(batch, preset.text.max_position_embeddings, preset.unet["cross_attention_dim"])
        pixels = torch.empty(batch, 3, preset.vision.image_size, preset.vision.image_size)
        ids = torch.zeros(batch, preset.text.max_position_embeddings, dtype=torch.int64)

    def unet(halves: int) -> object:
        sample = torch.empty(halves * batch, preset.unet["in_channels"], *latents, device="meta")
        return parts["unet"](sample, torch.empty(1, device="meta"), tokens.repeat(halves, 1, 1), return_dict=False)

    def person() -> object:
        return parts["emasc"](encode_with_taps(parts["vae"], picture)[1])

    def invert() -> object:
        parts["inversion_adapter"](parts["vision"](pixels))
        return [parts["text_encoder"](ids) for _ in range(2)]  # the garment's prompt and the empty one

    def decode() -> object:
        latent = torch.empty(batch, preset.vae["latent_channels"], *latents, device="meta")
        return decode_with_skips(parts["vae"], latent)

    stages = {
        "warp": lambda: _warp(preset, size, batch),
        "invert": invert,
        "person": person,
        "garment latents": lambda: encode_with_taps(parts["vae"], picture),
        "step": lambda: unet(2),
        "single": lambda: unet(1),
        "decode": decode,
    }
    found = {}
    for stage, work in stages.items():
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
        found[stage] = float(counter.get_total_flops())
    return found


def _warp(preset: Preset, size: tuple[int, int], batch: int) -> None:
    """The warper's networks; the spline between them is some thousand operations a pixel less."""
    with torch.device("meta"):
        warper = GarmentWarper.from_preset(preset).eval()
        low = (batch, warper.tps.height, warper.tps.width)
        garment = torch.empty(low[0], 3, *low[1:])
        person = torch.empty(low[0], preset.tps["input_nc"], *low[1:])
        channels = torch.empty(batch, preset.refinement["n_channels"], *size)
    warper.tps(garment, person)
    warper.refinement(channels)
