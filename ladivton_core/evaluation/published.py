"""Figures the paper's method has been published with, to stand beside ours.

All in one protocol: Table 1 of FitDiT (arXiv 2411.10499), which ran LaDI-VTON beside others. Papers differ in size,
file format and in the real pictures that FID and KID compare with, so their figures are no target to the last digit.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "FitDiT, Table 1 (arXiv 2411.10499)"

CAUTION = (
    "Protocols differ between papers: picture size, JPEG or PNG, resizing, and which real pictures FID and KID compare "
    "with. The published row is one paper's measurement of LaDI-VTON; compare its order of magnitude, not its digits."
)


@dataclass(frozen=True)
class Column:
    """One figure of the table.

    Attributes:
        title: its heading.
        order, metric: where in our measurements it is.
        better: `higher` or `lower`.
        digits: after the point.
    """

    title: str
    order: str
    metric: str
    better: str
    digits: int


COLUMNS = (
    Column("SSIM", "paired", "ssim", "higher", 4),
    Column("LPIPS", "paired", "lpips", "lower", 4),
    Column("FID paired", "paired", "fid", "lower", 2),
    Column("KID paired ×10³", "paired", "kid_x1000", "lower", 2),
    Column("FID unpaired", "unpaired", "fid", "lower", 2),
    Column("KID unpaired ×10³", "unpaired", "kid_x1000", "lower", 2),
    Column("IS paired", "paired", "is", "higher", 3),
    Column("IS unpaired", "unpaired", "is", "higher", 3),
)

FIGURES: dict[str, tuple[float, ...]] = {
    "vitonhd": (0.8763, 0.0911, 6.60, 1.07, 9.41, 1.69),
    "dresscode": (0.9025, 0.0719, 4.86, 1.56, 6.84, 2.33),
}
"""By data set, in the order of `COLUMNS`; those after the sixth are not published there."""
