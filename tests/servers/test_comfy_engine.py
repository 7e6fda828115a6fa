"""The engine that makes a catalogue on ComfyUI servers, seen from the run that asks it: one outcome an item."""

from __future__ import annotations

import base64
import http.server
import io
import socket
import threading
import traceback
from collections import Counter
from dataclasses import replace
from hashlib import sha1
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
import requests
from fake_comfyui import SOON
from hosting.places import SAMPLES
from hosting.shipped import queue_file
from PIL import Image

from ladivton_core.batch import Outcome, Request, Settings, read_manifest, run
from ladivton_core.batch.comfyui.client import ComfyClient
from ladivton_core.batch.comfyui.engine import ComfyEngine
from ladivton_core.batch.comfyui.pool import NoServer
from ladivton_core.batch.comfyui.workflow import WorkflowError
from ladivton_core.batch.engines.base import Engine, Work, group_items
from ladivton_core.disk.store import open_store, read_index

SHOP = {"persons": SAMPLES / "catalogue" / "persons.csv", "garments": SAMPLES / "catalogue" / "garments.csv"}


@pytest.fixture(scope="module")
def picture() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint8).reshape(4, 4, 3)).save(buffer, "PNG")
    return buffer.getvalue()


class Full:
    """A delivery whose disk has room for `room` pictures; `ready` says that one more may come."""

    def __init__(self, room: int):
        self.room, self.pixels, self.ready = room, [], threading.Semaphore()

    def there(self, item) -> None:
        return None

    def picture(self, item, pixels, *, seconds, check=None, worker="") -> Outcome:
        if len(self.pixels) == self.room:
            return Outcome(item.id, error="no room is left", stop=True)
        self.pixels.append(pixels)
        self.ready.release()
        return Outcome(item.id, item.file, seconds=seconds, worker=worker)


def shop(room: int = 99, **person) -> Work:
    manifest = read_manifest(Request(**SHOP))
    manifest = replace(manifest, persons={key: replace(one, **person) for key, one in manifest.persons.items()})
    return Work(manifest, group_items(manifest.items, 1), Settings(), Full(room))


def test_it_is_an_engine_and_notes_nothing_that_pictures_do_not_depend_on(start):
    one, two = (ComfyEngine([start().url for _ in range(count)]) for count in (1, 2))
    assert isinstance(one, Engine)
    assert one.prepare(Settings()) == two.prepare(Settings())
    assert (one.workers, two.workers) == (1, 2)


def test_pixels_arrive_as_the_server_has_them(start, picture):
    todo = shop()
    outcomes = list(ComfyEngine(start(picture=picture).url).run(todo))
    assert Counter(outcome.item for outcome in outcomes) == Counter(item.id for item in todo.items)
    expected = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert len(todo.delivery.pixels) == 12 and all(np.array_equal(one, expected) for one in todo.delivery.pixels)


def test_a_full_disk_ends_the_run(start, picture):
    todo = shop(room=3)
    server = start(picture=picture, during=lambda *_: todo.delivery.ready.acquire(timeout=SOON))
    outcomes = list(ComfyEngine(server.url).run(todo))
    assert [outcome.stop for outcome in outcomes] == [False, False, False, True]
    assert len(server.posted) <= 4 + 2  # what it had been given by then


def test_what_is_no_picture_is_the_items_error(start):
    outcomes = list(ComfyEngine(start().url).run(shop()))
    assert len(outcomes) == 12
    assert all("the result from http://" in outcome.error for outcome in outcomes)


def test_items_without_a_workflow_are_errors_and_the_others_are_made(start, picture):
    todo = shop()
    first = next(iter(todo.manifest.persons))
    persons = dict(todo.manifest.persons)
    persons[first] = replace(persons[first], mask=persons[first].photo)
    todo = replace(todo, manifest=replace(todo.manifest, persons=persons))
    outcomes = list(ComfyEngine(start(picture=picture).url).run(todo))
    assert {outcome.item for outcome in outcomes if outcome.error} == {i.id for i in todo.items if i.person == first}
    assert all("no slot 'mask'" in outcome.error for outcome in outcomes if outcome.error)


