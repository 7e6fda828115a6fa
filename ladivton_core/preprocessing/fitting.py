"""Fitting a photo of any size to the size the models want, and putting a result back into the photo.

The data sets simply stretch (SPEC 1.1); real photos have other proportions. `Fit` remembers what was done, so
that keypoints, label maps and results travel the same way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

FitMode = Literal["pad", "crop", "stretch"]


@dataclass(frozen=True)
class Fit:
    """A rectangle of the photo and the rectangle of the fitted picture it fills; both (top, left, height, width).

    Attributes:
        source: (height, width) of the photo.
        size: (height, width) of the fitted picture.
        taken: what was taken from the photo.
        placed: where it went.
    """

    source: tuple[int, int]
    size: tuple[int, int]
    taken: tuple[int, int, int, int]
    placed: tuple[int, int, int, int]

    @classmethod
    def plan(cls, source: tuple[int, int], size: tuple[int, int], mode: FitMode = "pad") -> Fit:
        """Work out the rectangles.

        Args:
            source, size: (height, width) before and after.
            mode: `pad` keeps everything and leaves borders, `crop` fills the size and cuts what sticks out,
                `stretch` changes the proportions as the data sets do.

        Raises:
            ValueError: an empty size or an unknown mode.
        """
        if min(*source, *size) < 1:
            raise ValueError(f"cannot fit {source} into {size} (height, width): every side must be 1 pixel or more")
        if mode not in ("pad", "crop", "stretch"):
            raise ValueError(f"the fit mode is {mode!r}; expected 'pad', 'crop' or 'stretch'")
        taken, placed = (0, 0, *source), (0, 0, *size)
        if mode == "pad":
            placed = _centred(size, min(size[0] / source[0], size[1] / source[1]), source)
        elif mode == "crop":
            taken = _centred(source, min(source[0] / size[0], source[1] / size[1]), size)
        return cls(source, size, taken, placed)

    def apply(self, image: Tensor, *, fill: float | None = None, nearest: bool = False) -> Tensor:
        """Fit a picture (B, C, *source) -> (B, C, *size).

        Args:
            image: any value range; label maps and binary masks with `nearest`.
            fill: value of the borders; None repeats the picture's edge.
            nearest: keep values as they are instead of interpolating (bicubic, antialiased, kept in range).

        Raises:
            ValueError: the picture does not have the size this fit was planned for.
        """
        if image.ndim != 4 or tuple(image.shape[-2:]) != self.source:
            raise ValueError(
                f"the picture has the shape {tuple(image.shape)}; expected (B, C, {self.source[0]}, {self.source[1]}), "
                "the size this fit was planned for: plan another one with `Fit.plan`"
            )
        top, left, height, width = self.taken
        inner = _resized(image[..., top : top + height, left : left + width], self.placed[2:], nearest)
        top, left, height, width = self.placed
        margins = [left, self.size[1] - left - width, top, self.size[0] - top - height]
        if not any(margins):
            return inner
        if fill is not None:
            return F.pad(inner, margins, value=fill)
        rows = torch.arange(self.size[0], device=image.device).sub(top).clamp(0, height - 1)
        columns = torch.arange(self.size[1], device=image.device).sub(left).clamp(0, width - 1)
        return inner[..., rows, :][..., columns]

    def apply_points(self, points: Tensor) -> Tensor:
        """Carry points (..., 2), (x, y) in pixels of the photo, along; missing ones (both 0 or less) become (0, 0)."""
        top, left, height, width = self.taken
        new_top, new_left, new_height, new_width = self.placed
        scale = points.new_tensor([new_width / width, new_height / height])
        moved = (points - points.new_tensor([left, top])) * scale + points.new_tensor([new_left, new_top])
        return torch.where((points > 0).any(-1, keepdim=True), moved, torch.zeros_like(points))

    def restore(self, result: Tensor, photo: Tensor, mask: Tensor | None = None) -> Tensor:
        """Put a fitted result back into the photo it came from.

        Args:
            result: (B, C, *size).
            photo: (B, C, *source) in the same value range.
            mask: (B, 1, *size) in [0, 1]; only where it is 1 the result is taken. None takes all of it.

        Returns:
            (B, C, *source).

        Raises:
            ValueError: a size does not fit.
        """
        if tuple(result.shape[-2:]) != self.size or tuple(photo.shape[-2:]) != self.source:
            raise ValueError(
                f"result {tuple(result.shape)} and photo {tuple(photo.shape)} do not belong to this fit; expected "
                f"(B, C, {self.size[0]}, {self.size[1]}) and (B, C, {self.source[0]}, {self.source[1]})"
            )
        top, left, height, width = self.placed
        inner = _resized(result[..., top : top + height, left : left + width], self.taken[2:], nearest=False)
        new_top, new_left, new_height, new_width = self.taken
        here = (..., slice(new_top, new_top + new_height), slice(new_left, new_left + new_width))
        restored = photo.clone()
        if mask is None:
            restored[here] = inner
        else:
            weight = _resized(mask[..., top : top + height, left : left + width], self.taken[2:], nearest=False)
            restored[here] = photo[here] + (inner - photo[here]) * weight
        return restored


def fit_image(
    image: Tensor, size: tuple[int, int], mode: FitMode = "pad", fill: float | None = None
) -> tuple[Tensor, Fit]:
    """Fit (B, C, H, W) to (height, width); returns the picture and the `Fit` that undoes it."""
    fit = Fit.plan((image.shape[-2], image.shape[-1]), size, mode)
    return fit.apply(image, fill=fill), fit


def _centred(outer: tuple[int, int], scale: float, inner: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rectangle of `inner` times `scale`, in the middle of `outer`."""
    height = min(max(round(inner[0] * scale), 1), outer[0])
    width = min(max(round(inner[1] * scale), 1), outer[1])
    return (outer[0] - height) // 2, (outer[1] - width) // 2, height, width


def _resized(image: Tensor, size: tuple[int, int], nearest: bool) -> Tensor:
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if nearest:
        # nearest-exact reads the middle of a pixel, like Pillow; it wants floats, which hold labels exactly.
        return F.interpolate(image.float(), size=size, mode="nearest-exact").to(image.dtype)
    low, high = image.amin(), image.amax()
    # Bicubic overshoots at edges: stay within the values that came in.
    return F.interpolate(image, size=size, mode="bicubic", align_corners=False, antialias=True).clamp(low, high)
