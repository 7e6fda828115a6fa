"""Training of the embedded default on the command line.

    python -m drawn_world.training all --out RUNS --minutes 30 --to FOLDER
    python -m drawn_world.training tps --out RUNS --set minutes=60
    python -m drawn_world.training export RUNS --to FOLDER

See drawn_world/README.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ladivton_core.training import commands

from .recipe import EMBEDDED, Sitting


def main(given: Sequence[str] | None = None) -> None:
    """Run what the command line says."""
    given = sys.argv[1:] if given is None else given
    commands.main(given, "python -m drawn_world.training", __doc__, {EMBEDDED.name: EMBEDDED}, Sitting)


if __name__ == "__main__":
    main()
