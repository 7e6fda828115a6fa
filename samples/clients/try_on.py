"""Dress a person in a garment on a ComfyUI that runs somewhere: plain Python, nothing to install.

    python try_on.py shirt.png
    python try_on.py --server http://192.168.1.20:8188 --category dresses --seed 7 --output worn.png dress.png
    python try_on.py --person me.png --keypoints me.json --parse me_labels.png shirt.png

Uploads the pictures, queues the pack's start workflow (or --workflow, in API format), waits, and downloads the result.
Without --person the pack's example of the category wears the garment.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import http.client
import json
import os
import re
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path

START = Path(__file__).resolve().parents[2] / "workflows" / "api" / "tryon_embedded.json"
ROLES = {"person": "png", "garment": "png", "keypoints": "json", "parse": "png"}
"""Files that the workflow loads; its loaders name them `person.png`, `keypoints.json [example]` and so on."""


class TryOnError(RuntimeError):
    """It did not work; the message says what to do, and orders no terminal about."""

    def __init__(self, message: str):
        super().__init__(re.sub(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]", "?", message))


class _Stay(urllib.request.HTTPRedirectHandler):
    """What leads elsewhere is an answer like any other: headers with a login would go there too."""

    def redirect_request(self, *_):
        return None


class Server:
    """A ComfyUI at an address such as `https://host:8188/path`, asked over HTTP.

    Args:
        address: a user and password in it, and a query (`?token=...`), go with every request and into no message.
        headers: sent with every request, such as {"Authorization": "Bearer ..."}.
    """

    def __init__(self, address: str, headers: dict[str, str]):
        try:
            url = urllib.parse.urlsplit(address)
            whole = url.scheme in ("http", "https") and url.hostname and url.port != 0
        except ValueError:
            whole = False
        if not whole:  # which may hold a password: it is not shown
            raise TryOnError("--server is no address: write it like http://127.0.0.1:8188")
        login, _, host = url.netloc.rpartition("@")
        self.address, self.query = f"{url.scheme}://{host}{url.path.rstrip('/')}", url.query
        if login:
            code = base64.b64encode(urllib.parse.unquote(login).encode()).decode()
            headers = {"Authorization": f"Basic {code}"} | headers
        self.headers = headers
        told = [value for _, value in urllib.parse.parse_qsl(self.query)]
        self.secrets = [*told, *headers.values(), urllib.parse.unquote(login.partition(":")[2])]
        own = re.fullmatch(r"(.*\.)?localhost|127\.[\d.]+|::1", url.hostname or "")
        # a proxy knows nothing of this machine's own servers
        proxies = {} if own or urllib.request.proxy_bypass(url.hostname or "") else urllib.request.getproxies()
        self.opener = urllib.request.build_opener(urllib.request.ProxyHandler(proxies), _Stay)
        self.through = f" (through the proxy that {url.scheme}_proxy names)" if url.scheme in proxies else ""

    def ask(self, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """The answer to a GET, or to a POST of `body`."""
        headers = self.headers | ({"Content-Type": kind} if body is not None else {})
        query = ("&" if "?" in path else "?") + self.query if self.query else ""
        try:
            request = urllib.request.Request(self.address + path + query, body, headers)
            with self.opener.open(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            elsewhere = error.code < 400
            login = ": give its login with --header, or in its address" if elsewhere or error.code == 401 else ""
            try:
                told = "it leads elsewhere, which is not followed" if elsewhere else self.shown(error.read())
            except (OSError, http.client.HTTPException):
                told = "and broke off"
            raise TryOnError(f"{self.address}{path} answered {error.code}{login}{self.through}: {told}") from None
        except (OSError, ValueError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)
            where = f"{self.address}{self.through} ({reason})"
            raise TryOnError(f"no ComfyUI answers at {where}: start it, or give its address with --server") from None

    def shown(self, answer: bytes) -> str:
        """An answer in words, without what is secret: some say what they were asked for."""
        told = explained(answer)
        for secret in self.secrets:
            told = told.replace(secret, "...") if len(secret) > 2 else told
        return told

    def json(self, path: str, content: object = None):
        """The same, of and to JSON."""
        return self.read(path, self.ask(path, None if content is None else json.dumps(content).encode()))

    def read(self, path: str, answer: bytes):
        """JSON out of an answer."""
        try:
            return json.loads(answer) if answer else None
        except ValueError:
            raise TryOnError(f"{self.address}{path} did not answer in JSON: is there a ComfyUI behind it?") from None

    def upload(self, file: Path) -> str:
        """Copy a file into ComfyUI's input folder, beside others of its name; its name for a workflow."""
        mark = uuid.uuid4().hex
        name = re.sub(r"[^\w.-]", "_", file.name, flags=re.ASCII)  # what every server takes
        head = f'--{mark}\r\nContent-Disposition: form-data; name="image"; filename="{name}"\r\n'
        head += "Content-Type: application/octet-stream\r\n\r\n"
        body = head.encode() + file.read_bytes() + f"\r\n--{mark}--\r\n".encode()
        answer = self.ask("/upload/image", body, f"multipart/form-data; boundary={mark}")
        with self.understood():
            placed = self.read("/upload/image", answer)
            return "/".join(filter(None, (placed["subfolder"], placed["name"])))

    def run(self, workflow: dict, patience: float) -> list[dict[str, str]]:
        """Queue a workflow in API format and wait; the pictures it saved, for `download`."""
        with self.understood():
            queued = self.json("/prompt", {"prompt": workflow})
            key, errors = str(queued["prompt_id"]), queued.get("node_errors")
        finished, deadline = {}, time.monotonic() + patience
        try:
            if errors:  # ComfyUI would run what does not need the faulty node
                raise TryOnError(self.shown(json.dumps(queued).encode()))
            while key not in finished:
                if time.monotonic() > deadline:
                    raise TryOnError(f"no result within {patience:.0f} s; --timeout waits longer")
                time.sleep(0.5)
                finished = self.json(f"/history/{key}")
        except BaseException:  # Ctrl-C as well: nobody waits for it any more
            self.json("/queue", {"delete": [key]})
            self.json("/interrupt", {"prompt_id": key})
            raise
        with self.understood():
            messages = dict(finished[key]["status"]["messages"])
            if error := messages.get("execution_error"):
                told = f"({error['node_type']}): {error['exception_message'].strip()}"
                raise TryOnError(f"node {error['node_id']} {told}")
            shown = [picture for node in finished[key]["outputs"].values() for picture in node.get("images", ())]
            saved = [picture for picture in shown if picture["type"] == "output"]
            if not saved:
                raise TryOnError(f"the run ended as {finished[key]['status']['status_str']} and saved no picture")
            return saved

    @contextlib.contextmanager
    def understood(self):
        """Around what takes an answer apart, which may be any other server's."""
        try:
            yield
        except (AttributeError, IndexError, KeyError, TypeError, ValueError):
            raise TryOnError(f"{self.address} does not answer as a ComfyUI does: is there one behind it?") from None

    def download(self, picture: dict[str, str]) -> bytes:
        """A picture that a run saved."""
        return self.ask("/view?" + urllib.parse.urlencode(picture))


