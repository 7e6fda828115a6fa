"""What is measured in a part of one picture: the garment's look and colour where it is worn, and everything outside.

Beside the paper's figures, as papers of 2025 and 2026 report them. `compare.py` says of which pictures.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..datasets import DressCode, TryOnSample, VitonHD
from ..datasets.results import to_picture
from ..mask_edges import grow_mask
from ..preprocessing.garment.backdrop import WHITE
from ..preprocessing.labels import LabelSet
from ..start import installing

if TYPE_CHECKING:
    from PIL.Image import Image

ERODED = 6
"""Pixels, at 512 x 384, that a region loses all around: an edge mixes colours, and label maps err there."""
LEAST = 200
"""Pixels a region must keep to say anything."""

Features = Callable[["Image"], Tensor]
"""A picture to its features (1, D)."""


def worn_region(sample: TryOnSample, labels: LabelSet) -> Tensor | None:
    """Where the person wears a garment of the category, eroded: (H, W) of booleans; None where too little is left.

    That is where the new garment should be as well, whatever its sleeves. Skirts of Dress Code have none: the published
    mask does not repaint them (Q9), so that a result may show the photo's own.

    Args:
        labels: of the sample's parse map.
    """
    ids = labels.ids(labels.regions_of(sample.category).garment)
    return _eroded(torch.isin(sample.parse, torch.tensor(ids)))


def laid_region(data: VitonHD | DressCode, index: int, sample: TryOnSample) -> Tensor | None:
    """Where the shop's garment is in its own picture, as `worn_region`; without a mask, where it is not white."""
    mask = data.garment_mask(index)[0] > 0.5
    return _eroded(((sample.garment / 2 + 0.5) < WHITE).any(0) if bool(mask.all()) else mask)


def error_outside(made: Tensor, person: Tensor, mask: Tensor) -> float:
    """Mean absolute difference where nothing was to change, in levels of 255; pictures (3, H, W) in [0, 1]."""
    outside = (mask < 0.5).expand_as(made)
    return float((made - person)[outside].abs().mean() * 255)


def colour_difference(made: Tensor, made_region: Tensor, asked: Tensor, asked_region: Tensor) -> float:
    """CIEDE2000 between the mean CIELAB colours (sRGB, D65) of two regions of pictures (3, H, W) in [0, 1].

    About 1 is just seen, 5 plainly. A mean says nothing of a pattern.

    Raises:
        ImportError: scikit-image is missing.
    """
    try:
        from skimage.color import deltaE_ciede2000, rgb2lab
    except ImportError as error:
        raise ImportError(f"colours in CIELAB need scikit-image: {installing(extra='eval')}") from error
    one, other = (
        rgb2lab(picture[:, region].T[None].double().numpy())[0].mean(0)
        for picture, region in ((made, made_region), (asked, asked_region))
    )
    return float(deltaE_ciede2000(one, other))


def garment_similarity(
    features: Features, made: Tensor, made_region: Tensor, asked: Tensor, asked_region: Tensor
) -> float:
    """Cosine in [-1, 1] between the image features of two regions, each cut out with grey around it."""
    sides = [features(_cut(made, made_region)), features(_cut(asked, asked_region))]
    return float(torch.nn.functional.cosine_similarity(*sides))


def image_features(folder: Path, device: torch.device | str = "cpu") -> Features:
    """DINOv2, CLIP or their like from a local folder, as transformers or open_clip saved it; nothing is unpickled.

    Raises:
        FileNotFoundError: the folder holds no such model; says how to fetch one.
        ImportError: transformers or open_clip is missing.
        ValueError: the files are damaged, or of another kind of model.
    """
    if (folder / "open_clip_model.safetensors").is_file():
        import open_clip

        model, prepare = open_clip.create_model_from_pretrained(f"local-dir:{folder}", device=device)
        model.eval()
        return torch.no_grad()(lambda picture: model.encode_image(prepare(picture)[None].to(device)).float().cpu())
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise FileNotFoundError(f"{folder} holds no model (config.json and *.safetensors). {fetching()}")
    try:
        from transformers import AutoImageProcessor, AutoModel
    except ImportError as error:
        raise ImportError(f"image features need transformers: {installing('transformers')}") from error
    processor = AutoImageProcessor.from_pretrained(folder, local_files_only=True)
    model = AutoModel.from_pretrained(folder, local_files_only=True, use_safetensors=True).to(device).eval()
    embed = getattr(model, "get_image_features", model)  # of CLIP and SigLIP; DINOv2 is nothing but an image model

    @torch.no_grad()
    def features(picture: Image) -> Tensor:
        found = embed(**processor(images=picture, return_tensors="pt").to(device))
        found = getattr(found, "pooler_output", found)
        if not isinstance(found, Tensor):
            raise ValueError(f"{folder} holds a {type(model).__name__}, which gives no features of a picture")
        return found.float().cpu()

    return features


def fetching() -> str:
    """A command that fetches a model for `image_features`."""
    fetch = "from huggingface_hub import snapshot_download as get; get('facebook/dinov2-base', local_dir='dinov2-base')"
    return f'Fetch one: "{sys.executable}" -c "{fetch}", then give --features dinov2-base'


def _eroded(region: Tensor) -> Tensor | None:
    smaller = grow_mask(region[None, None].float(), -ERODED)[0, 0] > 0.5
    return smaller if int(smaller.sum()) >= LEAST else None


def _cut(picture: Tensor, region: Tensor) -> Image:
    """A region's box, in the middle of a grey square."""
    rows, columns = region.any(1).nonzero().flatten(), region.any(0).nonzero().flatten()
    box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
    inside = torch.where(region, picture, torch.tensor(0.5))[(slice(None), *box)]
    height, width = inside.shape[-2:]
    side = max(height, width)
    square = picture.new_full((3, side, side), 0.5)
    top, left = (side - height) // 2, (side - width) // 2
    square[:, top : top + height, left : left + width] = inside
    return to_picture(square)
