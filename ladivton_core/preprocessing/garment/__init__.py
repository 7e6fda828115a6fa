"""The shop garment on white (published §1.3): `garment.py`, and the ground it was photographed on: `backdrop.py`."""
