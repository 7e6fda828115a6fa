"""The shipped workflows: their names, and the titles that ComfyUI's Templates show.

Templates show a pack's file names and nothing else, so the files of the page are named in words; the files of the
queue in `workflows/api/` keep the short names that scripts and documents use. `make_workflows.py` writes the first
from the second.
"""

from __future__ import annotations

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
    "wardrobe": "Wardrobe, people by garments",
    "second_pass": "Try-on, larger in two passes",
    "paper_vitonhd": "Paper, VITON-HD by batches",
    "paper_dresscode": "Paper, Dress Code by batches",
    "paper_ablation": "Paper, what each part does",
}
"""Short name -> title: also the name of the tab that a template opens in. No character that Windows refuses."""


def page_file(name: str) -> Path:
    """The workflow as the page saves it; its thumbnail lies beside it as .jpg."""
    return WORKFLOWS / f"{TITLES[name]}.json"


def queue_file(name: str) -> Path:
    """The same workflow in API format."""
    return WORKFLOWS / "api" / f"{name}.json"
