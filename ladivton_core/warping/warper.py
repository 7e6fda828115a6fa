"""GarmentWarper: the whole warping stage, from a shop garment to that garment in the person's pose.

Paper section 3.2, published §2.3 and 2.4: a spline predicted on small pictures, applied to the large ones, then
refined. Read `matcher.py` and `refinement.py` for its two networks.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..runtime.processor import layout
from . import skeleton
from .garment_parts import GarmentParts
from .matcher import ConvNetTPS
from .refinement import RefinementUNet

if TYPE_CHECKING:
    from ..presets import Preset


@dataclass(frozen=True)
class WarpResult:
    """What the warper found; all float32.

    Attributes:
        warped: refined garment (B, 3, H, W) in [-1, 1].
        coarse: garment before refinement (B, 3, H, W) in [-1, 1]: bent by the spline, or dressed by its skeleton.
        grid: sampling grid (B, H, W, 2) as (x, y) in the garment's frame.
        control_points: (B, 25, 2) as (x, y), of the spline.
        dressed: numbers of the batch's items whose grid is their skeleton's and not the spline's.
    """

    warped: Tensor
    coarse: Tensor
    grid: Tensor
    control_points: Tensor
    dressed: tuple[int, ...] = ()


def resize_grid(grid: Tensor, size: tuple[int, int]) -> Tensor:
    """Resample a grid (B, h, w, 2) bilinearly to (B, *size, 2). Source: published §2.3."""
    return _resize(grid.permute(0, 3, 1, 2), size).permute(0, 2, 3, 1)


def sample_garment(garment: Tensor, grid: Tensor) -> Tensor:
    """Read the garment (B, 3, H, W) at `grid` (B, h, w, 2) -> (B, 3, h, w); the border repeats outwards.

    The grid is corner-aligned and still read with `align_corners=False`: the published weights were trained
    that way (Q1), so the undeformed lattice zooms out slightly.
    """
    return F.grid_sample(garment, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    if x.shape[-2:] == size:
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False, antialias=True)


class GarmentWarper(nn.Module):
    """Matcher and refinement U-Net in a row. State-dict keys: `tps.*` and `refinement.*`.

    Runs in float32 whatever the precision around it (published §0): half precision bends the spline visibly.

    Args:
        photo_tps: beyond the paper, a second matcher of the same sizes that learned photographs where the first learned
            drawn people (`photo_tps.*`).
        garment_parts: beyond the paper, what tells a garment's parts, so that it is dressed by its skeleton where
            person and garment are seen from the front (`garment_parts.*`).
    """

    def __init__(
        self,
        tps: ConvNetTPS,
        refinement: RefinementUNet,
        photo_tps: ConvNetTPS | None = None,
        garment_parts: GarmentParts | None = None,
    ) -> None:
        super().__init__()
        self.tps = tps
        self.refinement = refinement
        self.photo_tps = photo_tps
        self.garment_parts = garment_parts

    @classmethod
    def from_preset(cls, preset: Preset) -> GarmentWarper:
        """A warper of the preset's sizes with untrained weights."""
        photo_tps = ConvNetTPS(**preset.tps) if preset.photo_spline else None
        garment_parts = GarmentParts() if preset.garment_parts else None
        return cls(ConvNetTPS(**preset.tps), RefinementUNet(**preset.refinement), photo_tps, garment_parts)

    def coarse_warp(
        self, garment: Tensor, agnostic: Tensor, pose_map: Tensor, *, photograph: bool = False
    ) -> WarpResult:
        """The garment laid out, without refinement: `warped` is `coarse`.

        Arguments as in `forward`. The pictures are shrunk to the matcher's size, its grid is grown back (Q3).

        Args:
            photograph: by the matcher for photographs, where there is one; and by the garment's skeleton, where the
                warper knows its parts and they can be told (`skeleton.py`).
        """
        tps = self.photo_tps if photograph and self.photo_tps is not None else self.tps
        self._check(garment, agnostic, pose_map)
        # Autocast would bring half precision in again through the side door.
        with torch.autocast(garment.device.type, enabled=False):
            garment, agnostic, pose_map = garment.float(), agnostic.float(), pose_map.float()
            low = (tps.height, tps.width)
            person = torch.cat([_resize(agnostic, low), _resize(pose_map, low)], dim=1)
            grid, control_points = tps(_resize(garment, low), person)
            grid = resize_grid(grid, tuple(agnostic.shape[-2:]))
            coarse = sample_garment(garment, grid)
            dressed = []
            # one by one: what part a place is must not turn over with a batch's rounding
            for item in range(len(garment)) if photograph and self.garment_parts is not None else ():
                one = garment[item : item + 1]
                with torch.no_grad():
                    worn = skeleton.dress(self.garment_parts(one), one[0], pose_map[item], (agnostic[item] == 0).all(0))
                if worn is not None:
                    dressed.append(item)
                    places, shade = (made.to(grid) for made in worn)
                    grid[item] = places
                    coarse[item] = (sample_garment(one, places[None])[0] + 1) * shade - 1
                    coarse[item, :, shade == 1] = 1
        return WarpResult(coarse, coarse, grid, control_points, tuple(dressed))

    def refine(self, coarse: Tensor, agnostic: Tensor, pose_map: Tensor) -> Tensor:
        """The U-Net alone: (B, 3, H, W), *not* clamped, which is what its training loss wants (published §8.1)."""
        with torch.autocast(coarse.device.type, enabled=False):
            return self.refinement(torch.cat([agnostic.float(), pose_map.float(), coarse.float()], dim=1))

    def forward(self, garment: Tensor, agnostic: Tensor, pose_map: Tensor, *, photograph: bool = False) -> WarpResult:
        """Lay the garment on the person.

        Args:
            garment: shop garment on white (B, 3, h, w) in [-1, 1]; its size may differ from the person's.
            agnostic: person with the repainted region set to 0, (B, 3, H, W) in [-1, 1].
            pose_map: (B, 18, H, W) in [0, 1].
            photograph: see `coarse_warp`.

        Returns:
            `WarpResult` at the person's size.

        Raises:
            ValueError: shapes disagree, a side is no multiple of 8, or the weights are not float32.

        Source: paper section 3.2, published §2.3, 2.4; Q1, Q2, Q3.
        """
        found = self.coarse_warp(garment, agnostic, pose_map, photograph=photograph)
        return replace(found, warped=self.refine(found.coarse, agnostic, pose_map).clamp(-1, 1))

    def _check(self, garment: Tensor, agnostic: Tensor, pose_map: Tensor) -> None:
        for what, x, channels in (("garment", garment, 3), ("agnostic image", agnostic, 3), ("pose map", pose_map, 18)):
            if x.ndim != 4 or x.shape[1] != channels:
                raise ValueError(f"the {what} has the shape {tuple(x.shape)}; expected (B, {channels}, H, W)")
        if not garment.shape[0] == agnostic.shape[0] == pose_map.shape[0]:
            raise ValueError(
                f"batch sizes differ: garment {garment.shape[0]}, agnostic image {agnostic.shape[0]}, pose map "
                f"{pose_map.shape[0]}; give one garment, agnostic image and pose map a person, or repeat the single one"
            )
        size = tuple(agnostic.shape[-2:])
        if tuple(pose_map.shape[-2:]) != size:
            raise ValueError(
                f"the pose map is {tuple(pose_map.shape[-2:])} and the agnostic image {size} (height, width); "
                "build the pose map at the size of the person"
            )
        if size[0] % 8 or size[1] % 8:
            raise ValueError(f"the agnostic image is {size[0]}x{size[1]}; both sides must be multiples of 8")
        dtype = next(self.parameters()).dtype
        if dtype != torch.float32:
            raise ValueError(f"the warper's weights are {dtype}; it works in float32 only: call .float() on it")


def fast_warp(
    warper: GarmentWarper, garment: Tensor, agnostic: Tensor, pose_map: Tensor, dtype: torch.dtype,
    *, photograph: bool = False,
) -> WarpResult:  # fmt: skip
    """What the fast mode runs: the refinement in `dtype`, the spline in float32, since half precision bends it visibly.

    Args:
        garment, agnostic, pose_map, photograph: float32, as for `GarmentWarper.forward`.
        dtype: of the refinement, under autocast where it is half precision.
    """
    found = warper.coarse_warp(garment, agnostic, pose_map, photograph=photograph)
    channels = torch.cat([agnostic, pose_map, found.coarse], dim=1)
    channels = channels.contiguous(memory_format=layout(channels.device, dtype))
    with torch.autocast(channels.device.type, dtype, enabled=dtype in (torch.float16, torch.bfloat16)):
        refined = warper.refinement(channels)
    return replace(found, warped=refined.float().clamp(-1, 1))
