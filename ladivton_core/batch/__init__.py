"""A whole catalogue: persons x garments from a manifest, resumable, on one machine, a cluster or many ComfyUI servers.

`manifest.py` reads and checks what is wanted, `plan.py` orders it, an engine (`engine.py`) makes it, `results.py` keeps
it, `run.py` is the one path through them. `python -m ladivton_core.batch` is the command; `ray_actors.py` has the
classes for a Ray Data pipeline of one's own. Paper section 3; docs/catalogue.md.
"""

from .cells import ManifestError
from .items import Garment, Item, Manifest, Options, Outcome, Person, Settings
from .manifest import Request, read_manifest
from .run import Report, run

__all__ = [
    "Garment", "Item", "Manifest", "ManifestError", "Options", "Outcome", "Person", "Report", "Request", "Settings",
    "read_manifest", "run",
]  # fmt: skip
