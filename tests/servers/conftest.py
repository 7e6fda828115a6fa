"""Servers that speak ComfyUI's protocol and compute nothing, and orders for them."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hosting.places import REPOSITORY

sys.path.append(str(Path(__file__).parent))  # `fake_comfyui.py`


COMMANDS = """
import json, sys
from ladivton_core.batch.__main__ import main

mark, *commands = json.loads(sys.argv[1])
for given in commands:
    try:
        code = main(given)
    except SystemExit as ended:
        code = ended.code
    for stream in (sys.stdout, sys.stderr):
        print(mark, code, mark, sep="", end="", file=stream, flush=True)
"""
MARK = "\x1e"


@pytest.fixture(scope="session")
def give() -> Callable:
    """`give(*commands)`: `python -m ladivton_core.batch` with each of these arguments, ended, with what it printed.

    All of them in one process, one after the other: to start one takes longer than what they do.
    """

    def run(*commands: list[str]) -> list[subprocess.CompletedProcess]:
        command = [sys.executable, "-c", COMMANDS, json.dumps([MARK, *commands])]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        (*printed, rest), (*said, more) = done.stdout.split(MARK), done.stderr.split(MARK)
        assert len(printed) == len(said) == 2 * len(commands) and rest + more == ""
        return [
            subprocess.CompletedProcess(given, int(said[2 * place + 1]), printed[2 * place], said[2 * place])
            for place, given in enumerate(commands)
        ]

    return run


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
