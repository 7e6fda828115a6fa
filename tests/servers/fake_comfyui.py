"""A server that speaks ComfyUI's protocol and computes nothing: a picture is the prompt's own digest.

What ComfyUI 0.3.75 does, it does: a queue that one thread works off, a history by prompt id, validation with
`node_errors`, uploads that never overwrite. It can be told to fail in each of the ways that ComfyUI fails.
"""

from __future__ import annotations

import email
import hashlib
import json
import re
import threading
import time
import uuid
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

SOON = 60.0
"""Seconds that a test waits for what is bound to come; one that does not come is a failure."""


class FakeComfy:
    """A server on a free port.

    Args:
        during: (server, item), called while a picture is being made: it takes as long as that does.
        fails: (server, item) -> ComfyUI's report (`exception_type`, `exception_message`, `node_id`), "interrupted",
            or None.
        rejects: (server, prompt) -> `node_errors`, or None.
        nodes: class types it has; None has all.
        pictures: how many a run shows.
        picture: the file it shows; None shows the digest.
        lets_in: (path with query, headers) -> whether the gateway before it lets a request through; others get 401.

    Attributes:
        made: items in the order they were computed.
        fetched: how many pictures have been handed out.
        asked: how many requests have come.
        crowd: the most prompts that were in the queue at once.
        credentials: what requests said of who asks.
        uploads: names in the input folder, in the order they came, again each time one comes.
    """

    def __init__(
        self,
        *,
        during: Callable | None = None,
        fails: Callable | None = None,
        rejects: Callable | None = None,
        nodes: set[str] | None = None,
        pictures: int = 1,
        picture: bytes | None = None,
        lets_in: Callable | None = None,
        port: int = 0,
    ):
        self.during, self.fails, self.rejects, self.nodes, self.pictures = during, fails, rejects, nodes, pictures
        self.lets_in = lets_in
        self.picture = picture
        self.made: list[str] = []
        self.posted: list[str] = []
        self.uploads: list[str] = []
        self.inputs: dict[str, bytes] = {}
        self.fetched = self.asked = self.crowd = 0
        self.credentials: set[str | None] = set()
        self.history: dict[str, dict] = {}
        self.files: dict[str, bytes] = {}
        self.pending: list[tuple] = []
        self.running: tuple | None = None
        self.lock = threading.Condition()  # reentrant; told of everything that changes
        self.gone = threading.Event()
        self.closing = threading.Lock()
        self.held = False
        self.http = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self.http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        threading.Thread(target=self._work, daemon=True).start()

    def close(self) -> None:
        """Be gone in the middle of whatever it does; its port is free afterwards, whoever closed it."""
        with self.closing:
            if not self.gone.is_set():
                self.gone.set()
                with self.lock:
                    self.lock.notify_all()
                self.http.shutdown()
                self.http.server_close()

    def hold(self) -> None:
        """Begin no picture until `release`."""
        with self.lock:
            self.held = True

    def release(self) -> None:
        with self.lock:
            self.held = False
            self.lock.notify_all()

    def until(self, happened: Callable[[], object]) -> None:
        """Wait until something is so, which a change of this server makes so."""
        with self.lock:
            assert self.lock.wait_for(happened, SOON), "what was waited for did not come"

    def _work(self) -> None:
        while True:
            with self.lock:
                self.lock.wait_for(lambda: self.gone.is_set() or (self.pending and not self.held))
                if self.gone.is_set():
                    return
                self.running = self.pending.pop(0)
            _, key, prompt, extra = self.running
            item = extra.get("ladi_vton", {}).get("item", "somebody's")
            if self.during:
                self.during(self, item)
            if self.gone.is_set():
                return
            self._end(key, prompt, extra, item, self.fails(self, item) if self.fails else None)

    def _end(self, key: str, prompt: dict, extra: dict, item: str, fault: dict | str | None) -> None:
        with self.lock:
            now = int(time.time() * 1000)
            start = ["execution_start", {"prompt_id": key, "timestamp": now - 250}]
            if fault is None:
                names = [f"{key}_{place}.png" for place in range(self.pictures)]
                picture = self.picture or hashlib.sha256(json.dumps(prompt, sort_keys=True).encode()).digest()
                self.files |= dict.fromkeys(names, picture)
                (shown,) = (node for node, entry in prompt.items() if entry["class_type"] == "PreviewImage")
                images = [{"filename": name, "subfolder": "", "type": "temp"} for name in names]
                outputs, status = {shown: {"images": images}}, "success"
                end = ["execution_success", {"prompt_id": key, "timestamp": now}]
                self.made.append(item)
            elif fault == "interrupted":
                outputs, status = {}, "error"
                end = ["execution_interrupted", {"prompt_id": key, "node_id": "3", "node_type": "Dress"}]
            else:
                outputs, status = {}, "error"
                end = ["execution_error", {"prompt_id": key, "node_id": "3", "node_type": "Dress"} | fault]
            told = {"status_str": status, "completed": status == "success", "messages": [start, end]}
            if self.running is not None and self.running[1] == key:
                self.history[key] = {"prompt": [0, key, prompt, extra, []], "outputs": outputs, "status": told}
            self.running = None
            self.lock.notify_all()

    def queue(self, prompt: dict, key: str, extra: dict) -> None:
        with self.lock:
            self.pending.append((0, key, prompt, extra))
            self.posted.append(extra.get("ladi_vton", {}).get("item", "somebody's"))
            self.crowd = max(self.crowd, self.remaining())
            self.lock.notify_all()

    def remaining(self) -> int:
        with self.lock:
            return len(self.pending) + (self.running is not None)


