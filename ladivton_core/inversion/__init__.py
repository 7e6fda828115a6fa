"""Textual inversion stage: a garment's CLIP features become pseudo-words in the prompt (paper section 3.2).

Read `pixels.py`, `encoders.py`, `adapter.py`, `prompts.py` in this order.
"""
