"""Checkpoints: reading files, telling what they hold, converting layouts, building and filling modules.

`build.py` is the door; it uses `reading.py`, `layouts.py`, `clip_layout.py` and `vae_layout.py`.
"""
