"""A whole catalogue: persons x garments from a manifest, resumable, on one machine, a cluster or many ComfyUI servers.

`manifest.py` reads and checks what is wanted, `runs.py` is the one path through a run, an engine (`engines/base.py`)
makes the pictures, `store.py` and `index.py` keep them. `python -m ladivton_core.batch` is the command; `DressRows` is
for a Ray Data pipeline of one's own. Paper section 3; docs/catalogue.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .engines.ray_actors import DressRows
    from .items import Garment, Item, Manifest, Options, Outcome, Person, Request, Settings
    from .manifest import read_manifest
    from .runs import RunReport, run
    from .tables import ManifestError

_PLACES = {
    "DressRows": "engines.ray_actors",
    "ManifestError": "tables",
    "RunReport": "runs",
    "read_manifest": "manifest",
    "run": "runs",
}

__all__ = [
    "DressRows", "Garment", "Item", "Manifest", "ManifestError", "Options", "Outcome", "Person", "Request",
    "RunReport", "Settings", "read_manifest", "run",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # asked for late: who talks to a ComfyUI server, or edits a workflow, needs no torch
    from .engines import import_part

    return getattr(import_part(f".{_PLACES.get(name, 'items')}"), name)
