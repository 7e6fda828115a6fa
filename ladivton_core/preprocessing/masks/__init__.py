"""What is repainted (SPEC 1.5) by labels (`agnostic.py`), painted masks (`regions.py`) or joints (`body_region.py`)."""
