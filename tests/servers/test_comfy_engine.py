"""The engine that makes a catalogue on ComfyUI servers, seen from the run that asks it: one outcome an item."""

from __future__ import annotations

import base64
import io
import threading
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from fake_comfyui import SOON
from hosting.places import SAMPLES
from PIL import Image

from ladivton_core.batch import Outcome, Request, Settings, read_manifest, run
from ladivton_core.batch.comfyui.engine import ComfyEngine
from ladivton_core.batch.comfyui.pool import NoServer
from ladivton_core.batch.comfyui.workflow import WorkflowError
from ladivton_core.batch.engines.base import Engine, Work, group_items

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
    with pytest.raises(ValueError) as told:
        ComfyEngine("ftp://shop:s3cret@a")
    assert "s3cret" not in str(told.value)


def test_a_whole_run_and_the_same_again(start, picture, tmp_path):
    server = start(picture=picture)
    given = {**SHOP, "engine": "comfyui", "hosts": server.url, "progress": False}
    report = run(tmp_path, **given)
    assert (report.made, report.kept, report.errors) == (12, 0, {})
    again = run(tmp_path, **given)
    assert (again.made, again.kept, again.errors) == (0, 12, {})
    assert Counter(server.made).most_common(1)[0][1] == 1 and len(server.made) == 12
