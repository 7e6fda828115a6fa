"""EMASC: learned skip connections from the VAE encoder to its decoder, cut out inside the inpaint mask.

Paper section 3.4 (Enhanced Mask-Aware Skip Connections). `taps.py` produces the features that go in and
adds the ones that come out.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ..mask_edges import soften_mask

KINDS = ("nonlinear", "linear")
"""`nonlinear` is the published module; `linear` is the ablation of the paper."""


class EMASC(nn.Module):
    """One small convolutional branch a tap.

    `nonlinear`: conv3x3 - SiLU - conv3x3, default initialisation (Q25). `linear`: one conv3x3 that
    starts at zero. State-dict keys `conv.{i}.{0|2}.{weight|bias}` (`conv.{i}.{weight|bias}` when linear).

    Args:
        in_channels: channels of the taps f1...f5.
        out_channels: channels of the decoder tensors they are added to.
        kind: one of `KINDS`.

    Raises:
        ValueError: the two lists differ in length, or the kind is unknown.

    Source: published §3.2.
    """

    def __init__(self, in_channels: Sequence[int], out_channels: Sequence[int], kind: str = "nonlinear") -> None:
        super().__init__()
        if len(in_channels) != len(out_channels):
            raise ValueError(
                f"EMASC needs as many output as input widths; got {len(in_channels)} and {len(out_channels)}."
            )
        if kind not in KINDS:
            raise ValueError(f"EMASC kind {kind!r} is unknown; choose one of {', '.join(KINDS)}.")
        self.kind = kind
        self.in_channels, self.out_channels = tuple(in_channels), tuple(out_channels)
        self.conv = nn.ModuleList(_branch(a, b, kind) for a, b in zip(in_channels, out_channels, strict=True))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """Skip features of the taps.

        Args:
            features: f1...f5, each (B, in_channels[i], h_i, w_i).

        Returns:
            A new list, each (B, out_channels[i], h_i, w_i); not masked yet, see `mask_features`.

        Raises:
            ValueError: the number of taps or a width is not the module's.
        """
        widths = tuple(feature.shape[1] for feature in features)
        if widths != self.in_channels:
            raise ValueError(
                f"EMASC expects taps of widths {self.in_channels}, got {widths}: "
                "the VAE and the EMASC file belong to different presets."
            )
        return [branch(feature) for branch, feature in zip(self.conv, features, strict=True)]


def _branch(width_in: int, width_out: int, kind: str) -> nn.Module:
    if kind == "linear":
        conv = nn.Conv2d(width_in, width_out, 3, padding=1)
        nn.init.zeros_(conv.weight)
        nn.init.zeros_(conv.bias)
        return conv
    return nn.Sequential(
        nn.Conv2d(width_in, width_in, 3, padding=1), nn.SiLU(), nn.Conv2d(width_in, width_out, 3, padding=1)
    )


def masks_at(mask: Tensor, features: Sequence[Tensor]) -> list[Tensor]:
    """The mask at the size of every feature, each resized (nearest) from the one before it (Q13)."""
    masks = []
    for feature in features:
        mask = F.interpolate(mask, size=feature.shape[-2:], mode="nearest")
        masks.append(mask)
    return masks


def mask_features(features: Sequence[Tensor], mask: Tensor, *, grow: int = 0, feather: int = 0) -> list[Tensor]:
    """Set skip features to zero inside the hole, so that the old garment cannot leak through.

    Args:
        features: skip features (B, C_i, h_i, w_i) in the order f1...f5.
        mask: inpaint mask (B, 1, H, W) in {0, 1}, 1 = repaint, at full resolution.
        grow, feather: pixels by which the hole is enlarged and its edge softened before it is applied;
            0 is the published behaviour.

    Returns:
        New list of the same shapes.

    Raises:
        ValueError: the mask is not (B, 1, H, W) or its batch does not fit.

    Source: published §3.3; Q13.
    """
    if mask.ndim != 4 or mask.shape[1] != 1:
        raise ValueError(f"mask must be (B, 1, H, W), got {tuple(mask.shape)}.")
    if features and mask.shape[0] not in (1, features[0].shape[0]):
        raise ValueError(
            f"mask has batch {mask.shape[0]} and the skip features {features[0].shape[0]}; they must agree."
        )
    mask = mask.float()
    if grow or feather:
        mask = soften_mask(mask, grow, feather)
    return [feature * (1 - m).to(feature) for feature, m in zip(features, masks_at(mask, features), strict=True)]
