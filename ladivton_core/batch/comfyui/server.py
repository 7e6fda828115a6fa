"""One ComfyUI server that makes a catalogue's pictures: what is uploaded, queued and fetched there.

A prompt's id follows from the item, the workflow as it was filled in and the files' contents. So a driver that was
killed finds what it had queued: in the server's history, done, or in its queue. `pool.py` runs several servers.
"""

from __future__ import annotations

import hashlib
import json
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from .answers import Refused, asked
from .branches import named
from .client import ComfyClient, PromptRejected
from .jobs import File, Job, JobFailed, Lost, Made, ServerGone
from .reports import failure_of, refusal_of, seconds_of, status_of
from .workflow import Filled, Workflow, WorkflowError

FOLDER = "ladi_vton_catalogue"
"""Where inputs go, in the server's input folder; files are named by the SHA-256 of their content."""

PORT = 8188
MOST = 2
"""Prompts at a server at once: one that runs and one that waits, so that it never stands still."""
PATIENCE = 1800.0
"""Seconds that one picture may take."""
ANSWER_SECONDS = 60.0
RECENT = 32
"""Runs of the history that are looked at for items of a driver that was killed; it left no more than `most`."""
LOOK_SECONDS = 2.0
"""How often the queue is asked for a prompt that is in no history yet."""

_ADVICE = "say host, host:port or http://host:port"


@dataclass
class Flight:
    """A job that a server has.

    Attributes:
        taken: the picture was there already, or being made, from a driver that is gone.
        running_since: when it was first seen to run; None while it waits.
    """

    job: Job
    prompt_id: str
    filled: Filled
    taken: bool = False
    running_since: float | None = None
    looked: float = field(default_factory=time.monotonic)


def address_of(host: str) -> str:
    """`http://host:8188` for `host`, `http://host:port` for `host:port`; a whole address as it is.

    Raises:
        ValueError: it is none.
    """
    host = host.strip()
    whole = host if "://" in host else f"http://{host}"
    try:
        parts = urlsplit(whole)
        port = parts.port
    except ValueError as error:
        raise ValueError(
            f"--hosts: {_shown(host)} is no address ({error}); say host, host:port or http://host:port"
        ) from None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"--hosts: {_shown(host)} is no address; say host, host:port or http://host:port")
    if "://" not in host and port is None:
        whole = f"http://{parts.netloc}:{PORT}{parts.path}"
    return whole.rstrip("/")


def _shown(host: str) -> str:
    return repr(host.rpartition("@")[2])


