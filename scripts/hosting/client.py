"""Talk to a running ComfyUI: the client of the library, by the name that scripts and tests know it by."""

from __future__ import annotations

import sys

from .places import REPOSITORY

if str(REPOSITORY) not in sys.path:  # last: the repository's `nodes` must not hide ComfyUI's own
    sys.path.append(str(REPOSITORY))

from ladivton_core.batch.comfyui.client import (  # noqa: E402
    END_EVENTS,
    HTTP_SECONDS,
    ComfyClient,
    Event,
    PromptRejected,
    Run,
    RunFailed,
)

__all__ = ["END_EVENTS", "HTTP_SECONDS", "ComfyClient", "Event", "PromptRejected", "Run", "RunFailed"]
