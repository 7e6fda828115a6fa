"""Measuring try-on results: as the paper does on its data sets, and on the rendered world, where all have a truth.

The paper: `generate.py` makes the pictures, `measure.py` compares them, `report.py` writes the page, `commands.py` is
their command line. The rendered world: `metrics.py` compares pictures, `classifier.py` judges colour and pattern,
`synthetic.py` runs the samples and `ablations.py` the grid of variants. `__main__.py` joins both.
"""
