"""Decoding stage: encoder taps, EMASC skip features, decoding with them, pasting back (paper section 3.4).

Read `taps.py` first, then `emasc.py`.
"""
