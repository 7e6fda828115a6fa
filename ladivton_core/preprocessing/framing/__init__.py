"""Which part of a photo the models see: `framing.py` chooses the window, `fitting.py` goes into it and back."""
