"""Talk to a running ComfyUI: the client of the library, by the name that scripts and tests know it by."""

from __future__ import annotations

from ladivton_core.batch.comfyui.client import (
    END_EVENTS,
    HTTP_SECONDS,
    ComfyClient,
    Event,
    PromptRejected,
    Run,
    RunFailed,
)

__all__ = ["END_EVENTS", "HTTP_SECONDS", "ComfyClient", "Event", "PromptRejected", "Run", "RunFailed"]
