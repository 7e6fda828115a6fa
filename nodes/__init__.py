"""The pack's ComfyUI nodes, one file a stage; thin adapters over `ladivton_core`.

`types.py` holds the wire types, `models.py` and `native.py` the models, then the stages in the order of the paper:
`files.py`, `fitting.py` and `person.py`, `garment.py`, `inversion.py`, `sampling.py`, `decoding.py`; `comparison.py`
shows results.
"""
