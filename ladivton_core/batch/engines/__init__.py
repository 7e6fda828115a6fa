"""What makes the pictures: the plain loop (`local.py`), Ray (`ray.py`), ComfyUI servers (`../comfyui/`), and whatever
made them elsewhere (`../elsewhere.py`).

`base.py` has the interface that they share, and the order of the work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ... import start

if TYPE_CHECKING:
    from .base import Engine

ENGINES = {
    "local": (".engines.local", "LocalEngine"),
    "ray": (".engines.ray", "RayEngine"),
    "comfyui": (".comfyui.engine", "ComfyEngine"),
    "elsewhere": (".elsewhere", "ElsewhereEngine"),
}
"""Module and class, imported when asked for: each needs packages of its own."""


def make_engine(name: str, **sizes: Any) -> Engine:
    """An engine by its name.

    Args:
        name: one of `ENGINES`.
        sizes: what it is made of, as on the command line: `workers`, `address` (Ray), `hosts` (ComfyUI), ...

    Raises:
        ValueError: there is no such engine.
        ImportError: it needs a package that is missing, or, as Ray's, the repository: it starts processes.
    """
    if name not in ENGINES:
        raise ValueError(f"the engine is {name!r}; expected one of {', '.join(ENGINES)}")
    module, kind = ENGINES[name]
    return getattr(import_part(module), kind)(**sizes)


def import_part(module: str) -> Any:
    """A module of this catalogue by its name from there, such as `.engines.ray`.

    Raises:
        ImportError: it needs a package that is missing, or the registry's package leaves it out.
    """
    catalogue = __package__.rpartition(".")[0]
    try:
        return importlib.import_module(module, catalogue)
    except ModuleNotFoundError as error:
        if error.name != catalogue + module:
            raise
        raise ImportError(start.repository_only(f"Ray's part of the catalogue ({module[1:]})")) from error
