"""LaDI-VTON without a host: the five stages, their checkpoints, training and evaluation.

Imports nothing of ComfyUI. Start reading at `presets` (sizes as data) and `pipeline` (the facade).
"""
