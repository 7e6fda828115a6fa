"""Checkpoints: reading files, telling what they hold, converting layouts, building and filling modules.

`build.py` is the door; it uses `reading.py`, `layouts.py` and, a file a model, `unet_layout.py`, `vae_layout.py` and
`clip_layout.py`. `python -m ladivton_core.checkpoints` lists, verifies (`inventory.py`), converts (`conversion.py`) and
downloads (`download.py`, `sources.json`) files.
"""
