"""What makes the pictures: the plain loop (`local.py`), Ray (`ray.py`), and ComfyUI servers (`../comfyui/`).

`base.py` has the interface that they share, and the order of the work.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .base import Engine


def make_engine(name: str, **sizes: Any) -> Engine:
    """An engine by its name.

    Args:
        name: `local`, `ray` or `comfyui`.
        sizes: what it is made of, as on the command line: `workers`, `address` (Ray), `hosts` (ComfyUI), ...

    Raises:
        ValueError: there is no such engine.
    """
    if name == "local":
        from .local import LocalEngine

        return LocalEngine(**sizes)
    if name == "ray":
        from .ray import RayEngine

        return RayEngine(**sizes)
    if name == "comfyui":
        from ..comfyui.engine import ComfyEngine

        return ComfyEngine(**sizes)
    raise ValueError(f"the engine is {name!r}; expected local, ray or comfyui")
