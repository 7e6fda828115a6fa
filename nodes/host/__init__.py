"""Everything that touches ComfyUI's insides; the node files beside this folder need not know them.

`types.py` holds the wire types, `limits.py` what is refused by name, `notes.py` what a node says, `listing.py` and
`model_files.py` what lists offer and where a choice lies. `native.py`, `taps.py`, `paper_sampling.py` and
`speed_hooks.py` work on ComfyUI's models; `versions.py` is where newer ComfyUIs differ.
"""
