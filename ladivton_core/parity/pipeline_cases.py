"""Golden families of the whole pipeline: tryon (loop and decoder) and e2e_tiny (raw files to picture).

Both run `TryOnPipeline` itself with the reference's single generator.
"""

from __future__ import annotations

import re
from typing import Any

import torch
from torch import Tensor

from ..datasets.sample import TryOnSample
from ..decoding.taps import downscale_factor
from ..denoising.conditioning import binary_mask, latent_size
from ..denoising.noise import TryOnNoise, shared_noise
from ..inversion.pixels import clip_pixels
from ..inversion.prompts import tokenize
from ..pipeline import GarmentEncoding, TryOnPipeline
from ..presets import SD2, Preset
from ..warping.warper import GarmentWarper
from .case import Case, Check, compare, family
from .dataset_cases import load_sample
from .models import (
    adapter_arguments,
    emasc_widths,
    rule_adapter,
    rule_emasc,
    rule_text_encoder,
    rule_unet,
    rule_vae,
    rule_vision,
    schedule_of,
    scheduler_of,
    tower,
)
from .rule import load_rule_weights
from .stage_cases import prompt_of_row

UNDECIDED = 4e-6
"""By how much of the garment's [-1, 1] float32 resizes may differ: a dozen of its last bits."""


@family("tryon")
@torch.no_grad()
def tryon(case: Case) -> list[Check]:
    """Conditioning, guidance, loop and decoding with a tiny UNet; the warped garment is an input."""
    config, inputs = case.config, case.inputs
    words = inputs["word_embeddings"]
    pipeline = _pipeline(case, num_words=words.shape[1], gain=case.gain)
    ids = tokenize([prompt_of_row(row, words.shape[1]) for row in config["rows"]])
    prompt = pipeline.text_encoder(ids, words)
    with_garment = config["unet"]["in_channels"] != 27
    warped = inputs["warped_cloth"] if with_garment else None
    person = pipeline.encode_person(inputs["image"], inputs["mask"], inputs["pose_map"])
    calls, steps = [], []
    pipeline.unet.register_forward_hook(lambda _, args, output: calls.append((args[0], output[0])))
    result = pipeline(
        person,
        GarmentEncoding(inputs["image"] if warped is None else warped, words, prompt),
        warped=warped,
        steps=config["steps"],
        guidance_scale=config["guidance"],
        cloth_cond_rate=config.get("cloth_cond_rate", 1.0),
        no_pose=config.get("no_pose", False),
        emasc=_emasc_kind(config) is not None,
        reference_generator=torch.Generator().manual_seed(config["generator_seed"]),
        callback=steps.append,
    )
    computed = {
        "mask": binary_mask(inputs["mask"]),
        "input_ids": ids,
        "prompt_embeds": prompt,
        "uncond_embeds": pipeline.empty_prompt().expand(len(ids), -1, -1),
        "unet_input_step0": calls[0][0],
        "unet_output_step0": calls[0][1],
        "latents_after_step": torch.stack([step["latents"] for step in steps]),
        "latents_final": result.latents,
        "image_nhwc": result.images.permute(0, 2, 3, 1),
    }
    computed |= _noises(_draws(case, pipeline, inputs["image"].shape, with_garment))
    checks = list(case.checks(computed, exact=["mask", "input_ids"]))
    if "timesteps" in config:
        visited = torch.tensor([step["timestep"] for step in steps])
        checks.append(case.check_exact("timesteps", visited, expected=torch.tensor(config["timesteps"])))
    return checks


@family("e2e_tiny")
@torch.no_grad()
def e2e_tiny(case: Case) -> list[Check]:
    """Raw files of the toy data sets to a picture: every stage of the paper in a row.

    One decision on the way is the processor's: CLIP's pixels are floored to 8 bit (Q4), and on cloth of one colour the
    last bit of the resize decides; without fused multiply-adds 5 % of the toy pictures' pixels fall to another level.
    What follows from the pixels may be off by what those levels move it, and the sampler goes on from the reference's
    pseudo-words.
    """
    config = case.config
    gain, warper_gain = _gains(case)
    pipeline = _pipeline(case, gain=gain, warper_gain=warper_gain, whole=True)
    sample = _sample(case)
    seen = _from_clips_pixels(pipeline, sample)
    lower, upper = (_from_clips_pixels(pipeline, sample, shift) for shift in (-UNDECIDED, UNDECIDED))
    known = {name: case.tensors.get(name, tensor) for name, tensor in seen.items()}
    garment = GarmentEncoding(sample.garment[None], known["word_embeddings"], known["prompt_embeds"])
    person = pipeline.encode_person(sample.person[None], sample.mask[None].float(), sample.pose_map[None])
    warp = pipeline.warp(garment.garment, person)
    result = pipeline(
        person,
        garment,
        warped=warp.warped,
        steps=config["steps"],
        guidance_scale=config["guidance"],
        cloth_cond_rate=config.get("cloth_cond_rate", 1.0),
        no_pose=config.get("no_pose", False),
        emasc=_emasc_kind(config) is not None,
        reference_generator=torch.Generator().manual_seed(config["generator_seed"]),
    )
    picture = result.images.permute(0, 2, 3, 1)
    computed = {
        "theta": warp.control_points,
        "warped": warp.coarse,
        "refined": warp.warped,
        "latents_final": result.latents,
        "image_u8_sum": (picture * 255).round().double().flatten(1).sum(1),
    }
    # channels come last in the stored picture, so its rows and columns are strided here
    for name in case.tensors:
        if stride := re.fullmatch(r"image_nhwc(?:_s(\d+))?", name):
            step = int(stride[1] or 1)
            computed[name] = picture[:, ::step, ::step]
    computed |= _noises(_draws(case, pipeline, sample.person[None].shape, True))
    checks = [check for check in case.checks(computed | seen) if check.name not in seen]
    for name in filter(case.tensors.__contains__, seen):
        absolute, relative = case.tolerance_of(name)
        undecided = float((upper[name] - lower[name]).abs().max())
        checks.append(compare(name, seen[name], case.tensors[name], absolute + undecided, relative))
    return checks


