"""ComfyUI's own mask editor on the sample person: what is painted there is what 'Load Picture' gives as transparent."""

from __future__ import annotations

import io
import json
import re

import numpy as np
from hosting.client import ComfyClient
from hosting.shipped import page_file
from PIL import Image

PERSON = "window.app.graph.nodes.find(node => node.title === 'Person')"
OPEN = f"""
() => {{
    window.app.canvas.selectNode({PERSON});
    window.app.extensionManager.command.execute("Comfy.MaskEditor.OpenMaskEditor");
}}
"""
VALUE = f"() => {PERSON}.widgets.find(widget => widget.name === 'image').value"


def test_a_stroke_on_the_sample_person_becomes_transparency(open_page, repository, frontend):
    page, client = open_page(frontend), ComfyClient(frontend.url)
    page.load(json.loads(page_file("tryon_painted_mask").read_text(encoding="utf-8")))
    page.tab.wait_for_function(f"() => {PERSON}.imgs?.[0]?.naturalWidth")
    page.tab.evaluate(OPEN)
    save = page.tab.locator("button:visible", has_text=re.compile(r"^\s*Save\s*$"))
    save.wait_for()
    page.still("Object.values(document.querySelector('#maskEditorCanvasContainer').getBoundingClientRect().toJSON())")
    box = page.tab.locator("#maskEditorCanvasContainer").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] * 0.9  # between the legs
    page.tab.mouse.move(x, y)
    page.tab.mouse.down()
    page.tab.mouse.move(x, y - 20, steps=5)
    page.tab.mouse.up()
    page.screenshot("mask_editor")
    save.click()
    page.tab.wait_for_function(f"() => ({VALUE})().includes('painted-masked')")

    value = page.tab.evaluate(VALUE)
    folder, _, name = value.removesuffix(" [input]").rpartition("/")
    saved = Image.open(io.BytesIO(client.view({"filename": name, "subfolder": folder, "type": "input"})))
    before = np.asarray(Image.open(repository / "samples" / "person_painted.png"))
    after = np.asarray(saved.convert("RGBA"))
    assert after.shape == before.shape
    painted, painted_before = after[..., 3] < 128, before[..., 3] < 128
    assert (painted & painted_before).sum() > 0.98 * painted_before.sum(), "the mask that was there is kept"
    assert painted[450:].any() and not painted_before[450:].any(), "the stroke is there"
    assert np.abs(after[..., :3].astype(int) - before[..., :3]).mean() < 1, "the colours below are kept"
    assert page.problems == []
