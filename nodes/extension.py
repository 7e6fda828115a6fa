"""What ComfyUI asks the pack for: its list of nodes."""

from __future__ import annotations

from . import (
    checking,
    comparison,
    custom_sampling,
    datasets,
    decoding,
    encoded_person,
    files,
    fitting,
    garment,
    inversion,
    model_files,
    models,
    parsing,
    person,
    photo,
    pseudo_words,
    results,
    sampling,
    saved_models,
    speed,
    wardrobe,
)
from .limits import held_to_its_limits
from .processor import on_the_processor
from .served_pictures import serve_pictures
from .types import ComfyExtension, io

_NODES = [
    *models.NODES, *saved_models.NODES, *files.NODES, *photo.NODES, *parsing.NODES, *fitting.NODES, *person.NODES,
    *checking.NODES, *garment.NODES, *inversion.NODES, *pseudo_words.NODES, *sampling.NODES, *custom_sampling.NODES,
    *speed.NODES, *decoding.NODES, *comparison.NODES, *encoded_person.NODES, *wardrobe.NODES, *datasets.NODES,
    *results.NODES,
]  # fmt: skip
NODES: list[type[io.ComfyNode]] = [on_the_processor(held_to_its_limits(node)) for node in _NODES]
"""Every node, loaders first, then in the order of the paper's stages."""


class LadiVTONExtension(ComfyExtension):
    """Registers folders and the samples' pictures (0.3.75 never calls `on_load`) and hands the nodes over."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        model_files.register_folder()
        datasets.register_folder()
        serve_pictures()
        return NODES
