"""What ComfyUI asks the pack for: its list of nodes."""

from __future__ import annotations

import functools

import folder_paths

from . import (
    body_mask,
    comparison,
    conditioning,
    datasets,
    decoding,
    detail,
    files,
    fitting,
    garment,
    inversion,
    models,
    person,
    photo,
    sampling,
    wardrobe,
)
from .host import listing, model_files
from .host.limits import hold_to_limits
from .host.types import ComfyExtension, io

_FILES = (
    models, files, photo, fitting, person, garment, body_mask, inversion, conditioning, sampling, decoding, detail,
    comparison, wardrobe, datasets,
)  # fmt: skip
"""Loaders first, then in the order of the paper's stages."""


class LadiVTONExtension(ComfyExtension):
    """Registers folders, shows the examples (0.3.75 never calls `on_load`) and hands the nodes over."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return _nodes()


@functools.cache
def _nodes() -> list[type[io.ComfyNode]]:
    model_files.register_folder(model_files.FOLDER, folder_paths.supported_pt_extensions)
    # Like ComfyUI's own "diffusers": no file in there is a model to be listed.
    model_files.register_folder(datasets.FOLDER, {"folder"})
    listing.show_examples()
    return [hold_to_limits(node) for file in _FILES for node in file.NODES]
