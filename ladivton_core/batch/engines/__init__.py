"""What makes the pictures: the plain loop (`local.py`), Ray (`ray.py`), ComfyUI servers (`../comfyui/`), and whatever
made them elsewhere (`../elsewhere.py`).

`base.py` has the interface that they share, and the order of the work.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

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
    """
    if name not in ENGINES:
        raise ValueError(f"the engine is {name!r}; expected one of {', '.join(ENGINES)}")
    module, kind = ENGINES[name]
    return getattr(importlib.import_module(module, __package__.rpartition(".")[0]), kind)(**sizes)
