"""Pre-extraction: what the denoising stages see of every scene, encoded once (SPEC 8.1, last paragraph).

Full-size latents with the warped garment and pose for the try-on stage, half-size latents (cheaper, same
colours) for the inversion stage, and the vision tower's tokens of every garment. Unlike the published
recipe, warped garments do not pass through JPEG. Read `denoiser.py` next.
"""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..checkpoints.build import build_vae, build_vision, build_warper
from ..denoising.conditioning import latent_mask, latent_pose
from ..inversion.pixels import clip_pixels
from ..preprocessing.pose_map import pose_map
from ..presets import TINY, Preset
from .warper import spline_weights
from .world_cache import CHUNK, Chunks, WorldCache, write_chunk

log = logging.getLogger(__name__)
SMALL_FIELDS = ("tokens", "mask", "masked", "truth")
"""Half-size: CLIP tokens, latent mask, posterior moments of the agnostic and the true person."""
FULL_FIELDS = ("mask", "pose", "masked", "warped", "truth")
"""Full size: latent mask and pose map, moments of agnostic person, warped garment and true person."""


def averaged(out: Path, name: str, module: nn.Module) -> nn.Module:
    """Fill `module` with the averaged weights of the stage checkpoint `out/name.pt`, ready for inference."""
    state = torch.load(out / f"{name}.pt", map_location="cpu", weights_only=True)["average"]
    module.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    return module.eval().requires_grad_(False)


def trained_vae(out: Path, preset: Preset = TINY) -> nn.Module:
    """The standardised VAE of `vae.finish`."""
    vae = build_vae(preset)
    vae.load_state_dict(torch.load(out / "vae_final.pt", map_location="cpu", weights_only=True))
    return vae.eval().requires_grad_(False)


def trained_warper(out: Path, preset: Preset = TINY) -> nn.Module:
    """Spline and refinement together."""
    warper = build_warper(preset)
    warper.tps.load_state_dict(spline_weights(out))
    averaged(out, "refinement", warper.refinement)
    return warper.eval().requires_grad_(False)


@torch.no_grad()
def moments(vae: nn.Module, images: Tensor) -> Tensor:
    """Posterior moments (B, 8, h, w) of images (B, 3, H, W) in [-1, 1], float16."""
    rows = []
    for image in images:  # one by one: a 512x384 activation is already 50 MB
        with torch.autocast("cpu", torch.bfloat16):
            rows.append(vae.encode(image[None]).latent_dist.parameters.float())
    return torch.cat(rows).half()


@torch.no_grad()
def small(cache: WorldCache, rows, vae: nn.Module, tower: nn.Module) -> dict[str, Tensor]:
    """`SMALL_FIELDS` of some scenes."""
    half = (cache.raw("mask", [rows[0]]).shape[-2] // 2, cache.raw("mask", [rows[0]]).shape[-1] // 2)
    mask = F.interpolate(cache.raw("mask", rows).float(), size=half, mode="nearest")
    person = F.interpolate(cache.pictures("person", rows), size=half, mode="area")
    return {
        "tokens": tower(clip_pixels(cache.pictures("garment", rows), tower.config.image_size)).half(),
        "mask": latent_mask(mask).to(torch.uint8),
        "masked": moments(vae, person * (1 - mask)),
        "truth": moments(vae, person),
    }


@torch.no_grad()
def full(cache: WorldCache, rows, vae: nn.Module, warper: nn.Module) -> dict[str, Tensor]:
    """`FULL_FIELDS` of some scenes."""
    agnostic = cache.agnostic(rows)
    pose = pose_map(cache.raw("keypoints", rows), tuple(agnostic.shape[-2:]))
    triples = zip(cache.pictures("garment", rows), agnostic, pose, strict=True)
    warped = torch.cat([warper(g[None], a[None], p[None]).warped for g, a, p in triples])
    return {
        "mask": latent_mask(cache.raw("mask", rows).float()).to(torch.uint8),
        "pose": latent_pose(pose).half(),
        "masked": moments(vae, agnostic),
        "warped": moments(vae, warped),
        "truth": moments(vae, cache.pictures("person", rows)),
    }


def extract(
    world: Path, out: Path, which: str, count: int, worker: int = 0, workers: int = 1, preset: Preset = TINY
) -> None:
    """Write `out/latents_small` or `out/latents_full` for the first `count` scenes; chunks already there are kept."""
    cache, folder = WorldCache(world), out / f"latents_{which}"
    folder.mkdir(parents=True, exist_ok=True)
    vae = trained_vae(out, preset)
    fields, other = (
        (SMALL_FIELDS, averaged(out, "vision", build_vision(preset)))
        if which == "small"
        else (FULL_FIELDS, trained_warper(out, preset))
    )
    compute = small if which == "small" else full
    for chunk in range(worker, min(count, len(cache)) // CHUNK, workers):
        if (folder / f"{chunk:04d}_{fields[-1]}.npy").exists():
            continue
        rows = range(chunk * CHUNK, (chunk + 1) * CHUNK)
        blocks = [compute(cache, rows[s : s + 5], vae, other) for s in range(0, CHUNK, 5)]
        write_chunk(folder, chunk, {field: torch.cat([block[field] for block in blocks]) for field in fields})
        log.info("%s latents: chunk %d", which, chunk)


def load(out: Path, which: str) -> dict[str, Tensor]:
    """All extracted rows of a kind, in memory."""
    fields = SMALL_FIELDS if which == "small" else FULL_FIELDS
    chunks = Chunks(out / f"latents_{which}", fields)
    return {field: chunks.raw(field, range(len(chunks))) for field in fields}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("which", choices=["small", "full"])
    parser.add_argument("world", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--count", type=int, default=1600)
    parser.add_argument("--worker", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    torch.set_num_threads(1)
    extract(options.world, options.out, options.which, options.count, options.worker, options.workers)
