"""How models run: exact or fast (`speed.py`), number formats and cores (`processor.py`), `finite.py`."""
