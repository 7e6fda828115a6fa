"""Measuring try-on results. `synthetic.py` uses the rendered world, whose truth is known for any pairing."""
