"""Data sets: VITON-HD, Dress Code, and what a sample of them is. Start at `sample.py`.

`python -m ladivton_core.datasets verify` checks one on disk. The synthetic world the embedded weights learn from is in
`synthetic.py`.
"""

from .dresscode import DressCode
from .layouts import DATASETS, open_dataset, recognise
from .sample import TryOnSample, collate
from .vitonhd import VitonHD

__all__ = ["DATASETS", "DressCode", "TryOnSample", "VitonHD", "collate", "open_dataset", "recognise"]
