"""ConvNetTPS: compares garment and agnostic person and predicts the 25 control points of the warp.

Paper section 3.2, published §2.1. Attribute names follow the published checkpoint (`warping_*.pth`, key `tps`).
`thin_plate_spline.py` turns the points into a grid; `warper.py` runs this on full-size pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from .thin_plate_spline import CONTROL_POINTS, TPSGridGenerator, base_control_points


class _FeatureExtractor(nn.Module):
    """Strided convolutions to 1/16 (for `n_layer` 3), then two more; ReLU comes before BatchNorm (published §2.1)."""

    def __init__(self, channels: int, n_layer: int, base_width: int, max_width: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for index in range(n_layer + 1):
            width = min(base_width * 2**index, max_width)
            layers += [nn.Conv2d(channels, width, 4, stride=2, padding=1), nn.ReLU(), nn.BatchNorm2d(width)]
            channels = width
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(), nn.BatchNorm2d(channels)]
        layers += [nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU()]
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


class _Regression(nn.Module):
    """Correlation volume -> 50 numbers in (-1, 1); starts out at the undeformed lattice."""

    def __init__(self, height: int, width: int, widths: Sequence[int]) -> None:
        super().__init__()
        channels = height * width
        layers: list[nn.Module] = []
        for index, out in enumerate(widths):
            # The first two halve the map, the rest keep it.
            kernel, stride = (4, 2) if index < 2 else (3, 1)
            layers += [nn.Conv2d(channels, out, kernel, stride=stride, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            channels = out
        self.conv = nn.Sequential(*layers)
        self.linear = nn.Linear(channels * (height // 4) * (width // 4), 2 * CONTROL_POINTS)
        nn.init.zeros_(self.linear.weight)
        with torch.no_grad():
            self.linear.bias.copy_(base_control_points().atanh().flatten())

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(self.conv(x).flatten(1)).tanh()


class _Localisation(nn.Module):
    def __init__(self, height: int, width: int, widths: Sequence[int]) -> None:
        super().__init__()
        self.regression = _Regression(height, width, widths)

    def forward(self, correlation: Tensor) -> Tensor:
        return self.regression(correlation).view(-1, CONTROL_POINTS, 2)


def normalise_features(features: Tensor) -> Tensor:
    """Divide (B, C, H, W) by its norm over channels, at every position."""
    return features / (features.square().sum(dim=1, keepdim=True) + 1e-6).sqrt()


def correlate(garment: Tensor, person: Tensor) -> Tensor:
    """How well every garment position matches every person position.

    Args:
        garment, person: features (B, C, h, w).

    Returns:
        (B, h * w, h, w): channel x * h + y belongs to garment position (x, y), i.e. columns first (Q2).
    """
    batch, channels, height, width = person.shape
    columns_first = garment.transpose(2, 3).reshape(batch, channels, -1)
    scores = columns_first.transpose(1, 2) @ person.reshape(batch, channels, -1)
    return scores.view(batch, height * width, height, width)


class ConvNetTPS(nn.Module):
    """Geometric matcher with a thin-plate spline at its end.

    Args:
        height, width: size of both inputs; 256 x 192 in the published checkpoints.
        input_nc: channels of the person input (3 agnostic image + 18 pose map).
        n_layer: strided layers after the first; features are 1 / 2**(n_layer + 1) of the input.
        base_width, max_width: feature widths double from the one to the other.
        regression_widths: widths of the convolutions on the correlation volume.

    Raises:
        ValueError: a size that the strided layers do not divide.
    """

    def __init__(
        self,
        height: int = 256,
        width: int = 192,
        input_nc: int = 21,
        n_layer: int = 3,
        base_width: int = 64,
        max_width: int = 512,
        regression_widths: Sequence[int] = (512, 256, 128, 64),
    ) -> None:
        super().__init__()
        stride = 2 ** (n_layer + 1)
        if height % (4 * stride) or width % (4 * stride):
            raise ValueError(
                f"the matcher cannot work at {height}x{width}: with n_layer={n_layer} both sides must be multiples "
                f"of {4 * stride}, e.g. 256x192"
            )
        self.height, self.width = height, width
        self.extractionA = _FeatureExtractor(3, n_layer, base_width, max_width)
        self.extractionB = _FeatureExtractor(input_nc, n_layer, base_width, max_width)
        self.loc_net = _Localisation(height // stride, width // stride, regression_widths)
        self.gridGen = TPSGridGenerator(height, width)

    def features(self, garment: Tensor, person: Tensor) -> tuple[Tensor, Tensor]:
        """Normalised features of both inputs, each (B, C, height / 16, width / 16) for `n_layer` 3."""
        return normalise_features(self.extractionA(garment)), normalise_features(self.extractionB(person))

    def forward(self, garment: Tensor, person: Tensor) -> tuple[Tensor, Tensor]:
        """Predict the warp that lays the garment on the person.

        Args:
            garment: (B, 3, height, width) in [-1, 1].
            person: agnostic image and pose map, (B, input_nc, height, width).

        Returns:
            grid (B, height, width, 2) as (x, y), corner-aligned, and the control points (B, 25, 2) behind it.

        Raises:
            ValueError: the pictures have another size than the matcher was built for.
        """
        for what, x in (("garment", garment), ("person", person)):
            if x.ndim != 4 or x.shape[-2:] != (self.height, self.width):
                raise ValueError(
                    f"the {what} has the shape {tuple(x.shape)}; expected (B, C, {self.height}, {self.width}): "
                    "resize it first, as GarmentWarper does"
                )
        control_points = self.loc_net(correlate(*self.features(garment, person)))
        return self.gridGen(control_points), control_points
