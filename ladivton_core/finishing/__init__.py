"""A decoded picture on its way back into the photo it came from: `stitching.py`; an editor's first `editing.py`."""