def without_password(address: str) -> str:
    """An address for messages and the index: without the user and password that stand in it."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()


class Server:
    """A ComfyUI at an address, used by one thread.

    Args:
        address: see `address_of`; a user and password in it are sent and never shown.
        workflows: what it may have to run.
        most: prompts at the server at once, anyone's: none is queued where so many run and wait.
        patience: seconds that one picture may take.
        seconds: how long an answer may take.

    Attributes:
        held: items in its queue or lately in its history when it was checked.

    Every method raises `ServerGone` when the server does not answer as a ComfyUI does.
    """

    def __init__(
        self,
        address: str,
        workflows: Sequence[Workflow],
        *,
        most: int = MOST,
        patience: float = PATIENCE,
        seconds: float = ANSWER_SECONDS,
    ):
        self.address = without_password(address)
        self.workflows = tuple(workflows)
        self.most, self.patience = most, patience
        self.held: frozenset[str] = frozenset()
        self._client = ComfyClient(address, seconds)
        self._names: dict[str, tuple[str, str]] = {}

    def check(self) -> None:
        """Raise unless the server has every node of the workflows; note what it holds."""
        self._names.clear()  # it may have been set up anew
        needed = sorted(set().union(*(workflow.classes for workflow in self.workflows)))
        missing = [kind for kind in needed if kind not in asked(self._client.object_info, kind)]
        if missing:
            names = ", ".join(workflow.name for workflow in self.workflows if missing[0] in workflow.classes)
            ours = " Is the pack installed there, and ComfyUI restarted since?" if "LadiVTON" in missing[0] else ""
            raise ServerGone(f"it has no node {', '.join(missing)}, which {names} needs.{ours}")

        notes = (extra.get("ladi_vton") for extra in asked(self._client.extras, RECENT))
        self.held = frozenset(str(note["item"]) for note in notes if isinstance(note, dict) and "item" in note)

    def has_room(self) -> bool:
        """Whether fewer than `most` prompts run and wait there."""
        return asked(self._client.remaining) < self.most

    def start(self, job: Job) -> Flight:
        """Queue a job, or find it in the server's queue or history.

        Raises:
            JobFailed: a file cannot be read or is refused, the workflow has no place for a value, or ComfyUI refuses
                what the job filled in.
            ServerGone: also when ComfyUI refuses the rest of the workflow (a model that it does not have, say).
        """
        known = {file.address for file in job.files.values()} & self._names.keys()
        try:
            return self._start(job)
        except JobFailed:
            if not known:
                raise
        for address in known:  # somebody may have emptied the input folder
            del self._names[address]
        return self._start(job)

    def look(self, flight: Flight) -> Made | None:
        """What came of a job, or None while it runs or waits.

        Raises:
            JobFailed: a node raised, the run was interrupted, or it did not give one picture.
            Lost: the server does not know the prompt.
            ServerGone: also when the picture takes longer than `patience`; its run is stopped then.
        """
        entry = asked(self._client.history, flight.prompt_id).get(flight.prompt_id)
        if entry is not None:
            return self._fetched(flight, entry)
        now = time.monotonic()
        if now - flight.looked < LOOK_SECONDS:
            return None
        flight.looked = now
        running, pending = asked(self._client.queued)
        if flight.prompt_id in running:
            flight.running_since = flight.running_since or now
            if now - flight.running_since > self.patience:
                asked(self._client.cancel, flight.prompt_id)
                raise ServerGone(f"a picture took longer than {self.patience:.0f} s")
        elif flight.prompt_id not in pending:
            # It may have ended between the two questions.
            entry = asked(self._client.history, flight.prompt_id).get(flight.prompt_id)
            if entry is None:
                raise Lost("the server forgot the prompt: its queue was emptied, or it was restarted")
            return self._fetched(flight, entry)
        return None

    def _start(self, job: Job) -> Flight:
        placed = {slot: self._placed(slot, file) for slot, file in job.files.items()}
        try:
            filled = job.workflow.filled({**job.values, **{slot: name for slot, (name, _) in placed.items()}})
        except WorkflowError as error:
            raise JobFailed(str(error)) from error
        digests = {slot: digest for slot, (_, digest) in placed.items()}
        flight = Flight(job, self._prompt_id(job, digests), filled)
        entry = asked(self._client.history, flight.prompt_id).get(flight.prompt_id)
        if entry is not None and status_of(entry) == "success":
            flight.taken = True
            return flight
        if entry is not None:  # it would be taken for how the new run ended
            asked(self._client.forget, flight.prompt_id)
        if any(flight.prompt_id in ids for ids in asked(self._client.queued)):
            flight.taken = True
            return flight
        try:
            extra = {"ladi_vton": {"item": job.item}}
            flight.prompt_id = asked(self._client.queue, filled.nodes, flight.prompt_id, extra)
        except PromptRejected as rejected:
            raise self._told(refusal_of(rejected, filled), job) from None
        return flight

    def _fetched(self, flight: Flight, entry: dict[str, Any]) -> Made:
        status = status_of(entry)
        if status != "success":
            raise self._told(failure_of(entry, flight.filled), flight.job)
        shown = entry.get("outputs", {}).get(flight.filled.result, {}).get("images", ())
        if len(shown) != 1:
            raise JobFailed(
                f"{named(flight.filled.nodes, flight.filled.result)} gave {len(shown)} pictures; an item has one. "
                "Its batch must be of one picture."
            )
        try:
            picture = asked(self._client.view, shown[0])
        except Refused as refused:
            asked(self._client.forget, flight.prompt_id)
            raise Lost(f"the server no longer has the picture it made ({refused})") from None
        return Made(flight.job, picture, seconds=seconds_of(entry), server=self.address, taken=flight.taken)

    def _told(self, error: JobFailed | ServerGone, job: Job) -> JobFailed | ServerGone:
        """The error, with files called what the manifest calls them."""
        words = str(error)
        for file in job.files.values():
            name, digest = self._names.get(file.address, ("", ""))
            for at_server in filter(None, (name, PurePosixPath(name).name, digest)):
                words = words.replace(at_server, file.address)
        return JobFailed(words, error.slot, elsewhere=error.elsewhere) if isinstance(error, JobFailed) else error

    def _placed(self, slot: str, file: File) -> tuple[str, str]:
        """Name at the server and SHA-256 of a file, which is uploaded once."""
        if file.address not in self._names:
            try:
                content = file.read()
            except (OSError, ValueError) as error:
                raise JobFailed(f"{file.address} cannot be read: {error}", slot) from error
            digest = hashlib.sha256(content).hexdigest()
            ending = PurePosixPath(urlsplit(file.address).path or file.address).suffix.lower()
            try:
                name = asked(self._client.upload_bytes, content, f"{digest}{ending}", FOLDER)
            except Refused as refused:
                raise JobFailed(f"{file.address} ({len(content)} bytes) was not taken: {refused}", slot) from None
            self._names[file.address] = (name, digest)
        return self._names[file.address]

    def _prompt_id(self, job: Job, digests: Mapping[str, str]) -> str:
        """A UUID of everything the picture depends on, and of the item."""
        filled = job.workflow.filled({**job.values, **digests})
        nodes = {key: (node["class_type"], node["inputs"]) for key, node in filled.nodes.items()}
        text = json.dumps([job.item, nodes, filled.result], sort_keys=True, ensure_ascii=False)
        return str(uuid.UUID(bytes=hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], version=5))
