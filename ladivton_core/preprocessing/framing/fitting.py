"""Fitting a photo of any size to the size the models want, and putting a result back into the photo.

The data sets simply stretch (published §1.1); real photos have other proportions. `Fit` remembers what was done, so
that keypoints, label maps and results travel the same way.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

FitMode = Literal["pad", "crop", "stretch"]
Border = float | Literal["reflect", "blur"] | None
"""What a fitted picture shows beyond the photo: a value, the edge repeated (None), the photo mirrored,
or that blurred."""


@dataclass(frozen=True)
class Fit:
    """A rectangle of the photo and the rectangle of the fitted picture it fills; both (top, left, height, width).

    Attributes:
        source: (height, width) of the photo.
        size: (height, width) of the fitted picture.
        taken: what was taken from the photo, in pixels of the photo after the turns.
        placed: where it went.
        turns: quarter turns to the left, 0 to 3, that bring the photo upright before anything is taken from it.
    """

    source: tuple[int, int]
    size: tuple[int, int]
    taken: tuple[int, int, int, int]
    placed: tuple[int, int, int, int]
    turns: int = 0

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

    @classmethod
    def window(cls, source: tuple[int, int], size: tuple[int, int], top: float, left: float, height: float) -> Fit:
        """Show a window of the photo, of the fitted picture's proportions.

        Args:
            source, size: (height, width) before and after.
            top, left, height: the window in pixels of the photo; it may stick out of it, but must touch it.

        Raises:
            ValueError: an empty size, or a window beside the photo.
        """
        width = height * size[1] / size[0]
        rows, columns = _shared(top, height, source[0], size[0]), _shared(left, width, source[1], size[1])
        if min(*source, *size) < 1 or height <= 0 or rows is None or columns is None:
            raise ValueError(
                f"a window of {height:.0f} x {width:.0f} at ({top:.0f}, {left:.0f}) shows nothing of a photo of "
                f"{source[0]} x {source[1]} (height x width)"
            )
        return cls(source, size, (rows[0], columns[0], rows[1], columns[1]), (rows[2], columns[2], rows[3], columns[3]))

    @property
    def times(self) -> int:
        """How many times as large the fitted picture would have to be to hold the photo's pixels; 1 or more."""
        height, width = self.upright.source
        return max(round(max(height / self.size[0], width / self.size[1])), 1)

    @property
    def upright(self) -> Fit:
        """The same fit of the photo that was turned before: `turn` and `turn_back` go there and back."""
        return replace(self, source=self.source[::-1] if self.turns % 2 else self.source, turns=0)

    def after_turns(self, source: tuple[int, int], turns: int) -> Fit:
        """This fit, planned for an upright photo, for a photo of size `source` that stands after so many turns."""
        return replace(self, source=source, turns=turns)

    def turn(self, image: Tensor) -> Tensor:
        """A picture (..., *source), upright: (..., *upright.source)."""
        return image.rot90(self.turns, (-2, -1)) if self.turns else image

    def turn_back(self, image: Tensor) -> Tensor:
        """An upright picture (..., *upright.source) as the photo lies: (..., *source)."""
        return image.rot90(-self.turns, (-2, -1)) if self.turns else image

    def enlarged(self, times: int) -> Fit:
        """The same window in a fitted picture so many times as large."""
        size, placed = (tuple(times * side for side in sides) for sides in (self.size, self.placed))
        return replace(self, size=size, placed=placed)

    def apply(self, image: Tensor, *, fill: Border = None, nearest: bool = False) -> Tensor:
        """Fit a picture (B, C, *source) -> (B, C, *size).

        Args:
            image: any value range; label maps and binary masks with `nearest`.
            fill: what borders show, see `Border`.
            nearest: keep values as they are instead of interpolating (bicubic, antialiased, kept in range).

        Raises:
            ValueError: the picture does not have the size this fit was planned for.
        """
        if image.ndim != 4 or tuple(image.shape[-2:]) != self.source:
            raise ValueError(
                f"the picture has the shape {tuple(image.shape)}; expected (B, C, {self.source[0]}, {self.source[1]}), "
                "the size this fit was planned for: plan another one with `Fit.plan`"
            )
        image = self.turn(image)
        top, left, height, width = self.taken
        inner = resize(image[..., top : top + height, left : left + width], self.placed[2:], nearest)
        top, left, height, width = self.placed
        margins = [left, self.size[1] - left - width, top, self.size[0] - top - height]
        if not any(margins):
            return inner
        if isinstance(fill, (int, float)):
            return F.pad(inner, margins, value=fill)
        rows = torch.arange(self.size[0], device=image.device).sub(top)
        columns = torch.arange(self.size[1], device=image.device).sub(left)
        if fill is None:
            return inner[..., rows.clamp(0, height - 1), :][..., columns.clamp(0, width - 1)]
        mirrored = inner[..., _mirrored(rows, height), :][..., _mirrored(columns, width)]
        return mirrored if fill == "reflect" else _blurred_outside(mirrored, self.placed)

    def apply_points(self, points: Tensor) -> Tensor:
        """Carry points (..., 2), (x, y) in pixels of the photo, along; missing ones (both 0 or less) become (0, 0)."""
        top, left, height, width = self.taken
        new_top, new_left, new_height, new_width = self.placed
        scale = points.new_tensor([new_width / width, new_height / height])
        upright = turned_points(points, self.source, self.turns)
        moved = (upright - points.new_tensor([left, top])) * scale + points.new_tensor([new_left, new_top])
        return torch.where((points > 0).any(-1, keepdim=True), moved, torch.zeros_like(points))

    def restore_points(self, points: Tensor) -> Tensor:
        """The way back of `apply_points`: points (..., 2) of the fitted picture in pixels of the photo."""
        source = self.upright.source
        back = turned_points(Fit(self.size, source, self.placed, self.taken).apply_points(points), source, -self.turns)
        return torch.where((points > 0).any(-1, keepdim=True), back, torch.zeros_like(points))

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
        inner = resize(result[..., top : top + height, left : left + width], self.taken[2:], nearest=False)
        new_top, new_left, new_height, new_width = self.taken
        here = (..., slice(new_top, new_top + new_height), slice(new_left, new_left + new_width))
        restored = self.turn(photo).clone()
        if mask is None:
            restored[here] = inner
        else:
            weight = resize(mask[..., top : top + height, left : left + width], self.taken[2:], nearest=False)
            restored[here] += (inner - restored[here]) * weight
        return self.turn_back(restored)


