"""Pictures from ComfyUI servers: `--engine comfyui --hosts a,b,c`.

`client.py` talks to one server; `workflow.py` fills a workflow in; `server.py`, `pool.py` and `engine.py` make a
catalogue of it.
"""

from typing import Any

__all__ = ["ComfyEngine"]


def __getattr__(name: str) -> Any:
    if name == "ComfyEngine":  # asked for late: the parts that edit workflows need no client
        from .engine import ComfyEngine

        return ComfyEngine
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
