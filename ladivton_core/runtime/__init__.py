"""How models run: exact or fast, number formats and cores (`processor.py`), a command's process (`process.py`), finite
numbers (`finite.py`)."""
