"""ComfyUI and the pack in this process, without a server: for what needs the node classes themselves.

The process must run in the host's interpreter (`installation.run_inside`).
"""

from __future__ import annotations

import asyncio
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


def import_comfyui(folder: Path) -> None:
    """Make `import comfy` and `import nodes` mean ComfyUI's, on the CPU where there is no GPU."""
    import torch

    sys.path.insert(0, str(folder))
    import comfy.cli_args

    # ComfyUI reads its command line at import; here there is none, and it would look for CUDA.
    comfy.cli_args.args.cpu = not torch.cuda.is_available()
    # As its main.py does: ComfyUI's nodes.py puts a folder first in sys.path that holds another `utils`.
    import utils.extra_config  # noqa: F401


def import_pack(folder: Path, name: str) -> ModuleType:
    """The pack as ComfyUI imports it: from its folder, under a name that is not its own."""
    spec = importlib.util.spec_from_file_location(name, folder / "__init__.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def node_classes(pack: ModuleType) -> dict[str, Any]:
    """Node classes of an imported pack by id."""
    extension = asyncio.run(pack.comfy_entrypoint())
    return {node.define_schema().node_id: node for node in asyncio.run(extension.get_node_list())}
