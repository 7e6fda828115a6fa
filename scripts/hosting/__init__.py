"""A ComfyUI to run the pack in: install one, start it, talk to it.

Not part of the pack: `scripts/` and the host tests use it. `places`, `installation` and `server` need
nothing but the standard library, because they run before anything is installed. Read
`installation.py` first, then `server.py`, then `client.py`.

The library is importable from here on: the client lives in it.
"""

import sys
from pathlib import Path

if (repository := str(Path(__file__).resolve().parents[2])) not in sys.path:
    sys.path.append(repository)  # last: its `nodes` must not hide ComfyUI's own