def explained(answer: bytes) -> str:
    """ComfyUI's complaint about a workflow in words; another answer as it is."""
    try:
        told = json.loads(answer)
        lines = [told["error"]["message"]] if told.get("error") else []
        for node, entry in (told["node_errors"] or {}).items():
            lines += [f"node {node} ({entry['class_type']}): {e['message']}: {e['details']}" for e in entry["errors"]]
        if re.search("does not exist|not found", lines[0]):
            lines.append("Is the pack installed in this ComfyUI, and ComfyUI restarted since?")
        return "\n".join(lines)
    except (ValueError, KeyError, IndexError, TypeError, AttributeError):
        return answer.decode(errors="replace")[:500]


def read_workflow(file: Path) -> dict:
    """A workflow in API format; a byte order mark, as Windows editors write it, is left out."""
    way_out = "open it in ComfyUI and save it with File > Export (API)"
    try:
        workflow = json.loads(file.read_bytes().decode("utf-8-sig"))
    except (ValueError, RecursionError):
        raise TryOnError(f"{file} is no JSON, or cut short: {way_out}") from None
    if isinstance(workflow, dict) and isinstance(workflow.get("nodes"), list):
        raise TryOnError(f"{file} is a workflow of the page; servers take the API format: {way_out}")
    nodes = workflow.values() if isinstance(workflow, dict) else ()
    parts = {"class_type": str, "inputs": dict}
    if not nodes or not all(
        isinstance(n, dict) and all(isinstance(n.get(k), t) for k, t in parts.items()) for n in nodes
    ):
        raise TryOnError(f"{file} is no workflow in API format: {way_out}")
    return workflow


def set_files(workflow: dict, values: dict[str, str]) -> None:
    """Have the loaders of each role load its value."""
    places = {}
    for role in values:
        pattern = re.compile(rf"(.*[/ _])?{role}(_atr18)?( \[example\])?\.\w+( \[\w+\])?")
        places[role] = [
            (node["inputs"], name)
            for node in workflow.values()
            for name, old in node["inputs"].items()
            if isinstance(old, str) and pattern.fullmatch(old)
        ]
        if not places[role]:
            raise TryOnError(f"the workflow loads no file called {role}.*: name it so in its loader")
    for role, found in places.items():
        for inputs, name in found:
            inputs[name] = values[role]


