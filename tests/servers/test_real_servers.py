"""Real ComfyUI servers: the pictures of the local engine, and every item once while servers come and go.

The long half starts three servers of its own and runs in `.ci/run` (`-m long`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hosting import pose
from hosting.places import SAMPLES
from hosting.server import ComfyServer
from PIL import Image

from ladivton_core.batch.comfyui.engine import ComfyEngine
from ladivton_core.batch.engines.base import Batch, Engine, Work
from ladivton_core.batch.items import Garment, Item, Manifest, Options, Outcome, Person, Settings

CATEGORIES = {"upper_body": "", "lower_body": "lower_body_", "dresses": "dresses_"}
KILLED_AT_THREE = """
import os, runpy

replace, named = os.replace, []

def replaced(source, target):
    replace(source, target)
    if str(target).endswith(".png"):
        named.append(target)
    if len(named) == 3:
        os._exit(9)

os.replace = replaced
runpy.run_module("ladivton_core.batch", run_name="__main__", alter_sys=True)
"""
"""The command, which is gone without a word once its third picture is there."""
SMALL = Settings(options=Options(steps=1), size=(128, 96))
"""For what does not depend on how good the picture is."""


class Kept:
    """A delivery into memory; counts how often each item comes."""

    def __init__(self) -> None:
        self.pixels: dict[str, np.ndarray] = {}
        self.times: Counter = Counter()

    def there(self, item: Item) -> Outcome | None:
        return None

    def picture(self, item: Item, pixels: np.ndarray, *, seconds: float, check=None, worker="") -> Outcome:
        self.pixels[item.id] = pixels
        self.times[item.id] += 1
        return Outcome(item.id, item.file, seconds=seconds, worker=worker)


def sample(category: str, **changed) -> tuple[Person, Garment]:
    """The pack's person and garment of a category."""
    mark = CATEGORIES[category]
    person = {
        "id": f"{category} person",
        "photo": str(SAMPLES / f"{mark}person.png"),
        "keypoints": str(SAMPLES / f"{mark}keypoints.json"),
        "parse_map": str(SAMPLES / f"{mark}parse.png"),
    }
    garment = Garment(f"{category} garment", str(SAMPLES / f"{mark}garment.png"), category)  # fmt: skip
    return Person(**person | changed), garment


def work(pairs: list[tuple[Person, Garment]], settings: Settings | None = None) -> Work:
    """These pairs as items, a seed each."""
    items = tuple(
        Item(f"item {place}", person.id, garment.id, garment.category, 1000 + place, f"{place}.png")
        for place, (person, garment) in enumerate(pairs)
    )
    manifest = Manifest({p.id: p for p, _ in pairs}, {g.id: g for _, g in pairs}, items)
    batches = [Batch((item,), frozenset({item.id})) for item in items]
    return Work(manifest, batches, settings or Settings(), Kept())


def pictures(engine: Engine, todo: Work) -> dict[str, np.ndarray]:
    """All pictures of the work, each of which came once and well."""
    engine.prepare(todo.settings)
    outcomes = list(engine.run(todo))
    engine.close()
    once(outcomes, todo)
    return todo.delivery.pixels


def once(outcomes: list[Outcome], todo: Work) -> None:
    """Every item was made once, and well."""
    assert [outcome.error for outcome in outcomes if outcome.error] == []
    wanted = Counter(item.id for item in todo.items)
    assert Counter(outcome.item for outcome in outcomes) == todo.delivery.times == wanted


def farthest(one: np.ndarray, other: np.ndarray) -> int:
    assert one.shape == other.shape and one.dtype == other.dtype == np.uint8
    return int(np.abs(one.astype(int) - other.astype(int)).max())


@pytest.fixture(scope="module")
def of_other_sizes(tmp_path_factory) -> tuple[Person, Garment]:
    """The pack's person in a smaller, wider photo and the garment cut out on a square."""
    folder = tmp_path_factory.mktemp("sizes")
    size, scale = (330, 400), (330 / 384, 400 / 512)
    Image.open(SAMPLES / "person.png").convert("RGB").resize(size, Image.LANCZOS).save(folder / "person.png")
    Image.open(SAMPLES / "parse.png").resize(size, Image.NEAREST).save(folder / "parse.png")
    document = json.loads((SAMPLES / "keypoints.json").read_text("utf-8"))
    for person in document["people"]:
        flat = person["pose_keypoints_2d"]
        person["pose_keypoints_2d"] = [v if i % 3 == 2 else v * scale[i % 3] for i, v in enumerate(flat)]
    (folder / "keypoints.json").write_text(json.dumps(document), encoding="utf-8")
    Image.open(SAMPLES / "garment.png").convert("RGB").resize((300, 300)).save(folder / "garment.png")
    person = Person("other", *(str(folder / name) for name in ("person.png", "keypoints.json")),
                    parse_map=str(folder / "parse.png"))  # fmt: skip
    return person, Garment("square", str(folder / "garment.png"), "upper_body")


