"""What ComfyUI asks the pack for: its list of nodes."""

from __future__ import annotations

from . import (
    checking,
    comparison,
    datasets,
    decoding,
    files,
    fitting,
    garment,
    inversion,
    model_files,
    models,
    parsing,
    person,
    photo,
    sampling,
)
from .types import ComfyExtension, io

NODES: list[type[io.ComfyNode]] = [
    *models.NODES, *files.NODES, *photo.NODES, *parsing.NODES, *fitting.NODES, *person.NODES, *checking.NODES,
    *garment.NODES, *inversion.NODES,
    *sampling.NODES, *decoding.NODES, *comparison.NODES, *datasets.NODES,
]  # fmt: skip
"""Every node, loaders first, then in the order of the paper's stages."""


class LadiVTONExtension(ComfyExtension):
    """Registers the model folder (0.3.75 never calls `on_load`) and hands the nodes over."""

    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        model_files.register_folder()
        datasets.register_folder()
        return NODES
