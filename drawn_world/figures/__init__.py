"""Measuring the embedded default on the drawn world, where every picture has a rendered truth.

`truth.py` has the samples, `variants.py` runs the pipeline on them, `evaluate.py` measures one way to run it at length,
`ablations.py` a grid of them. `metrics.py` compares pictures, `classifier.py` judges colour and pattern. `photos.py`
measures what a photo alone gives.
"""
