"""Warping stage (paper section 3.2): thin-plate spline, matcher, refinement. Start at `warper.py`."""

from .matcher import ConvNetTPS
from .refinement import RefinementUNet
from .thin_plate_spline import TPSGridGenerator, base_control_points, bending_penalty, second_order_terms
from .warper import GarmentWarper, WarpResult, resize_grid, sample_garment

__all__ = [
    "ConvNetTPS",
    "GarmentWarper",
    "RefinementUNet",
    "TPSGridGenerator",
    "WarpResult",
    "base_control_points",
    "bending_penalty",
    "resize_grid",
    "sample_garment",
    "second_order_terms",
]
