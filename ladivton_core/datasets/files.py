"""Which files a sample and a split are made of, whatever the data set's layout.

Published §1.2, 1.3. `vitonhd.py` and `dresscode.py` say where they lie, `reading.py` reads, `verification.py` checks
them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class SampleFiles:
    """Files of one sample.

    Attributes:
        person: photo of the person.
        parse: label picture of the person.
        keypoints: JSON with the person's joints.
        garment: shop photo.
        garment_mask: white where the garment is; None where the data set has none. VITON-HD's is not needed to read
            a sample.
        category: which garment is exchanged.
    """

    person: Path
    parse: Path
    keypoints: Path
    garment: Path
    garment_mask: Path | None
    category: str

    @property
    def paths(self) -> tuple[Path, ...]:
        """All of them."""
        files = (self.person, self.parse, self.keypoints, self.garment, self.garment_mask)
        return tuple(file for file in files if file is not None)


@dataclass(frozen=True)
class PairList:
    """A text file that says who wears what.

    Attributes:
        path: the file.
        split: `train` or `test`.
        order: `paired` or `unpaired`.
        category: of all its pairs.
    """

    path: Path
    split: str
    order: str
    category: str
