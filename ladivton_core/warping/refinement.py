"""Refinement U-Net: repairs what the thin-plate spline tore or blurred, knowing the person's pose.

Paper section 3.2, published §2.4. Attribute names follow the published checkpoint (`warping_*.pth`, key
`refinement`). `warper.py` puts it behind the matcher.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class _DoubleConv(nn.Module):
    """Two 3 x 3 convolutions, each with BatchNorm and ReLU; BatchNorm makes a bias pointless."""

    def __init__(self, inside: int, outside: int, middle: int | None = None) -> None:
        super().__init__()
        middle = middle or outside
        self.double_conv = nn.Sequential(
            nn.Conv2d(inside, middle, 3, padding=1, bias=False), nn.BatchNorm2d(middle), nn.ReLU(),
            nn.Conv2d(middle, outside, 3, padding=1, bias=False), nn.BatchNorm2d(outside), nn.ReLU(),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        return self.double_conv(x)


class _Down(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), _DoubleConv(inside, outside))

    def forward(self, x: Tensor) -> Tensor:
        return self.maxpool_conv(x)


class _Up(nn.Module):
    """Doubles the size and joins the encoder's map of that size, which comes first in the channels."""

    def __init__(self, inside: int, outside: int, bilinear: bool) -> None:
        super().__init__()
        if bilinear:
            self.up: nn.Module = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
            self.conv = _DoubleConv(inside, outside, inside // 2)
        else:
            self.up = nn.ConvTranspose2d(inside, inside // 2, 2, stride=2)
            self.conv = _DoubleConv(inside, outside)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = self.up(x)
        # Pooling an odd size dropped a row or column: it comes back as zeros.
        rows, columns = skip.shape[-2] - x.shape[-2], skip.shape[-1] - x.shape[-1]
        x = F.pad(x, [columns // 2, columns - columns // 2, rows // 2, rows - rows // 2])
        return self.conv(torch.cat([skip, x], dim=1))


class _OutConv(nn.Module):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inside, outside, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x)


class RefinementUNet(nn.Module):
    """U-Net with four scales.

    Args:
        n_channels: agnostic image 3 + pose map 18 + coarsely warped garment 3.
        n_classes: channels of the result.
        bilinear: interpolate on the way up (published); otherwise transposed convolutions.
        base_width: width of the finest scale; it doubles per scale.
    """

    def __init__(self, n_channels: int = 24, n_classes: int = 3, bilinear: bool = True, base_width: int = 64) -> None:
        super().__init__()
        self.n_channels = n_channels
        w = base_width
        # Interpolation keeps the channels, so the deepest scale and every way up give half of them.
        halves = 2 if bilinear else 1
        self.inc = _DoubleConv(n_channels, w)
        self.down1 = _Down(w, 2 * w)
        self.down2 = _Down(2 * w, 4 * w)
        self.down3 = _Down(4 * w, 8 * w)
        self.down4 = _Down(8 * w, 16 * w // halves)
        self.up1 = _Up(16 * w, 8 * w // halves, bilinear)
        self.up2 = _Up(8 * w, 4 * w // halves, bilinear)
        self.up3 = _Up(4 * w, 2 * w // halves, bilinear)
        self.up4 = _Up(2 * w, w, bilinear)
        self.outc = _OutConv(w, n_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Refine (B, n_channels, H, W), H and W at least 16, to (B, n_classes, H, W), not clamped.

        Raises:
            ValueError: the channel count or the size does not fit.
        """
        if x.ndim != 4 or x.shape[1] != self.n_channels or min(x.shape[-2:]) < 16:
            raise ValueError(
                f"the refinement U-Net got the shape {tuple(x.shape)}; expected (B, {self.n_channels}, H, W) with "
                "sides of 16 or more: agnostic image, pose map and warped garment on the channel axis, in this order"
            )
        scale1 = self.inc(x)
        scale2 = self.down1(scale1)
        scale3 = self.down2(scale2)
        scale4 = self.down3(scale3)
        x = self.up1(self.down4(scale4), scale4)
        x = self.up2(x, scale3)
        x = self.up3(x, scale2)
        return self.outc(self.up4(x, scale1))
