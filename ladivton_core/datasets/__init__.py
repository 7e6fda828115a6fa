"""Data sets: VITON-HD, Dress Code, and what a sample of them is. Start at `sample.py`.

The synthetic world the embedded weights learn from is in `synthetic.py`.
"""

from .dresscode import DressCode
from .sample import TryOnSample, collate
from .vitonhd import VitonHD

__all__ = ["DressCode", "TryOnSample", "VitonHD", "collate"]