def test_nothing_is_begun_when_no_item_has_a_workflow(start):
    server = start()
    with pytest.raises(WorkflowError, match="no item can be made: .*no slot 'mask'"):
        list(ComfyEngine(server.url).run(shop(mask="m.png")))
    assert server.posted == []


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"hosts": ""}, "needs --hosts"),
        ({"hosts": "a,b,http://a:8188"}, "http://a:8188 twice"),
        ({"hosts": "a", "queue": 0}, "--queue must be at least 1"),
        ({"hosts": "a", "workflow": "nowhere.json"}, "nowhere.json is missing"),
    ],
)
def test_what_cannot_be_is_said_before_anything_starts(given, said):
    with pytest.raises((ValueError, FileNotFoundError), match=said):
        ComfyEngine(**given)


@pytest.mark.parametrize("setting", [{"batch": 4}, {"device": "cuda"}, {"models": "w"}, {"threads": 2}])
def test_what_the_servers_decide_cannot_be_said_here(start, setting):
    with pytest.raises(ValueError, match=f"{next(iter(setting))} cannot be said here"):
        ComfyEngine(start().url).prepare(Settings(**setting))


def test_servers_are_looked_at_first(start, caplog, nobody):
    ComfyEngine([nobody, start().url]).prepare(Settings())
    assert f"{nobody} cannot be used now" in caplog.text
    with pytest.raises(NoServer, match="nobody answers there"):
        ComfyEngine(nobody).prepare(Settings())


def test_passwords_are_sent_and_never_shown(start, picture, caplog, nobody):
    server = start(picture=picture)
    with_password = server.url.replace("//", "//shop:s3cret@")
    away = nobody.replace("//", "//shop:s3cret@")
    engine = ComfyEngine([with_password, away])
    engine.prepare(Settings())
    outcomes = list(engine.run(shop()))
    assert {outcome.worker for outcome in outcomes} == {server.url}
    expected = "Basic " + base64.b64encode(b"shop:s3cret").decode()
    assert server.credentials == {expected}
    assert nobody in caplog.text and "s3cret" not in caplog.text
    with pytest.raises(NoServer) as told:
        ComfyEngine(away).prepare(Settings())
    assert "s3cret" not in str(told.value)
    with pytest.raises(ValueError, match="'ftp://a' is no address") as told:
        ComfyEngine("ftp://shop:s3cret@a")
    assert "s3cret" not in str(told.value)


LOGINS = {
    "password": (lambda path, headers: headers["Authorization"] == "Basic c2hvcDpzM2NyZXQ=", "shop:s3cret@", "", []),
    "token": (
        lambda path, headers: parse_qs(urlsplit(path).query).get("token") == ["s3cret"],
        "",
        "/?token=s3cret",
        [],
    ),
    "header": (lambda path, headers: headers["X-Key"] == "s3cret", "", "", ["--header", "X-Key: s3cret"]),
}


