"""People in a photo: found by `finder.py`, parsed by `parser.py`, told apart by `territory.py`."""
