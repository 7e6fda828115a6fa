"""VGG19 perceptual loss of the refinement and EMASC stages.

Published §8.1: relu1_1 ... relu5_1, L1, weights 1/32 ... 1. The ImageNet weights are torchvision's; they
are downloaded by torchvision or given as a file, and never shipped. `configured` picks between it and its
stand-in by a setting.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,))
"""Convolution widths up to relu5_1; a max-pool stands between the blocks."""
WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1 ... relu5_1."""
SHORT_SIDE = 256
KINDS = ("vgg19", "gradient")
"""Values of the setting `perceptual`."""
log = logging.getLogger(__name__)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def configured(kind: str, vgg: str, device: torch.device | str) -> Callable[[Tensor, Tensor], Tensor]:
    """The perceptual term of (prediction, target) that a stage's settings ask for; says in the log which it is.

    Args:
        kind: `vgg19` (the paper) or `gradient` (`gradient_l1`, needs no weights).
        vgg: file of torchvision's VGG19 weights; empty looks in torch hub's folder and downloads into it.

    Raises:
        ValueError: unknown kind.
        FileNotFoundError: no VGG19 weights; the message says where they belong and what to set instead.
    """
    if kind == "gradient":
        log.info("perceptual term: L1 of gradients in place of VGG19's features")
        return lambda prediction, target: gradient_l1(prediction - target)
    if kind != "vgg19":
        raise ValueError(f"perceptual = {kind!r} is unknown; choose one of {', '.join(KINDS)}.")
    if vgg:
        from ..checkpoints.reading import read_state_dict

        loss = PerceptualLoss(read_state_dict(Path(vgg)))
    else:
        try:
            loss = PerceptualLoss.from_torchvision()
        except OSError as error:  # no network, or a server that does not answer
            wanted = Path(torch.hub.get_dir()) / "checkpoints" / "vgg19-dcbb9e9d.pth"
            raise FileNotFoundError(
                f"perceptual = 'vgg19' needs torchvision's VGG19 weights and they cannot be downloaded ({error}). "
                f"Put the file at {wanted}, or give it with --vgg FILE, or set perceptual = 'gradient', "
                "a substitute that needs no weights."
            ) from error
    log.info("perceptual term: VGG19")
    return loss.to(device)


def gradient_l1(difference: Tensor) -> Tensor:
    """L1 of the horizontal and vertical gradients of a picture difference (B, C, H, W).

    The embedded default's stand-in for `PerceptualLoss`, whose weights are not everywhere at hand.
    """
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


class PerceptualLoss(nn.Module):
    """L1 between VGG19 features of two pictures.

    The layers carry torchvision's names below `features.` ("0.weight", "2.weight", ..., "28.weight"), so its
    VGG19 file fits. Frozen, always in eval mode.

    Args:
        state_dict: VGG19 weights under `features.*` or the bare numbers; None leaves random weights, which
            only tests want.

    Source: published §8.1.
    """

    def __init__(self, state_dict: dict[str, Tensor] | None = None) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        self._taps: list[int] = []
        width = 3
        for block in _BLOCKS:
            if layers:
                layers.append(nn.MaxPool2d(2, 2))
            for position, out in enumerate(block):
                layers += [nn.Conv2d(width, out, 3, padding=1), nn.ReLU()]
                width = out
                if position == 0:
                    self._taps.append(len(layers) - 1)
        self.features = nn.Sequential(*layers)
        if state_dict is not None:
            own = self.features.state_dict()
            given = {key.removeprefix("features."): tensor for key, tensor in state_dict.items()}
            missing = [key for key in own if key not in given]
            if missing:
                raise ValueError(
                    f"these are not VGG19 weights: {missing[0]} is missing; give torchvision's VGG19 (ImageNet V1)."
                )
            self.features.load_state_dict({key: given[key] for key in own})
        self.requires_grad_(False).eval()

    @classmethod
    def from_torchvision(cls) -> PerceptualLoss:
        """With torchvision's ImageNet V1 weights, which it downloads on first use.

        Raises:
            ImportError: torchvision is missing.
        """
        try:
            from torchvision.models import VGG19_Weights
        except ImportError as error:
            raise ImportError("the perceptual loss needs torchvision: install the extra [train].") from error
        weights = VGG19_Weights.IMAGENET1K_V1
        return cls(weights.get_state_dict(progress=True, check_hash=True, weights_only=True))

    def train(self, mode: bool = True) -> PerceptualLoss:
        """Stays in eval mode: it is a measure, not a part that learns."""
        return super().train(False)

    def feature_maps(self, image: Tensor) -> list[Tensor]:
        """relu1_1 ... relu5_1 of (B, 3, H, W) in [-1, 1]."""
        x = _resize_short_side((image + 1) / 2)
        mean = torch.tensor(IMAGENET_MEAN).to(x).view(1, 3, 1, 1)
        std = torch.tensor(IMAGENET_STD).to(x).view(1, 3, 1, 1)
        x = (x - mean) / std
        maps = []
        for index, layer in enumerate(self.features):
            x = layer(x)
            if index in self._taps:
                maps.append(x)
        return maps

    def forward(self, prediction: Tensor, target: Tensor) -> Tensor:
        """Scalar loss of two (B, 3, H, W) batches in [-1, 1]; no gradient goes to the target."""
        with torch.no_grad():
            wanted = self.feature_maps(target.detach())
        maps = self.feature_maps(prediction)
        return sum(weight * F.l1_loss(a, b) for weight, a, b in zip(WEIGHTS, maps, wanted, strict=True))


def _resize_short_side(image: Tensor) -> Tensor:
    height, width = image.shape[-2:]
    short = min(height, width)
    # torchvision's rule: the long side is truncated
    size = tuple(SHORT_SIDE if side == short else int(SHORT_SIDE * side / short) for side in (height, width))
    if size == (height, width):
        return image
    return F.interpolate(image, size, mode="bilinear", align_corners=False, antialias=True)
