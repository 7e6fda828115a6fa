"""The shipped workflows: their names, and the titles that ComfyUI's Templates show.

Templates show a pack's file names and nothing else, so the files of the page are named in words; the files of the
queue in `workflows/api/` keep the short names that scripts and documents use. `make_workflows.py` writes the
second from the first.
"""

from __future__ import annotations

import json
from pathlib import Path

from .places import WORKFLOWS

TITLES = {
    "tryon_embedded": "Try-on, start here",
    "tryon_painted_mask": "Try-on, painted mask",
    "tryon_vitonhd": "Try-on, VITON-HD weights",
    "tryon_dresscode": "Try-on, Dress Code weights",
    "tryon_ksampler": "Try-on, stock KSampler",
    "tryon_photo": "Photo, one garment",
    "tryon_photo_vitonhd": "Photo, VITON-HD weights",
    "tryon_photo_dresscode": "Photo, Dress Code weights",
    "tryon_photo_outfit": "Photo, a whole outfit",
    "tryon_photo_pose_nodes": "Photo, joints from a pose node",
    "tryon_photo_comfyui": "Photo, pose and cut-out by ComfyUI",
    "any_inpainting": "Any model, inpainting checkpoint",
    "any_flux_fill": "Any model, FLUX Fill",
    "any_qwen_edit": "Any model, Qwen Image Edit",
    "any_klein": "Any model, FLUX Klein",
    "any_another_pack": "Any model, another pack's node",
    "wardrobe": "Wardrobe, people by garments",
    "second_pass": "Try-on, larger in two passes",
    "paper_vitonhd": "Paper, VITON-HD by batches",
    "paper_dresscode": "Paper, Dress Code by batches",
    "paper_ablation": "Paper, what each part does",
}
"""Short name -> title: also the name of the tab that a template opens in. No character that Windows refuses."""

_NOTHING, _POSE, _FILES = "#2f6b3c", "#8a5a12", "#7a2f2f"
CARDS = {
    "tryon_embedded": ("Needs nothing: press Run", _NOTHING),
    "tryon_painted_mask": ("Paint the mask yourself; needs nothing", _NOTHING),
    "tryon_vitonhd": ("The paper's tops; needs VITON-HD's files", _FILES),
    "tryon_dresscode": ("The paper's three categories; needs Dress Code's files", _FILES),
    "tryon_ksampler": ("ComfyUI's own sampler; needs VITON-HD's files", _FILES),
    "tryon_photo": ("Your photo; needs the pose files (10 MB)", _POSE),
    "tryon_photo_vitonhd": ("Your photo, tops; needs pose and VITON-HD's files", _FILES),
    "tryon_photo_dresscode": ("Your photo, any garment; needs pose and Dress Code's files", _FILES),
    "tryon_photo_outfit": ("Trousers, then a top; needs the pose files (10 MB)", _POSE),
    "tryon_photo_pose_nodes": ("With another pack's pose node; needs nothing else", _NOTHING),
    "tryon_photo_comfyui": ("SDPose, SAM 3, BiRefNet; needs their files, ComfyUI 0.33", _FILES),
    "any_inpainting": ("Any inpainting checkpoint; needs its file and pose", _FILES),
    "any_flux_fill": ("FLUX Fill and Redux; needs their files and pose", _FILES),
    "any_qwen_edit": ("Two pictures in; needs Qwen Image Edit's files, pose", _FILES),
    "any_klein": ("Two pictures in; needs Klein's files, pose, ComfyUI 0.33", _FILES),
    "any_another_pack": ("Between our nodes; needs the other pack and pose", _POSE),
    "wardrobe": ("Everybody in everything; needs nothing", _NOTHING),
    "second_pass": ("Larger, in two passes; needs nothing", _NOTHING),
    "paper_vitonhd": ("VITON-HD by batches; needs nothing to try", _NOTHING),
    "paper_dresscode": ("Dress Code by batches; needs nothing to try", _NOTHING),
    "paper_ablation": ("What each part does; needs nothing to try", _NOTHING),
}
"""Short name -> what stands on a template's card, and its colour: what it needs."""

NEWER = dict.fromkeys(("tryon_photo_comfyui", "any_klein"), "0.33.0")
"""Workflows that the oldest ComfyUI cannot run -> the version that they were written and tried with."""
STOCK_MODELS = ("tryon_photo_comfyui", "any_inpainting", "any_flux_fill", "any_qwen_edit", "any_klein")
"""Workflows whose models are others' and load through ComfyUI's own nodes: without their files they cannot run."""


NOTE = "MarkdownNote"
"""A node that the page alone knows."""


def lacking(name: str, definitions: dict) -> list[str]:
    """Node types of a workflow that the ComfyUI with this `/object_info` does not have: it is too old."""
    nodes = json.loads(page_file(name).read_text(encoding="utf-8"))["nodes"]
    return sorted({node["type"] for node in nodes} - definitions.keys() - {NOTE})


def page_file(name: str) -> Path:
    """The workflow as the page saves it; its thumbnail lies beside it as .jpg."""
    return WORKFLOWS / f"{TITLES[name]}.json"


def queue_file(name: str) -> Path:
    """The same workflow in API format."""
    return WORKFLOWS / "api" / f"{name}.json"