def _handler(fake: FakeComfy) -> type[BaseHTTPRequestHandler]:  # noqa: C901 - one class, a branch an address
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def parse_request(self):
            if fake.gone.is_set():  # a process that ended answers nothing on open connections either
                self.close_connection = True
                return False
            understood = super().parse_request()
            if understood:
                with fake.lock:
                    fake.credentials.add(self.headers["Authorization"])
                    fake.asked += 1
                    fake.lock.notify_all()
                if fake.lets_in and not fake.lets_in(self.path, self.headers):
                    self.rfile.read(int(self.headers["Content-Length"] or 0))
                    self._send(401, b"")
                    return False
                self.path = re.sub(r"(?<=\?)token=\w+&|[?&]token=\w+(?![&\w])", "", self.path)
            return understood

        def do_GET(self):
            path = urlsplit(self.path)
            with fake.lock:
                if path.path == "/prompt":
                    self._json({"exec_info": {"queue_remaining": fake.remaining()}})
                elif path.path == "/queue":
                    running = [fake.running] if fake.running else []
                    self._json({"queue_running": running, "queue_pending": fake.pending})
                elif path.path == "/history":
                    most = int(parse_qs(path.query)["max_items"][0])
                    self._json(dict(list(fake.history.items())[-most:]))
                elif path.path.startswith("/history/"):
                    key = path.path.rpartition("/")[2]
                    self._json({key: fake.history[key]} if key in fake.history else {})
                elif path.path.startswith("/object_info/"):
                    name = path.path.rpartition("/")[2]
                    self._json({name: {}} if fake.nodes is None or name in fake.nodes else {})
                elif path.path == "/view":
                    name = parse_qs(path.query)["filename"][0]
                    self._send(200 if name in fake.files else 404, fake.files.get(name, b""))
                    fake.fetched += 1
                    fake.lock.notify_all()
                else:
                    self._send(404, b"")

        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path == "/upload/image":
                return self._upload(body)
            asked = json.loads(body)
            with fake.lock:
                if self.path == "/prompt":
                    return self._prompt(asked)
                deleted = asked.get("delete", ())
                if self.path == "/history":
                    fake.history = {key: entry for key, entry in fake.history.items() if key not in deleted}
                elif self.path == "/queue":
                    fake.pending = [] if asked.get("clear") else [e for e in fake.pending if e[1] not in deleted]
            self._send(200, b"")

        def _prompt(self, asked: dict) -> None:
            key = asked.get("prompt_id") or str(uuid.uuid4())
            assert str(uuid.UUID(key)) == key  # the newest ComfyUI takes nothing else
            found = fake.rejects(fake, asked["prompt"]) if fake.rejects else None
            if found:
                error = {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"}
                return self._json({"error": error, "node_errors": found}, 400)
            fake.queue(asked["prompt"], key, asked.get("extra_data", {}))
            self._json({"prompt_id": key, "number": 0, "node_errors": {}})

        def _upload(self, body: bytes) -> None:
            head = f"Content-Type: {self.headers['Content-Type']}\r\n\r\n".encode()
            parts = {
                part.get_param("name", header="content-disposition"): part
                for part in email.message_from_bytes(head + body).get_payload()
            }
            content = parts["image"].get_payload(decode=True)
            folder = parts["subfolder"].get_payload() if "subfolder" in parts else ""
            name, place = parts["image"].get_filename(), 1
            stem, _, ending = name.rpartition(".")
            with fake.lock:
                while fake.inputs.get(f"{folder}/{name}", content) != content:
                    name, place = f"{stem} ({place}).{ending}", place + 1
                fake.inputs[f"{folder}/{name}"] = content
                fake.uploads.append(f"{folder}/{name}")
            self._json({"name": name, "subfolder": folder, "type": "input"})

        def _json(self, content: object, status: int = 200) -> None:
            self._send(status, json.dumps(content).encode(), "application/json")

        def _send(self, status: int, content: bytes, kind: str = "application/octet-stream") -> None:
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler
