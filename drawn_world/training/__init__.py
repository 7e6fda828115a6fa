"""Training of the embedded default: its recipe on rendered pairs, in one process and one device's memory.

`recipe.py` lists the stages in order and runs them. Below it lie `world.py` and `pairs.py` (rows rendered and read),
`pool.py` and `latents.py` (rows in memory), `in_memory.py` (what stages share), then the stages: `vae.py`,
`warping.py`, `reading.py`, `painting.py` with `tryon.py` and `finish.py`.
"""
