"""The pack beside no server, a new one and a started one; `tests/host/test_served_pictures.py` asks a real one."""

from __future__ import annotations

import asyncio
import sys
from types import SimpleNamespace

import pytest
from aiohttp import web


def test_without_a_server_the_pack_still_loads_and_a_started_one_is_left_alone(module, monkeypatch):
    pictures = module("nodes.served_pictures")
    monkeypatch.delitem(sys.modules, "server", raising=False)
    pictures.serve_pictures()

    app = web.Application()
    stub = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(app=app)))
    monkeypatch.setitem(sys.modules, "server", stub)
    for _ in range(2):
        pictures.serve_pictures()
    assert len(app.middlewares) == 1
    started = web.Application()
    started.freeze()
    stub.PromptServer.instance.app = started
    pictures.serve_pictures()
    assert not started.middlewares


@pytest.mark.parametrize("place", ["/workflow_templates", "/api/workflow_templates"])
def test_thumbnails_come_also_from_a_server_that_hands_out_only_json(module, monkeypatch, repository, place):
    """A stand-in for newer versions of ComfyUI, which answer 404 for a template's picture."""
    from aiohttp.test_utils import TestClient, TestServer

    pictures = module("nodes.served_pictures")
    app = web.Application()

    async def only_json(request: web.Request) -> web.Response:
        return web.Response(text="json") if request.path.endswith(".json") else web.Response(status=404)

    app.router.add_get(place + "/{module}/{file}", only_json)
    stub = SimpleNamespace(PromptServer=SimpleNamespace(instance=SimpleNamespace(app=app)))
    monkeypatch.setitem(sys.modules, "server", stub)
    pictures.serve_pictures()
    title = "Try-on, start here"

    async def ask() -> None:
        async with TestClient(TestServer(app)) as client:
            answer = await client.get(f"{place}/{pictures.PACK.name}/{title}.jpg")
            assert await answer.read() == (repository / "workflows" / f"{title}.jpg").read_bytes()
            for nothing in (
                f"another/{title}.jpg",
                f"{pictures.PACK.name}/nothing.jpg",
                f"{pictures.PACK.name}/..%2Fx.jpg",
            ):
                assert (await client.get(f"{place}/{nothing}")).status == 404
            assert await (await client.get(f"{place}/{pictures.PACK.name}/{title}.json")).text() == "json"

    asyncio.run(ask())
