"""A whole catalogue: persons x garments from a manifest, resumable, on one machine, a cluster or many ComfyUI servers.

`manifest.py` reads and checks what is wanted, `plan.py` orders it, an engine (`engine.py`) makes it, `results.py` keeps
it, `catalogue.py` is the one path through them. `python -m ladivton_core.batch` is the command; `ray_actors.py` has the
classes for a Ray Data pipeline of one's own. Paper section 3; docs/catalogue.md.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .catalogue import Report, run
    from .cells import ManifestError
    from .items import Garment, Item, Manifest, Options, Outcome, Person, Settings
    from .manifest import Request, read_manifest

__all__ = [
    "Garment", "Item", "Manifest", "ManifestError", "Options", "Outcome", "Person", "Report", "Request", "Settings",
    "read_manifest", "run",
]  # fmt: skip

_PLACES = {"Report": "catalogue", "run": "catalogue", "ManifestError": "cells", "Request": "manifest",
           "read_manifest": "manifest"}  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # asked for late: who talks to a ComfyUI server, or edits a workflow, needs no torch
    return getattr(importlib.import_module(f".{_PLACES.get(name, 'items')}", __name__), name)