def fit_person(workflow: dict) -> None:
    """Put 'Fit Person' behind the person's loaders: a photo of any size comes down to the models' 384 x 512."""
    kinds = [node["class_type"] for node in workflow.values()]
    if "LadiVTON_FitPerson" in kinds:
        return
    if kinds.count("LadiVTON_AgnosticPerson") != 1:
        raise TryOnError("a person of your own needs a workflow with one Agnostic Person, or with Fit Person in it")
    agnostic = next(node["inputs"] for node in workflow.values() if node["class_type"] == "LadiVTON_AgnosticPerson")
    sources = {name: agnostic.get(name) for name in ("person", "keypoints", "parse_map")}
    if not all(isinstance(wire, list) for wire in sources.values()):
        raise TryOnError("a person of your own needs wires to person, keypoints and parse_map of its Agnostic Person")
    for node in workflow.values():
        for name, wire in node["inputs"].items():
            if wire in sources.values():
                node["inputs"][name] = ["fit", list(sources.values()).index(wire)]
    inputs = {"photo": sources.pop("person"), **sources, "width": 384, "height": 512, "fit": "pad"}
    workflow["fit"] = {"class_type": "LadiVTON_FitPerson", "inputs": inputs | {"border": "edge", "person_index": 0}}


def set_value(workflow: dict, name: str, value: object) -> None:
    """Set an input wherever nothing is wired to it."""
    for node in workflow.values():
        if name in node["inputs"] and not isinstance(node["inputs"][name], list):
            node["inputs"][name] = value


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("garment", type=Path, help="shop photo of the garment")
    parser.add_argument("--person", type=Path, help="photo of the person, any size; the result has 384 x 512")
    parser.add_argument("--keypoints", type=Path, help="the person's joints: OpenPose or Dress Code JSON")
    parser.add_argument("--parse", type=Path, help="the person's parse map: label PNG")
    parser.add_argument("--category", choices=("upper_body", "lower_body", "dresses"), default="upper_body")
    parser.add_argument("--seed", type=int, help="noise seed")
    parser.add_argument("--output", type=Path, default=Path("try_on.png"), help="where to write the result")
    parser.add_argument("--server", default="http://127.0.0.1:8188", help="ComfyUI's address (%(default)s)")
    parser.add_argument("--header", action="append", default=[], help="such as 'Authorization: Bearer ...'; repeatable")
    parser.add_argument("--timeout", type=float, default=1800, help="seconds to wait for the result (%(default)s)")
    parser.add_argument("--workflow", type=Path, default=START, help="another workflow in API format")
    chosen = parser.parse_args()
    if chosen.person and not (chosen.keypoints and chosen.parse):
        parser.error("a person of your own needs --keypoints (JSON) and --parse (label PNG) as well")
    if not all(":" in header for header in chosen.header):
        parser.error("--header wants 'Name: value'")
    for file in (chosen.garment, chosen.person, chosen.keypoints, chosen.parse, chosen.workflow):
        if file and not file.is_file():
            parser.error(f"there is no file {file}")
    return chosen


def try_on(chosen: argparse.Namespace) -> list[Path]:
    """The files written."""
    headers = {name.strip(): value.strip() for name, _, value in (h.partition(":") for h in chosen.header)}
    server = Server(chosen.server, headers)
    workflow = read_workflow(chosen.workflow)
    prefix = "" if chosen.category == "upper_body" else f"{chosen.category}_"
    files = {role: getattr(chosen, role) for role in ROLES}
    marks = {"png": " [example].png [temp]", "json": ".json [example]"}  # as the pack's lists have them
    examples = {role: f"{prefix}{role}{marks[ending]}" for role, ending in ROLES.items()}
    set_files(workflow, {role: server.upload(file) if file else examples[role] for role, file in files.items()})
    if chosen.person:
        fit_person(workflow)
    set_value(workflow, "category", chosen.category)
    # A name of its own: of a run that ComfyUI has in its cache it would save, and tell, nothing.
    set_value(workflow, "filename_prefix", f"try_on_{uuid.uuid4().hex[:8]}")
    if chosen.seed is not None:
        set_value(workflow, "seed", chosen.seed)
    written = []
    for number, picture in enumerate(server.run(workflow, chosen.timeout)):
        target = chosen.output.with_stem(chosen.output.stem + (f"_{number}" if number else ""))
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f".{target.stem[:40]}.{os.getpid()}.part")  # whole under its name, or not at all
        try:
            partial.write_bytes(server.download(picture))
            partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        written.append(target)
    return written


if __name__ == "__main__":
    try:
        print(*try_on(arguments()), sep="\n")
    except (TryOnError, OSError) as error:
        sys.exit(f"{error}")
    except KeyboardInterrupt:
        sys.exit("Stopped.")
