"""One ComfyUI server that makes a catalogue's pictures: what is uploaded, queued and fetched there, and what it says.

A prompt's id follows from the item, the workflow as it was filled in and the files' contents. So a driver that was
killed finds what it had queued: in the server's history, done, or in its queue. `pool.py` runs several servers.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from ...disk.names import hide_secrets, printable
from .client import ComfyClient, PromptRejected, requests
from .workflow import FilledForm, Workflow, WorkflowError, name_node

FOLDER = "ladi_vton_catalogue"
"""Where inputs go, in the server's input folder; files are named by the SHA-256 of their content."""

PORT = 8188
ANSWER_SECONDS = 60.0
RECENT = 32
"""Runs of the history that are looked at for items of a driver that was killed; it left no more than `most`."""
LOOK_SECONDS = 2.0
"""How often the queue is asked for a prompt that is in no history yet."""

_ON_PURPOSE = ("ValueError", "CheckpointError", "FileNotFoundError")
"""What nodes raise about their inputs; another server would say the same."""


class ServerGone(ConnectionError):
    """The server cannot be used now; the message says why, without naming it."""


class Refused(RuntimeError):
    """An answer of 4xx to an upload or a download."""


class Lost(RuntimeError):
    """The server knows nothing of a prompt that was queued there: somebody emptied its queue, or it was restarted."""


class OrderFailed(RuntimeError):
    """The order cannot be done; the message names the node and what it said.

    Attributes:
        slot: whose file is to blame, where one is.
        elsewhere: another server may be able to do it (out of memory, say).
    """

    def __init__(self, message: str, slot: str = "", *, elsewhere: bool = False):
        super().__init__(printable(message))
        self.slot, self.elsewhere = slot, elsewhere


@dataclass(frozen=True)
class InputFile:
    """A file that an order needs at the server.

    Attributes:
        address: what messages call it; a server is given each address once.
        read: its content.
    """

    address: str
    read: Callable[[], bytes] = field(compare=False)


@dataclass
class Order:
    """One picture to make, and how it went so far.

    Attributes:
        item: its id; travels with the prompt as `extra_data.ladi_vton.item`.
        workflow: what makes it.
        files: slot -> file.
        values: slot -> value.
        told: how servers were lost with it.
        servers: addresses of those where it failed.
    """

    item: str
    workflow: Workflow
    files: Mapping[str, InputFile]
    values: Mapping[str, Any]
    told: list[str] = field(default_factory=list)
    servers: set[str] = field(default_factory=set)


@dataclass
class Flight:
    """An order that a server has.

    Attributes:
        taken: the picture was there already, or being made, from a driver that is gone.
        running_since: when it was first seen to run; None while it waits.
    """

    order: Order
    prompt_id: str
    filled: FilledForm
    taken: bool = False
    running_since: float | None = None
    looked: float = field(default_factory=time.monotonic)


@dataclass(frozen=True)
class Made:
    """What came of an order.

    Attributes:
        picture: the file's bytes as the server has it, PNG where the result was saved by ComfyUI's own nodes; empty
            when the order failed.
        error: what went wrong; empty when nothing did.
        slot: whose file is to blame, where one is.
        seconds: from the start of the run to its end, by the server's clock.
        server: its address.
        taken: the server had it already, or was making it, from a driver that is gone.
    """

    order: Order
    picture: bytes = b""
    error: str = ""
    slot: str = ""
    seconds: float = 0.0
    server: str = ""
    taken: bool = False


def parse_host(host: str) -> str:
    """`http://host:8188` for `host`, `http://host:port` for `host:port`; a whole address as it is.

    Raises:
        ValueError: it is none.
    """
    host = host.strip()
    whole = host if "://" in host else f"http://{host}"
    try:
        parts = urlsplit(whole)
        port, why = parts.port, ""
    except ValueError as error:
        parts, port, why = urlsplit(""), None, f" ({error})"
    if parts.scheme not in ("http", "https") or not parts.hostname:
        shown = hide_secrets(whole) if "://" in host else hide_secrets(whole).removeprefix("http://")
        raise ValueError(f"--hosts: {shown!r} is no address{why}; say host, host:port or http://host:port")
    if "://" not in host and port is None:
        parts = parts._replace(netloc=f"{parts.netloc}:{PORT}")
    return parts._replace(path=parts.path.rstrip("/")).geturl()


