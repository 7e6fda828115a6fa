"""Measuring try-on results as the paper does on its data sets, and several systems side by side.

The paper: `generate.py` makes the pictures, `measure.py` compares them, `report.py` writes the page. Systems:
`compare.py` measures, `comparison_page.py` shows, `votes.py` asks people. `__main__.py` has the commands of both. The
drawn world is measured in `drawn_world/figures/`.
"""
