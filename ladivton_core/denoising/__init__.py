"""Denoising stage: the 31-channel input, guidance, the noise schedule and the sampling loop (paper section 3.3).

Read `schedule.py`, `conditioning.py`, `noise.py`, `sampling.py` in this order.
"""
