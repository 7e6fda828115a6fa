"""Data sets: VITON-HD, Dress Code, and what a sample of them is. Start at `sample.py`.

`python -m ladivton_core.datasets verify` checks one on disk. The drawn world that the embedded weights learn from has a
place of its own, `drawn_world/`.
"""

from .dresscode import DressCode
from .layouts import DATASETS, open_dataset, recognise
from .sample import TryOnSample, collate
from .vitonhd import VitonHD

__all__ = ["DATASETS", "DressCode", "TryOnSample", "VitonHD", "collate", "open_dataset", "recognise"]
