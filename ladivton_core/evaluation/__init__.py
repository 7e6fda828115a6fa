"""Measuring try-on results on the rendered world, whose truth is known for any pairing.

`metrics.py` compares pictures, `classifier.py` judges colour and pattern, `synthetic.py` runs the samples and
`ablations.py` the grid of variants. `__main__.py` is the command line.
"""
