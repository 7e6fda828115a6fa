"""Servers that speak ComfyUI's protocol and compute nothing, and orders for them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parent))  # `fake_comfyui.py`


@pytest.fixture
def start() -> Iterator[Callable]:
    """`start(**behaviour)`: a `FakeComfy`, closed after the test."""
    from fake_comfyui import FakeComfy

    begun = []

    def begin(**behaviour) -> FakeComfy:
        begun.append(FakeComfy(**behaviour))
        return begun[-1]

    yield begin
    for server in begun:
        server.close()


@pytest.fixture
def form() -> Callable:
    """`form(nodes)`: a `Workflow` of these nodes; without any, one with a person, a garment, category and seed."""
    from ladivton_core.batch.comfyui.workflow import Workflow

    def make(nodes: dict | None = None, name: str = "form.json") -> Workflow:
        nodes = nodes or {
            "1": {"class_type": "LoadImage", "inputs": {"image": "person.png"}, "_meta": {"title": "Person"}},
            "2": {"class_type": "LoadImage", "inputs": {"image": "garment.png"}, "_meta": {"title": "Garment"}},
            "3": {
                "class_type": "Dress",
                "inputs": {"person": ["1", 0], "garment": ["2", 0], "category": "upper_body", "seed": 1, "model": "m"},
            },
            "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "mine"}},
        }
        return Workflow(nodes, name)

    return make


@pytest.fixture
def orders(form) -> Callable:
    """`orders(count)`: as many orders, of one person in different garments."""
    from ladivton_core.batch.comfyui.server import InputFile, Order

    def make(count: int) -> list[Order]:
        workflow = form()
        person = InputFile("people/ann.png", lambda: b"ann")
        garments = [InputFile(f"garments/{i}.png", lambda i=i: b"garment %d" % i) for i in range(count)]
        values = {"category": "upper_body", "seed": 7}
        return [Order(f"item {i}", workflow, {"person": person, "garment": garments[i]}, values) for i in range(count)]

    return make


@pytest.fixture(autouse=True)
def impatient(monkeypatch) -> None:
    """Servers are looked at more often than people would mind, and their queues at every look."""
    monkeypatch.setattr("ladivton_core.batch.comfyui.server.LOOK_SECONDS", 0)
    monkeypatch.setattr("ladivton_core.batch.comfyui.pool._LONGEST_LOOK", 0.02)


@pytest.fixture
def pool(form) -> Callable:
    """`pool(servers, **options)`: a `ServerPool` of fakes, quick to try again."""
    from ladivton_core.batch.comfyui.pool import ServerPool
    from ladivton_core.batch.comfyui.server import Server

    def make(servers, most: int = 2, patience: float = 60.0, **options) -> ServerPool:
        addresses = [server if isinstance(server, str) else server.url for server in servers]
        made = [Server(address, [form()], most=most, patience=patience, seconds=10) for address in addresses]
        return ServerPool(made, **{"first_wait": 0.05, "longest_wait": 0.2, "give_up": 5.0} | options)

    return make