def test_servers_give_the_pictures_of_the_local_engine(comfy_server, of_other_sizes):
    from ladivton_core.batch.engines.local import LocalEngine

    pairs = [of_other_sizes, sample("lower_body", id="photo with joints", parse_map=None)]
    expected = pictures(LocalEngine(), work(pairs, SMALL))
    made = pictures(ComfyEngine(comfy_server.url.removeprefix("http://")), work(pairs, SMALL))
    assert max(farthest(made[item], expected[item]) for item in expected) <= 1


def test_a_real_servers_errors_are_rows_with_node_and_words(comfy_server, tmp_path):
    (tmp_path / "no picture.png").write_bytes(b"no picture")
    (tmp_path / "joints.json").write_text('{"people": []}')
    broken = sample("upper_body", id="broken", photo=str(tmp_path / "no picture.png"))
    nobody = sample("upper_body", id="nobody", keypoints=str(tmp_path / "joints.json"))
    todo = work([broken, nobody])
    outcomes = {outcome.item: outcome for outcome in ComfyEngine(comfy_server.url).run(todo)}
    assert outcomes["item 0"].error.startswith("node 1 (LadiVTON_LoadPicture, 'Person'): ")
    assert "no picture.png" in outcomes["item 0"].error
    assert outcomes["item 0"].error_file == broken[0].photo
    assert "LadiVTON_" in outcomes["item 1"].error and "ladi_vton_catalogue" not in outcomes["item 1"].error
    assert todo.delivery.times == {}


@pytest.fixture(scope="module")
def three(comfy_host) -> Iterator[list[ComfyServer]]:
    """Three servers of a thread each."""
    environment = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(ComfyServer(comfy_host, environment=environment)) for _ in range(3)]


@pytest.fixture(scope="module")
def shop() -> Callable[[], Work]:
    """The command's own example: three people in four garments."""
    from ladivton_core.batch import Request, read_manifest
    from ladivton_core.batch.engines.base import group_items

    folder = SAMPLES / "catalogue"
    request = Request(persons=folder / "persons.csv", garments=folder / "garments.csv", seed=7)
    manifest = read_manifest(request)
    return lambda: Work(manifest, group_items(manifest.items, 1), SMALL, Kept())


@pytest.mark.soak
def test_a_driver_killed_in_mid_run_goes_on_and_nothing_is_made_twice(three, repository, tmp_path):
    folder, out = SAMPLES / "catalogue", tmp_path / "out"
    given = ["--persons", str(folder / "persons.csv"), "--garments", str(folder / "garments.csv"), "--out", str(out),
             "--steps", "1", "--height", "128", "--width", "96", "--engine", "comfyui", "--hosts",
             ",".join(server.url for server in three)]  # fmt: skip
    before = sum(prompts(server) for server in three)

    def driver(*how: str) -> subprocess.CompletedProcess:
        return subprocess.run([sys.executable, *how, *given], cwd=repository, capture_output=True, text=True)

    killed = driver("-c", KILLED_AT_THREE)
    assert killed.returncode == 9, killed.stderr
    there = {file: file.read_bytes() for file in out.rglob("*.png")}
    again = driver("-m", "ladivton_core.batch")
    assert again.returncode == 0, again.stderr
    files = set(out.rglob("*.png"))
    assert len(files) == 12 and len(there) == 3
    assert all(file.read_bytes() == content for file, content in there.items())
    assert sum(prompts(server) for server in three) - before == 12
    assert "9 made, 3 there already, 0 errors" in again.stderr


@pytest.mark.long
def test_every_category_and_a_photo_alone_come_out_as_from_the_local_engine(comfy_server, pose_graphs):
    """At the models' own number of steps, in pictures half as large."""
    from ladivton_core.batch.engines.local import LocalEngine

    alone = sample("upper_body", id="photo alone", parse_map=None, keypoints=None)
    pairs, settings = [*map(sample, CATEGORIES), alone], Settings(size=(256, 192))
    local = work(pairs, settings)
    local = dataclasses.replace(local, settings=dataclasses.replace(local.settings, pose=(str(pose_graphs),)))
    expected = pictures(LocalEngine(), local)
    pose.provide(comfy_server.base, pose_graphs)
    made = pictures(ComfyEngine(comfy_server.url), work(pairs, settings))
    assert max(farthest(made[item], expected[item]) for item in expected) <= 1


@pytest.mark.soak
def test_one_of_three_servers_dies_and_one_was_never_there(three, shop, nobody):
    """Last: one of the servers is dead afterwards."""
    dying, *others = three
    engine, todo, outcomes = ComfyEngine([nobody, *(server.url for server in three)]), shop(), []
    engine.prepare(todo.settings)
    for outcome in engine.run(todo):
        outcomes.append(outcome)
        if dying.alive() and (len(outcomes) >= 3 or outcome.worker == dying.url):
            dying.process.kill()
            dying.process.wait()
    once(outcomes, todo)
    assert not dying.alive()
    alone = shop()
    expected = pictures(ComfyEngine(others[0].url), alone)
    assert all(np.array_equal(todo.delivery.pixels[item], expected[item]) for item in expected)


def prompts(server: ComfyServer) -> int:
    """How many prompts a server has been given."""
    return server.log().count("got prompt")
