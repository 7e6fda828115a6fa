"""Thin-plate spline: 25 control points in, a dense sampling grid out, and what keeps it smooth.

Paper section 3.2 (the geometric matching module of CP-VTON with second-order constraints); published §2.2
and 8.1. `matcher.py` predicts the control points.

Convention: coordinates are (x, y) in [-1, 1], x to the right and y down; -1 and 1 are the *centres* of
the first and last pixel (corner-aligned), although the grid is later sampled as not corner-aligned (Q1).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

POINTS_PER_SIDE = 5
CONTROL_POINTS = POINTS_PER_SIDE**2
# The outermost control points sit a little inside the picture, so that tanh can still move them outwards.
OUTERMOST = 0.9

# Second-order constraints of published §8.1: spacing changes below the first and bends below the second cost nothing.
SPACING_SLACK = 0.08
BENDING_SLACK = 0.02


def base_control_points() -> Tensor:
    """The undeformed 5 x 5 lattice, (25, 2) float32 as (x, y); point 5 * row + column. Source: published §2.1."""
    steps = torch.arange(POINTS_PER_SIDE, dtype=torch.float64) * (2 * OUTERMOST / (POINTS_PER_SIDE - 1)) - OUTERMOST
    y, x = torch.meshgrid(steps, steps, indexing="ij")
    return torch.stack([x.flatten(), y.flatten()], dim=1).float()


def _radial_basis(a: Tensor, b: Tensor) -> Tensor:
    """U(d^2) = d^2 ln(d^2) / 2 between every point of `a` (N, 2) and of `b` (M, 2) -> (N, M); U(0) = 0."""
    squared = (a[:, None] - b[None]).square().sum(-1)
    return torch.nan_to_num(0.5 * squared * squared.log(), nan=0.0)


class TPSGridGenerator(nn.Module):
    """Turns control points into the dense grid that `torch.nn.functional.grid_sample` reads.

    Args:
        height, width: size of the grid in pixels.

    The three buffers carry the names of the published checkpoint (`gridGen.*`). They are computed here, so a
    checkpoint may leave them out; one that has them is followed to the bit.
    """

    def __init__(self, height: int, width: int) -> None:
        super().__init__()
        self.height, self.width = height, width
        base = base_control_points()
        kernel = torch.zeros(CONTROL_POINTS + 3, CONTROL_POINTS + 3)
        kernel[:CONTROL_POINTS, :CONTROL_POINTS] = _radial_basis(base, base)
        kernel[:CONTROL_POINTS, CONTROL_POINTS] = kernel[CONTROL_POINTS, :CONTROL_POINTS] = 1
        kernel[:CONTROL_POINTS, CONTROL_POINTS + 1 :] = base
        kernel[CONTROL_POINTS + 1 :, :CONTROL_POINTS] = base.T
        y, x = torch.meshgrid(
            2 * torch.arange(height).float() / (height - 1) - 1,
            2 * torch.arange(width).float() / (width - 1) - 1,
            indexing="ij",
        )
        target = torch.stack([x.flatten(), y.flatten()], dim=1)  # (H * W, 2)
        # The inverse is taken in float32 like the published buffer, not in a better precision.
        self.register_buffer("inverse_kernel", torch.linalg.inv(kernel))
        self.register_buffer("padding_matrix", torch.zeros(3, 2))
        self.register_buffer(
            "target_coordinate_repr",
            torch.cat([_radial_basis(target, base), torch.ones(height * width, 1), target], dim=1),
        )

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs) -> None:
        # All three left out: keep what was computed. Some left out is a damaged file, which strict loading reports.
        computed = {prefix + name: buffer for name, buffer in self.named_buffers()}
        if not any(key in state_dict for key in computed):
            state_dict.update(computed)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, control_points: Tensor) -> Tensor:
        """Interpolate the lattice's displacement over the whole grid.

        Args:
            control_points: where each of the 25 base points reads from, (B, 25, 2) as (x, y).

        Returns:
            Grid (B, height, width, 2) as (x, y); `base_control_points()` give the identity within 1e-5.

        Raises:
            ValueError: the shape is not (B, 25, 2).
        """
        if control_points.ndim != 3 or control_points.shape[1:] != (CONTROL_POINTS, 2):
            raise ValueError(
                f"control points have the shape {tuple(control_points.shape)}; expected (B, {CONTROL_POINTS}, 2): "
                "one (x, y) for each point of the 5 x 5 lattice, row by row"
            )
        batch = control_points.shape[0]
        padding = self.padding_matrix.expand(batch, -1, -1)
        mapping = self.inverse_kernel @ torch.cat([control_points, padding], dim=1)  # (B, 28, 2)
        return (self.target_coordinate_repr @ mapping).view(batch, self.height, self.width, 2)


class SecondOrderTerms(NamedTuple):
    """The six regularisers of published §8.1, each (B,): spacing along rows and columns, bending along both."""

    rx: Tensor
    ry: Tensor
    cx: Tensor
    cy: Tensor
    rg: Tensor
    cg: Tensor


def second_order_terms(control_points: Tensor) -> SecondOrderTerms:
    """How unevenly spaced and how bent the rows and columns of the lattice are, for each batch element.

    Args:
        control_points: (B, 25, 2) as (x, y).

    Source: published §8.1. `rx` = mean over the 15 neighbours of max(0.08, change of squared x spacing along a row);
    `rg` = max(0.02, sum over rows of twice the area of consecutive point triples); `c*` the same along columns.
    """
    lattice = control_points.reshape(-1, POINTS_PER_SIDE, POINTS_PER_SIDE, 2)
    spacing_rows, bend_rows = _line_terms(lattice)
    spacing_columns, bend_columns = _line_terms(lattice.transpose(1, 2))
    return SecondOrderTerms(
        spacing_rows[:, 0], spacing_rows[:, 1], spacing_columns[:, 0], spacing_columns[:, 1], bend_rows, bend_columns
    )


def _line_terms(lines: Tensor) -> tuple[Tensor, Tensor]:
    """Spacing (B, 2) and bending (B,) of `lines` (B, lines, points, 2)."""
    squared = lines.diff(dim=2).square()
    spacing = squared.diff(dim=2).abs().clamp(min=SPACING_SLACK).mean(dim=(1, 2))
    before, here, after = lines[:, :, :-2], lines[:, :, 1:-1], lines[:, :, 2:]
    a, b = here - before, here - after
    bend = (a[..., 1] * b[..., 0] - b[..., 1] * a[..., 0]).abs().sum(dim=(1, 2))
    return spacing, bend.clamp(min=BENDING_SLACK)


def bending_penalty(control_points: Tensor) -> Tensor:
    """The warper's regulariser, one value a batch element: the sum of the six second-order terms.

    Args:
        control_points: (B, 25, 2) as (x, y).

    Returns:
        (B,); its mean, times 0.01, is added to the warping loss. The authors' training takes the two bending
        terms of the first element only (Q24); here every element counts, which is the same for B = 1.
    """
    return torch.stack(second_order_terms(control_points)).sum(dim=0)
