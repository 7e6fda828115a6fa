"""The pack's own pictures, served where ComfyUI's page looks for them.

Samples: the page asks `/view?filename=...&type=input` for the preview in a node, the thumbnail in a list and the
picture in the mask editor, and every version builds that address in places of its own. ComfyUI finds nothing there
for an entry marked `[example]`: the file lies in the pack, not in the input folder. A route beside `/view` would have
to be known to all those places; here the one address is answered, and only for those names. `files.py` has the lists.

Thumbnails: the page asks for a template's picture beside its JSON. ComfyUI 0.3.75 serves both; newer versions
(read in 0.38, tested with a stand-in) answer 404 for everything but the JSON.
"""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .files import EXAMPLE, PICTURES, SAMPLES

if TYPE_CHECKING:
    from aiohttp import web

PACK = Path(__file__).parents[1]
"""The pack as ComfyUI found it: links are not followed, so that the folder's name is the one in `custom_nodes`."""
PLACES = ("/view", "/api/view")
TEMPLATES = ("/workflow_templates", "/api/workflow_templates")


def thumbnail(path: str) -> Path | None:
    """The picture of one of the pack's templates; None when the address is of anything else.

    Args:
        path: of the address, decoded: `/api/workflow_templates/PACK/NAME.jpg`.
    """
    place, _, name = path.rpartition("/")
    if not name.endswith(".jpg") or place not in [f"{templates}/{PACK.name}" for templates in TEMPLATES]:
        return None
    return next((file for file in (PACK / "workflows").glob("*.jpg") if file.name == name), None)


def picture(file: str) -> Path | None:
    """The sample a list's entry names; None when there is none. Only names in `SAMPLES` itself are known."""
    name = file.removeprefix(EXAMPLE)
    found = (path for path in SAMPLES.iterdir() if path.name == name and path.suffix.lower() in PICTURES)
    return next(found, None) if file.startswith(EXAMPLE) else None


def channel_png(path: Path, channel: str) -> bytes:
    """A picture's colours (`rgb`), or its opacity (`a`) as the opacity of black, as the mask editor asks for them."""
    from PIL import Image

    with Image.open(path) as file:
        rgba = file.convert("RGBA")
    if channel == "rgb":
        shown = rgba.convert("RGB")
    else:
        shown = Image.new("RGBA", rgba.size)
        shown.putalpha(rgba.getchannel("A"))
    shown.save(buffer := io.BytesIO(), format="PNG")
    return buffer.getvalue()


def serve_pictures() -> None:
    """Answer for the pictures on the running server; without a server (a script, a test) there is nothing to do."""
    server = getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)
    app = getattr(server, "app", None)
    if app is None or any(getattr(known, "__name__", "") == _NAME for known in app.middlewares):
        return
    if app.frozen:
        logging.warning("LaDI-VTON was loaded after the server had started: its pictures show after a restart.")
        return
    app.middlewares.append(_middleware())


_NAME = "ladi_vton_pictures"


def _middleware():
    from aiohttp import web

    async def answer(request: web.Request, handler) -> web.StreamResponse:
        if found := thumbnail(request.path):
            return web.FileResponse(found)
        file = request.query.get("filename", "") if request.path in PLACES else ""
        if not file.startswith(EXAMPLE):
            return await handler(request)
        path = picture(file)
        if path is None:
            return web.Response(status=404)
        channel = request.query.get("channel", "")
        if channel in ("rgb", "a"):
            return web.Response(body=channel_png(path, channel), content_type="image/png")
        return web.FileResponse(path)

    answer.__name__ = _NAME
    return web.middleware(answer)
