"""Measuring try-on results: as the paper does on its data sets, and on the drawn world, where all have a truth.

The paper: `generate.py` makes the pictures, `measure.py` compares them, `report.py` writes the page, `commands.py` is
their command line. The drawn world has a room of its own, `drawn/`. `__main__.py` joins both.
"""