class Server:
    """A ComfyUI at an address, used by one thread.

    Args:
        address: see `parse_host`; a user, password and query in it are sent and never shown, and so are `headers`.
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
        most: int,
        patience: float,
        seconds: float = ANSWER_SECONDS,
        headers: Mapping[str, str] | None = None,
    ):
        self.workflows = tuple(workflows)
        self.most, self.patience = most, patience
        self.held: frozenset[str] = frozenset()
        self._client = ComfyClient(address, seconds, headers)
        self.address = self._client.url
        self._names: dict[str, tuple[str, str]] = {}

    def check(self) -> None:
        """Raise unless the server has every node of the workflows; note what it holds."""
        self._names.clear()  # it may have been set up anew
        needed = sorted(set().union(*(workflow.classes for workflow in self.workflows)))
        missing = [kind for kind in needed if kind not in ask(self._client.object_info, kind)]
        if missing:
            names = ", ".join(workflow.name for workflow in self.workflows if missing[0] in workflow.classes)
            ours = " Is the pack installed there, and ComfyUI restarted since?" if "LadiVTON" in missing[0] else ""
            raise ServerGone(f"it has no node {', '.join(missing)}, which {names} needs.{ours}")

        notes = (extra.get("ladi_vton") for extra in ask(self._client.extras, RECENT))
        self.held = frozenset(str(note["item"]) for note in notes if isinstance(note, dict) and "item" in note)

    def has_room(self) -> bool:
        """Whether fewer than `most` prompts run and wait there."""
        return ask(self._client.remaining) < self.most

    def start(self, order: Order) -> Flight:
        """Queue an order, or find it in the server's queue or history.

        Raises:
            OrderFailed: a file cannot be read or is refused, the workflow has no place for a value, or ComfyUI refuses
                what the order filled in.
            ServerGone: also when ComfyUI refuses the rest of the workflow (a model that it does not have, say).
        """
        known = {file.address for file in order.files.values()} & self._names.keys()
        try:
            return self._start(order)
        except OrderFailed:
            if not known:
                raise
        for address in known:  # somebody may have emptied the input folder
            del self._names[address]
        return self._start(order)

    def look(self, flight: Flight) -> Made | None:
        """What came of an order, or None while it runs or waits.

        Raises:
            OrderFailed: a node raised, the run was interrupted, or it did not give one picture.
            Lost: the server does not know the prompt.
            ServerGone: also when the picture takes longer than `patience`; its run is stopped then.
        """
        entry = ask(self._client.history, flight.prompt_id).get(flight.prompt_id)
        if entry is not None:
            return self._fetch(flight, entry)
        now = time.monotonic()
        if now - flight.looked < LOOK_SECONDS:
            return None
        flight.looked = now
        running, pending = ask(self._client.queued)
        if flight.prompt_id in running:
            flight.running_since = flight.running_since or now
            if now - flight.running_since > self.patience:
                ask(self._client.cancel, flight.prompt_id)
                raise ServerGone(f"a picture took longer than {self.patience:.0f} s")
        elif flight.prompt_id not in pending:
            # It may have ended between the two questions.
            entry = ask(self._client.history, flight.prompt_id).get(flight.prompt_id)
            if entry is None:
                raise Lost("the server forgot the prompt: its queue was emptied, or it was restarted")
            return self._fetch(flight, entry)
        return None

    def _start(self, order: Order) -> Flight:
        placed = {slot: self._upload(slot, file) for slot, file in order.files.items()}
        try:
            filled = order.workflow.fill({**order.values, **{slot: name for slot, (name, _) in placed.items()}})
            by_content = order.workflow.fill({**order.values, **{slot: digest for slot, (_, digest) in placed.items()}})
        except WorkflowError as error:
            raise OrderFailed(str(error)) from error
        # a UUID of everything the picture depends on, and of the item
        nodes = {key: (node["class_type"], node["inputs"]) for key, node in by_content.nodes.items()}
        text = json.dumps([order.item, nodes, filled.result], sort_keys=True, ensure_ascii=False)
        prompt_id = uuid.UUID(bytes=hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:16], version=5)
        flight = Flight(order, str(prompt_id), filled)
        entry = ask(self._client.history, flight.prompt_id).get(flight.prompt_id)
        if entry is not None and _status_of(entry) == "success":
            flight.taken = True
            return flight
        if entry is not None:  # it would be taken for how the new run ended
            ask(self._client.forget, flight.prompt_id)
        if any(flight.prompt_id in ids for ids in ask(self._client.queued)):
            flight.taken = True
            return flight
        try:
            extra = {"ladi_vton": {"item": order.item}}
            flight.prompt_id = ask(self._client.queue, filled.nodes, flight.prompt_id, extra)
        except PromptRejected as rejected:
            raise self._rename(explain_refusal(rejected, filled), order) from None
        return flight

    def _fetch(self, flight: Flight, entry: dict[str, Any]) -> Made:
        if _status_of(entry) != "success":
            raise self._rename(explain_failure(entry, flight.filled), flight.order)
        shown = entry.get("outputs", {}).get(flight.filled.result, {}).get("images", ())
        if len(shown) != 1:
            raise OrderFailed(
                f"{name_node(flight.filled.nodes, flight.filled.result)} gave {len(shown)} pictures; an item has one. "
                "Its batch must be of one picture."
            )
        try:
            picture = ask(self._client.view, shown[0])
        except Refused as refused:
            ask(self._client.forget, flight.prompt_id)
            raise Lost(f"the server no longer has the picture it made ({refused})") from None
        times = {event: data.get("timestamp", 0) for event, data in _messages_of(entry)}
        seconds = max(0, times.get("execution_success", 0) - times.get("execution_start", 0)) / 1000
        return Made(flight.order, picture, seconds=seconds, server=self.address, taken=flight.taken)

    def _rename(self, error: OrderFailed | ServerGone, order: Order) -> OrderFailed | ServerGone:
        """The error, with files called what the manifest calls them."""
        words = str(error)
        for file in order.files.values():
            name, digest = self._names.get(file.address, ("", ""))
            for at_server in filter(None, (name, PurePosixPath(name).name, digest)):
                words = words.replace(at_server, file.address)
        return OrderFailed(words, error.slot, elsewhere=error.elsewhere) if isinstance(error, OrderFailed) else error

    def _upload(self, slot: str, file: InputFile) -> tuple[str, str]:
        """Name at the server and SHA-256 of a file, which is uploaded once."""
        if file.address not in self._names:
            try:
                content = file.read()
            except (OSError, ValueError) as error:
                raise OrderFailed(f"{file.address} cannot be read: {error}", slot) from error
            digest = hashlib.sha256(content).hexdigest()
            ending = PurePosixPath(urlsplit(file.address).path or file.address).suffix.lower()
            try:
                name = ask(self._client.upload_bytes, content, f"{digest}{ending}", FOLDER)
            except Refused as refused:
                raise OrderFailed(f"{file.address} ({len(content)} bytes) was not taken: {refused}", slot) from None
            self._names[file.address] = (name, digest)
        return self._names[file.address]


def ask(question: Callable, *arguments: Any) -> Any:
    """An answer of a server that may be anything, or the reason why there is none.

    Raises:
        ServerGone: nobody answers, or not as a ComfyUI does.
        Refused: the server does not want this (a file too large, a picture that is gone).
    """
    try:
        return question(*arguments)
    except requests.HTTPError as error:
        answer = error.response
        if answer is not None and 400 <= answer.status_code < 500 and question.__name__ in ("upload_bytes", "view"):
            raise Refused(f"{answer.status_code} {answer.reason}") from None
        told = str(error).partition(" answered ")[2] or str(error)
        login = "; give its login with --header, or in its address" if re.match("401|3", told) else ""
        raise ServerGone(f"it answered {told}{login}") from None
    except requests.JSONDecodeError:
        raise ServerGone("it does not answer in JSON: is there a ComfyUI behind this address?") from None
    except requests.ConnectionError as error:
        raise ServerGone(f"nobody answers there ({str(error).partition(' does not answer: ')[2] or error})") from None
    except requests.RequestException as error:
        raise ServerGone(f"no answer ({str(error).partition(' does not answer: ')[2] or error})") from None
    except PromptRejected:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ServerGone(f"it does not answer as a ComfyUI does ({type(error).__name__}: {error})") from None


def explain_failure(entry: Mapping[str, Any], filled: FilledForm) -> OrderFailed:
    """Node and words of a run that failed, by its entry in the history."""
    messages = dict(_messages_of(entry))
    if error := messages.get("execution_error"):
        kind = str(error.get("exception_type", "")).rpartition(".")[2]
        said = str(error.get("exception_message", "")).strip()
        purpose = kind in _ON_PURPOSE
        words = f"{_name_of(error, filled)}: {said if purpose else f'{kind}: {said}'}"
        return OrderFailed(words, filled.file_of(str(error.get("node_id"))), elsewhere=not purpose)
    if stopped := messages.get("execution_interrupted"):
        return OrderFailed(f"{_name_of(stopped, filled)}: the run was interrupted at the server")
    return OrderFailed(f"the run ended as {_status_of(entry)!r} and ComfyUI does not say why", elsewhere=True)


def explain_refusal(rejected: PromptRejected, filled: FilledForm) -> OrderFailed | ServerGone:
    """Why ComfyUI did not queue a workflow: the order's fault where all it found is about what was filled in."""
    told, ours = [], True
    for key, entry in rejected.node_errors.items():
        for error in entry["errors"]:
            told.append(f"{_name_of({'node_id': key}, filled)}: {error.get('message')}: {error.get('details')}")
            name = (error.get("extra_info") or {}).get("input_name")
            ours &= (key, name) in filled.places or (not name and any(key == node for node, _ in filled.places))
    words = "ComfyUI refused the workflow: " + ("; ".join(told) or str(rejected.error.get("message") or rejected))
    if told and ours:
        return OrderFailed(words, filled.file_of(next(key for key, e in rejected.node_errors.items() if e["errors"])))
    return ServerGone(words)


def _status_of(entry: Mapping[str, Any]) -> str:
    """`success`, `error`, or empty when the entry does not say."""
    return str((entry.get("status") or {}).get("status_str", ""))


def _messages_of(entry: Mapping[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    return [(event, data) for event, data in (entry.get("status") or {}).get("messages", ()) if isinstance(data, dict)]


def _name_of(data: Mapping[str, Any], filled: FilledForm) -> str:
    key = str(data.get("node_id"))
    return name_node(filled.nodes, key) if key in filled.nodes else f"node {key} ({data.get('node_type')})"
