"""How hard the readers are tried: a hundred inputs each in `make test`, 10,000 with `make fuzz`.

`make fuzz` sets LADIVTON_FUZZ=1; kills go from 3 to 20 with it. LADIVTON_FUZZ=300 takes so many inputs each.
"""

from __future__ import annotations

import os
import random
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.append(str(Path(__file__).parent))  # `doors.py`, for the processes that are killed

FUZZ = int(os.environ.get("LADIVTON_FUZZ") or 0)
_common = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}
settings.register_profile("quick", max_examples=100, derandomize=True, **_common)
settings.register_profile("fuzz", max_examples=FUZZ if FUZZ > 1 else 10_000, **_common)
settings.load_profile("fuzz" if FUZZ else "quick")


@pytest.fixture
def steps(request) -> list[int]:
    """Before which touch of the disk a writer is killed, time after time: some of its first passes, each in another."""
    draw = random.Random(None if FUZZ else request.node.name)
    return [draw.randrange(1, 150) for _ in range(20 if FUZZ else 3)]


@pytest.fixture(scope="module")
def desk(tmp_path_factory) -> Path:
    """One folder for all inputs of a module: hypothesis calls a test many times."""
    return tmp_path_factory.mktemp("desk")
