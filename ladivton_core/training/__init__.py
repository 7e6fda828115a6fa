"""Training: the paper's stages as commands (section 4.2). `commands.py` is the command line, for any recipe.

Read `config.py`, `stage.py`, `draws.py`, `loop.py` (with `resuming.py`, `accelerator.py`), `recipe.py` in this order,
then the stages: `warper.py`, `extraction.py`, `emasc.py`, `denoiser.py`. What trains the embedded default,
`drawn_world/training/` in the repository, brings a recipe of its own and runs by the same loop.
"""
