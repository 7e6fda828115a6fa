"""The engine of ComfyUI servers: one worker a server, a prompt an item, the workflow's own models.

`choice.py` says which workflow makes an item, `pool.py` shares items out. Nothing of the pictures is computed here:
`batch=`, models, device and number format are the servers' and the workflow's, and saying them is an error.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..engine import Spent, Work
from ..items import Item, Outcome, Settings
from .choice import Choice
from .jobs import Made, ServerGone
from .pool import GIVE_UP, NoServer, Pool
from .server import MOST, PATIENCE, Server, address_of, without_password
from .workflow import WorkflowError

log = logging.getLogger(__name__)

OF_THE_SERVERS = ("models", "weights", "preset", "device", "dtype", "batch", "pose", "threads")
"""Settings that a workflow and its server decide."""


class ComfyEngine:
    """Pictures from ComfyUI servers; an `engine.Engine`.

    Args:
        hosts: `host`, `host:port` or whole addresses, as a list or joined by commas. Each once: a server has one
            worker.
        workflow: files in API format; an item is made by the first that has a place for everything it gives, and no
            file of its own left. The shipped ones on the embedded models when None.
        queue: prompts at a server at once, anyone's: one that runs and others that wait.
        patience: seconds that one picture may take.
        give_up: seconds without any server until the run stops.

    Raises:
        ValueError: no host, one twice, or none; a workflow that cannot be a catalogue's.
    """

    name = "comfyui"

    def __init__(
        self,
        hosts: str | Sequence[str] = (),
        workflow: str | Path | Sequence[str | Path] | None = None,
        queue: int = MOST,
        patience: float = PATIENCE,
        give_up: float = GIVE_UP,
    ):
        listed = hosts.split(",") if isinstance(hosts, str) else hosts
        addresses = [address_of(host) for host in listed if host.strip()]
        if not addresses:
            raise ValueError("--engine comfyui needs --hosts: addresses of ComfyUI servers, joined by commas")
        shown = [without_password(address) for address in addresses]
        if twice := sorted({address for address in shown if shown.count(address) > 1}):
            raise ValueError(f"--hosts names {', '.join(twice)} twice; a server has one worker, --queue is its prompts")
        if queue < 1:
            raise ValueError(f"--queue must be at least 1, got {queue}")
        self.choice = Choice(workflow)
        self.servers = [Server(address, self.choice.workflows, most=queue, patience=patience) for address in addresses]
        self.give_up = give_up
        self.workers = len(self.servers)
        self.spent = Spent()

    def prepare(self, settings: Settings) -> dict[str, Any]:
        """See `Engine.prepare`; also says in the log which servers are put aside.

        Raises:
            NoServer: none can be used.
            ValueError: a setting is given that the servers decide.
        """
        default = {field.name: field.default for field in fields(Settings)}
        if given := [name for name in OF_THE_SERVERS if getattr(settings, name) != default[name]]:
            raise ValueError(
                f"--engine comfyui: {', '.join(given)} cannot be said here: the models, their device and their number "
                "format are the workflow's and its server's. Change the workflow (--workflow), or leave it out."
            )
        with ThreadPoolExecutor(len(self.servers)) as threads:
            reasons = dict(zip(self.servers, threads.map(_why_not, self.servers), strict=True))
        if all(reasons.values()):
            told = "\n".join(f"  {server.address}: {reason}" for server, reason in reasons.items())
            raise NoServer(f"none of the {len(reasons)} ComfyUI servers can be used:\n{told}")
        for server, reason in reasons.items():
            if reason:
                log.warning("%s cannot be used now and is tried again: %s", server.address, reason)
        return {"engine": self.name} | self.choice.note()

    def run(self, work: Work) -> Iterator[Outcome]:
        """See `Engine.run`.

        Raises:
            WorkflowError: no item fits any workflow.
            NoServer: none can be used, at the start or for `give_up` seconds.
        """
        items = work.items
        known = {item.id: item for item in items}
        unfit = self.choice.unfit(work)
        if unfit and len(unfit) == len(items):
            raise WorkflowError(f"no item can be made: {next(iter(unfit.values()))}")
        for item, reason in unfit.items():
            yield Outcome(item, error=reason)
        jobs = (self.choice.job(work, item) for item in items if item.id not in unfit)
        outcomes = Pool(self.servers, give_up=self.give_up).run(jobs)
        try:
            for made in outcomes:
                if not made.error:
                    self.spent.add("sample", made.seconds)
                outcome = _delivered(work, known[made.job.item], made)
                yield outcome
                if outcome.stop:
                    return
        finally:
            outcomes.close()

    def close(self) -> None:
        """See `Engine.close`; what servers were given they finish, and a next run takes it from them."""


def _delivered(work: Work, item: Item, made: Made) -> Outcome:
    """The outcome of one answer; the picture is written."""
    if made.error:
        blamed = made.job.files.get(made.slot)
        return Outcome(item.id, error=made.error, error_file=blamed.address if blamed else None, worker=made.server)
    import numpy as np

    from ...disk.pictures import decoded

    try:
        picture = decoded(io.BytesIO(made.picture), f"the result from {made.server}")
    except ValueError as error:
        return Outcome(item.id, error=str(error), worker=made.server)
    pixels = np.asarray(picture.convert("RGB"))
    return work.delivery.picture(item, pixels, seconds=made.seconds, worker=made.server)


def _why_not(server: Server) -> str:
    try:
        server.check()
    except ServerGone as gone:
        return str(gone)
    return ""