def test_a_login_goes_with_every_request_and_into_nothing_that_is_printed_or_written(start, picture, tmp_path, give):
    """The command against a gateway: a run, one whose login is wrong, and one of a server that is gone."""
    ways, commands = [], []
    for way, (lets_in, user, query, more) in LOGINS.items():
        server, gone, out = start(picture=picture, lets_in=lets_in), start(lets_in=lets_in), tmp_path / way
        gone.close()
        first, second = (one.url.replace("//", f"//{user}") + query for one in (server, gone))
        shop = [*(f"--{name}={path}" for name, path in SHOP.items()), "--engine=comfyui", f"--out={out}", *more]
        wrong = [word.replace("s3cret", "s4cret") for word in [*shop, f"--hosts={first}"]]
        elsewhere = [[*shop, f"--hosts={second}"], [*shop, f"--hosts={first.replace('http', 'ftp', 1)}"]]
        commands += [[*shop, f"--hosts={first},{second}"], wrong, *elsewhere]
        ways.append((server, gone, out))
    told = give(*commands)
    for place, (server, gone, out) in enumerate(ways):
        made, wrong, nobody, broken = told[4 * place : 4 * place + 4]
        assert made.returncode == 0 and "12 made" in made.stderr and f"{gone.url} cannot be used now" in made.stderr
        assert wrong.returncode == 1 and "it answered 401 Unauthorized; give its login with --header" in wrong.stderr
        assert "nobody answers there" in nobody.stderr and "is no address" in broken.stderr
        printed = "".join(done.stdout + done.stderr for done in (made, wrong, nobody, broken))
        written = b"".join(path.read_bytes() for path in out.rglob("*") if path.is_file())
        rows = read_index(open_store(out))
        assert {row["worker"] for row in rows} == {server.url}
        for secret in ("s3cret", "s4cret", "c2hvcDpzM2NyZXQ="):
            assert secret not in printed + repr(rows) and secret.encode() not in written


def test_a_header_that_is_none_is_refused_without_being_shown():
    with pytest.raises(ValueError, match="--header number 2 is none") as told:
        ComfyEngine("a", header=("X-Key: a", "s3cret"))
    assert "s3cret" not in str(told.value)


def test_clients_say_who_did_not_answer_and_nothing_secret(start):
    server = start(lets_in=lambda path, headers: False)
    for url, how in ((f"{server.url}?token=s3cret", {}), (server.url.replace("//", "//u:s3cret@"), {}),
                     (server.url, {"headers": {"X-Key": "s3cret"}})):  # fmt: skip
        client = ComfyClient(url, **how)
        assert client.url == server.url
        with pytest.raises(requests.HTTPError, match=f"{server.url}/queue answered 401 Unauthorized$"):
            client.queued()
        with pytest.raises(ConnectionError, match=f"no web socket of {server.url}: .*401"):
            client.run({})
    server.close()
    for ask in (lambda: client.queued(), lambda: client.run({})):
        with pytest.raises(OSError, match="refused|closed") as told:
            ask()
        assert "s3cret" not in "".join(traceback.format_exception(told.value))


@pytest.fixture
def proxy(monkeypatch):
    """A company's proxy in the environment, with a login, and the addresses that it was asked for."""

    class Proxy(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(403, "denied by policy")

        do_POST = do_CONNECT = do_GET

        def log_message(self, *_):
            pass

    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, f"http://me:s3cret@127.0.0.1:{server.server_port}")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_a_proxy_is_never_asked_for_this_machines_own_server(start, proxy):
    server, (_, asked) = start(), proxy
    for host in ("127.0.0.1", "localhost", socket.gethostname()):
        client = ComfyClient(server.url.replace("127.0.0.1", host))
        assert not client.through
    assert ComfyClient(server.url.replace("127.0.0.1", "localhost")).queued() == (set(), set())
    with pytest.raises(ConnectionError, match="no web socket"):  # the stand-in has none
        client.run({})
    assert not asked


