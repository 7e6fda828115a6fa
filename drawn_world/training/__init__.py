"""What only the embedded default needs: its recipe on the drawn world, in one process and one device's memory.

`stages.py` lists the stages in order, `sitting.py` runs them beside each other within a budget. A stage is a file of
its own; `in_memory.py` is what they share, `pool.py` and `latents.py` are what they learn from.
"""
