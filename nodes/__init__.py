"""The pack's ComfyUI nodes, one file a stage; thin adapters over `ladivton_core`.

`host/` holds everything that touches ComfyUI's insides. `models.py` loads, then the stages in the order of the paper:
`files.py`, `photo.py`, `fitting.py` and `person.py`, `garment.py`, `body_mask.py`, `inversion.py`, `conditioning.py`,
`sampling.py`, `decoding.py`; `comparison.py` shows results, `wardrobe.py` is for many people in many garments,
`datasets.py` for the paper's data sets.
"""
