"""What is repainted (published §1.5): `agnostic.py` by labels, `regions.py` by painted masks, others by joints."""
