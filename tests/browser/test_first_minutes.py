"""A new user's first minutes: Templates, the start workflow, its pictures, Run, a picture. Four clicks, no alert.

On the frontend ComfyUI brings and on the newest, with the classic canvas and with Nodes 2.0. And with a file: drop it
on the page, press Run, see the picture; ComfyUI has computed that graph by then, and finds it in its cache.
"""

from __future__ import annotations

import io
import json

import numpy as np
from hosting.client import ComfyClient
from hosting.places import PACK_NAME
from hosting.shipped import TITLES, page_file
from make_pictures import HEIGHT
from PIL import Image

START = TITLES["tryon_embedded"]
# Every picture that the page asked the server for, by what became of it.
SAMPLES_SHOWN = """
() => {
    const inNodes = window.app.graph.nodes.flatMap(node => node.imgs ?? []);
    const pictures = [...inNodes, ...document.images].filter(image => image.src.includes("/view?"));
    // the newest page asks for the name and the folder apart
    const name = image => new URL(image.src).searchParams.get("filename").replace(/ \\[temp\\]$/, "");
    return {
        shown: [...new Set(pictures.filter(image => image.naturalWidth > 1).map(name))].sort(),
        broken: pictures.filter(image => image.complete && !image.naturalWidth).map(name),
    };
}
"""
BROKEN_WORDS = ("does not exist", "failed to load", "Error loading image", "Schema", "Validation error")
PICTURES = [f"{name} [example].png" for name in ("garment", "parse", "person")]


def test_four_clicks_from_a_fresh_session_to_a_good_picture(request, open_page, view):
    page, client = open_page(*view, fresh=True), ComfyClient(view[0].url)

    page.tab.locator(".templates-tab-button").click()
    page.tab.get_by_text(PACK_NAME).first.click()
    page.tab.get_by_test_id(f"template-workflow-{START}").click()
    page.tab.wait_for_function("() => window.app.graph.nodes.some(node => node.type === 'LadiVTON_LoadPicture')")

    page.tab.wait_for_function(f"() => ({SAMPLES_SHOWN})().shown.length === {len(PICTURES)}")
    assert page.tab.evaluate(SAMPLES_SHOWN) == {"shown": PICTURES, "broken": []}
    assert page.missing_nodes() == []
    saved = json.loads(page_file("tryon_embedded").read_text("utf-8"))["extra"]["ds"]["scale"]
    shown = page.tab.evaluate("() => window.app.canvas.ds.scale")
    assert abs(shown - saved) < 0.01, "not the view it was saved with, in which it can be read"

    picture = page.saved(client)

    result = Image.open(io.BytesIO(client.view(picture))).convert("RGB")
    thumbnail = Image.open(page_file("tryon_embedded").with_suffix(".jpg"))
    width, height = round(result.width * HEIGHT / result.height), HEIGHT  # above its line of words
    left = (thumbnail.width - width) // 2
    thumbnail = thumbnail.convert("RGB").crop((left, 0, left + width, height))
    difference = np.asarray(result.resize(thumbnail.size), float) - np.asarray(thumbnail, float)
    assert np.abs(difference).mean() < 12, "not the picture that the card promised"
    page.tab.wait_for_function(f"() => ({SAMPLES_SHOWN})().shown.some(name => name.startsWith('tryon'))")
    page.screenshot(f"first_minutes_{request.node.callspec.id}")
    assert page.alerts() == []
    text = page.tab.evaluate("() => document.body.innerText")
    assert not [words for words in BROKEN_WORDS if words.lower() in text.lower()]
    assert page.problems == []


# A drop as the desktop makes it: an event that carries the file, on the canvas.
DROP = """
([name, text]) => {
    const transfer = new DataTransfer();
    transfer.items.add(new File([text], name, { type: "application/json" }));
    const canvas = document.querySelector("#graph-canvas");
    const box = canvas.getBoundingClientRect();
    const where = { clientX: box.x + box.width / 2, clientY: box.y + box.height / 2 };
    const event = { dataTransfer: transfer, bubbles: true, cancelable: true, ...where };
    for (const kind of ["dragenter", "dragover", "drop"]) canvas.dispatchEvent(new DragEvent(kind, event));
}
"""
TYPES = "() => window.app.graph.nodes.map(node => node.type)"
PICTURE_SHOWN = "() => window.app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.[0]?.naturalWidth)"


def test_dropped_workflow_has_every_node_and_gives_a_picture(open_page, comfy_server, client):
    page = open_page(comfy_server)
    text = page_file("tryon_embedded").read_text(encoding="utf-8")
    expected = sorted(node["type"] for node in json.loads(text)["nodes"])

    page.tab.evaluate(DROP, ["tryon.json", text])
    page.tab.wait_for_function(f"() => window.app.graph.nodes.length === {len(expected)}")

    assert sorted(page.tab.evaluate(TYPES)) == expected
    assert page.missing_nodes() == []

    picture = page.saved(client)

    assert len(client.view(picture)) > 10_000
    page.tab.wait_for_function(PICTURE_SHOWN)
    page.fit_view()
    page.screenshot("tryon_embedded")
