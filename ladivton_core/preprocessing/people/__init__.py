"""People in a photo: found by `finder.py`, parsed by `parser.py`, chosen and told apart by `chosen.py`."""
