"""VGG19 perceptual loss of the refinement and EMASC stages.

SPEC section 8.1: relu1_1 ... relu5_1, L1, weights 1/32 ... 1. The ImageNet weights are torchvision's; they
are downloaded by torchvision or given as a file, and never shipped.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BLOCKS = ((64, 64), (128, 128), (256,) * 4, (512,) * 4, (512,))
"""Convolution widths up to relu5_1; a max-pool stands between the blocks."""
WEIGHTS = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1.0)
"""Of relu1_1 ... relu5_1."""
SHORT_SIDE = 256
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def gradient_l1(difference: Tensor) -> Tensor:
    """L1 of the horizontal and vertical gradients of a picture difference (B, C, H, W).

    The embedded default's stand-in for `PerceptualLoss`, whose weights cannot be shipped.
    """
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


class PerceptualLoss(nn.Module):
    """L1 between VGG19 features of two pictures.

    The layers carry torchvision's names below `features.` ("0.weight", "2.weight", ..., "28.weight"), so its
    VGG19 file fits. Frozen, always in eval mode.

    Args:
        state_dict: VGG19 weights under `features.*` or the bare numbers; None leaves random weights, which
            only tests want.

    Source: SPEC 8.1.
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
            from torchvision.models import VGG19_Weights, vgg19
        except ImportError as error:
            raise ImportError("the perceptual loss needs torchvision: install the extra [train].") from error
        return cls(vgg19(weights=VGG19_Weights.IMAGENET1K_V1).features.state_dict())

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
