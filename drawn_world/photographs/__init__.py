"""A procedural try-on world with the statistics of photographs: every number from a seed, every truth rendered.

`scene.py` makes a pair (one person in two garments) and is the place to start. It is put together from `bodies.py`,
`people.py`, `garments.py`, `wearing.py`, `backdrops.py`, `camera.py` and `inputs.py`; under all of them lie
`fabrics.py`, `prints.py`, `colours.py` and `noise.py`. `store.py` writes pairs to disk and reads them back.
Pictures are NumPy arrays (H, W, 3), joints are in pixels, lengths of bodies and clothes in units of half a shoulder
width (about 20 cm), so that one scale parameter draws the same scene at any size.
"""
