"""What `make gpu-check` runs on a GPU, a section a file, each in a process of its own.

`scripts/gpu_check.py` bounds their time and writes the report; `page.py` is what a section writes on. Nothing here
downloads anything. A section is a function of a `Setting` and a `Page`.
"""
