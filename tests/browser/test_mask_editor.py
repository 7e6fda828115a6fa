"""A mask painted in ComfyUI's own editor on the sample person takes the place of a parse map."""

from __future__ import annotations

import json

import pytest
from hosting.shipped import page_file

PERSON = "window.app.graph.nodes.find(node => node.title === 'Person')"
OPEN = f"""
() => {{
    window.app.canvas.selectNode({PERSON});
    window.app.extensionManager.command.execute("Comfy.MaskEditor.OpenMaskEditor");
}}
"""
VALUE = f"() => {PERSON}.widgets.find(widget => widget.name === 'image').value"


@pytest.mark.parametrize("server", ["comfy_server", "newest_server"])
def test_what_is_painted_is_repainted(request, open_page, client, server):
    page = open_page(request.getfixturevalue(server))
    page.load(json.loads(page_file("tryon_painted_mask").read_text(encoding="utf-8")))
    page.tab.wait_for_function(f"() => {PERSON}.imgs?.[0]?.naturalWidth", timeout=60_000)
    page.tab.evaluate(OPEN)
    canvas = page.tab.locator("#maskCanvas, .maskEditor canvas, [id*=mask] canvas").first
    canvas.wait_for(timeout=60_000)
    page.tab.wait_for_timeout(3000)
    page.screenshot("mask_editor")
