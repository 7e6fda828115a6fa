"""Files as untrusted input, and files that are whole or not there: everything the project reads or writes goes through.

`documents.py` reads JSON and text, `structure.py` walks what was read, `pictures.py` opens pictures, `looking.py` asks
whether a file is there, `names.py` says which file names hold everywhere, `writing.py` writes. Nothing here
knows what a file is for.
"""
