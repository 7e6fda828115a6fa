"""What a catalogue asks of ComfyUI servers, and what comes of it. `server.py` asks one server, `pool.py` several."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...disk.names import printable
from .workflow import Workflow


@dataclass(frozen=True)
class File:
    """A file that a job needs at the server.

    Attributes:
        address: what messages call it; a server is given each address once.
        read: its content.
    """

    address: str
    read: Callable[[], bytes] = field(compare=False)


@dataclass(frozen=True)
class Job:
    """One picture to make.

    Attributes:
        item: its id; travels with the prompt as `extra_data.ladi_vton.item`.
        workflow: what makes it.
        files: slot -> file.
        values: slot -> value.
    """

    item: str
    workflow: Workflow
    files: Mapping[str, File]
    values: Mapping[str, Any]


@dataclass
class Waiting:
    """A job that waits for a server.

    Attributes:
        told: how servers were lost with it.
        servers: addresses of those where it failed.
    """

    job: Job
    told: list[str] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Made:
    """What came of a job.

    Attributes:
        picture: the file's bytes as the server has it, PNG where the result was saved by ComfyUI's own nodes; empty
            when the job failed.
        error: what went wrong; empty when nothing did.
        slot: whose file is to blame, where one is.
        seconds: from the start of the run to its end, by the server's clock.
        server: its address.
        taken: the server had it already, or was making it, from a driver that is gone.
    """

    job: Job
    picture: bytes = b""
    error: str = ""
    slot: str = ""
    seconds: float = 0.0
    server: str = ""
    taken: bool = False


class ServerGone(ConnectionError):
    """The server cannot be used now; the message says why, without naming it."""


class Lost(RuntimeError):
    """The server knows nothing of a prompt that was queued there: somebody emptied its queue, or it was restarted."""


class JobFailed(RuntimeError):
    """The job cannot be done; the message names the node and what it said.

    Attributes:
        slot: whose file is to blame, where one is.
        elsewhere: another server may be able to do it (out of memory, say).
    """

    def __init__(self, message: str, slot: str = "", *, elsewhere: bool = False):
        super().__init__(printable(message))
        self.slot, self.elsewhere = slot, elsewhere
