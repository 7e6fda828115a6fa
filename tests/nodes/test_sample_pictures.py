"""The pack beside no server, a new one and a started one; `tests/host/test_sample_pictures.py` asks a real one."""

from __future__ import annotations

import sys
from types import SimpleNamespace

from aiohttp import web


def test_without_a_server_the_pack_still_loads_and_a_started_one_is_left_alone(module, monkeypatch):
    pictures = module("nodes.sample_pictures")
    monkeypatch.delitem(sys.modules, "server", raising=False)
    pictures.serve_sample_pictures()

    app = web.Application()
    stub = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(app=app)))
    monkeypatch.setitem(sys.modules, "server", stub)
    for _ in range(2):
        pictures.serve_sample_pictures()
    assert len(app.middlewares) == 1
    started = web.Application()
    started.freeze()
    stub.PromptServer.instance.app = started
    pictures.serve_sample_pictures()
    assert not started.middlewares
