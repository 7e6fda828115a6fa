"""The drawn world: a procedural try-on world of people, bodies, cuts, garments and patterns, each with its truth.

The embedded default learns from it and is measured on it; the sample pictures come from it. `scene.py` draws whole
scenes and is the place to start; below it lie `people.py` and `body.py`, then `garments.py`, `cuts.py` and
`patterns.py`, and under all of them `signed_distance.py`.
"""
