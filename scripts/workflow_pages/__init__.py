"""The shipped workflows as ComfyUI's page saves them, written from `workflows/api/`.

`pages.py` says what stands where and what the notes say, `layout.py` gives it room, `ui_format.py` writes it.
"""
