"""What a person does: drop the workflow on ComfyUI's page, press Run, see the picture. Headless Chromium.

The screenshot goes to `output/browser` to be looked at.
"""

from __future__ import annotations

import json
import time

RUN_SECONDS = 600

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
MISSING_NODES = f"() => ({NODE_TYPES})().filter(type => !LiteGraph.registered_node_types[type])"
FIT_VIEW = "() => window.app.extensionManager.command.execute('Comfy.Canvas.FitView')"
PICTURE_SHOWN = "() => window.app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.[0]?.naturalWidth)"


def _press_run_and_wait(client, page) -> dict:
    """The picture of the one run in the history; polled here because the page's own promises lie about it."""
    deadline = time.monotonic() + RUN_SECONDS
    before = set(client.history())
    page.get_by_test_id("queue-button").click()
    while time.monotonic() < deadline:
        for prompt_id, entry in client.history().items():
            if prompt_id in before:
                continue
            assert entry["status"]["status_str"] == "success", entry["status"]["messages"][-1]
            shown = [image for outputs in entry["outputs"].values() for image in outputs.get("images", ())]
            return next(image for image in shown if image["type"] == "output")
        page.wait_for_timeout(500)
    raise AssertionError(f"no picture within {RUN_SECONDS} s")


def test_dropped_workflow_has_every_node_and_gives_a_picture(page, client, repository):
    file = repository / "workflows" / "tryon_embedded.json"
    expected = sorted(node["type"] for node in json.loads(file.read_text(encoding="utf-8"))["nodes"])
    page.evaluate("() => window.app.graph.clear()")

    page.evaluate(DROP, [file.name, file.read_text(encoding="utf-8")])
    page.wait_for_function(f"() => window.app.graph.nodes.length === {len(expected)}", timeout=30_000)

    assert sorted(page.evaluate(NODE_TYPES)) == expected
    assert page.evaluate(MISSING_NODES) == []

    picture = _press_run_and_wait(client, page)

    assert len(client.view(picture)) > 10_000
    page.wait_for_function(PICTURE_SHOWN, timeout=30_000)
    page.evaluate(FIT_VIEW)
    page.wait_for_timeout(1000)  # the view glides
    target = repository / "output" / "browser" / "tryon_embedded.png"
    target.parent.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=str(target))
