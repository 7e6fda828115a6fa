"""The shop garment on white (SPEC 1.3): `garment.py`, and the ground it was photographed on: `backdrop.py`."""
