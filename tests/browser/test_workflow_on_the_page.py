"""What a person does with a file: drop it on ComfyUI's page, press Run, see the picture."""

from __future__ import annotations

import json

from hosting.shipped import page_file

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
NODE_TYPES = "() => window.app.graph.nodes.map(node => node.type)"
PICTURE_SHOWN = "() => window.app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.[0]?.naturalWidth)"


def test_dropped_workflow_has_every_node_and_gives_a_picture(open_page, comfy_server, client):
    page = open_page(comfy_server)
    text = page_file("tryon_embedded").read_text(encoding="utf-8")
    expected = sorted(node["type"] for node in json.loads(text)["nodes"])

    page.tab.evaluate(DROP, ["tryon.json", text])
    page.tab.wait_for_function(f"() => window.app.graph.nodes.length === {len(expected)}")

    assert sorted(page.tab.evaluate(NODE_TYPES)) == expected
    assert page.missing_nodes() == []

    picture = page.saved(client)

    assert len(client.view(picture)) > 10_000
    page.tab.wait_for_function(PICTURE_SHOWN)
    page.fit_view()
    page.screenshot("tryon_embedded")
