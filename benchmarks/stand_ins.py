"""Files of exactly the published layouts and sizes, filled with rule weights: the published ones cannot be had here.

Names and shapes are the manifests' (`tests/core/manifests`), numbers follow `ladivton_core/parity/rule.py`. 8.4 GB.
`full_size.py` loads and runs them.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import torch
from torch import Tensor

from ladivton_core.checkpoints.conversion import write_safetensors
from ladivton_core.parity.rule import rule_state_dict
from ladivton_core.warping.thin_plate_spline import TPSGridGenerator

log = logging.getLogger(__name__)
MANIFESTS = Path(__file__).resolve().parents[1] / "tests" / "core" / "manifests"

FILES = {
    "unet": ("ladi_vton/unet_vitonhd.pth", ("unet",)),
    "warping": ("ladi_vton/warping_vitonhd.pth", ("tps", "refinement")),
    "inversion_adapter": ("ladi_vton/inversion_adapter_vitonhd.pth", ("inversion_adapter",)),
    "emasc": ("ladi_vton/emasc_vitonhd.pth", ("emasc",)),
    "vae": ("vae/sd2_inpainting_vae.safetensors", ("sd2_inpainting_vae_modern",)),
    "text_encoder": ("text_encoders/sd2_inpainting_text_encoder.safetensors", ("sd2_inpainting_text_encoder",)),
    "vision": ("clip_vision/CLIP-ViT-H-14-laion2B-s32B-b79K.safetensors", ("clip_vit_h14_vision_with_projection",)),
}
"""By part: file below a models folder, and its manifests (the published warping file holds two dicts)."""

_SEED = 4
_INTEGERS = ("position_ids", "num_batches_tracked")


def write(models: Path) -> dict[str, Path]:
    """Write what is not there yet; returns the files by part."""
    written = {}
    for part, (name, manifests) in FILES.items():
        path = written[part] = models / name
        if path.is_file():
            continue
        log.info("writing %s", path)
        path.parent.mkdir(parents=True, exist_ok=True)
        states = {manifest: rule_state_dict(_SEED, _blank(manifest)) for manifest in manifests}
        if path.suffix == ".safetensors":
            write_safetensors(path, states[manifests[0]])
        else:
            unfinished = path.with_suffix(".unfinished")
            torch.save(states if len(states) > 1 else states[manifests[0]], unfinished)
            unfinished.replace(path)
    return written


def _blank(manifest: str) -> dict[str, Tensor]:
    """A manifest's names with tensors of its shapes; what is not drawn by the rule has its computed values."""
    shapes = json.loads((MANIFESTS / f"{manifest}.json").read_text(encoding="utf-8"))["state_dict"]
    grid = dict(TPSGridGenerator(256, 192).named_buffers()) if manifest == "tps" else {}
    blank: dict[str, Tensor] = {}
    for key, shape in shapes.items():
        if key.startswith("gridGen."):
            blank[key] = grid[key.removeprefix("gridGen.")]
        elif key.endswith(_INTEGERS):
            blank[key] = torch.arange(shape[-1])[None] if shape else torch.zeros((), dtype=torch.int64)
        else:
            blank[key] = torch.empty(shape, device="meta")
    return blank
