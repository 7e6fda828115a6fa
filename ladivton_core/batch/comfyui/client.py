"""Talk to a running ComfyUI over its HTTP and web-socket API.

`ComfyClient.run` queues a workflow in API format and follows it to its end; `Run` says which nodes were
executed, which came from the cache, and what came out. `server.py` keeps a queue filled without following each run.
"""

from __future__ import annotations

import json
import socket
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urljoin, urlsplit

try:
    import requests
    import websocket
except ImportError as error:
    from ...start import installing

    raise ImportError(
        f"Talking to a ComfyUI needs requests and websocket-client: {installing('requests websocket-client')}"
    ) from error

from ...disk.addresses import proxy_for, say_proxy
from ...disk.names import hide_secrets, hide_secrets_in, login_in

HTTP_SECONDS = 60
CONNECT_SECONDS = 10
"""Until a server that does not even take the connection counts as not there."""
DEFAULT_PORTS = {"http": 80, "https": 443}
END_EVENTS = {
    "execution_success": "success",
    "execution_error": "error",
    "execution_interrupted": "interrupted",
}


class PromptRejected(ValueError):
    """ComfyUI refused a workflow before running it.

    Attributes:
        error: the overall error, with `type`, `message`, `details`.
        node_errors: node id -> {"class_type", "errors": [{"type", "message", "details", ...}]}.
    """

    def __init__(self, answer: dict[str, Any]):
        self.error: dict[str, Any] = answer.get("error") or {}
        self.node_errors: dict[str, Any] = answer.get("node_errors") or {}
        lines = [f"ComfyUI refused the workflow: {self.error.get('message', 'some of its outputs cannot be made')}"]
        for node, entry in self.node_errors.items():
            for error in entry["errors"]:
                lines.append(f"  node {node} ({entry['class_type']}): {error['message']}: {error['details']}")
        super().__init__("\n".join(lines))


class RunFailed(RuntimeError):
    """A node raised while the workflow ran."""


@dataclass
class Run:
    """What happened to one queued workflow.

    Attributes:
        status: `success`, `error` or `interrupted`.
        executed: ids of the nodes that ran, in order.
        cached: ids of the nodes whose results were taken from an earlier run.
        outputs: node id -> what the node showed, such as {"images": [{"filename", "subfolder", "type"}]}.
        error: ComfyUI's report when a node raised: `node_id`, `node_type`, `exception_message`, `traceback`.
        previews: how many live previews came over the web socket.
        seconds: from queueing to the end.
    """

    prompt_id: str
    status: str = "queued"
    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)
    outputs: dict[str, Any] = field(default_factory=dict)
    error: dict[str, Any] = field(default_factory=dict)
    previews: int = 0
    seconds: float = 0.0

    def images(self, kind: str = "output") -> list[dict[str, str]]:
        """The saved pictures (`kind="output"`) or those only shown (`"temp"`), to hand to `ComfyClient.view`."""
        pictures = [picture for shown in self.outputs.values() for picture in shown.get("images", ())]
        return [picture for picture in pictures if picture["type"] == kind]

    def or_raise(self) -> Run:
        """This run when it succeeded.

        Raises:
            RunFailed: it did not; the message names the node and what it said.
        """
        if self.status == "success":
            return self
        if self.status == "error":
            e = self.error
            raise RunFailed(f"node {e.get('node_id')} ({e.get('node_type')}): {e.get('exception_message', '').strip()}")
        raise RunFailed(f"the run ended as {self.status!r}")


def find_reason(error: BaseException) -> str:
    """The words at the bottom of requests' and urllib3's nested errors."""
    reason: Any = error
    while True:
        inner = getattr(reason, "reason", None) or next(
            (part for part in getattr(reason, "args", ()) if isinstance(part, BaseException)), None
        )
        if not isinstance(inner, BaseException):
            return getattr(reason, "strerror", None) or str(reason) or type(reason).__name__
        reason = inner


Event = dict[str, Any]
"""One web-socket message: {"type": ..., "data": {...}}."""


