"""Training: one module a stage of the paper (section 4.2; SPEC section 8). `embedded.py` lists their order."""