def _from_clips_pixels(pipeline: TryOnPipeline, sample: TryOnSample, shift: float = 0.0) -> dict[str, Tensor]:
    """What follows from the levels that CLIP sees, of the sample's garment lightened by `shift`."""
    garment = sample.garment[None] + shift
    encoded = pipeline.encode_garment(garment, sample.category)
    tokens = pipeline.vision(clip_pixels(garment, pipeline.preset.vision.image_size))
    return {"vision_cls": tokens[:, 0], "word_embeddings": encoded.pseudo_words, "prompt_embeds": encoded.prompt}


def _pipeline(
    case: Case, *, num_words: int = 16, gain: float, warper_gain: float = 1.0, whole: bool = False
) -> TryOnPipeline:
    """Pipeline of a case's sizes with rule weights; without the garment's models unless `whole`."""
    config: dict[str, Any] = case.config
    seeds, widths = config["seeds"], emasc_widths(config["vae"])
    kind = _emasc_kind(config)
    text, vision_config = tower(config["text"]), config.get("vision")
    if whole:
        num_words = config["adapter"]["output_dim"] // text.hidden_size
    preset = Preset(
        name=case.name,
        size=(config.get("height", SD2.size[0]), config.get("width", SD2.size[1])),
        warp_size=SD2.warp_size,
        unet=config["unet"],
        vae=config["vae"],
        text=text,
        vision=tower(vision_config) if whole else SD2.vision,
        num_words=num_words,
        adapter=adapter_arguments(config["adapter"], vision_config) if whole else {},
        tps=config.get("tps", SD2.tps),
        refinement=config.get("refinement", SD2.refinement),
        emasc=widths | {"kind": kind or "nonlinear"},
        schedule=schedule_of(config["scheduler"]),
    )
    vision = adapter = warper = None
    if whole:
        vision = rule_vision(vision_config, seeds["vision"], gain)
        adapter = rule_adapter(config["adapter"], vision_config, seeds["adapter"], gain)
        warper = GarmentWarper.from_preset(preset)
        load_rule_weights(warper.tps, seeds["tps"], warper_gain)
        load_rule_weights(warper.refinement, seeds["refinement"], warper_gain)
        warper.eval()
    return TryOnPipeline(
        preset=preset,
        unet=rule_unet(config["unet"], seeds["unet"], gain),
        vae=rule_vae(config["vae"], seeds["vae"], gain),
        text_encoder=rule_text_encoder(config["text"], seeds["text"], gain),
        vision=vision,
        adapter=adapter,
        warper=warper,
        emasc=rule_emasc(widths, seeds["emasc"], kind, gain) if kind else None,
        scheduler=scheduler_of(config["scheduler"]),
    )


def _emasc_kind(config: dict[str, Any]) -> str | None:
    """Kind of EMASC a case runs with, None for none; `emasc` is a yes or no, or the kind itself."""
    wanted = config.get("emasc", True)
    if wanted in (False, None, "none"):
        return None
    return wanted if isinstance(wanted, str) else config.get("emasc_type", "nonlinear")


def _gains(case: Case) -> tuple[float, float]:
    """(gain of everything, gain of the warper), e.g. from "1.0 (tps and refinement 1.4)"."""
    numbers = [float(number) for number in re.findall(r"\d+(?:\.\d+)?", str(case.meta.get("gain", "1.0")))]
    return numbers[0], numbers[-1]


def _sample(case: Case) -> TryOnSample:
    """The case's data-set sample, found by the names of person and garment."""
    config = case.config
    category, person_name = config["sample"].split("/")
    size = (config.get("height", SD2.size[0]), config.get("width", SD2.size[1]))
    spec = dict(dataset=config["dataset"], category=category, im_name=person_name, c_name=config["cloth"])
    return load_sample(case, spec, size)[0]


def _draws(case: Case, pipeline: TryOnPipeline, shape: torch.Size, with_garment: bool) -> TryOnNoise:
    """The noises the run drew, drawn once more from a fresh generator of the same seed."""
    generator = torch.Generator().manual_seed(case.config["generator_seed"])
    size = latent_size(tuple(shape[-2:]), downscale_factor(pipeline.vae))
    latent = (shape[0], pipeline.vae.config.latent_channels, *size)
    return shared_noise(generator, latent, with_garment=with_garment)


def _noises(noise: TryOnNoise) -> dict[str, Tensor]:
    named = {
        "noise_cloth_posterior": noise.garment,
        "noise_latents": noise.latents,
        "noise_masked_posterior": noise.masked,
    }
    return {name: tensor for name, tensor in named.items() if tensor is not None}
