"""The client of plain Python: workflow files of every kind in words, this machine's server never through a proxy."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ladivton_core.batch.comfyui.workflow import read_nodes

ROOT = Path(__file__).resolve().parents[2]
API = ROOT / "workflows/api/tryon_embedded.json"
PAGE = next((ROOT / "workflows").glob("Try-on, start here.json"))


@pytest.fixture(params=["client", "library"])
def read(request, sample_client):
    return {"client": sample_client.read_workflow, "library": read_nodes}[request.param]


WRONG = {
    "of the page": PAGE.read_bytes(),
    "cut": API.read_bytes()[:400],
    "empty": b"",
    "no text": b"\xff\xfe\x00\xd8",
    "a list": b"[]",
    "a number": b"3",
    "another shape": b'{"1": {"class_type": "X"}}',
    "inputs a list": b'{"1": {"class_type": "X", "inputs": []}}',
    "deep": b"[" * 100_000,
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_file_that_is_no_workflow_is_refused_by_name(tmp_path, read, sample_client, kind):
    file = tmp_path / "mine.json"
    file.write_bytes(WRONG[kind])
    with pytest.raises((sample_client.TryOnError, ValueError), match=r"(?s)mine\.json.*API") as caught:
        read(file)
    assert not isinstance(caught.value, UnicodeDecodeError | json.JSONDecodeError)


def test_a_byte_order_mark_changes_nothing(tmp_path, read):
    (tmp_path / "marked.json").write_bytes(b"\xef\xbb\xbf" + API.read_bytes())
    assert read(tmp_path / "marked.json") == read(API)


class _Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.logins.append(self.headers["Authorization"])
        self.send_response(self.server.code)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_):
        pass


@pytest.fixture
def serving():
    servers = []

    def start(code):
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        server.code, server.asked, server.logins = code, [], []
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.fixture
def proxy(serving, monkeypatch):
    proxy = serving(403)
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return proxy


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_proxy_is_not_asked_for_this_machine(sample_client, serving, proxy, host):
    own = serving(200)
    assert sample_client.Server(f"http://{host}:{own.server_port}", {}).json("/object_info") == {}
    assert own.asked == ["/object_info"] and not proxy.asked


def test_a_proxy_that_refuses_another_machine_is_named(sample_client, proxy):
    with pytest.raises(sample_client.TryOnError, match="403.*proxy"):
        sample_client.Server("http://comfy.invalid:8188", {}).json("/object_info")
    assert proxy.asked


def test_a_login_in_the_address_goes_with_every_request_and_into_no_message(sample_client, serving):
    lets_in, refuses, gone = serving(200), serving(401), serving(200)
    gone.server_close()
    for server in (lets_in, refuses, gone):
        asked = sample_client.Server(f"http://me:s3%20cret@127.0.0.1:{server.server_port}/?token=t0ken#f", {})
        assert asked.address == f"http://127.0.0.1:{server.server_port}"
        for path in ("/queue", "/view?filename=a"):
            try:
                assert asked.json(path) == {} and server is lets_in
            except sample_client.TryOnError as error:
                assert server is not lets_in and not any(word in str(error) for word in ("s3", "t0ken", "me:"))
                assert server is gone or "answered 401: give its login with --header" in str(error)
    assert lets_in.asked == ["/queue?token=t0ken", "/view?filename=a&token=t0ken"]
    assert set(lets_in.logins) == {"Basic bWU6czMgY3JldA=="}


@pytest.mark.parametrize("address", ["me:s3cret@host", "ftp://me:s3cret@host", "http://me:s3cret@host:port", "http://"])
def test_what_is_no_address_is_refused_without_being_shown(sample_client, address):
    with pytest.raises(sample_client.TryOnError, match="is no address") as told:
        sample_client.Server(address, {})
    assert "s3cret" not in str(told.value)
