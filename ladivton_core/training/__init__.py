"""Training: the paper's stages as commands (section 4.2; SPEC section 8). `__main__.py` is the command line.

Read `config.py`, `stage.py`, `draws.py`, `loop.py` (with `pace.py`, `average.py`, `resuming.py`, `accelerator.py`),
`recipe.py` in this order, then the stages: `warper.py`,
`extraction.py`, `emasc.py`, `denoiser.py`; `embedded/` holds what only the embedded default needs.
"""