@pytest.mark.parametrize("code", [301, 303, 307])
def test_a_login_is_not_told_to_where_a_server_leads(start, sample_client, code):
    """A gateway's login page, on another host: no client says its headers there, and both say what is to be done."""
    other = start()

    class Gateway(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.rfile.read(int(self.headers["Content-Length"] or 0))
            self.send_response(code)
            self.send_header("Location", f"{other.url.replace('127.0.0.1', 'localhost')}/login?next=s3cret")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_POST = do_GET

        def log_message(self, *_):
            pass

    gateway = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    threading.Thread(target=gateway.serve_forever, daemon=True).start()
    url, headers = f"http://me:s3cret@127.0.0.1:{gateway.server_port}?token=s3cret", {"X-Key": "s3cret"}
    client, plain = ComfyClient(url, headers=headers), sample_client.Server(url, headers)
    questions = (client.queued, lambda: client.queue({}), lambda: plain.json("/a"), lambda: plain.json("/a", {}))
    for question in questions:
        with pytest.raises((requests.HTTPError, sample_client.TryOnError), match=f"{code}.*not followed") as told:
            question()
        assert "s3cret" not in str(told.value)
    with pytest.raises(ConnectionError, match="no web socket"):
        client.run({})
    with pytest.raises(NoServer, match=f"answered {code} .*leads to http://localhost:.*give its login with --header"):
        ComfyEngine(url, header=("X-Key: s3cret",)).prepare(Settings())
    assert not other.asked
    gateway.shutdown()
    gateway.server_close()


@pytest.mark.parametrize(
    "frame", [b"", b"\x81\x03abc", b"\x81\x02[]", b"\x81\x02{}", b"\x83\0", b"\x81\x7fcut", b"\xff\xff"]
)
def test_a_web_socket_that_breaks_or_babbles_is_a_lost_connection(frame):
    class Babbler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            key = self.headers["Sec-WebSocket-Key"].encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
            self.send_response(101)
            told = {"Upgrade": "websocket", "Connection": "Upgrade"}
            for name, value in (told | {"Sec-WebSocket-Accept": base64.b64encode(sha1(key).digest()).decode()}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(frame)

        def do_POST(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"prompt_id": "a"}')

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Babbler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with pytest.raises(ConnectionError, match=f"the server at {url} (went away|closed|does not speak)"):
        ComfyClient(f"{url}/?token=s3cret").run({}, timeout=5)
    server.shutdown()
    server.server_close()


def test_a_proxy_on_the_way_to_another_server_is_named(proxy):
    address, asked = proxy
    client = ComfyClient("http://shop.invalid:8188?token=t0ken")
    with pytest.raises(requests.HTTPError, match=f"403 denied by policy .asked through the proxy {address}; no_proxy="):
        client.queued()
    with pytest.raises(NoServer, match=f"it answered 403 denied by policy .asked through the proxy {address}") as told:
        ComfyEngine("shop.invalid?token=t0ken").prepare(Settings())
    with pytest.raises(ConnectionError, match=f"no web socket of http://shop.invalid:8188 .*the proxy {address}"):
        client.run({})
    assert asked and "t0ken" not in str(told.value) and "s3cret" not in str(told.value)


def test_a_whole_run_and_the_same_again(start, picture, tmp_path):
    server = start(picture=picture)
    given = {**SHOP, "engine": "comfyui", "hosts": server.url, "progress": False}
    report = run(tmp_path, **given)
    assert (report.made, report.kept, report.errors) == (12, 0, {})
    again = run(tmp_path, **given)
    assert (again.made, again.kept, again.errors) == (0, 12, {})
    assert Counter(server.made).most_common(1)[0][1] == 1 and len(server.made) == 12


def test_who_brings_photographs_to_the_embedded_models_is_told_once(start, picture, tmp_path, caplog):
    people = tmp_path / "persons.csv"
    people.write_text(f"id,photo,category\nme,{SAMPLES / 'person.png'},upper_body\n", encoding="utf-8")
    given = {**SHOP, "persons": people, "engine": "comfyui", "hosts": start(picture=picture).url, "progress": False}
    published = run(tmp_path / "published", **given, workflow=queue_file("tryon_photo_vitonhd"))
    assert published.made and "drawn people only" not in caplog.text
    shipped = run(tmp_path / "shipped", **given)
    assert shipped.made == published.made
    assert caplog.text.count("drawn people only; skin and folds they draw on photographs (1 people)") == 1
    assert "which --workflow names (docs/models.md)" in caplog.text