def fit_image(
    image: Tensor, size: tuple[int, int], mode: FitMode = "pad", fill: float | None = None
) -> tuple[Tensor, Fit]:
    """Fit (B, C, H, W) to (height, width); returns the picture and the `Fit` that undoes it."""
    fit = Fit.plan((image.shape[-2], image.shape[-1]), size, mode)
    return fit.apply(image, fill=fill), fit


def turned_points(points: Tensor, size: tuple[int, int], turns: int) -> Tensor:
    """Points (..., 2), (x, y) in pixels of a picture of `size` (height, width), after quarter turns to the left."""
    x, y = points.unbind(-1)
    height, width = size
    return torch.stack([(x, y), (y, width - x), (width - x, height - y), (height - y, x)][turns % 4], -1)


def labels_at(labels: Tensor, size: tuple[int, int]) -> Tensor:
    """Labels (B, H, W) at (height, width), by nearest neighbour as the data sets do (published §1.1).

    Raises:
        ValueError: other proportions: the labels are another photo's, or of a part of it.
    """
    height, width = labels.shape[-2:]
    if (height, width) == tuple(size):
        return labels
    # Half the size of an odd photo is half a pixel off in both directions.
    if abs(height * size[1] - width * size[0]) > max(0.01 * height * size[1], 0.5 * sum(size) + 1):
        raise ValueError(
            f"'parse_map' is {height} x {width} and the photo {size[0]} x {size[1]} (height x width): not the same "
            "proportions. Load the parse map of this photo, or send photo and parse map through 'Fit Person' together"
        )
    return resize(labels[:, None], size, nearest=True)[:, 0]


def _shared(start: float, length: float, limit: int, size: int) -> tuple[int, int, int, int] | None:
    """What of a stretch lies in 0 ... limit, and where that comes to lie in `size` pixels; (from, length) of both."""
    first, last = max(round(start), 0), min(round(start + length), limit)
    if last <= first:
        return None
    scale = size / length
    placed_first = min(max(round((first - start) * scale), 0), size - 1)
    placed_last = min(max(round((last - start) * scale), placed_first + 1), size)
    return first, last - first, placed_first, placed_last - placed_first


def _mirrored(places: Tensor, length: int) -> Tensor:
    """Indices of 0 ... length - 1, running back and forth beyond them."""
    if length == 1:
        return torch.zeros_like(places)
    period = 2 * (length - 1)
    places = places % period
    return torch.where(places < length, places, period - places)


def _blurred_outside(image: Tensor, placed: tuple[int, int, int, int]) -> Tensor:
    """The picture with everything outside a rectangle out of focus."""
    height, width = image.shape[-2:]
    small = F.interpolate(image, (max(height // 24, 1), max(width // 24, 1)), mode="area")
    soft = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    top, left, inner_height, inner_width = placed
    inside = torch.zeros(1, 1, height, width, dtype=torch.bool, device=image.device)
    inside[..., top : top + inner_height, left : left + inner_width] = True
    return torch.where(inside, image, soft)


def _centred(outer: tuple[int, int], scale: float, inner: tuple[int, int]) -> tuple[int, int, int, int]:
    """Rectangle of `inner` times `scale`, in the middle of `outer`."""
    height = min(max(round(inner[0] * scale), 1), outer[0])
    width = min(max(round(inner[1] * scale), 1), outer[1])
    return (outer[0] - height) // 2, (outer[1] - width) // 2, height, width


def resize(image: Tensor, size: tuple[int, int], nearest: bool) -> Tensor:
    """A picture (B, C, h, w) as (B, C, *size), within the values it has; itself where it has that size.

    Args:
        nearest: for labels, also of whole numbers; else bicubic and antialiased, of floats.
    """
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    if nearest:
        # nearest-exact reads the middle of a pixel, like Pillow; it wants floats, which hold labels exactly.
        return F.interpolate(image.float(), size=size, mode="nearest-exact").to(image.dtype)
    low, high = image.amin(), image.amax()
    # bicubic overshoots at edges
    return F.interpolate(image, size=size, mode="bicubic", align_corners=False, antialias=True).clamp(low, high)
