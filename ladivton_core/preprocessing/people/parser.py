"""A human parser from a local folder: SegFormer trained on clothes (ATR's 18 labels), through `transformers`.

Nothing is fetched: the folder holds `config.json` and safetensors weights as the hub's repositories do. The paper's
data sets came with their parse maps; this makes one for any photo. `label_pictures.py` reads other parsers' pictures.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from ..labels import ATR18, LabelSet

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "model.safetensors"
SIDE = 512
"""The parser sees this many pixels on both sides."""

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
_SAME_AS = {"face": "head", "upper-clothes": "upper_clothes", "sunglasses": "sunglasses"}


def load_parser(folder: Path, dtype: torch.dtype = torch.float32) -> tuple[nn.Module, LabelSet]:
    """A SegFormer in evaluation mode on the CPU, and the vocabulary of its labels.

    Args:
        folder: with `config.json` and `model.safetensors`.

    Raises:
        FileNotFoundError: one of them is missing; says which.
        ValueError: another architecture, or labels that are not ATR's.
    """
    from transformers import SegformerConfig, SegformerForSemanticSegmentation

    for name in ("config.json", WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing. A parser's folder holds config.json and {WEIGHTS}, "
                "as a SegFormer clothes repository on a model hub does; copy both there"
            )
    try:
        settings = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = settings.get("model_type")
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{folder / 'config.json'} is no model's configuration ({error}); copy it again") from error
    if kind != "segformer":
        raise ValueError(f"{folder} holds a {kind!r} model; expected a 'segformer' that was trained on clothes")
    _check_labels(SegformerConfig(**{key: value for key, value in settings.items() if key != "model_type"}), folder)
    try:
        # transformers itself, because it renames the tensors of older files
        model, info = SegformerForSemanticSegmentation.from_pretrained(
            folder, local_files_only=True, use_safetensors=True, output_loading_info=True
        )
        wrong = [*info["missing_keys"], *info["mismatched_keys"]]
    except Exception as error:  # a cut file: safetensors and transformers raise kinds of their own
        raise ValueError(
            f"{folder / WEIGHTS} does not fit {folder / 'config.json'} ({error}); copy both again"
        ) from error
    if wrong:
        raise ValueError(
            f"{folder / WEIGHTS} does not fit {folder / 'config.json'}: it lacks {wrong[0]}; copy both again"
        )
    return model.to(dtype).eval().requires_grad_(False), ATR18


@torch.no_grad()
def parse_photo(model: nn.Module, photo: Tensor) -> Tensor:
    """Labels of photos.

    Args:
        model: from `load_parser`, on the device to run on.
        photo: (B, 3, H, W) in [0, 1], any size.

    Returns:
        (B, H, W) int64 on the CPU, at the photo's size: the largest of the enlarged scores.
    """
    weight = next(model.parameters())
    pixels = F.interpolate(photo.float(), (SIDE, SIDE), mode="bilinear", antialias=True, align_corners=False)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (_MEAN, _STD))
    pixels = ((pixels.cpu() - mean) / std).to(weight)
    labels = []
    for item in pixels:
        scores = model(pixel_values=item[None]).logits.float()
        enlarged = F.interpolate(scores, photo.shape[-2:], mode="bilinear", align_corners=False)
        labels.append(enlarged.argmax(1).cpu())
    return torch.cat(labels)


def _check_labels(config: object, folder: Path) -> None:
    """Raise a ValueError unless the labels are ATR18's in its order."""
    names = [str(config.id2label.get(index, "")).strip().lower() for index in range(config.num_labels)]
    plain = [_SAME_AS.get(name, name.replace("-", "_").replace(" ", "_")) for name in names]
    if plain != list(ATR18.labels):
        raise ValueError(
            f"the parser in {folder} has the labels {', '.join(names)}; expected those of ATR18: "
            f"{', '.join(ATR18.labels)}. Run another parser's own node, and send its picture through "
            "'Labels From Picture'"
        )
