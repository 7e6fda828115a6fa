"""Where the repository keeps what it installs and writes. Read `installation.py` next."""

from __future__ import annotations

import os
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
"""The pack's own folder: the checkout."""

PACK_NAME = "ComfyUI-LaDI-VTON"
"""Folder name under which the pack appears in `custom_nodes`."""

HOST = Path(os.environ.get("LADIVTON_HOST") or REPOSITORY / ".host").absolute()
"""Everything installed for demo and tests: delete the folder to undo it. LADIVTON_HOST moves it."""

PACK = Path(os.environ.get("LADIVTON_PACK") or REPOSITORY).absolute()
"""What servers run: the checkout, or what LADIVTON_PACK names, a folder or an archive of `scripts/package.py pack`."""

LOGS = HOST / "logs"
"""What installing and the demo's server printed the last time, a file each."""

SAMPLES = REPOSITORY / "samples"
WORKFLOWS = REPOSITORY / "workflows"
OUTPUT = REPOSITORY / "output"