class ComfyClient:
    """A client of the server at `url`.

    A server of this machine is asked directly, whatever proxy the environment names; another one through that proxy,
    which is then named where there is no answer.

    Args:
        url: such as `http://127.0.0.1:8188`. A user and password, and a query (`?token=...`), go with every request and
            into no message.
        seconds: how long an answer may take.
        headers: that go with every request, such as {"Authorization": "Bearer ..."}; into no message either.

    Attributes:
        url: the address without them.
    """

    def __init__(self, url: str, seconds: float = HTTP_SECONDS, headers: Mapping[str, str] | None = None):
        self.url = hide_secrets(url).rstrip("/")
        self.client_id = uuid.uuid4().hex
        self.seconds = seconds
        self._timeout = (min(CONNECT_SECONDS, seconds), seconds)
        self._query = dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
        self._headers = login_in(url)[1] | dict(headers or {})
        password = urlsplit(url).password or ""
        self._secrets = [password, unquote(password), *self._query.values(), *self._headers.values()]
        self._session = requests.Session()
        self._session.params = self._query
        self._session.headers.update(self._headers)
        if not proxy_for(self.url) and requests.utils.get_environ_proxies(self.url):  # one that is not for this machine
            self._session.trust_env = False
        self.through = say_proxy(self.url)
        """The proxy on the way, for messages; empty where there is none."""

    def run(
        self, workflow: dict[str, Any], on_event: Callable[[Event], None] | None = None, timeout: float = 1800
    ) -> Run:
        """Queue a workflow in API format and follow it until it has ended, well or badly.

        Args:
            workflow: node id -> {"class_type", "inputs"}.
            on_event: called with every message about this run, live previews as {"type": "preview", "data": bytes}.
            timeout: seconds without any message about this run before giving up.

        Raises:
            PromptRejected: the workflow did not pass ComfyUI's validation.
            TimeoutError: nothing was heard for `timeout` seconds.
            ConnectionError: the server went away.
        """
        started = time.monotonic()
        # The socket is opened first, so that no message about the run can be missed.
        events = self._listen(timeout)
        try:
            run = Run(self.queue(workflow))
            while run.status not in END_EVENTS.values():
                event = self._receive(events, timeout)
                if event and self._note(event, run) and on_event:
                    on_event(event)
        finally:
            events.close()
        run.seconds = time.monotonic() - started
        run.outputs = self._finished_history(run.prompt_id)["outputs"]
        return run

    def queue(self, workflow: dict[str, Any], prompt_id: str | None = None, extra: dict[str, Any] | None = None) -> str:
        """Queue a workflow in API format; its prompt id.

        Args:
            workflow: node id -> {"class_type", "inputs"}.
            prompt_id: a UUID of one's own (ComfyUI 0.3.75 takes it; what it answers is what counts).
            extra: kept with the run in the queue and in the history, as `extra_data`.

        Raises:
            PromptRejected: ComfyUI found a fault in any node. (It would itself still run those outputs that do not
                need the faulty node, which ends as a success without the result; here that run is taken back.)
        """
        body = {"prompt": workflow, "client_id": self.client_id, "extra_data": extra or {}}
        if prompt_id is not None:
            body["prompt_id"] = prompt_id
        answer = self._ask("POST", "/prompt", accepted=(400,), json=body)
        if answer.status_code == 400:
            raise PromptRejected(json.loads(self._mask(answer.text)))
        accepted = answer.json()
        if accepted.get("node_errors"):
            self.cancel(accepted["prompt_id"])
            raise PromptRejected(accepted)
        return accepted["prompt_id"]

    def queued(self) -> tuple[set[str], set[str]]:
        """Prompt ids of what runs and of what waits, anyone's."""
        queue = self._get("/queue")
        running, pending = queue["queue_running"], queue["queue_pending"]
        return {entry[1] for entry in running}, {entry[1] for entry in pending}

    def extras(self, most: int) -> list[dict[str, Any]]:
        """`extra_data` of all runs in the queue and of the last `most` in the history, anyone's."""
        queue, history = self._get("/queue"), self._get("/history", max_items=most)
        entries = [*queue["queue_running"], *queue["queue_pending"], *(entry["prompt"] for entry in history.values())]
        return [entry[3] for entry in entries]

    def remaining(self) -> int:
        """How many runs are in the queue, running or waiting, anyone's."""
        return int(self._get("/prompt")["exec_info"]["queue_remaining"])

    def cancel(self, prompt_id: str) -> None:
        """Take a run out of the queue; stop it when it is the one that runs."""
        self._post("/queue", {"delete": [prompt_id]})
        self._post("/interrupt", {"prompt_id": prompt_id})

    def interrupt(self) -> None:
        """Stop what is running now, at its next step."""
        self._post("/interrupt", {})

    def free(self) -> None:
        """Unload all models and forget all cached results."""
        self._post("/free", {"unload_models": True, "free_memory": True})

    def forget(self, prompt_id: str) -> None:
        """Delete a finished run from the history; its pictures stay."""
        self._post("/history", {"delete": [prompt_id]})

    def history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """Finished runs by prompt id; empty while the one asked for still runs."""
        return self._get("/history" + (f"/{prompt_id}" if prompt_id else ""))

    def object_info(self, node: str | None = None) -> dict[str, Any]:
        """Every node the server knows, or the one asked for, if it does: node id -> its inputs, outputs, texts."""
        return self._get("/object_info" + (f"/{node}" if node else ""))

    def view(self, picture: dict[str, str]) -> bytes:
        """The bytes of a picture listed in a run's outputs."""
        return self._ask("GET", "/view", params=picture).content

    def upload(self, file: Path, name: str | None = None) -> str:
        """Copy a file of any kind into ComfyUI's input folder; the name to use in a workflow.

        The route is called /upload/image and takes whatever it is given. A file of the same name is replaced.
        """
        return self.upload_bytes(Path(file).read_bytes(), name or Path(file).name, overwrite=True)

    def upload_bytes(self, content: bytes, name: str, folder: str = "", *, overwrite: bool = False) -> str:
        """Put a file into a folder of ComfyUI's input folder; the name to use in a workflow.

        Without `overwrite` a file of that name stays: ComfyUI takes it for this one when the contents are equal, and
        else gives this one another name.
        """
        said = {"subfolder": folder} | ({"overwrite": "true"} if overwrite else {})
        placed = self._ask("POST", "/upload/image", files={"image": (name, content)}, data=said).json()
        return "/".join(filter(None, (placed["subfolder"].replace("\\", "/"), placed["name"])))

    def _post(self, path: str, body: dict[str, Any]) -> None:
        self._ask("POST", path, json=body)

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        return self._ask("GET", path, params=query).json()

    def _ask(self, method: str, path: str, accepted: tuple[int, ...] = (), **how: Any) -> requests.Response:
        """An answer of 2xx, or one that is accepted. What leads elsewhere is not followed: headers with a login would
        go there too.

        Raises:
            requests.RequestException: of the kind that came, without the address's secrets; names a proxy on the way.
        """
        how |= {"timeout": self._timeout, "allow_redirects": False}
        try:
            answer = self._session.request(method, self.url + path, **how)
        except requests.RequestException as error:
            words = f"{self.url}{path} does not answer: {self._show(find_reason(error))}{self.through}"
            raise type(error)(words, request=error.request) from None
        if answer.status_code >= 300 and answer.status_code not in accepted:
            words = f"{self.url}{path} answered {answer.status_code} {self._show(answer.reason)}"
            if place := answer.headers.get("Location"):
                words += f" and leads to {self._show(urljoin(self.url + path, place))}, which is not followed"
            raise requests.HTTPError(words + self.through, response=answer)
        return answer

    def _show(self, text: str) -> str:
        """Somebody else's words without what is secret here."""
        return self._mask(hide_secrets_in(text))

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "...") if len(secret) > 2 else text
        return text

    def _listen(self, timeout: float) -> websocket.WebSocket:
        query = urlencode({**self._query, "clientId": self.client_id})
        try:
            return websocket.create_connection(
                f"{self.url.replace('http', 'ws', 1)}/ws?{query}",
                timeout=timeout,
                header=self._headers,
                redirect_limit=0,
                socket=None if self._session.trust_env else self._connect(timeout),
            )
        except (websocket.WebSocketException, OSError) as error:
            words = self._show(find_reason(error).partition("-+-")[0].strip())
            raise ConnectionError(f"no web socket of {self.url}{self.through}: {words}") from None

    def _connect(self, timeout: float) -> socket.socket:
        """A socket to this machine's own server: left to itself, websocket would ask the environment's proxy for it."""
        parts = urlsplit(self.url)
        plain = socket.create_connection((parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]), timeout)
        if parts.scheme == "http":
            return plain
        return ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname)

    def _receive(self, events: websocket.WebSocket, timeout: float) -> Event | None:
        try:
            message = events.recv()
        except websocket.WebSocketTimeoutException:
            raise TimeoutError(f"nothing was heard from {self.url} for {timeout:.0f} s") from None
        except (websocket.WebSocketException, OSError) as error:
            words = self._show(find_reason(error))
            raise ConnectionError(f"the server at {self.url} went away while a workflow ran: {words}") from None
        if isinstance(message, bytes):
            return {"type": "preview", "data": message}
        if not message:
            raise ConnectionError(f"the server at {self.url} closed the web socket while a workflow ran")
        try:
            event = json.loads(message)
            return {"type": event["type"], "data": event["data"]}
        except (ValueError, KeyError, TypeError) as error:
            raise ConnectionError(f"the server at {self.url} does not speak as a ComfyUI does ({error!r})") from None

    def _note(self, event: Event, run: Run) -> bool:
        """Write an event into `run`; whether it was about this run."""
        kind, data = event["type"], event["data"]
        if kind == "preview":
            run.previews += 1
            return True
        if not isinstance(data, dict) or data.get("prompt_id") != run.prompt_id:
            return False
        if kind == "executing" and data.get("node") is not None:
            if data["node"] not in run.executed:  # a node that waits for others is announced again
                run.executed.append(data["node"])
        elif kind == "execution_cached":
            run.cached = list(data["nodes"])
        elif kind in END_EVENTS:
            run.status = END_EVENTS[kind]
            run.error = data if kind == "execution_error" else {}
        return True

    def _finished_history(self, prompt_id: str) -> dict[str, Any]:
        """The history entry, which the server writes a moment after its last message."""
        deadline = time.monotonic() + self.seconds
        while time.monotonic() < deadline:
            entry = self.history(prompt_id)
            if prompt_id in entry:
                return entry[prompt_id]
            time.sleep(0.05)
        raise TimeoutError(f"the server at {self.url} wrote no history for {prompt_id}")
